//! Secrets in settings: nobody but members reads them, and a machine that is removed reads nothing that comes later.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use peerdeck::daemon::vault::Vault;
use peerdeck::domain::settings::{Edit, GOOD_MACHINES, Key, ModeId, Tree, Value, rules, secrets};
use peerdeck::domain::{FeatureName, KeyId, MemberId};

use super::sim::{Sim, catalogue, id, vault};

const PLAIN: &str = "correct horse battery staple";

fn feature() -> FeatureName {
    FeatureName::new("smtpauthconfig")
}

fn profile(host: &str, password: &str) -> Arc<Value> {
    let relay = Value::table([("host", Value::text(host)), ("password", Value::text(password))]);
    Arc::new(Value::table([("relay", relay)]))
}

fn set(mode: ModeId, value: Arc<Value>) -> Edit {
    Edit::Set { mode, feature: feature(), value }
}

fn at(tree: &Tree, mode: &ModeId) -> Arc<Value> {
    tree.defined(mode, &feature()).unwrap().content.value().unwrap().clone()
}

fn password(value: &Value) -> &str {
    value.field("relay").unwrap().field("password").unwrap().as_text().unwrap()
}

fn member(sim: &Sim, i: usize) -> MemberId {
    sim.tree(0).structure().member_of(&id(i)).unwrap().id.clone()
}

fn commit(sim: &mut Sim, i: usize, edits: &[Edit]) -> Result<String, String> {
    let before = sim.nodes[i].answers.len();
    sim.commit(i, edits, &BTreeMap::new());
    sim.run(Duration::from_secs(2));
    sim.nodes[i].answers[before].clone()
}

fn revealed(sim: &mut Sim, i: usize, value: &Value) -> Result<Value, String> {
    sim.nodes[i].core.as_mut().unwrap().reveal(&feature(), value)
}

fn started(n: usize, seed: u64) -> Sim {
    let mut sim = Sim::with_settings(n, seed);
    sim.run(Duration::from_secs(5));
    sim
}

/// Whether the text stands anywhere in the bytes of a disk or in what a peer tells.
fn leaks(sim: &Sim, i: usize, text: &str) -> bool {
    let needle = text.as_bytes();
    let on_disk = sim.nodes[i].disk.changes.iter().any(|c| c.bytes.windows(needle.len()).any(|w| w == needle));
    let view = sim.view(i);
    let history = sim.nodes[i].core.as_ref().unwrap().history(None, usize::MAX);
    let log: Vec<_> = view.log.iter().map(|l| l.text.clone()).collect();
    on_disk || format!("{:?} {history:?} {log:?}", view.tree).contains(text)
}

#[test]
fn a_secret_is_read_by_every_member_and_stands_nowhere_in_plain_text() {
    let mut sim = started(3, 1);
    assert!(!leaks(&sim, 0, PLAIN));
    commit(&mut sim, 1, &[set(ModeId::Cluster, profile("mx1", PLAIN))]).unwrap();
    // That this test would see it: what is no secret is there to be read.
    assert!(leaks(&sim, 2, "smtpauthconfig"));
    for i in 0..3 {
        assert!(!leaks(&sim, i, PLAIN), "peer {i}");
        let stored = at(&sim.tree(i), &ModeId::Cluster);
        assert!(secrets::sealed(password(&stored)).is_some(), "{:?}", password(&stored));
        assert_eq!(revealed(&mut sim, i, &stored), Ok((*profile("mx1", PLAIN)).clone()), "peer {i}");
        // What people are shown is the mark.
        assert_eq!(stored.to_string(), r#"{"relay":{"host":"mx1","password":"(secret)"}}"#);
    }
    // Nobody is told of a conflict because two wrapped the key.
    assert!(rules::conflicts(&sim.tree(0)).is_empty());
    // Also after a start from disk.
    sim.kill(2);
    sim.start(2);
    sim.run(Duration::from_secs(5));
    let stored = at(&sim.tree(2), &ModeId::Cluster);
    assert_eq!(revealed(&mut sim, 2, &stored), Ok((*profile("mx1", PLAIN)).clone()));
}

#[test]
fn the_mark_written_back_keeps_the_secret_and_copies_keep_theirs() {
    let mut sim = started(3, 2);
    commit(&mut sim, 0, &[set(ModeId::Cluster, profile("mx1", PLAIN))]).unwrap();
    let first = at(&sim.tree(0), &ModeId::Cluster);
    // Another field is edited by somebody who saw the mark, then by somebody who has the sealed text.
    commit(&mut sim, 1, &[set(ModeId::Cluster, profile("mx2", secrets::MARK))]).unwrap();
    let second = at(&sim.tree(0), &ModeId::Cluster);
    assert_eq!((password(&second), &*second), (password(&first), &*profile("mx2", password(&first))));
    let lab2 = ModeId::Machine(member(&sim, 2));
    let group = ModeId::Group(sim.tree(0).structure().groups[0].0.clone());
    commit(&mut sim, 2, &[set(lab2.clone(), second.clone()), set(group.clone(), profile("mx3", secrets::MARK))])
        .unwrap();
    for mode in [lab2, group] {
        let copy = at(&sim.tree(1), &mode);
        assert_eq!(password(&copy), password(&first), "{mode:?}");
        assert_eq!(password(&revealed(&mut sim, 1, &copy).unwrap()), PLAIN);
    }
    // There is nothing to keep in a new item, and a secret of another kind is not one of these.
    let other = Arc::new(Value::table([("other", Value::table([("password", Value::text(secrets::MARK))]))]));
    let why = commit(&mut sim, 0, &[set(ModeId::Cluster, other)]).unwrap_err();
    assert!(why.contains("no secret to keep"), "{why}");
    let why = commit(
        &mut sim,
        0,
        &[Edit::Set {
            mode: ModeId::Cluster,
            feature: FeatureName::new("snmpconfig"),
            value: Arc::new(Value::table([("community", Value::text(password(&first)))])),
        }],
    )
    .unwrap_err();
    assert!(why.contains("sealed for something else"), "{why}");
    let number = Arc::new(Value::table([("relay", Value::table([("password", Value::Int(1234))]))]));
    let why = commit(&mut sim, 0, &[set(ModeId::Cluster, number)]).unwrap_err();
    assert!(why.contains("in quotes"), "{why}");
}

#[test]
fn c14_a_removed_machine_reads_nothing_that_is_written_later_and_the_plan_lists_what_it_knew() {
    let mut sim = started(4, 3);
    commit(&mut sim, 0, &[set(ModeId::Cluster, profile("mx1", PLAIN))]).unwrap();
    let old = at(&sim.tree(0), &ModeId::Cluster);
    assert_eq!(password(&revealed(&mut sim, 3, &old).unwrap()), PLAIN);
    let gone = member(&sim, 3);
    let remove = [Edit::RemoveMachine { machine: gone.clone() }];

    let tree = sim.tree(0);
    let writes = rules::writes(&tree, &catalogue(), &remove, &mut || unreachable!()).unwrap();
    let after = rules::after(&tree, &writes);
    let notices =
        rules::notices(&tree, &after, &catalogue(), &remove).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert!(notices.iter().any(|n| n.contains("lab3.example.com knew 1 secret:")), "{notices:?}");
    let named = "lab3.example.com knew smtpauthconfig at Cluster Example: change *.password";
    assert!(notices.iter().any(|n| n == named), "{notices:?}");
    assert!(tree.structure().members.len() < GOOD_MACHINES);

    commit(&mut sim, 1, &remove).unwrap();
    commit(&mut sim, 2, &[set(ModeId::Cluster, profile("mx1", "a new one"))]).unwrap();
    let tree = sim.tree(0);
    let new = at(&tree, &ModeId::Cluster);
    let key = |value: &Value| secrets::sealed(password(value)).unwrap().0;
    assert_ne!(key(&old), key(&new), "what is written later has another key");
    let thief = vault(3, 9);
    let mut tried = 0;
    for (id, whom, entry) in tree.secret_keys() {
        let opens = entry.versions().iter().filter_map(|v| v.content.value()?.as_text()).any(|text| {
            tried += 1;
            [whom, &gone].iter().any(|m| thief.unwrap(text, &format!("c1\0{id}\0{m}")).is_ok())
        });
        assert_eq!(opens, *id == key(&old) && *whom == gone, "{id:?} of {whom:?}");
    }
    assert_eq!(tried, 4 + 3);
    for i in 0..3 {
        assert_eq!(password(&revealed(&mut sim, i, &new).unwrap()), "a new one", "peer {i}");
        assert_eq!(password(&revealed(&mut sim, i, &old).unwrap()), PLAIN, "peer {i}");
    }
    assert!(revealed(&mut sim, 3, &new).is_err());
}

/// Both sides of a cut make the first key: both stay readable for all, and nothing is in conflict but the setting.
#[test]
fn two_that_begin_at_once_read_each_others() {
    let mut sim = started(3, 4);
    for other in [0, 1] {
        sim.cut(other, 2);
    }
    sim.run(Duration::from_secs(10));
    commit(&mut sim, 0, &[set(ModeId::Cluster, profile("mx1", "left"))]).unwrap();
    commit(&mut sim, 2, &[set(ModeId::Cluster, profile("mx1", "right"))]).unwrap();
    sim.heal();
    sim.run(Duration::from_secs(15));
    let tree = sim.tree(1);
    let keys: Vec<Key> = rules::conflicts(&tree).into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, [Key::Feature(ModeId::Cluster, feature())]);
    let ids: std::collections::BTreeSet<KeyId> = tree.secret_keys().map(|(id, _, _)| id.clone()).collect();
    assert_eq!((ids.len(), tree.secret_keys().count()), (2, 6));
    let entry = tree.entry(&keys[0]).unwrap();
    for i in 0..3 {
        let mut read: Vec<String> = entry
            .versions()
            .iter()
            .map(|v| password(&revealed(&mut sim, i, v.content.value().unwrap()).unwrap()).to_owned())
            .collect();
        read.sort();
        assert_eq!(read, ["left", "right"], "peer {i}");
    }
}
