//! The state file: all or nothing, several processes, and what is refused in words (B5).

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use peerdeck::alerts::store::{Gone, HISTORY, Route, Step, Store, StoreError};
use peerdeck::alerts::{Alerts, Effect, Event, Memory, Rules};
use peerdeck::domain::alert::{Ack, Matcher, Notice, Order, Seen, Silence, Told};
use peerdeck::domain::finding::{Finding, FindingId, FindingKind, Severity, Subject, Transition};
use peerdeck::domain::{ClusterName, HostName, Line, Time};

const NOW: Time = Time::from_millis(1_700_000_000_000);

pub fn seen(kind: FindingKind, peer: &str) -> Seen {
    let (cluster, subject) = (ClusterName::new("lab"), Subject::Peer(peer.into()));
    let finding = Finding {
        id: FindingId::new(kind, &cluster, &subject),
        cluster,
        kind,
        severity: kind.severity(),
        subject,
        since: NOW,
        text: Line::new(kind.meaning()),
        evidence: vec![Line::new("lab2 says so")],
        advice: Line::new("look at it"),
    };
    Seen { finding, hosts: vec![HostName::new(&format!("{peer}.example.com"))] }
}

fn dead(peer: &str) -> Seen {
    seen(FindingKind::PeerUnreachable, peer)
}

pub fn route(sink: &str, least: Severity, queue: u32) -> Route {
    Route { sink: sink.into(), least, queue }
}

fn file() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("watch/state.db");
    (dir, file)
}

/// A core whose effects go to disk.
struct Desk {
    alerts: Alerts,
    store: Store,
    routes: Vec<Route>,
    now: Time,
}

impl Desk {
    fn open(file: &Path, routes: &[Route]) -> Self {
        let store = Store::open(file).unwrap();
        let alerts = Alerts::new(Rules::default(), store.load().unwrap());
        Self { alerts, store, routes: routes.to_vec(), now: NOW }
    }

    fn step(&mut self, events: impl IntoIterator<Item = Event>) -> Vec<Notice> {
        let effects = self.alerts.step(self.now, events);
        self.store.commit(Step { effects: &effects, done: &[], routes: &self.routes }).unwrap();
        effects.into_iter().filter_map(|e| if let Effect::Tell(n) = e { Some(*n) } else { None }).collect()
    }

    fn raise(&mut self, seen: &Seen) -> Vec<Notice> {
        self.step([Event::Told(Transition::Raised, seen.clone())])
    }

    fn clear(&mut self, seen: &Seen) -> Vec<Notice> {
        self.step([Event::Told(Transition::Cleared, seen.clone())])
    }

    fn waiting(&mut self, sink: &str) -> Vec<u64> {
        self.store.waiting(sink, 10_000).unwrap().iter().map(|n| n.seq).collect()
    }
}

#[test]
fn b5_a_new_state_is_the_owners_alone_and_has_a_name_for_ever() {
    let (_dir, file) = file();
    let name = Store::open(&file).unwrap().watcher().to_owned();
    assert_eq!(name.len(), 12);
    assert_eq!(Store::open(&file).unwrap().watcher(), name);
    let mode = |p: &Path| std::fs::metadata(p).unwrap().mode() & 0o777;
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
    assert!(Store::open_existing(&file.with_extension("none")).unwrap().is_none());
    let (_other, second) = self::file();
    assert_ne!(Store::open(&second).unwrap().watcher(), name, "two files have two names");
}

#[test]
fn b5_what_a_step_keeps_is_what_the_next_watch_begins_with() {
    let (_dir, file) = file();
    let mut desk = Desk::open(&file, &[]);
    for n in 0..40_u64 {
        desk.now = NOW + Duration::from_secs(n * 7);
        let one = dead(&format!("lab{}", n % 3 + 1));
        if n % 4 < 2 {
            desk.raise(&one)
        } else {
            desk.clear(&one)
        };
        if n % 5 == 0 {
            let ack = Ack { by: Line::new("ann@noc"), at: desk.now, reason: Line::new("on it") };
            desk.step([Event::Acknowledge { id: one.finding.id, ack }]);
        }
        let memory = Store::open(&file).unwrap().load().unwrap();
        let mut kept: Vec<_> = desk.alerts.kept().cloned().collect();
        kept.sort_by(|a, b| a.seen.finding.id.cmp(&b.seen.finding.id));
        let notices = desk.store.book(desk.now).unwrap().notices;
        let seq = notices.last().map_or(0, |n| n.seq);
        assert_eq!(memory, Memory { kept, silences: Vec::new(), seq });
    }
    let notices = desk.store.book(desk.now).unwrap().notices;
    assert!(notices.windows(2).all(|w| w[0].seq + 1 == w[1].seq), "no number is left out");
    assert!(notices.iter().any(|n| n.alert.flapping.is_some()), "the run is long enough to flap");
}

#[test]
fn b5_a_sink_hears_what_is_bad_enough_and_the_end_of_all_that_it_heard() {
    let (_dir, file) = file();
    let all = [route("log", Severity::Notice, 100), route("pager", Severity::Critical, 100)];
    let mut desk = Desk::open(&file, &all);
    let (bad, mild) = (dead("lab1"), seen(FindingKind::ClockSkew, "lab2"));
    desk.raise(&bad);
    desk.raise(&mild);
    assert_eq!((desk.waiting("log"), desk.waiting("pager")), (vec![1, 2], vec![1]));
    // A rule makes it milder: the pager was told of it, and hears that and the end.
    let rule = peerdeck::alerts::Rule { severity: Some(Severity::Notice), ..Default::default() };
    desk.step([Event::Rules(Rules { rules: vec![rule], ..Rules::default() })]);
    desk.clear(&bad);
    desk.clear(&mild);
    let told: Vec<_> = desk.store.waiting("pager", 10).unwrap().into_iter().map(|n| n.told).collect();
    assert_eq!(told, [Told::Raised, Told::Changed, Told::Cleared]);
    // One that came when all was told already hears of no end without a beginning.
    desk.raise(&dead("lab3"));
    desk.routes.push(route("late", Severity::Notice, 100));
    desk.clear(&dead("lab3"));
    assert_eq!(desk.waiting("late"), [0; 0]);
}

#[test]
fn b5_a_box_that_is_full_loses_the_oldest_and_counts_them() {
    let (_dir, file) = file();
    let mut desk = Desk::open(&file, &[route("slow", Severity::Notice, 3), route("log", Severity::Notice, 100)]);
    for n in 0..5 {
        desk.raise(&dead(&format!("lab{n}")));
    }
    assert_eq!(desk.waiting("slow"), [3, 4, 5]);
    assert_eq!(desk.waiting("log"), [1, 2, 3, 4, 5]);
    let queue = |desk: &Desk, sink: &str| desk.store.queue(sink).unwrap();
    assert_eq!((queue(&desk, "slow").dropped, queue(&desk, "slow").waiting), (2, 3));
    // Three are under way when two of them are dropped, and arrive.
    desk.raise(&dead("lab5"));
    desk.raise(&dead("lab6"));
    desk.store.take_out("slow", &[3, 4, 5], Gone::Delivered(NOW)).unwrap();
    let now = queue(&desk, "slow");
    assert_eq!((now.delivered, now.dropped, now.waiting), (3, 2, 2), "what got through was not dropped");
    desk.store.take_out("slow", &[6], Gone::Refused).unwrap();
    desk.store.failed("slow", "it answers 500").unwrap();
    let now = queue(&desk, "slow");
    assert_eq!((now.dropped, now.waiting, now.failed, now.error.as_deref()), (3, 1, 1, Some("it answers 500")));
    desk.store.take_out("slow", &[7], Gone::ByFellow).unwrap();
    assert_eq!(queue(&desk, "slow").by_fellow, 1);
    // All of it stands there after a restart.
    let again = queue(&desk, "slow");
    drop(desk);
    let mut store = Store::open(&file).unwrap();
    assert_eq!(store.queue("slow").unwrap(), again);
    // A sink that is no longer there leaves nothing behind but a number.
    assert_eq!(store.keep_only(&[route("slow", Severity::Notice, 3)]).unwrap(), [("log".to_owned(), 7)]);
    assert!(store.waiting("log", 10).unwrap().is_empty());
}

#[test]
fn b5_the_history_is_bounded_but_nothing_that_waits_is_lost() {
    let (_dir, file) = file();
    let mut desk = Desk::open(&file, &[route("slow", Severity::Notice, 1_000_000)]);
    let many = HISTORY / 2 + 600;
    let one = dead("lab1");
    let notice = desk.raise(&one).remove(0);
    for half in 0..2 {
        let effects: Vec<Effect> = (0..many)
            .map(|n| Effect::Tell(Box::new(Notice { seq: 2 + half * many + n, told: Told::Changed, ..notice.clone() })))
            .collect();
        desk.store.commit(Step { effects: &effects, done: &[], routes: &desk.routes }).unwrap();
        if half == 0 {
            assert_eq!(desk.store.waiting("slow", 1).unwrap()[0].seq, 1);
            let first: Vec<u64> = (1..=many).collect();
            desk.store.take_out("slow", &first, Gone::Delivered(NOW)).unwrap();
        }
    }
    let waits = desk.store.queue("slow").unwrap().waiting;
    assert_eq!(desk.store.waiting("slow", 1_000_000).unwrap().len() as u64, waits);
    assert_eq!(desk.store.book(NOW).unwrap().notices.last().unwrap().seq, 1 + 2 * many);
    let db = rusqlite::Connection::open(&file).unwrap();
    let count: i64 = db.query_row("SELECT count(*) FROM notices", [], |r| r.get(0)).unwrap();
    assert!((HISTORY..HISTORY + 100).contains(&count.unsigned_abs()), "{count}");
}

#[test]
fn b5_a_person_orders_in_another_process_and_the_watch_sees_it() {
    let (_dir, file) = file();
    let mut desk = Desk::open(&file, &[]);
    let one = dead("lab1");
    desk.raise(&one);
    assert!(!desk.store.changed().unwrap(), "its own writing is no news to it");
    let id = one.finding.id.clone();
    let ack = Ack { by: Line::new("ann@noc"), at: NOW, reason: Line::new("on it") };
    let mut console = Store::open(&file).unwrap();
    console.order(&Order::Acknowledge { id: id.clone(), ack: ack.clone() }, NOW).unwrap();
    assert!(desk.store.changed().unwrap() && !desk.store.changed().unwrap());
    // People see it before the watch has carried it out, and after.
    assert_eq!(console.book(NOW).unwrap().acks.get(&id), Some(&ack));
    let asked = desk.store.asked().unwrap();
    assert_eq!((asked.len(), &asked[0].id, asked[0].ack.as_ref()), (1, &id, Some(&ack)));
    let effects = desk.alerts.step(NOW, [Event::Acknowledge { id: id.clone(), ack: ack.clone() }]);
    // Another word about the same comes just before it is written down: that one stays.
    console.order(&Order::Unacknowledge(id.clone()), NOW).unwrap();
    desk.store.commit(Step { effects: &effects, done: &[asked[0].n], routes: &[] }).unwrap();
    let left = desk.store.asked().unwrap();
    assert_eq!((left.len(), left[0].ack.as_ref()), (1, None));
    assert!(console.book(NOW).unwrap().acks.is_empty());
    let silence = Silence {
        id: 0,
        matcher: Matcher { host: Some(HostName::new("lab1.example.com")), ..Matcher::default() },
        by: Line::new("ann@noc"),
        reason: Line::new("cabling"),
        from: NOW,
        until: NOW + Duration::from_hours(1),
    };
    let number = console.order(&Order::Silence(silence.clone()), NOW).unwrap().unwrap();
    assert_eq!(desk.store.silences().unwrap(), [Silence { id: number, ..silence.clone() }]);
    let soon = NOW + Duration::from_mins(5);
    console.order(&Order::Unsilence(number), soon).unwrap();
    assert_eq!(desk.store.silences().unwrap()[0].until, soon);
    assert_eq!(console.book(soon).unwrap().silences.len(), 1, "one that has ended lately is shown");
    assert_eq!(console.book(soon + Duration::from_hours(24 * 8)).unwrap().silences.len(), 0);
    let next = console.order(&Order::Silence(silence), soon).unwrap().unwrap();
    assert_ne!(next, number, "no number is given twice");
}

#[test]
fn b5_two_watches_do_not_share_a_state() {
    let (_dir, file) = file();
    let lock = Store::lock(&file).unwrap();
    let refused = Store::lock(&file).unwrap_err();
    assert!(matches!(&refused, StoreError::Taken { by, .. } if by.contains(&std::process::id().to_string())));
    assert!(refused.to_string().contains("--state"), "{refused}");
    drop(lock);
    Store::lock(&file).unwrap();
}

fn refusal(file: &Path) -> String {
    let before = std::fs::read(file).unwrap();
    let words = Store::open(file).unwrap_err().to_string();
    assert_eq!(std::fs::read(file).unwrap(), before, "it is left as it was: {words}");
    assert!(words.contains(&file.display().to_string()), "{words}");
    words
}

#[test]
fn b5_what_is_no_state_of_a_watch_is_refused_and_left_alone() {
    let (_dir, file) = file();
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "my only copy of a novel\n".repeat(200)).unwrap();
    assert!(refusal(&file).contains("not an SQLite file"));
    std::fs::remove_file(&file).unwrap();
    rusqlite::Connection::open(&file).unwrap().execute_batch("CREATE TABLE songs (name TEXT)").unwrap();
    assert!(refusal(&file).contains("another program's"));
    std::fs::remove_file(&file).unwrap();
    drop(Store::open(&file).unwrap());
    rusqlite::Connection::open(&file).unwrap().execute_batch("PRAGMA user_version = 9").unwrap();
    assert!(refusal(&file).contains("version 9"));
}

#[test]
fn b5_a_state_that_others_may_write_is_refused() {
    let (_dir, file) = file();
    drop(Store::open(&file).unwrap());
    let chmod = |p: &Path, mode| std::fs::set_permissions(p, std::fs::Permissions::from_mode(mode)).unwrap();
    chmod(&file, 0o620);
    assert!(refusal(&file).contains("chmod go-w"));
    chmod(&file, 0o600);
    chmod(file.parent().unwrap(), 0o770);
    let words = Store::open(&file).unwrap_err().to_string();
    assert!(words.contains("chmod go-w") && words.contains("mode 770"), "{words}");
    chmod(file.parent().unwrap(), 0o700);
    drop(Store::open(&file).unwrap());
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    assert!(Store::open(&file).unwrap_err().to_string().contains("not a file"));
}

#[test]
fn b5_a_damaged_state_is_refused_in_words_and_never_deleted() {
    let (_dir, file) = file();
    let mut desk = Desk::open(&file, &[route("log", Severity::Notice, 1_000)]);
    for n in 0..200 {
        desk.raise(&dead(&format!("lab{n}")));
    }
    drop(desk);
    let whole = std::fs::read(&file).unwrap();
    assert!(whole.len() > 16 * 4096, "so large that pages can be spoilt one by one");
    let mut words = Vec::new();
    for page in 1..16 {
        let mut spoilt = whole.clone();
        spoilt[page * 4096..(page + 1) * 4096].fill(0xa5);
        std::fs::write(&file, spoilt).unwrap();
        words.push(refusal(&file));
    }
    assert!(words.iter().all(|w| w.contains("damaged") && w.contains("move it away")), "{words:?}");
    std::fs::write(&file, &whole[..5000]).unwrap();
    assert!(refusal(&file).contains("damaged"));
    std::fs::write(&file, whole).unwrap();
    assert_eq!(Store::open(&file).unwrap().load().unwrap().kept.len(), 200);
}

#[test]
fn b5_rows_of_a_newer_version_are_left_out_and_waited_for_by_nobody() {
    let (_dir, file) = file();
    let mut desk = Desk::open(&file, &[route("log", Severity::Notice, 100)]);
    desk.raise(&dead("lab1"));
    desk.raise(&dead("lab2"));
    let db = rusqlite::Connection::open(&file).unwrap();
    for table in ["notices", "kept"] {
        let sql = format!("UPDATE {table} SET body = replace(body, 'peer-unreachable', 'of-tomorrow') WHERE rowid = 1");
        assert_eq!(db.execute(&sql, []).unwrap(), 1);
    }
    assert_eq!(desk.waiting("log"), [2]);
    let queue = desk.store.queue("log").unwrap();
    assert_eq!((queue.waiting, queue.dropped), (1, 1));
    assert_eq!(Store::open(&file).unwrap().load().unwrap().kept.len(), 1);
}

const CHILD: &str = "PEERDECK_STORE_CHILD";

/// Not a test of its own: what the next one kills.
#[test]
#[ignore = "is run by b5_kill_9_at_any_moment_leaves_whole_steps"]
fn writes_until_it_is_killed() {
    let Some(file) = std::env::var_os(CHILD) else { return };
    let mut desk = Desk::open(Path::new(&file), &[route("log", Severity::Notice, 1_000_000)]);
    let last = desk.store.book(NOW).unwrap().notices.pop();
    desk.now = last.map_or(NOW, |n| n.at) + Duration::from_hours(1);
    loop {
        let events: Vec<Event> = (0..5).map(|n| Event::Told(Transition::Raised, dead(&format!("lab{n}")))).collect();
        desk.step(events);
        let events: Vec<Event> = (0..5).map(|n| Event::Told(Transition::Cleared, dead(&format!("lab{n}")))).collect();
        desk.step(events);
        desk.now = desk.now + Duration::from_hours(1);
        println!("on disk {}", desk.store.load().unwrap().seq);
    }
}

/// The notices of a step are there with what waits and what is kept, or none of it (kill -9, B5).
#[test]
fn b5_kill_9_at_any_moment_leaves_whole_steps() {
    let (_dir, file) = file();
    let rounds: u32 = std::env::var("PEERDECK_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(6);
    let mut told = 0;
    for round in 0..rounds {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "watching::store::writes_until_it_is_killed", "--ignored", "--nocapture"])
            .env(CHILD, &file)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut seen = told;
        // After another number of steps each time, and somewhere within the next.
        let mut left = 1 + round % 3;
        while left > 0 {
            let line = lines.next().expect("the child writes on").unwrap();
            if let Some(seq) = line.strip_prefix("on disk ") {
                seen = seq.parse().unwrap();
                left -= 1;
            }
        }
        std::thread::sleep(Duration::from_micros(u64::from(round) * 1_700 % 9_000));
        child.kill().unwrap();
        child.wait().unwrap();
        let mut store = Store::open(&file).unwrap();
        let memory = store.load().unwrap();
        assert!(memory.seq >= seen, "what was on disk is there: {} and {seen}", memory.seq);
        told = memory.seq;
        let boxed: Vec<u64> = store.waiting("log", 1_000_000).unwrap().iter().map(|n| n.seq).collect();
        assert_eq!(boxed, (1..=told).collect::<Vec<_>>(), "each notice waits once");
        let last = store.book(NOW).unwrap().notices.pop().unwrap();
        let raised = memory.kept.iter().filter(|k| k.raised.is_some()).count();
        match last.told {
            Told::Raised => assert_eq!(raised, 5),
            Told::Cleared => assert_eq!(raised, 0),
            other => panic!("{other:?}"),
        }
        assert_eq!(told % 5, 0, "a step is whole");
    }
}
