//! Removed members, restored backups, full disks, wrong clocks.

use super::*;

#[test]
fn what_a_removed_machine_writes_is_ignored_everywhere_and_what_it_superseded_applies_again() {
    let mut all = sites(4);
    all[0].set(NOON, "x", 1);
    all[3].set(NOON, "mine", 1);
    mix(&mut all, &[0, 1, 2, 3]);
    let gone = all[3].member();
    all[0].commit_at(NOON + 10, &[remove(&gone)]).unwrap();
    // It does not know yet.
    all[3].set(NOON + 20, "x", 2);
    all[3].set(NOON + 21, "x", 3);
    all[3].set(NOON + 20, "new", 3);
    sync(&mut all, 2, 3);
    assert_eq!(all[2].values("x"), [3], "as long as the removal is not known");
    // Somebody who does not know either builds on it.
    all[2].set(NOON + 30, "y", 4);
    all[2].set(NOON + 30, "new", 5);
    mix(&mut all, &[0, 1, 2, 3]);
    assert_equal(&all);
    for site in &all {
        assert_eq!(site.values("x"), [1], "the valid version is found in the history");
        assert_eq!(site.values("new"), [5], "what was made upon it stands");
        assert_eq!((site.values("y"), site.values("mine")), (vec![4], vec![1]), "what it wrote before stands");
        assert_eq!(site.replica.ignored(), BTreeMap::from([(gone.clone(), 3)]));
        assert_eq!(past(site, "x"), BTreeMap::from([(1, true), (2, false), (3, false)]), "nothing leaves the history");
    }
    let told = |n: &Note| matches!(n, Note::Ignored { member, changes: 3 } if *member == gone);
    assert!(all[0].notes.iter().any(told) && all[1].notes.iter().any(told), "{:?}", all[1].notes);
    assert_eq!(all[3].replica.member(), None);
    assert!(matches!(all[3].commit_at(NOON, &[set("x", 9)]), Err(ReplicaError::NotMember)));
    // Written over by a member, all is well again; and the ignored does not come back.
    all[1].set(NOON + 40, "x", 6);
    mix(&mut all, &[0, 1, 2, 3]);
    assert_equal(&all);
    assert_eq!(all[2].values("x"), [6]);
}

#[test]
fn a_machine_that_leaves_by_itself_keeps_what_it_wrote() {
    let mut all = sites(2);
    all[1].set(NOON, "x", 1);
    let own = all[1].member();
    all[1].commit_at(NOON, &[remove(&own), set("x", 2)]).unwrap();
    mix(&mut all, &[0, 1]);
    assert_equal(&all);
    assert_eq!((all[0].values("x"), all[0].replica.ignored().len()), (vec![2], 0));
    assert_eq!(all[1].replica.member(), None);
}

#[test]
fn of_two_machines_that_remove_each_other_the_earlier_wins_on_every_peer() {
    let mut all = sites(3);
    let (a, b) = (all[0].member(), all[1].member());
    all[0].commit_at(NOON + 1, &[remove(&b)]).unwrap();
    all[1].commit_at(NOON, &[remove(&a)]).unwrap();
    mix(&mut all, &[0, 1, 2]);
    assert_equal(&all);
    assert_eq!(all[2].replica.ignored(), BTreeMap::from([(a, 1)]));
    assert_eq!(all[2].replica.tree().structure().members.len(), 2);
}

#[test]
fn a_restored_backup_learns_what_it_forgot_and_goes_on_under_a_new_actor() {
    let mut all = sites(2);
    all[0].set(NOON, "x", 1);
    let backup = all[0].disk.clone();
    let actor = all[0].replica.actor();
    all[0].set(NOON, "x", 2);
    all[0].set(NOON, "x", 3);
    sync(&mut all, 0, 1);
    all[0].disk = backup;
    all[0].restart();
    assert_eq!((all[0].values("x"), all[0].replica.actor()), (vec![1], actor.clone()));
    sync(&mut all, 0, 1);
    assert_eq!(all[0].values("x"), [3]);
    assert!(all[0].notes.contains(&Note::Restored { fellow: peer(1) }), "{:?}", all[0].notes);
    assert_ne!(all[0].replica.actor(), actor);
    all[0].set(NOON, "x", 4);
    sync(&mut all, 0, 1);
    assert_equal(&all);
    assert_eq!(past(&all[1], "x"), BTreeMap::from([(1, false), (2, false), (3, false), (4, true)]));
}

#[test]
fn a_restored_backup_that_commits_before_it_hears_of_anybody_writes_under_a_new_actor() {
    let mut all = sites(3);
    all[0].set(NOON, "x", 1);
    let backup = all[0].disk.clone();
    all[0].set(NOON, "x", 2);
    mix(&mut all, &[0, 1, 2]);
    all[0].disk = backup;
    all[0].restart();
    let actor = all[0].replica.actor();
    all[0].set(NOON + 5, "x", 3);
    assert_ne!(all[0].replica.actor(), actor, "half of the others could know more of it");
    mix(&mut all, &[0, 1, 2]);
    assert_equal(&all);
    assert_eq!(all[2].values("x"), [3, 2], "both were made upon 1");
}

#[test]
fn a_restored_backup_that_wrote_under_a_taken_number_writes_it_anew() {
    // Nobody but peer 0 knows of 2 and 3 when it is restored and heard; then peer 2, which has them, comes back.
    let mut all = sites(3);
    all[0].set(NOON, "x", 1);
    mix(&mut all, &[0, 1, 2]);
    let backup = all[0].disk.clone();
    all[0].set(NOON + 1, "x", 2);
    all[0].set(NOON + 2, "y", 3);
    sync(&mut all, 0, 2);
    all[0].disk = backup;
    all[0].restart();
    sync(&mut all, 0, 1);
    let actor = all[0].replica.actor();
    all[0].set(NOON + 10, "x", 4);
    all[0].set(NOON + 11, "x", 5);
    assert_eq!(all[0].replica.actor(), actor, "half of the others were heard");
    let before = all[0].replica.holding().clone();
    // The disk fails first: then nothing has changed.
    let (a, c) = (peer(0), peer(2));
    all[0].replica.connect(&c);
    all[2].replica.connect(&a);
    let mut lost = 0;
    for _ in 0..20 {
        while let Some(message) = all[0].replica.poll(&c) {
            let batch = all[2].replica.receive(&a, &message, Time::from_millis(NOON)).unwrap();
            all[2].keep(batch);
        }
        while let Some(message) = all[2].replica.poll(&a) {
            let batch = all[0].replica.receive(&c, &message, Time::from_millis(NOON)).unwrap();
            if !batch.is_empty() && lost == 0 {
                lost += 1;
                assert_eq!(all[0].values("x"), [5], "shown as before until it is kept");
                all[0].replica.lost(batch.id).unwrap();
                assert_eq!((all[0].values("x"), all[0].replica.holding()), (vec![5], &before));
            } else {
                all[0].keep(batch);
            }
        }
    }
    assert_eq!(lost, 1);
    assert!(all[0].notes.contains(&Note::Rebased { changes: 2 }), "{:?}", all[0].notes);
    assert_ne!(all[0].replica.actor(), actor);
    mix(&mut all, &[0, 1, 2]);
    assert_equal(&all);
    assert_eq!(all[1].values("x"), [5, 2], "concurrent, as they were made");
    assert_eq!(all[1].values("y"), [3]);
    assert_eq!(past(&all[2], "x").len(), 4, "nothing is lost");
    all[0].restart();
    assert_equal(&all);
}

#[test]
fn a_lost_batch_leaves_no_trace_and_comes_again() {
    let mut all = sites(2);
    all[0].set(NOON, "x", 1);
    sync(&mut all, 0, 1);
    let before = (all[1].replica.tree().clone(), all[1].replica.holding().clone());
    let batch = all[1].replica.commit(Time::from_millis(NOON), &Line::new("ann"), &Line::new(""), &[set("x", 9)]);
    all[1].replica.lost(batch.unwrap().id).unwrap();
    assert_eq!((all[1].replica.tree(), all[1].replica.holding()), (&before.0, &before.1));
    all[0].set(NOON + 1, "x", 2);
    let (a, b) = (peer(0), peer(1));
    all[0].replica.connect(&b);
    all[1].replica.connect(&a);
    let mut lost = 0;
    for _ in 0..20 {
        while let Some(message) = all[1].replica.poll(&a) {
            let batch = all[0].replica.receive(&b, &message, Time::from_millis(NOON)).unwrap();
            all[0].keep(batch);
        }
        while let Some(message) = all[0].replica.poll(&b) {
            let batch = all[1].replica.receive(&a, &message, Time::from_millis(NOON)).unwrap();
            if batch.is_empty() || lost == 3 {
                all[1].keep(batch);
            } else {
                lost += 1;
                assert!(all[1].replica.poll(&a).is_none(), "nothing is told before it is kept");
                let busy = all[1].replica.receive(&a, &message, Time::from_millis(NOON));
                assert!(matches!(busy, Err(ReplicaError::Busy)));
                all[1].replica.lost(batch.id).unwrap();
                assert_eq!((all[1].replica.tree(), all[1].replica.holding()), (&before.0, &before.1));
            }
        }
    }
    assert_eq!((lost, all[1].values("x")), (3, vec![2]), "told again on the same link");
    all[1].set(NOON, "x", 3);
    talk(&mut all, 0, 1);
    assert_equal(&all);
}

#[test]
fn a_clock_that_is_behind_still_writes_after_what_it_saw() {
    let mut all = sites(2);
    all[0].set(NOON, "x", 1);
    sync(&mut all, 0, 1);
    all[1].set(NOON - 120_000, "y", 2);
    let stamp = |site: &Site, f: &str| site.replica.tree().entry(&key(f)).unwrap().effective().stamp.clone();
    assert_eq!((stamp(&all[1], "y").at, stamp(&all[1], "y").count), (Time::from_millis(NOON), 1));
    all[1].restart();
    all[1].set(NOON - 120_000, "y", 3);
    assert_eq!((stamp(&all[1], "y").at, stamp(&all[1], "y").count), (Time::from_millis(NOON), 2), "after a restart");
    all[1].set(NOON + 1, "y", 4);
    assert_eq!((stamp(&all[1], "y").at, stamp(&all[1], "y").count), (Time::from_millis(NOON + 1), 0));
}

#[test]
fn a_clock_that_is_far_ahead_is_reported_and_does_not_pull_ours_along() {
    let mut all = sites(2);
    let ahead = NOON + 3_600_000;
    all[1].set(ahead, "x", 1);
    sync(&mut all, 0, 1);
    let hour = std::time::Duration::from_hours(1);
    assert!(all[0].notes.contains(&Note::Ahead { member: all[1].member(), by: hour }), "{:?}", all[0].notes);
    all[0].set(NOON, "y", 2);
    let stamp = all[0].replica.tree().entry(&key("y")).unwrap().effective().stamp.clone();
    assert_eq!(stamp.at, Time::from_millis(NOON));
    all[0].set(NOON, "x", 3);
    sync(&mut all, 0, 1);
    assert_equal(&all);
    assert_eq!(all[1].values("x"), [3], "what was made upon it supersedes it all the same");
    // When our clock has come there it counts like any other.
    all[0].set(ahead, "y", 4);
    assert_eq!(all[0].replica.tree().entry(&key("y")).unwrap().effective().stamp.count, 1);
}
