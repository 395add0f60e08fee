//! Frames: what goes in comes out, to the last field.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use peerdeck::domain::Snapshot;
use peerdeck::domain::settings::secrets::{MARK, shown};
use peerdeck::domain::settings::{Content, Key, ModeId, Value};
use peerdeck::record::decode::Decoder;
use peerdeck::record::encode::{Encoder, Frame};
use peerdeck::report;
use proptest::prelude::*;

use super::play::{Deed, act, world};
use crate::engine::world::{feature, member, one, text, version};

/// Reads frames as they were written.
#[derive(Default)]
pub struct Back {
    decoder: Decoder,
    trees: BTreeMap<String, Vec<u8>>,
}

impl Back {
    pub fn read(&mut self, frame: &Frame) -> Result<Arc<Snapshot>, String> {
        for blob in &frame.blobs {
            if let Some(bytes) = &blob.bytes {
                self.trees.insert(blob.digest.clone(), bytes.clone());
            }
        }
        let trees = &self.trees;
        for line in frame.lines.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
            self.decoder.line(line, &mut |digest| trees.get(digest).cloned().ok_or("missing".into()))?;
        }
        self.decoder.picture()
    }
}

/// Every field of everything, as Debug prints it: whatever is drawn is drawn from these.
pub fn fields(snapshot: &Snapshot) -> String {
    let mut snapshot = snapshot.clone();
    for cluster in &mut snapshot.clusters {
        // The same in all, and long.
        Arc::make_mut(cluster).catalogue = Arc::default();
    }
    format!("{snapshot:#?}")
}

/// What programs are told of it.
pub fn documents(snapshot: &Snapshot) -> String {
    report::document(&report::connstatus::document(snapshot, None, true))
        + &report::document(&report::status::document(snapshot, None, true))
        + &report::document(&report::ha::document(snapshot, None, None, true))
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => (1..2500_u32).prop_map(Deed::Run),
        3 => (0..4_usize, 0..4_usize, 0..3_u8).prop_map(|(a, b, to)| Deed::State(a, b, to)),
        1 => (0..4_usize).prop_map(Deed::Lose),
        2 => (0..4_usize).prop_map(Deed::Connect),
        4 => (0..4_usize, prop::collection::vec(prop::option::weighted(0.9, 0..70_000_000_u32), 0..4))
            .prop_map(|(n, p)| Deed::Ping(n, p)),
        1 => (0..4_usize, any::<bool>()).prop_map(|(n, yes)| Deed::Detach(n, yes)),
        1 => (0..4_usize, any::<bool>()).prop_map(|(n, yes)| Deed::Maintain(n, yes)),
        1 => (0..4_usize, 0..3000_u64).prop_map(|(n, ms)| Deed::Late(n, ms)),
        2 => (0..6_u8, "[a-z]{1,8}").prop_map(|(n, text)| Deed::Set(n, text)),
        1 => (0..6_u8).prop_map(Deed::Unset),
        1 => (0..4_usize, 0..9_u64).prop_map(|(n, seq)| Deed::Hold(n, seq)),
        1 => (0..4_usize, ".{0,30}").prop_map(|(n, text)| Deed::Log(n, text)),
        3 => (0..2_usize, 0..8_u8).prop_map(|(n, what)| Deed::Ha(n, what)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn b6_what_is_read_back_is_what_was_shown(
        deeds in prop::collection::vec((deed(), prop::bool::weighted(0.6), prop::bool::weighted(0.1)), 1..60),
    ) {
        let mut world = world();
        world.connect_all();
        let (mut encoder, mut back) = (Encoder::new(&[7; 32]), Back::default());
        for (deed, picture, key) in deeds {
            act(&mut world, &deed);
            if picture {
                let snapshot = world.snapshot();
                let read = back.read(&encoder.frame(&snapshot, key).unwrap()).unwrap();
                prop_assert_eq!(fields(&read), fields(&snapshot));
                prop_assert_eq!(documents(&read), documents(&snapshot));
            }
        }
    }

    #[test]
    fn b6_no_line_makes_the_reader_fail_otherwise_than_in_words(line in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut decoder = Decoder::default();
        let _ = decoder.line(&line, &mut |_| Err("none".into()));
    }
}

#[test]
fn b6_a_picture_in_which_only_ages_differ_costs_little() {
    let mut world = world();
    world.connect_all();
    world.run(5.0);
    let mut encoder = Encoder::new(&[7; 32]);
    let key = encoder.frame(&world.snapshot(), false).unwrap();
    world.run(1.0);
    let ages = encoder.frame(&world.snapshot(), false).unwrap();
    assert!(ages.lines.len() * 10 < key.lines.len(), "{} of {}", ages.lines.len(), key.lines.len());
    let nothing = encoder.frame(&world.snapshot(), false).unwrap();
    assert!(nothing.lines.len() < 100, "{}", String::from_utf8_lossy(&nothing.lines));
}

#[test]
fn b6_events_that_left_the_list_leave_it_in_the_recording_too() {
    let mut world = world();
    world.connect_all();
    world.run(2.0);
    let (mut encoder, mut back) = (Encoder::new(&[7; 32]), Back::default());
    for n in 0..2300 {
        act(&mut world, &Deed::Log(n % 3, format!("line {n}")));
        if n % 100 == 0 || n > 1950 && n % 7 == 0 {
            let snapshot = world.snapshot();
            let frame = encoder.frame(&snapshot, false).unwrap();
            assert_eq!(back.read(&frame).unwrap().events, snapshot.events);
            assert!(n == 0 || frame.lines.len() < 30_000, "only what is new: {} bytes", frame.lines.len());
        }
    }
}

/// Secrets of every form, in places that the table of features names, and wherever else one may look like one.
fn planted() -> (Vec<&'static str>, Vec<(Key, Option<peerdeck::domain::settings::Entry>)>) {
    let secrets = vec!["hunter2-plain", "hunter3-typed", "QUJDREVGsealed", "WRAPPEDkeybytes", "hunter4-elsewhere"];
    let catalogue = peerdeck::proto::features::built_in();
    let with = catalogue.settings().find(|f| !f.secrets.is_empty()).unwrap();
    // A value with a text at the path.
    let at = |text: &str| {
        let steps = with.secrets[0].to_string();
        let leaf = Value::text(text);
        let value = steps.rsplit('.').fold(leaf, |v, step| Value::table([(step, v)]));
        Content::Value(Arc::new(value))
    };
    let name = with.name.as_str();
    let key = |mode| feature(mode, name);
    let machine = |n: &str| ModeId::Machine(member(n));
    let registers = vec![
        (key(ModeId::Cluster), one("s1", at("hunter2-plain"))),
        (key(machine("lab1")), one("s2", at("secret:new:hunter3-typed"))),
        (
            key(machine("lab2")),
            peerdeck::domain::settings::Entry::new(vec![
                version("s3", at("secret:v1:k1:QUJDREVGsealed"), "lab1", 1_795_000_000),
                version("s4", at("secret:v1:k1:QUJDREVGsealed2"), "lab2", 1_795_000_000),
            ]),
        ),
        (Key::SecretKey("k1".into(), member("lab1")), one("s5", text("secret:key:WRAPPEDkeybytes"))),
        (feature(ModeId::Cluster, "unknownfeature"), one("s6", text("secret:v1:k1:hunter4-elsewhere"))),
    ];
    (secrets, registers)
}

#[test]
fn b6_no_secret_comes_into_a_recording() {
    let (secrets, registers) = planted();
    let mut world = world();
    world.write(registers.clone());
    world.connect_all();
    world.run(3.0);
    let (mut encoder, mut back) = (Encoder::new(&[7; 32]), Back::default());
    let mut raw = Vec::new();
    let mut take = |frame: &Frame| {
        raw.extend_from_slice(&frame.lines);
        raw.extend(frame.blobs.iter().flat_map(|b| b.bytes.clone().unwrap_or_default()));
    };
    let first = encoder.frame(&world.snapshot(), false).unwrap();
    take(&first);
    let live = world.snapshot();
    let read = back.read(&first).unwrap();
    // And as changes.
    world.write(registers.iter().map(|(key, _)| (key.clone(), None)).collect());
    world.run(2.0);
    take(&encoder.frame(&world.snapshot(), false).unwrap());
    world.write(registers);
    world.run(2.0);
    take(&encoder.frame(&world.snapshot(), false).unwrap());
    let text = String::from_utf8(raw).unwrap();
    assert!(text.contains("s3") && text.contains("s6"), "the settings are in it");
    for secret in secrets {
        assert!(!text.contains(secret), "{secret} is in the recording");
    }
    assert!(!text.contains("k1:"));
    // What is shown is the same: a mark, and the conflict is still one.
    let of = |s: &Snapshot| s.clusters[0].settings.clone().unwrap().tree.clone();
    let (was, is) = (of(&live), of(&read));
    assert_eq!(was.registers().len(), is.registers().len());
    for ((key, a), (_, b)) in was.registers().zip(is.registers()) {
        assert_eq!(a.is_conflict(), b.is_conflict(), "{key}");
        assert_eq!(a.versions().len(), b.versions().len());
    }
    let value = is.entry(&feature(ModeId::Cluster, "unknownfeature")).unwrap().effective().content.value().cloned();
    assert_eq!(value.unwrap().as_text().map(shown), Some(MARK));
    let keys = |t: &peerdeck::domain::settings::Tree| {
        t.secret_keys().map(|(k, m, _)| (k.clone(), m.clone())).collect::<Vec<_>>()
    };
    assert_eq!(keys(&was), keys(&is), "who could read is still known");
}

#[test]
fn b6_lines_of_a_later_version_are_passed_over_and_hostile_ones_refused() {
    let mut world = world();
    world.connect_all();
    world.run(3.0);
    let snapshot = world.snapshot();
    let frame = Encoder::new(&[7; 32]).frame(&snapshot, false).unwrap();
    let mut lines = frame.lines.clone();
    lines.extend_from_slice(b"{\"weather\":{\"sun\":true}}\n");
    let mut back = Back::default();
    let read = back.read(&Frame { lines: lines.clone(), blobs: frame.blobs.clone() }).unwrap();
    assert_eq!(fields(&read), fields(&snapshot));
    let refused = |line: &str| {
        let mut decoder = Decoder::default();
        let mut trees = |_: &str| Err("none".into());
        decoder.line(b"{\"frame\":{\"key\":1,\"at\":5,\"clusters\":1}}", &mut trees).unwrap();
        decoder.line(line.as_bytes(), &mut trees).unwrap_err()
    };
    assert!(refused("{\"frame\":{\"key\":1,\"clusters\":4000000000}}").contains("clusters"));
    assert!(refused(&format!("{{\"cluster\":{{\"n\":0,\"peers\":{:?}}}}}", vec!["a"; 5000])).contains("peers"));
    assert!(refused("{\"peer\":{\"c\":0,\"p\":9}}").contains("no peer"));
    assert!(refused("{\"peer\":{\"c\":7,\"p\":9}}").contains("no cluster"));
    assert!(refused("{\"registers\":{\"cluster\":0}}").contains("without a tree"));
    assert!(refused("{\"cluster\":{\"n\":0,\"settings\":{\"tree\":\"00\"}}}").contains("none"));
    assert!(refused(&"[".repeat(100_000)).contains("parts"));
    let deep = format!("{{\"registers\":{{\"changed\":[{{\"versions\":[{{\"value\":{}}}]}}]}}}}", "[".repeat(500));
    assert!(refused(&deep).contains("recursion"));
    assert!(refused("{\"frame\":{\"key\":99}}").contains("not known here"));
    let mut decoder = Decoder::default();
    assert!(decoder.line(b"{\"peer\":{}}", &mut |_| Err(String::new())).unwrap_err().contains("no key frame"));
}

#[test]
fn b6_text_in_a_recording_is_cleaned() {
    let mut decoder = Decoder::default();
    let mut trees = |_: &str| Err("none".into());
    for line in [
        "{\"frame\":{\"key\":1,\"at\":5,\"clusters\":1}}",
        "{\"cluster\":{\"n\":0,\"name\":\"a\\u001b[2Jb\",\"peers\":[\"p\\u202e1\"]}}",
        "{\"peer\":{\"c\":0,\"p\":0,\"host\":\"x\\u0007y\",\"reach\":{\"state\":\"new-state\",\"detail\":\"\\u001b]0;t\\u0007z\"}}}",
    ] {
        decoder.line(line.as_bytes(), &mut trees).unwrap();
    }
    let picture = decoder.picture().unwrap();
    let cluster = &picture.clusters[0];
    assert_eq!((cluster.name.as_str(), cluster.peers[0].id.as_str()), ("ab", "p1"));
    assert_eq!(cluster.peers[0].host.as_str(), "xy");
    assert_eq!(cluster.peers[0].reach.state, peerdeck::domain::ReachState::Unreachable);
    assert!(!format!("{picture:?}").contains('\u{1b}'));
    assert_eq!(cluster.peers[0].row_age(picture.at), None::<Duration>);
}
