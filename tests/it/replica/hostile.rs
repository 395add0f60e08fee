//! What is refused: other clusters, forged, unsigned and damaged changes, and changes that do what they may not.

use super::*;
use automerge::sync::{ChunkList, Message, MessageVersion};
use automerge::transaction::{CommitOptions, Transactable, Transaction};
use automerge::{ActorId, Automerge, AutomergeError, Change, ChangeHash, ObjType, ROOT, ReadDoc, ScalarValue};

/// A change upon all that a site has, as its author could make it with a program of its own.
struct Craft {
    actor: Vec<u8>,
    time: i64,
    message: &'static str,
    /// Signed with the key of this machine.
    key: usize,
    /// Said to be signed by the machine with this number.
    signer: usize,
}

impl Craft {
    fn of(site: &Site) -> Self {
        let time = i64::try_from(NOON).unwrap();
        Self { actor: site.replica.actor(), time, message: "{}", key: site.n, signer: site.n }
    }

    fn message(&self, site: &Site, write: impl Fn(&mut Transaction<'_>) -> Result<(), AutomergeError>) -> Vec<u8> {
        let mut doc = document(site);
        doc.set_actor(ActorId::from(self.actor.as_slice()));
        let mut tx = doc.transaction();
        write(&mut tx).unwrap();
        let (hash, _) = tx.commit_with(CommitOptions::default().with_time(self.time).with_message(self.message));
        let change = doc.get_change_by_hash(&hash.unwrap()).unwrap();
        self.envelope(site, &change)
    }

    fn envelope(&self, site: &Site, change: &Change) -> Vec<u8> {
        let hash = change.hash().0;
        let signature = Fake(machine_key(self.key)).sign(&signed("c1", &hash));
        let signer = member_of(site, self.signer);
        envelope(site, vec![change.raw_bytes().to_vec()], hash, &[(hash, signer, signature)])
    }
}

fn document(site: &Site) -> Automerge {
    let mut doc = Automerge::new();
    doc.apply_changes(site.disk.iter().map(|c| Change::try_from(c.bytes.as_slice()).unwrap()).collect::<Vec<_>>())
        .unwrap();
    doc
}

fn member_of(site: &Site, n: usize) -> MemberId {
    site.replica.tree().structure().member_of(&peer(n)).unwrap().id.clone()
}

fn signed(cluster: &str, hash: &[u8; 32]) -> Vec<u8> {
    [b"peerdeck settings change 1\0", cluster.as_bytes(), b"\0", hash].concat()
}

fn envelope(site: &Site, chunks: Vec<Vec<u8>>, head: [u8; 32], seals: &[([u8; 32], MemberId, Vec<u8>)]) -> Vec<u8> {
    let (need, have, flags) = (Vec::new(), Vec::new(), None);
    let changes = ChunkList::from(chunks);
    let message = Message { heads: vec![ChangeHash(head)], need, have, changes, flags, version: MessageVersion::V1 };
    let message = message.encode();
    let mut out = b"PDS1\x00\x02c1".to_vec();
    out.extend(site.disk[0].hash);
    out.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    out.extend(message);
    for (hash, signer, signature) in seals {
        out.extend(hash);
        out.extend(u16::try_from(signer.as_str().len()).unwrap().to_be_bytes());
        out.extend(signer.as_str().as_bytes());
        out.push(u8::try_from(signature.len()).unwrap());
        out.extend(signature);
    }
    out
}

fn version(on: &MemberId, value: &str) -> String {
    format!(r#"{{"v":{value},"t":[{NOON},0],"on":"{on}","by":"eve"}}"#)
}

/// What site 0 says to a message of site 1.
fn told(all: &mut [Site], message: &[u8]) -> Result<Vec<String>, ReplicaError> {
    let batch = all[0].replica.receive(&peer(1), message, Time::from_millis(NOON))?;
    all[0].notes.clear();
    all[0].keep(batch);
    Ok(all[0].refusals())
}

#[test]
fn c32_two_clusters_never_mix() {
    let ours = membership("c1", 2);
    let mut other = membership("c2", 2);
    other.name = ours.name.clone();
    let mut later = membership("c1", 3);
    later.sort();
    for (stranger, why) in [(other, "its id is c2, ours is c1"), (later, "provisioned with another membership")] {
        let (mut a, mut b) = (Site::new(&ours, 0), Site::new(&stranger, 1));
        b.set(NOON, "x", 1);
        a.replica.connect(&peer(1));
        b.replica.connect(&peer(0));
        let message = b.replica.poll(&peer(0)).unwrap();
        let error = a.replica.receive(&peer(1), &message, Time::from_millis(NOON)).unwrap_err();
        assert!(matches!(error, ReplicaError::OtherCluster { .. }), "{error}");
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!((a.digest(), a.values("x").len()), (Site::new(&ours, 0).digest(), 0));
    }
}

#[test]
fn a_wrongly_signed_change_is_refused_and_the_rest_is_taken() {
    let cluster = membership("c1", 3);
    let thief = Config { signing: Arc::new(Fake("ssh-ed25519 AAAAthief".into())), ..config(1, 1) };
    let (replica, batch) = Replica::found(thief, &cluster).unwrap();
    let thief = Site { n: 1, replica, disk: batch.changes, notes: Vec::new() };
    let mut all = vec![Site::new(&cluster, 0), thief, Site::new(&cluster, 2)];
    all[2].set(NOON, "honest", 1);
    all[1].set(NOON, "forged", 1);
    sync(&mut all, 1, 2);
    assert_eq!(all[1].values("honest"), [1]);
    assert!(sync(&mut all, 0, 1) < 20, "they stop talking although they never agree");
    assert_eq!((all[0].values("honest"), all[0].values("forged")), (vec![1], vec![]));
    assert_eq!(all[0].refusals().len(), 1);
    assert!(all[0].refusals()[0].contains("its signature is not of m"), "{:?}", all[0].refusals());
    // What rests on the forged one waits, and what does not goes on.
    all[1].set(NOON + 1, "forged", 2);
    all[2].set(NOON + 1, "honest", 2);
    sync(&mut all, 1, 2);
    mix(&mut all, &[0, 1, 2]);
    assert_eq!((all[0].values("honest"), all[0].values("forged")), (vec![2], vec![]));
}

#[test]
fn whatever_is_flipped_or_cut_off_in_a_message_nothing_wrong_is_taken() {
    let cluster = membership("c1", 2);
    let mut all: Vec<Site> = (0..2).map(|i| Site::new(&cluster, i)).collect();
    all[1].set(NOON, "x", 5);
    sync(&mut all, 0, 1);
    all[1].set(NOON, "x", 6);
    all[0].replica.connect(&peer(1));
    all[1].replica.connect(&peer(0));
    let hello = all[0].replica.poll(&peer(1)).unwrap();
    let batch = all[1].replica.receive(&peer(0), &hello, Time::from_millis(NOON)).unwrap();
    assert!(batch.is_empty());
    let good = all[1].replica.poll(&peer(0)).unwrap();
    let (mut taken, mut refused) = (0, 0);
    let mut site = all.remove(0);
    for at in 0..good.len() * 2 {
        let mut bad = good.clone();
        if at < good.len() {
            bad[at] ^= 0x55
        } else {
            bad.truncate(at - good.len())
        }
        match site.replica.receive(&peer(1), &bad, Time::from_millis(NOON)) {
            Ok(batch) if batch.is_empty() => refused += 1,
            Ok(batch) => {
                assert_eq!(batch.changes.len(), 1);
                // A flipped bit outside of what is signed does no harm: the change is the one that was made.
                assert_eq!(batch.changes[0].hash, all[0].disk[2].hash, "at {at}");
                taken += 1;
                site.replica.lost(batch.id).unwrap();
            }
            Err(_) => refused += 1,
        }
        site.replica.connect(&peer(1));
        assert_eq!(site.values("x"), [5], "at {at}");
    }
    assert!(refused > taken && taken > 0, "{refused} refused, {taken} taken");
}

#[test]
fn a_member_may_not_do_more_than_write_registers_in_its_own_name() {
    let mut all = sites(3);
    all[1].set(NOON, "x", 1);
    sync(&mut all, 0, 1);
    let (own, other) = (all[1].member(), all[2].member());
    let (own, other) = (version(&own, "7"), version(&other, "7"));
    let site = &all[1];
    let craft = || Craft::of(site);
    let put = |key: &'static str, text: &str| {
        let text = text.to_owned();
        move |tx: &mut Transaction<'_>| tx.put(ROOT, key, text.as_str())
    };
    let far = i64::try_from(NOON).unwrap() + 1;
    let foreign = all[2].replica.actor();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("is said to be made by", craft().message(site, put("c/x", &other))),
        ("its signature is not of", Craft { key: 2, ..craft() }.message(site, put("c/x", &own))),
        ("its actor is not one of", Craft { key: 2, signer: 2, ..craft() }.message(site, put("c/x", &own))),
        ("its actor is not one of", Craft { actor: foreign, ..craft() }.message(site, put("c/x", &own))),
        ("no register is called", craft().message(site, put("nonsense/x", &own))),
        ("writes the cluster's id", craft().message(site, put("cluster/id", &own))),
        ("not a version", craft().message(site, put("c/x", "plain"))),
        ("null is no value", craft().message(site, put("c/x", &version(&site.member(), "[null]")))),
        ("its time is not", Craft { time: far, ..craft() }.message(site, put("c/x", &own))),
        ("touches the structure", craft().message(site, put("cluster/name", &own))),
        ("touches the structure", Craft { message: r#"{"s":true}"#, ..craft() }.message(site, put("c/x", &own))),
        ("comment can't be read", Craft { message: "rant", ..craft() }.message(site, put("c/x", &own))),
        ("something else", craft().message(site, |tx| tx.put_object(ROOT, "c/x", ObjType::Map).map(drop))),
        ("something else", craft().message(site, |tx| tx.put(ROOT, "c/x", ScalarValue::counter(1)))),
        ("something else", craft().message(site, |tx| tx.put(ROOT, "c/x", 5))),
        ("something else", craft().message(site, |tx| tx.delete(ROOT, "c/x"))),
    ];
    let before = all[0].digest();
    for (why, message) in cases {
        let refusals = told(&mut all, &message).unwrap();
        assert!(refusals.len() == 1 && refusals[0].contains(why), "{why}: {refusals:?}");
        assert_eq!(all[0].digest(), before);
    }
    let fine = Craft::of(&all[1]).message(&all[1], put("c/x", &own));
    assert_eq!(told(&mut all, &fine).unwrap(), [] as [String; 0], "the same in its own name is taken");
    assert_eq!(all[0].values("x"), [7]);
}

#[test]
fn a_change_without_a_signature_or_upon_nothing_is_refused() {
    let mut all = sites(2);
    let own = version(&all[1].member(), "7");
    let mut doc = document(&all[1]);
    doc.set_actor(ActorId::from(all[1].replica.actor()));
    let mut tx = doc.transaction();
    tx.put(ROOT, "c/x", own.as_str()).unwrap();
    let (hash, _) = tx.commit_with(CommitOptions::default().with_time(i64::try_from(NOON).unwrap()).with_message("{}"));
    let change = doc.get_change_by_hash(&hash.unwrap()).unwrap();
    let (raw, hash) = (change.raw_bytes().to_vec(), change.hash().0);
    let unsigned = envelope(&all[1], vec![raw.clone()], hash, &[]);
    assert!(told(&mut all, &unsigned).unwrap()[0].contains("it is not signed"));
    // A whole document in the place of a change, and a compressed one, which may be a bomb.
    let whole = envelope(&all[1], vec![doc.save()], hash, &[]);
    assert!(told(&mut all, &whole).unwrap()[0].contains("it is not one change"));
    let mut lone = Automerge::new();
    lone.set_actor(ActorId::from(all[1].replica.actor()));
    let mut tx = lone.transaction();
    tx.put(ROOT, "c/x", own.as_str()).unwrap();
    tx.commit_with(CommitOptions::default().with_time(i64::try_from(NOON).unwrap()).with_message("{}"));
    let lone = lone.get_changes(&[]).remove(0);
    let message = Craft::of(&all[1]).envelope(&all[1], &lone);
    assert!(told(&mut all, &message).unwrap()[0].contains("it rests on nothing"));
    // The same change in another numbering.
    let mut expanded = change.decode();
    expanded.start_op = std::num::NonZeroU64::new(expanded.start_op.get() + 1_000_000).unwrap();
    let message = Craft::of(&all[1]).envelope(&all[1], &Change::from(expanded));
    assert!(told(&mut all, &message).unwrap()[0].contains("numbered wrongly"));
    let mut expanded = change.decode();
    expanded.seq = 3;
    let message = Craft::of(&all[1]).envelope(&all[1], &Change::from(expanded));
    assert!(told(&mut all, &message).unwrap()[0].contains("skips a number"));
    assert_eq!(all[0].replica.holding().changes, 1);
}

#[test]
fn a_change_that_names_versions_that_are_none_is_refused() {
    let mut all = sites(2);
    all[1].set(NOON, "x", 1);
    all[1].set(NOON, "y", 1);
    sync(&mut all, 0, 1);
    let mut doc = document(&all[1]);
    doc.set_actor(ActorId::from(all[1].replica.actor()));
    let own = version(&all[1].member(), "7");
    let mut tx = doc.transaction();
    tx.put(ROOT, "c/x", own.as_str()).unwrap();
    let (hash, _) = tx.commit_with(CommitOptions::default().with_time(i64::try_from(NOON).unwrap()).with_message("{}"));
    let change = doc.get_change_by_hash(&hash.unwrap()).unwrap().decode();
    let over = change.operations[0].pred.iter().next().unwrap().clone();
    // The version of another register, one of the future, and one of nobody.
    let nobody = ActorId::from([7_u8; 16]);
    for bad in [over.increment_by(1), over.increment_by(1_000), automerge::legacy::OpId::new(over.counter(), &nobody)] {
        let mut change = change.clone();
        change.operations[0].pred = vec![bad].into();
        let message = Craft::of(&all[1]).envelope(&all[1], &Change::from(change));
        let refusals = told(&mut all, &message).unwrap();
        assert!(refusals[0].contains("supersedes something that is no version of c/x"), "{refusals:?}");
    }
    assert_eq!((all[0].values("x"), all[0].values("y")), (vec![1], vec![1]));
}
