//! The ring on disk: what a reader finds at any moment, what a killed writer leaves, and that it stays within bounds.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use peerdeck::domain::past::{Glance, Mark};
use peerdeck::domain::{Snapshot, Time};
use peerdeck::record::ring::Ring;
use peerdeck::record::{Bounds, Reader, RecordError, Recorder, Source, State, Target};

use super::codec::fields;
use super::play::{Deed, NAMES, act, ping, ten_minutes, world};

pub const DAY: Bounds = Bounds { keep: Duration::from_hours(24), bytes: 64 << 20 };

pub fn target(folder: &Path, bounds: Bounds) -> Target {
    Target::Ring { folder: folder.join("ring"), bounds }
}

/// Writes pictures as the recorder does; a transaction after each `every`.
pub fn write(target: &Target, pictures: &[Arc<Snapshot>], every: usize) {
    let mut ring = Ring::open(target, &[7; 32]).unwrap();
    for part in pictures.chunks(every) {
        for picture in part {
            ring.add(picture).unwrap();
        }
        ring.commit().unwrap();
    }
    ring.close().unwrap();
}

fn size(folder: &Path) -> u64 {
    fs::read_dir(folder).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum()
}

#[test]
fn b6_any_moment_is_found_and_is_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = ten_minutes();
    write(&target(dir.path(), DAY), &pictures, 2);
    let mut reader = Reader::open(&dir.path().join("ring")).unwrap();
    assert_eq!(reader.span().unwrap(), (pictures[0].at, pictures[599].at));
    assert!(reader.source().blocks().unwrap().len() >= 10, "a block is about a minute");
    // To and fro.
    for n in [0_usize, 599, 300, 301, 302, 250, 59, 60, 61, 599, 1] {
        assert_eq!(fields(&reader.at(pictures[n].at).unwrap()), fields(&pictures[n]), "picture {n}");
    }
    let between = pictures[77].at + Duration::from_millis(400);
    assert_eq!(reader.at(between).unwrap().at, pictures[77].at, "the newest that was there");
    assert_eq!(reader.at(Time::ZERO).unwrap().at, pictures[0].at);
    assert_eq!(reader.at(Time::from_millis(u64::MAX)).unwrap().at, pictures[599].at);
}

#[test]
fn b6_steps_go_from_picture_to_picture_over_the_borders_of_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = &ten_minutes()[..200];
    write(&target(dir.path(), DAY), pictures, 3);
    let mut reader = Reader::open(&dir.path().join("ring")).unwrap();
    reader.at(pictures[100].at).unwrap();
    let mut here = 100_i32;
    for step in [1, 1, -1, -1, -1, 30, -70, 5, -9, 100, -3, -200, 7, 500, -1] {
        here = (here + step).clamp(0, 199);
        let at = usize::try_from(here).unwrap();
        let told = reader.step(step).unwrap();
        assert_eq!(told.at, pictures[at].at, "after {step}");
        assert_eq!(fields(&told), fields(&pictures[at]));
    }
}

#[test]
fn b6_marks_lead_from_finding_to_finding() {
    let dir = tempfile::tempdir().unwrap();
    write(&target(dir.path(), DAY), &ten_minutes(), 2);
    let mut reader = Reader::open(&dir.path().join("ring")).unwrap();
    let marks = reader.marks().unwrap();
    let about = |text: &str, raised: bool| {
        let found: Vec<&Mark> = marks.iter().filter(|m| m.raised == raised && m.text.as_str().contains(text)).collect();
        assert!(!found.is_empty(), "{text}: {marks:#?}");
        found[0].at
    };
    let (up, down) = (about("lab3", true), about("lab3", false));
    assert!(up < down);
    let start = reader.glance(Glance::At(up.before(Duration::from_secs(20)))).unwrap().unwrap();
    let next = reader.glance(Glance::Mark(1)).unwrap().unwrap();
    assert!(next.at > start.at && next.at <= up);
    assert!(next.marks.iter().any(|m| m.at == next.at && m.raised));
    let back = reader.glance(Glance::Mark(-1));
    assert!(back.is_err() || back.unwrap().unwrap().at < next.at);
    assert_eq!(next.until, reader.span().unwrap().1);
    assert!(reader.glance(Glance::Live).unwrap().is_none());
}

#[test]
fn b6_a_killed_recorder_loses_no_more_than_its_last_transaction() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = &ten_minutes()[..150];
    let target = target(dir.path(), DAY);
    let mut ring = Ring::open(&target, &[7; 32]).unwrap();
    for picture in &pictures[..100] {
        ring.add(picture).unwrap();
        ring.commit().unwrap();
    }
    ring.add(&pictures[100]).unwrap();
    // The files as they are at this moment, in the middle of a block: what a kill leaves.
    let copy = dir.path().join("copy");
    fs::create_dir(&copy).unwrap();
    for name in ["ring.db", "ring.db-wal"] {
        fs::copy(dir.path().join("ring").join(name), copy.join(name)).unwrap();
    }
    let mut reader = Reader::open(&copy).unwrap();
    assert_eq!(reader.span().unwrap().1, pictures[99].at);
    for n in [99, 0, 70] {
        assert_eq!(fields(&reader.at(pictures[n].at).unwrap()), fields(&pictures[n]));
    }
    // And it is gone on with.
    drop(ring);
    write(&target, &pictures[101..], 4);
    let mut reader = Reader::open(&dir.path().join("ring")).unwrap();
    assert_eq!(fields(&reader.at(pictures[140].at).unwrap()), fields(&pictures[140]));
    assert_eq!(fields(&reader.at(pictures[50].at).unwrap()), fields(&pictures[50]));
}

#[test]
fn b6_a_reader_follows_a_ring_that_grows_and_one_process_writes_it() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = &ten_minutes()[..40];
    let target = target(dir.path(), DAY);
    let mut ring = Ring::open(&target, &[7; 32]).unwrap();
    assert!(matches!(Ring::open(&target, &[7; 32]), Err(RecordError::InUse { .. })));
    ring.add(&pictures[0]).unwrap();
    ring.commit().unwrap();
    let mut reader = Reader::open(&dir.path().join("ring")).unwrap();
    for picture in pictures {
        ring.add(picture).unwrap();
        ring.commit().unwrap();
        assert_eq!(fields(&reader.at(picture.at).unwrap()), fields(picture), "while it is written");
    }
    drop(ring);
    Ring::open(&target, &[7; 32]).unwrap();
    let mode = |p: &Path| fs::metadata(p).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir.path().join("ring")), 0o700);
    assert_eq!(mode(&dir.path().join("ring/ring.db")), 0o600);
    fs::set_permissions(dir.path().join("ring"), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(Ring::open(&target, &[7; 32]), Err(RecordError::Refused { .. })), "others may read it");
}

#[test]
fn b6_the_ring_stays_within_its_bytes_and_its_age_oldest_first() {
    let dir = tempfile::tempdir().unwrap();
    let bounds = Bounds { keep: Duration::from_mins(20), bytes: 1 << 20 };
    let target = target(dir.path(), bounds);
    let mut ring = Ring::open(&target, &[7; 32]).unwrap();
    let mut world = world();
    world.connect_all();
    let mut largest = 0;
    let mut first = None;
    // Noise that does not pack, so that the bytes are the bound that counts.
    let mut noise = 1_u64;
    for second in 0..2400_u32 {
        for name in NAMES {
            let mut next = || {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                noise
            };
            ping(&mut world, name, &[Some((next() >> 40) as u32), Some((next() >> 40) as u32), Some(9)]);
            let text: String = (0..40).map(|_| char::from(b'!' + (next() >> 58) as u8)).collect();
            act(&mut world, &Deed::Log(second as usize, text));
        }
        world.run(1.0);
        ring.add(&world.snapshot()).unwrap();
        ring.commit().unwrap();
        let size = size(&dir.path().join("ring"));
        largest = largest.max(size);
        assert!(size <= bounds.bytes, "{size} bytes after {second} s");
        first.get_or_insert(world.now);
    }
    assert!(largest > bounds.bytes / 2, "it fills what it may: {largest}");
    let mut reader = Reader::open(&dir.path().join("ring")).unwrap();
    let (from, until) = reader.span().unwrap();
    assert!(from > first.unwrap() && until == world.now);
    assert!(reader.at(from).is_ok() && reader.at(until).is_ok());
    drop(ring);
    // A shorter age lets go what is older.
    let short =
        Target::Ring { folder: dir.path().join("ring"), bounds: Bounds { keep: Duration::from_mins(2), ..bounds } };
    write(&short, &[world.snapshot()], 1);
    let from = Reader::open(&dir.path().join("ring")).unwrap().span().unwrap().0;
    assert!(until.since(from) <= Duration::from_mins(4), "{:?}", until.since(from));
}

#[test]
fn b6_a_recording_in_a_file_stands_for_itself_and_is_never_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = &ten_minutes()[..90];
    let file = dir.path().join("night.peerdeck");
    write(&Target::File(file.clone()), pictures, 2);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no other file beside it");
    assert!(Ring::open(&Target::File(file.clone()), &[7; 32]).is_err());
    let mut reader = Reader::open(&file).unwrap();
    assert_eq!(fields(&reader.at(pictures[80].at).unwrap()), fields(&pictures[80]));
}

#[test]
fn b6_other_files_are_no_recordings() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x");
    let refused = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        let error = Source::open(&file).err().unwrap();
        assert!(matches!(error, RecordError::Refused { .. } | RecordError::Store { .. }), "{error}");
    };
    refused(b"");
    refused(b"hello");
    refused(b"SQLite format 3\0");
    refused(&[0; 5000]);
    assert!(matches!(Source::open(&dir.path().join("none")), Err(RecordError::Io { .. })));
    assert!(matches!(Source::open(dir.path()), Err(RecordError::Nothing { .. })));
    // A database with more than our tables: what somebody put into it is never run.
    fs::remove_file(&file).unwrap();
    write(&Target::File(file.clone()), &ten_minutes()[..3], 1);
    rusqlite::Connection::open(&file).unwrap().execute_batch("CREATE VIEW v AS SELECT 1").unwrap();
    assert!(matches!(Source::open(&file), Err(RecordError::Refused { .. })));
}

#[test]
fn b6_what_is_held_is_written_together_and_nothing_of_it_is_lost_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = ten_minutes();
    let recorder = Recorder::start(target(dir.path(), DAY), Box::new(|_| {})).unwrap();
    let feeder = recorder.feeder();
    for picture in &pictures[..3] {
        feeder.hold(picture);
    }
    feeder.settle(Duration::from_secs(20));
    assert_eq!(feeder.written(), 3, "it is on disk for who wants to read it");
    feeder.hold(&pictures[3]);
    feeder.amend(&pictures[4]);
    drop(recorder);
    assert_eq!((feeder.written(), feeder.dropped()), (4, 0), "one took the place of another");
    let reader = Reader::open(&dir.path().join("ring")).unwrap();
    assert_eq!(reader.span().unwrap(), (pictures[0].at, pictures[4].at));
}

#[test]
fn b6_a_disk_that_fails_is_told_once_and_recording_goes_on_when_it_works_again() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = ten_minutes();
    // A file stands where the folder should be.
    let folder = dir.path().join("ring");
    fs::write(&folder, "in the way").unwrap();
    let (told, states) = std::sync::mpsc::channel();
    let tell = Box::new(move |state: &State| told.send(state.clone()).unwrap());
    let recorder = Recorder::start(target(dir.path(), DAY), tell).unwrap();
    let feeder = recorder.feeder();
    let mut coming = pictures.iter();
    let mut feed = |n: usize| {
        for picture in coming.by_ref().take(n) {
            let before = feeder.dropped();
            feeder.offer(picture);
            // Taken in time, or dropped and counted: in any case without waiting.
            assert!(feeder.dropped() - before <= 1);
            std::thread::yield_now();
        }
    };
    feed(20);
    let State::Failed(why) = states.recv_timeout(Duration::from_secs(20)).unwrap() else { panic!("it failed") };
    assert!(why.contains("ring"), "{why}");
    fs::remove_file(&folder).unwrap();
    feed(100);
    // Pictures that find the queue full are dropped; one after half a minute is enough.
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    loop {
        match states.recv_timeout(Duration::from_millis(20)) {
            Ok(state) => {
                assert_eq!(state, State::Recording);
                break;
            }
            Err(_) => feed(5),
        }
        assert!(std::time::Instant::now() < deadline, "it never came back");
    }
    drop(recorder);
    assert!(Reader::open(&folder).unwrap().span().unwrap().1 > pictures[20].at);
    assert!(states.try_recv().is_err(), "nothing is told twice");
}
