//! Settings in the engine: who is asked for them, how they come together, and what becomes of commits.

use std::sync::Arc;
use std::time::Duration;

use peerdeck::domain::mesh::link::Cause;
use peerdeck::domain::observation::{Fact, Observation, TreePart};
use peerdeck::domain::reach::{PeerEvent, PeerRequest};
use peerdeck::domain::settings::{CommitId, Content, Edit, Entry, Key, ModeId, Value};
use peerdeck::domain::snapshot::{Limits, Settings};
use peerdeck::domain::{Command, FeatureName, Outcome, OutcomeState, PeerId, Plan};
use peerdeck::engine::Event;
use peerdeck::engine::settings::{Has, spread};

use super::world::{World, feature, group, member, one, text, version};

fn world() -> World {
    let groups = [("Main_Group", vec!["lab1", "lab2"]), ("Paris", vec!["lab3", "lab4"])];
    let groups: Vec<(String, Vec<String>)> =
        groups.map(|(g, of)| (g.to_owned(), of.into_iter().map(str::to_owned).collect())).to_vec();
    let mut world = World::new(&groups, Limits::default(), &|_| true, false);
    world.write(Vec::new());
    for name in ["lab1", "lab2", "lab3", "lab4"] {
        world.hold(name, "a", 3);
    }
    world
}

/// All are connected and the settings are there.
fn settled() -> World {
    let mut world = world();
    world.connect_all();
    world.run(2.5);
    assert_eq!(settings(&mut world).source, PeerId::new("lab1"));
    world.requests.clear();
    world
}

fn settings(world: &mut World) -> Arc<Settings> {
    world.snapshot().clusters[0].settings.clone().expect("settings are known")
}

/// Who was asked for its tree, or for no more of it, in order.
fn asked(world: &World) -> Vec<(String, bool)> {
    let tree = |(key, r): &(_, PeerRequest)| match r {
        PeerRequest::Tree(wanted) => {
            let key: &peerdeck::domain::reach::EndpointKey = key;
            Some((key.host.short().to_owned(), *wanted))
        }
        _ => None,
    };
    world.requests.iter().filter_map(tree).collect()
}

fn yes(name: &str) -> (String, bool) {
    (name.to_owned(), true)
}

fn no(name: &str) -> (String, bool) {
    (name.to_owned(), false)
}

fn part(world: &mut World, from: &str, part: TreePart) {
    let facts = vec![Observation { at: world.now, observer: PeerId::new(from), fact: Fact::Tree(part) }];
    world.say(from, PeerEvent::Observed(facts));
}

fn tree_part(first: bool, last: bool, registers: Vec<(Key, Option<Entry>)>) -> TreePart {
    TreePart { cluster_id: "c1".into(), first, last, digest: "d9".into(), registers }
}

fn smtproutes(mode: ModeId) -> Key {
    feature(mode, "smtproutes")
}

fn paris() -> ModeId {
    ModeId::Group(group("Paris"))
}

fn machine(name: &str) -> ModeId {
    ModeId::Machine(member(name))
}

fn set(mode: ModeId, value: &str) -> Edit {
    let value = Arc::new(Value::table([("x", Value::text(value))]));
    Edit::Set { mode, feature: FeatureName::new("smtproutes"), value }
}

fn commit(world: &mut World, on: &str, edits: Vec<Edit>) -> Plan {
    let command = Command::Commit { on: PeerId::new(on), edits: edits.into(), comment: "test".into() };
    let snapshot = world.snapshot();
    peerdeck::engine::plans::plan(&snapshot.clusters[0], command, snapshot.at)
}

fn taken(world: &mut World, by: &str, id: u64, seq: u64) {
    let outcome = Outcome { state: OutcomeState::Accepted, at: world.now, detail: "on disk".into() };
    let commit = Some(CommitId { actor: "a".into(), seq });
    world.say(by, PeerEvent::Executed { id, outcome, commit });
}

fn outcomes(world: &World, id: u64) -> Vec<(OutcomeState, String)> {
    world.outcomes.iter().filter(|(i, _)| *i == id).map(|(_, o)| (o.state, o.detail.to_string())).collect()
}

fn texts(lines: &[peerdeck::domain::Line]) -> String {
    lines.iter().flat_map(|l| [l.as_str(), "\n"]).collect()
}

#[test]
fn one_peer_is_asked_and_another_when_it_is_lost_detached_or_of_another_level() {
    let mut world = settled();
    world.hold("lab3", "b", 1);
    world.run(2.0);
    assert_eq!(asked(&world), [], "the present one is kept although another is further");
    world.lose("lab1", Cause::Timeout);
    world.run(1.0);
    assert_eq!(asked(&world), [no("lab1"), yes("lab3")], "the one that has most");
    world.run(2.0);
    assert_eq!(settings(&mut world).source, PeerId::new("lab3"));
    world.requests.clear();
    world.connect("lab1");
    world.run(2.0);
    assert_eq!(asked(&world), [], "the one that is back is not asked again");
    world.actors.get_mut("lab3").unwrap().detached = Some(world.now);
    world.change("lab3", "lab1", |_| {});
    world.run(3.0);
    assert_eq!(asked(&world), [no("lab3"), yes("lab1")], "of equals the first");
    world.requests.clear();
    world.actors.get_mut("lab1").unwrap().level = 2;
    world.lose("lab1", Cause::Dropped);
    world.connect("lab1");
    world.run(2.0);
    assert_eq!(asked(&world).last(), Some(&yes("lab2")), "lab1 speaks another level");
    world.requests.clear();
    for name in ["lab1", "lab2", "lab3", "lab4"] {
        world.lose(name, Cause::Timeout);
    }
    world.run(5.0);
    assert!(world.snapshot().clusters[0].settings.is_some(), "what was told is still shown");
    let before = asked(&world);
    world.connect(before.last().map_or("lab2", |(name, _)| name.as_str()));
    world.run(1.0);
    assert_eq!(asked(&world), before, "its driver asks again by itself");
}

#[test]
fn a_peer_that_does_not_tell_is_asked_no_more_for_a_while() {
    let mut world = world();
    world.actors.get_mut("lab1").unwrap().tree = None;
    world.connect_all();
    world.run(8.0);
    assert!(world.snapshot().clusters[0].settings.is_none());
    assert_eq!(asked(&world), [yes("lab1")]);
    world.run(4.0);
    assert_eq!(asked(&world), [yes("lab1"), no("lab1"), yes("lab2")]);
    assert_eq!(settings(&mut world).source, PeerId::new("lab2"));
}

#[test]
fn parts_count_once_all_are_there_and_changes_go_on_top() {
    let mut world = settled();
    let before = settings(&mut world);
    let (a, b) = (smtproutes(ModeId::Cluster), smtproutes(paris()));
    let base: Vec<_> = before.tree.registers().map(|(k, e)| (k.clone(), Some(e.clone()))).collect();
    part(&mut world, "lab1", tree_part(true, false, base));
    part(&mut world, "lab1", tree_part(false, false, vec![(a.clone(), one("v1", text("x")))]));
    assert!(Arc::ptr_eq(&settings(&mut world), &before), "half a tree is none");
    part(&mut world, "lab1", tree_part(false, true, vec![(b.clone(), one("v2", text("y")))]));
    let whole = settings(&mut world);
    assert_eq!((whole.digest.as_str(), whole.tree.registers().len()), ("d9", before.tree.registers().len() + 2));
    part(&mut world, "lab1", tree_part(false, false, vec![(a.clone(), one("v3", text("z")))]));
    part(&mut world, "lab1", tree_part(false, true, vec![(b.clone(), None)]));
    let tree = &settings(&mut world).tree;
    assert_eq!(tree.entry(&a).map(|e| e.effective().id.as_str().to_owned()), Some("v3".into()));
    assert!(tree.entry(&b).is_none());
    assert_eq!(tree.structure().members.len(), 4);
    world.requests.clear();
    part(&mut world, "lab2", tree_part(true, true, Vec::new()));
    assert_eq!(settings(&mut world).tree.registers().len(), before.tree.registers().len() + 1, "it was not asked");
    assert_eq!(asked(&world), [no("lab2")]);
}

#[test]
fn c32_settings_of_another_cluster_are_not_taken() {
    let mut world = settled();
    let before = settings(&mut world);
    let foreign = TreePart { cluster_id: "c2".into(), ..tree_part(true, true, Vec::new()) };
    let foreign = TreePart { registers: vec![(Key::ClusterName, one("v1", text("africa")))], ..foreign };
    part(&mut world, "lab1", foreign);
    assert!(Arc::ptr_eq(&settings(&mut world), &before));
    world.run(2.0);
    assert_eq!(asked(&world), [no("lab1"), yes("lab2")]);
    assert_eq!(settings(&mut world).source, PeerId::new("lab2"));
}

#[test]
fn more_than_can_be_taken_is_a_finding_of_that_peer_and_another_is_asked() {
    let mut world = settled();
    let key = |n: usize| feature(machine(&format!("x{n}")), "smtproutes");
    part(&mut world, "lab1", tree_part(true, false, Vec::new()));
    for page in 0..101 {
        let registers = (0..2_000).map(|n| (key(page * 2_000 + n), one("v", Content::Inherits))).collect();
        part(&mut world, "lab1", tree_part(false, false, registers));
    }
    world.run(5.0);
    assert_eq!(asked(&world)[..2], [no("lab1"), yes("lab2")]);
    assert!(world.alerts.iter().any(|(_, _, f)| f.id.as_str() == "answer-unparsed/americas/peer:lab1"));
    let mut world = settled();
    let huge = || one("v", text(&"x".repeat(8 * 1024 * 1024)));
    part(&mut world, "lab1", tree_part(true, false, Vec::new()));
    for n in 0..17 {
        part(&mut world, "lab1", tree_part(false, false, vec![(key(n), huge())]));
    }
    world.run(5.0);
    assert_eq!(asked(&world)[..2], [no("lab1"), yes("lab2")], "bytes count too");
}

#[test]
fn a_tree_that_another_peer_tells_alike_is_the_same_tree() {
    let mut world = settled();
    let before = settings(&mut world);
    world.lose("lab1", Cause::Timeout);
    world.run(3.0);
    let after = settings(&mut world);
    assert_eq!((before.source.as_str(), after.source.as_str()), ("lab1", "lab2"));
    assert!(Arc::ptr_eq(&before.tree, &after.tree), "nobody need look again");
}

#[test]
fn what_a_liar_claims_to_hold_is_bounded() {
    let mut world = settled();
    for n in 0..9_000 {
        world.actors.get_mut("lab2").unwrap().holding.as_mut().unwrap().have.insert(format!("x{n}").as_str().into(), 1);
    }
    world.run(5.0);
    let cluster = Arc::clone(&world.snapshot().clusters[0]);
    assert_eq!(cluster.peer(&PeerId::new("lab2")).unwrap().holding.as_ref().unwrap().have.len(), 1);
    assert!(world.alerts.iter().any(|(_, _, f)| f.id.as_str() == "answer-unparsed/americas/peer:lab2"));
}

#[test]
fn c23_a_commit_is_refused_when_the_set_of_versions_has_moved_and_says_who_moved_it() {
    let mut world = settled();
    world.write(vec![(smtproutes(paris()), one("v1", text("old")))]);
    world.run(2.0);
    let plan = commit(&mut world, "lab2", vec![set(paris(), "new"), set(machine("lab1"), "own")]);
    assert_eq!(texts(&plan.obstacles), "");
    assert_eq!(plan.basis.membership, None, "whoever joins or leaves does not matter to it");
    let seen: Vec<(String, usize)> = plan.basis.settings.iter().map(|(k, v)| (k.to_string(), v.len())).collect();
    assert_eq!(seen, [("g/g-Paris/smtproutes".to_owned(), 1), ("m/m-lab1/smtproutes".to_owned(), 0)]);
    // Elsewhere: no matter. Here: refused.
    world.write(vec![(smtproutes(ModeId::Cluster), one("v5", text("other")))]);
    world.run(2.0);
    let now = world.now;
    assert!(plan.changes(&world.snapshot().clusters[0], now).is_empty());
    let conflict = Entry::new(vec![version("v1", text("old"), "lab1", 1), version("v2", text("b"), "lab4", 2)]);
    world.write(vec![(smtproutes(paris()), conflict)]);
    world.run(2.0);
    world.submit(7, plan);
    let refused = outcomes(&world, 7);
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].0, OutcomeState::Refused);
    let why = "smtproutes at Group Paris was changed meanwhile by admin on lab4.example.com";
    assert!(refused[0].1.contains(why), "{}", refused[0].1);
    assert!(world.requests.iter().all(|(_, r)| !matches!(r, PeerRequest::Execute { .. })), "nothing was sent");
    let structural =
        commit(&mut world, "lab2", vec![Edit::SetGroup { machine: member("lab1"), group: group("Paris") }]);
    assert_eq!(structural.basis.membership, Some(1));
    let made = commit(&mut world, "lab2", vec![Edit::AddGroup { name: "Rome".into() }]);
    assert!(made.basis.settings.is_empty(), "a group that is not there yet has no versions");
}

#[test]
fn c16_a_commit_is_done_when_every_peer_that_is_reached_and_attached_has_it() {
    let mut world = settled();
    world.actors.get_mut("lab3").unwrap().detached = Some(world.now);
    world.change("lab3", "lab1", |_| {});
    world.lose("lab4", Cause::Timeout);
    world.run(2.0);
    let plan = commit(&mut world, "lab1", vec![set(ModeId::Cluster, "new")]);
    let evidence = texts(&plan.evidence);
    assert!(evidence.contains("detached, with settings of their own: lab3"), "{evidence}");
    assert!(evidence.contains("not reached, what they have can't be known: lab4"), "{evidence}");
    world.submit(8, plan);
    taken(&mut world, "lab1", 8, 4);
    let told = Arc::clone(&world.snapshot().clusters[0].commits);
    let told: Vec<_> = told.iter().map(|c| (c.id, c.on.as_str(), c.commit.seq, c.comment.as_str())).collect();
    assert_eq!(told, [(8, "lab1", 4, "test")], "it can be followed from here on");
    world.run(2.0);
    assert_eq!(outcomes(&world, 8).len(), 2, "sent and accepted: {:?}", outcomes(&world, 8));
    world.hold("lab1", "a", 4);
    world.run(1.5);
    assert_eq!(outcomes(&world, 8).len(), 2, "lab2 has not got it");
    let id = CommitId { actor: "a".into(), seq: 4 };
    let who = spread(&world.snapshot().clusters[0], &id);
    let has: Vec<(&str, Has)> = who.iter().map(|(p, h)| (p.as_str(), *h)).collect();
    assert_eq!(has, [("lab1", Has::Yes), ("lab2", Has::No), ("lab3", Has::No), ("lab4", Has::Unknown)]);
    world.hold("lab2", "a", 5);
    world.run(1.5);
    let last = outcomes(&world, 8).pop().unwrap();
    assert_eq!(last.0, OutcomeState::Observed);
    assert_eq!(last.1, "have it: lab1, lab2; not known to have it: lab3 (detached), lab4 (not reached)");
}

#[test]
fn a_commit_that_does_not_arrive_in_time_is_unknown_and_names_who_lacks_it() {
    let mut world = settled();
    let plan = commit(&mut world, "lab1", vec![set(ModeId::Cluster, "new")]);
    world.submit(9, plan);
    taken(&mut world, "lab1", 9, 4);
    for name in ["lab1", "lab2", "lab4"] {
        world.hold(name, "a", 4);
    }
    world.run(20.0);
    let last = outcomes(&world, 9).pop().unwrap();
    assert_eq!(last.0, OutcomeState::Unknown);
    assert!(last.1.ends_with("not yet on lab3"), "{}", last.1);
    let plan = commit(&mut world, "lab1", vec![set(ModeId::Cluster, "newer")]);
    world.submit(10, plan);
    for name in ["lab1", "lab2", "lab3", "lab4"] {
        world.hold(name, "a", 5);
    }
    world.run(2.0);
    taken(&mut world, "lab1", 10, 5);
    let last = outcomes(&world, 10).pop().unwrap();
    assert_eq!(last, (OutcomeState::Observed, "all 4 peers have it".into()), "what peers hold may come first");
}

#[test]
fn c15_c22_a_detached_machine_configures_itself_its_group_and_the_cluster_and_no_other_machine() {
    let mut world = settled();
    world.actors.get_mut("lab3").unwrap().detached = Some(world.now);
    world.change("lab3", "lab1", |_| {});
    world.run(2.0);
    let refused = |world: &mut World, edit: Edit| texts(&commit(world, "lab3", vec![edit]).obstacles);
    for mode in [ModeId::Cluster, paris(), machine("lab3")] {
        assert_eq!(refused(&mut world, set(mode, "x")), "");
    }
    assert_eq!(refused(&mut world, Edit::SetGroup { machine: member("lab3"), group: group("Main_Group") }), "");
    let why = "lab3.example.com is detached and can't configure others: ";
    for (edit, what) in [
        (set(machine("lab4"), "x"), "smtproutes at Machine lab4.example.com"),
        (set(ModeId::Group(group("Main_Group")), "x"), "smtproutes at Group Main_Group"),
        (Edit::RemoveMachine { machine: member("lab1") }, "lab1.example.com"),
        (Edit::DeleteGroup { group: group("Paris"), into: group("Main_Group") }, "the end of Group Paris"),
    ] {
        let refusal = refused(&mut world, edit);
        assert!(refusal.starts_with(why) && refusal.contains(what), "{refusal}");
    }
    let plan = commit(&mut world, "lab3", vec![set(paris(), "x")]);
    world.submit(11, plan);
    taken(&mut world, "lab3", 11, 9);
    world.hold("lab3", "a", 9);
    world.run(1.5);
    let last = outcomes(&world, 11).pop().unwrap();
    assert_eq!(last.0, OutcomeState::Observed);
    assert_eq!(last.1, "lab3 has it; it is detached, the others get it when it is reconnected");
}

#[test]
fn b4_a_plan_says_what_changes_where_and_what_it_replaces() {
    let mut world = settled();
    let routes = Content::Value(Arc::new(Value::table([("x", Value::text("old"))])));
    world.write(vec![
        (smtproutes(ModeId::Cluster), one("v1", routes)),
        (smtproutes(machine("lab2")), one("v2", text("own"))),
    ]);
    world.run(2.0);
    let plan = commit(&mut world, "lab1", vec![set(ModeId::Cluster, "new")]);
    let (evidence, effects) = (texts(&plan.evidence), texts(&plan.effects));
    assert!(
        evidence.contains("smtproutes at Cluster americas is {\"x\":\"old\"}, by admin on lab1.example.com, 2026-"),
        "{evidence}"
    );
    assert!(effects.contains("3 effective settings change on 3 machines:"), "{effects}");
    let change = "smtproutes: {\"x\":\"new\"} (from Cluster americas) instead of {\"x\":\"old\"} (from Cluster americas) on \
                  lab1.example.com, lab3.example.com, lab4.example.com";
    assert!(effects.contains(change), "{effects}");
    assert!(effects.contains("affect Machine lab2.example.com"), "C12: {effects}");
    let plan = commit(&mut world, "lab1", vec![Edit::SetGroup { machine: member("lab1"), group: group("Paris") }]);
    let effects = texts(&plan.effects);
    assert!(effects.contains("lab1.example.com moves from group Main_Group to group Paris"), "{effects}");
    assert!(effects.contains("no effective setting changes on any machine"), "{effects}");
    let wrong = commit(&mut world, "lab1", vec![set(machine("nobody"), "x")]);
    assert!(texts(&wrong.obstacles).contains("is not a member of this cluster"), "{wrong:?}");
    world.submit(12, wrong);
    assert_eq!(outcomes(&world, 12)[0].0, OutcomeState::Refused);
}

#[test]
fn b4_a_plan_for_many_settings_stays_readable() {
    let mut world = settled();
    let name = |n: usize| FeatureName::new(["smtproutes", "listenerconfig", "dnsconfig", "altsrchost"][n % 4]);
    let value = |n: usize| Arc::new(Value::table([("x", Value::Int(i64::try_from(n).unwrap()))]));
    let modes = ["lab1", "lab2", "lab3", "lab4"].map(machine).into_iter().chain([paris(), ModeId::Cluster]);
    let edits: Vec<Edit> = modes
        .flat_map(|m| (0..4).map(move |n| (m.clone(), n)))
        .enumerate()
        .map(|(i, (mode, n))| Edit::Set { mode, feature: name(n), value: value(i) })
        .collect();
    let plan = commit(&mut world, "lab1", edits);
    assert!(plan.evidence.len() <= 16, "{}", texts(&plan.evidence));
    assert!(texts(&plan.evidence).contains("more registers"), "{}", texts(&plan.evidence));
    assert!(plan.effects.len() <= 40, "{}", texts(&plan.effects));
}

#[test]
fn c22_reconnecting_says_what_will_merge() {
    let mut world = settled();
    world.actors.get_mut("lab3").unwrap().detached = Some(world.now);
    world.change("lab3", "lab1", |_| {});
    world.run(2.0);
    let effects = |world: &mut World| {
        let command = Command::Reconnect { peer: PeerId::new("lab3"), reason: "back".into() };
        let snapshot = world.snapshot();
        texts(&peerdeck::engine::plans::plan(&snapshot.clusters[0], command, snapshot.at).effects)
    };
    assert!(effects(&mut world).contains("nothing is to be merged: lab3 and the others have the same settings"));
    world.hold("lab3", "c", 2);
    world.run(1.5);
    assert!(effects(&mut world).contains("the others get 2 commits of lab3 that they lack; it lacks none"));
    world.hold("lab1", "a", 4);
    world.hold("lab2", "a", 4);
    world.run(1.5);
    let both = effects(&mut world);
    assert!(both.contains("settings are merged: lab3 brings 2 commits and gets 1 commit"), "{both}");
    assert!(both.contains("the most recent change applies, and both are kept until resolved"), "{both}");
    assert!(!both.contains("replicates no settings"));
}

#[test]
fn the_past_is_asked_of_the_source_and_every_question_is_answered_once() {
    let mut world = settled();
    let cluster = world.cluster.clone();
    let key = Some(smtproutes(paris()));
    for id in 1..=3 {
        world.step(Event::History { id, cluster: cluster.clone(), key: key.clone() });
    }
    let asked: Vec<_> = world.requests.iter().filter(|(_, r)| matches!(r, PeerRequest::History { .. })).collect();
    assert_eq!(asked.len(), 3);
    assert!(asked.iter().all(|(k, _)| k.host.short() == "lab1"));
    world.say("lab1", PeerEvent::History { id: 1, past: Ok(Vec::new()) });
    world.say("lab1", PeerEvent::History { id: 1, past: Ok(Vec::new()) });
    let request = PeerRequest::History { id: 2, key };
    world.step(Event::NotTaken { key: world.key("lab1"), request });
    world.lose("lab1", Cause::Timeout);
    world.step(Event::History { id: 4, cluster: "nowhere".into(), key: None });
    let answers: Vec<(u64, Option<String>)> =
        world.histories.iter().map(|(id, past)| (*id, past.as_ref().err().map(ToString::to_string))).collect();
    assert_eq!(
        answers,
        [
            (1, None),
            (2, Some("lab1.example.com:22 is too busy to be asked; ask again in a moment".into())),
            (3, Some("the connection to lab1 was lost before it answered".into())),
            (4, Some("there is no cluster nowhere".into())),
        ]
    );
    for name in ["lab2", "lab3", "lab4"] {
        world.lose(name, Cause::Timeout);
    }
    world.step(Event::History { id: 5, cluster, key: None });
    let last = world.histories.last().unwrap();
    assert!(last.1.as_ref().is_err_and(|e| e.as_str().contains("no peer of cluster americas is connected")));
    world.run(Duration::from_secs(1).as_secs_f64());
}
