//! Commits, convergence, conflicts, history.

use super::*;
use peerdeck::daemon::replica::{provisioned_group, provisioned_member};

#[test]
fn every_provisioned_peer_makes_the_same_first_change() {
    let all = sites(5);
    for site in &all {
        assert_eq!(site.disk, all[0].disk);
        assert_eq!(site.digest(), all[0].digest());
        assert_eq!(site.replica.revision(), 7);
        assert_eq!(site.replica.member(), Some(&provisioned_member(&Line::new("c1"), &peer(site.n))));
    }
    let actors: BTreeSet<Vec<u8>> = all.iter().map(|s| s.replica.actor()).collect();
    assert_eq!(actors.len(), 5, "everybody writes under a name of its own");
    let mut wanted = membership("c1", 5);
    wanted.sort();
    assert_eq!(all[0].replica.tree().membership(7), wanted, "what was provisioned comes back");
    assert_eq!(all[0].replica.tree().structure().groups[1], (provisioned_group(1), GroupName::new("Paris")));
}

#[test]
fn a_commit_is_shown_when_it_is_on_disk_and_read_back_after_a_restart() {
    let mut all = sites(1);
    let site = &mut all[0];
    let writes = [set("smtproutes", 1), (key("bounces"), Content::Inherits)];
    let at = Time::from_millis(NOON);
    let batch = site.replica.commit(at, &Line::new("ann"), &Line::new("ticket 5"), &writes).unwrap();
    let commit = batch.commit.clone().unwrap();
    assert_eq!(batch.actor, Some(site.replica.actor()));
    assert_eq!(site.values("smtproutes"), [] as [i64; 0]);
    assert!(!site.replica.holding().has(&commit));
    assert!(matches!(site.replica.commit(at, &Line::new("ann"), &Line::new(""), &writes), Err(ReplicaError::Busy)));
    site.keep(batch);
    assert_eq!(site.values("smtproutes"), [1]);
    assert!(site.replica.holding().has(&commit));
    assert_eq!(site.replica.tree().entry(&key("bounces")).unwrap().effective().content, Content::Inherits);
    let (tree, holding) = (site.replica.tree().clone(), site.replica.holding().clone());
    site.restart();
    assert_eq!((site.replica.tree(), site.replica.holding()), (&tree, &holding));
    let history = site.replica.history(Some(&key("smtproutes")), 10);
    assert_eq!(history.len(), 1);
    assert_eq!((history[0].comment.as_str(), &history[0].commit, history[0].stands), ("ticket 5", &commit, true));
    assert_eq!((history[0].version.by.as_str(), history[0].version.stamp.at), ("ann", at));
    let actor = site.replica.actor();
    site.set(NOON, "smtproutes", 2);
    assert_eq!(site.replica.actor(), actor, "the actor is kept and used again");
    assert_eq!(past(site, "smtproutes"), BTreeMap::from([(1, false), (2, true)]));
}

#[test]
fn values_of_every_kind_come_back_as_they_went_in() {
    let mut all = sites(1);
    let value = Value::table([
        ("text", Value::text("zürich \u{1b}[31m\n\"quoted\"")),
        ("float", Value::Float(0.1 + 0.2)),
        ("list", Value::List(vec![Value::Bool(true), Value::Int(i64::MIN), Value::Table(BTreeMap::new())])),
    ]);
    let content = Content::Value(value.into());
    all[0].commit_at(NOON, &[(key("x"), content.clone())]).unwrap();
    assert_eq!(all[0].replica.tree().entry(&key("x")).unwrap().effective().content, content);
}

#[test]
fn c18_a_commit_reaches_everyone_over_a_chain() {
    let mut all = sites(4);
    for i in 0..3 {
        let (a, b) = (peer(i), peer(i + 1));
        all[i].replica.connect(&b);
        all[i + 1].replica.connect(&a);
    }
    let chain = |all: &mut [Site]| {
        while (0..3).map(|i| talk(all, i, i + 1)).sum::<usize>() > 0 {}
    };
    chain(&mut all);
    for n in 0..20 {
        all[0].set(NOON + n, "left", n as i64);
        all[3].set(NOON + n, "right", n as i64);
        chain(&mut all);
        assert_eq!(all[3].values("left"), [n as i64]);
        assert_eq!(all[0].values("right"), [n as i64]);
    }
    assert_equal(&all);
    assert_eq!(chain(&mut all), ());
}

#[test]
fn c22_both_sides_of_a_partition_change_and_merge_on_return() {
    let mut all = sites(4);
    mix(&mut all, &[0, 1, 2, 3]);
    all[0].set(NOON, "before", 1);
    mix(&mut all, &[0, 1, 2, 3]);
    for n in 0..10 {
        all[0].set(NOON + n, "east", n as i64);
        all[2].set(NOON + n, "west", n as i64);
        mix(&mut all, &[0, 1]);
        mix(&mut all, &[2, 3]);
    }
    assert_ne!(all[0].digest(), all[2].digest());
    mix(&mut all, &[0, 1, 2, 3]);
    assert_equal(&all);
    assert_eq!((all[1].values("west"), all[3].values("east")), (vec![9], vec![9]));
    assert_eq!(past(&all[3], "east").len(), 10, "nothing is lost on either side");
}

#[test]
fn c23_the_most_recent_of_concurrent_changes_applies_and_the_other_stays_visible_until_resolved() {
    let mut all = sites(3);
    all[0].set(NOON, "x", 0);
    mix(&mut all, &[0, 1, 2]);
    all[0].set(NOON + 20, "x", 1);
    all[1].set(NOON + 10, "x", 2);
    mix(&mut all, &[0, 1, 2]);
    assert_equal(&all);
    for site in &all {
        assert_eq!(site.values("x"), [1, 2]);
        assert!(site.replica.tree().entry(&key("x")).unwrap().is_conflict());
        assert_eq!(past(site, "x"), BTreeMap::from([(0, false), (1, true), (2, true)]));
    }
    all[2].set(NOON + 5, "x", 2);
    mix(&mut all, &[0, 1, 2]);
    assert_equal(&all);
    assert_eq!(all[0].values("x"), [2], "resolved by a peer whose clock is behind");
    let history = all[0].replica.history(Some(&key("x")), 10);
    assert_eq!(history.len(), 4, "the loser is in the history");
    assert_eq!(history.iter().filter(|p| p.stands).count(), 1);
    assert!(history[0].stands, "the newest comes first");
}

#[test]
fn c23_a_tie_goes_to_the_higher_machine() {
    let mut all = sites(2);
    let higher = usize::from(all[1].member() > all[0].member());
    all[0].set(NOON, "x", 0);
    all[1].set(NOON, "x", 1);
    mix(&mut all, &[0, 1]);
    assert_equal(&all);
    assert_eq!(all[0].values("x")[0], i64::try_from(higher).unwrap());
}

#[test]
fn revisions_rise_with_every_change_of_the_structure_only() {
    let mut all = sites(2);
    all[0].set(NOON, "x", 0);
    assert_eq!(all[0].replica.revision(), 7);
    let name = |name: &str| (Key::ClusterName, Content::Value(Value::text(name).into()));
    all[0].commit_at(NOON, &[name("asia"), set("x", 3)]).unwrap();
    assert_eq!(all[0].replica.revision(), 8);
    all[1].commit_at(NOON, &[name("africa")]).unwrap();
    mix(&mut all, &[0, 1]);
    assert_equal(&all);
    assert_eq!(all[1].replica.revision(), 9);
}

#[test]
fn a_long_history_is_sent_in_pieces() {
    let mut all = sites(2);
    let large = "x".repeat(1 << 20);
    for n in 0..12 {
        let text = format!("{n}{large}");
        all[0].commit_at(NOON, &[(key(&format!("f{n}")), Content::Value(Value::text(&text).into()))]).unwrap();
    }
    let (a, b) = (peer(0), peer(1));
    all[0].replica.connect(&b);
    all[1].replica.connect(&a);
    let mut largest = 0;
    for _ in 0..100 {
        for (from, to) in [(0, 1), (1, 0)] {
            while let Some(message) = all[from].replica.poll(&peer(to)) {
                largest = largest.max(message.len());
                let batch = all[to].replica.receive(&peer(from), &message, Time::from_millis(NOON)).unwrap();
                all[to].keep(batch);
            }
        }
    }
    assert_equal(&all);
    assert!((1 << 20..6 << 20).contains(&largest), "{largest}");
}

#[test]
fn thousands_of_changes_reach_a_new_peer() {
    let mut all = sites(2);
    for n in 0..2_000 {
        all[0].set(NOON, &format!("f{}", n % 50), n);
    }
    sync(&mut all, 0, 1);
    assert_equal(&all);
    assert_eq!(features(&all[1]).len(), 50);
}

#[test]
fn small_changes_between_large_ones_are_not_fetched_one_by_one() {
    let mut all = sites(2);
    let large = "x".repeat(3 << 20);
    for n in 0..60 {
        if n % 20 == 0 {
            let content = Content::Value(Value::text(&format!("{n}{large}")).into());
            all[0].commit_at(NOON, &[(key(&format!("large{n}")), content)]).unwrap();
        }
        all[0].set(NOON, "small", n);
    }
    let count = sync(&mut all, 0, 1);
    assert_equal(&all);
    assert!(count < 15, "{count} messages");
}
