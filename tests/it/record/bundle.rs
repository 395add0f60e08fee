//! Bundles: what is exported here draws the same there, and not one other byte is believed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use peerdeck::app::{App, Msg, Options};
use peerdeck::domain::{Snapshot, Time};
use peerdeck::record::bundle::{About, Bundle, Exported, export};
use peerdeck::record::{Reader, RecordError, Signer, Source};
use peerdeck::ui;
use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::codec::{documents, fields};
use super::play::ten_minutes;
use super::ring::{DAY, target, write};

fn bundle(dir: &Path, pictures: &[Arc<Snapshot>], span: (Time, Time)) -> (PathBuf, Exported) {
    write(&target(dir, DAY), pictures, 2);
    let signer = Signer::of_machine(&dir.join("state")).unwrap();
    let about = About {
        made: pictures[0].at,
        by: "admin".into(),
        host: "noc1".into(),
        note: "what happened at night".into(),
        decisions: vec!["{\"command\":\"disconnect\"}".into()],
    };
    let file = dir.join("night.bundle");
    let source = Source::open(&dir.join("ring")).unwrap();
    let done = export(source, &file, span, about, &signer).unwrap();
    (file, done)
}

fn whole(pictures: &[Arc<Snapshot>]) -> (Time, Time) {
    (pictures[0].at, pictures[pictures.len() - 1].at)
}

/// The Mesh view as a console of 120x40 draws it, with all colours.
fn drawn(snapshot: &Arc<Snapshot>) -> String {
    let options = Options { width: 120, height: 40, ..Options::default() };
    let mut app = App::new(options, Arc::clone(snapshot), snapshot.at);
    app.update(Msg::Snapshot(Arc::clone(snapshot)), snapshot.at);
    let mut terminal = Terminal::new(TestBackend::new(120, 40)).unwrap();
    let look = crate::ui::look("terminal", false, ui::Depth::True);
    terminal.draw(|frame| ui::draw(frame.buffer_mut(), &app, &look, snapshot.at)).unwrap();
    format!("{:?}", terminal.backend().buffer())
}

#[test]
fn b6_a_bundle_exported_here_replays_there_and_draws_the_same_cells() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = ten_minutes();
    let (file, done) = bundle(dir.path(), &pictures, whole(&pictures));
    assert_eq!((done.from, done.until, done.frames), (pictures[0].at, pictures[599].at, 600));
    // There: nothing but the file.
    let there = tempfile::tempdir().unwrap();
    let copy = there.path().join("from-colleague");
    fs::copy(&file, &copy).unwrap();
    drop(dir);
    let mut reader = Reader::open(&copy).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for n in [0, 30, 63, 75, 130, 205, 250, 262, 310, 330, 599] {
        let read = reader.at(pictures[n].at).unwrap();
        let (was, is) = (drawn(&pictures[n]), drawn(&read));
        assert_eq!(was, is, "picture {n}");
        assert_eq!(documents(&pictures[n]), documents(&read));
        seen.insert(is);
    }
    assert!(seen.len() > 5, "they are different pictures");
    let opened = reader.source().bundle().unwrap();
    assert_eq!(opened.fingerprint(), done.fingerprint);
    assert_eq!((opened.manifest().by.as_str(), opened.manifest().host.as_str()), ("admin", "noc1"));
    assert_eq!(opened.manifest().decisions.len(), 1);
    assert!(!opened.manifest().events.is_empty() && !opened.manifest().marks.is_empty());
    assert!(opened.lines().iter().any(|l| l.contains("what happened at night")));
}

#[test]
fn b6_a_span_of_the_ring_is_exported_and_no_more_than_its_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = ten_minutes();
    let (file, done) = bundle(dir.path(), &pictures, (pictures[200].at, pictures[260].at));
    assert!(done.from <= pictures[200].at && done.until >= pictures[260].at);
    assert!(done.from >= pictures[130].at && done.until <= pictures[330].at);
    let mut reader = Reader::open(&file).unwrap();
    assert_eq!(fields(&reader.at(pictures[230].at).unwrap()), fields(&pictures[230]));
    assert_eq!(reader.at(Time::ZERO).unwrap().at, done.from);
    let later = pictures[599].at + Duration::from_hours(1);
    let nothing = export(
        Source::open(&dir.path().join("ring")).unwrap(),
        &dir.path().join("none.bundle"),
        (later, later),
        About::default(),
        &Signer::of_machine(&dir.path().join("state")).unwrap(),
    );
    assert!(matches!(nothing, Err(RecordError::Nothing { .. })));
    assert!(!dir.path().join("none.bundle").exists());
}

#[test]
fn b6_the_key_is_drawn_once_and_is_nobody_elses() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let first = Signer::of_machine(&state).unwrap().fingerprint();
    assert_eq!(Signer::of_machine(&state).unwrap().fingerprint(), first);
    assert!(first.starts_with("SHA256:"));
    let key = state.join("bundle.key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(Signer::of_machine(&state), Err(RecordError::Refused { .. })));
}

/// Why these bytes are no bundle.
fn refusal(dir: &Path, bytes: &[u8]) -> String {
    let file = dir.join("changed.bundle");
    fs::write(&file, bytes).unwrap();
    match Bundle::open(&file) {
        Ok(_) => panic!("it was believed"),
        Err(error) => {
            // As it is opened by people, too.
            assert!(Source::open(&file).is_err());
            error.to_string()
        }
    }
}

#[test]
fn b6_every_changed_missing_or_added_byte_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = &ten_minutes()[..130];
    let (file, _) = bundle(dir.path(), pictures, whole(pictures));
    let bytes = fs::read(&file).unwrap();
    let there = tempfile::tempdir().unwrap();
    assert!(bytes.len() > 2000);
    // The first line, the manifest and the signature byte by byte, the rest here and there.
    let manifest = bytes.iter().position(|b| *b == b'}').unwrap() + 200;
    let ends = (0..manifest.min(3000)).chain(bytes.len() - 70..bytes.len());
    let rest = (manifest..bytes.len()).step_by(bytes.len() / 400 + 1);
    for at in ends.chain(rest) {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        let why = refusal(there.path(), &changed);
        assert!(why.contains("changed.bundle") && why.contains("refused"), "byte {at}: {why}");
    }
    for length in [0, 1, 17, 18, 19, 500, bytes.len() / 2, bytes.len() - 64, bytes.len() - 1] {
        refusal(there.path(), &bytes[..length]);
    }
    for tail in [&b"\n"[..], b"x", &[0; 64], &bytes] {
        assert!(refusal(there.path(), &[&bytes, tail].concat()).contains("added"));
    }
}

#[test]
fn b6_swapped_blocks_and_anothers_signature_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = &ten_minutes()[..200];
    let (file, _) = bundle(dir.path(), pictures, whole(pictures));
    let bytes = fs::read(&file).unwrap();
    let there = tempfile::tempdir().unwrap();
    let text = String::from_utf8_lossy(&bytes[..bytes.len() - 64]).into_owned();
    let manifest: serde_json::Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
    let head = bytes.iter().enumerate().filter(|(_, b)| **b == b'\n').nth(1).unwrap().0 + 1;
    let lengths: Vec<usize> = manifest["parts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| usize::try_from(p["bytes"].as_u64().unwrap()).unwrap())
        .collect();
    assert!(lengths.len() >= 3);
    let mut parts = Vec::new();
    let mut at = head;
    for length in &lengths {
        parts.push(bytes[at..at + length].to_vec());
        at += length;
    }
    assert_eq!(at + 64, bytes.len());
    // In the file alone, and in the manifest along with it.
    let n = parts.len();
    parts.swap(n - 1, n - 2);
    let swapped = [&bytes[..head], &parts.concat(), &bytes[at..]].concat();
    assert!(refusal(there.path(), &swapped).contains("not what was signed"));
    let mut list = manifest.clone();
    list["parts"].as_array_mut().unwrap().swap(n - 1, n - 2);
    let line = format!("{}\n{}\n", text.lines().next().unwrap(), list);
    let swapped = [line.as_bytes(), &parts.concat(), &bytes[at..]].concat();
    assert!(refusal(there.path(), &swapped).contains("signature"));
    // Signed by somebody else: it opens, and the fingerprint says so.
    let other = tempfile::tempdir().unwrap();
    let (forged, done) = bundle(other.path(), pictures, whole(pictures));
    assert_ne!(done.fingerprint, Bundle::open(&file).unwrap().fingerprint());
    // But nobody can put a key that is not theirs on it.
    let forged = fs::read(forged).unwrap();
    let text = String::from_utf8_lossy(&forged[..forged.len() - 64]).into_owned();
    let mine: serde_json::Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
    let (mine, theirs) = (mine["key"].as_str().unwrap(), manifest["key"].as_str().unwrap());
    let at = forged.windows(mine.len()).position(|w| w == mine.as_bytes()).unwrap();
    let named = [&forged[..at], theirs.as_bytes(), &forged[at + mine.len()..]].concat();
    assert!(refusal(there.path(), &named).contains("signature"));
}

#[test]
fn b6_a_hostile_bundle_is_refused_before_anything_is_read_that_need_not_be_there() {
    let dir = tempfile::tempdir().unwrap();
    let magic = b"peerdeck-bundle 1\n";
    let manifest = |text: &str| [magic, text.as_bytes(), b"\n", &[0; 64]].concat();
    for text in [
        String::new(),
        "{}".into(),
        "[]".into(),
        "{\"v\":2}".into(),
        "{\"v\":1}".into(),
        "{\"v\":1,\"key\":\"zz\"}".into(),
        "{\"v\":1,\"parts\":[{\"kind\":\"block\",\"bytes\":99999999999999}]}".into(),
        "{\"v\":1,\"parts\":[{\"kind\":\"block\",\"bytes\":18446744073709551615},{\"bytes\":66}]}".into(),
        format!("{{\"v\":{}", "[".repeat(100_000)),
    ] {
        refusal(dir.path(), &manifest(&text));
    }
    refusal(dir.path(), &[magic.as_slice(), &vec![b' '; 40 << 20]].concat());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn b6_no_bytes_make_the_reader_of_blocks_fail_otherwise_than_in_words(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        cut in 0..200_usize,
    ) {
        use peerdeck::record::block::{Lines, pack};
        let mut packed = pack(b"{\"frame\":{\"key\":1}}\n{\"peer\":{}}\n");
        let cut = cut.min(packed.len());
        packed.splice(cut.., bytes);
        let mut lines = Lines::new(packed);
        while let Ok(Some(_)) = lines.next_line() {}
    }
}
