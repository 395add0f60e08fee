//! Mail through failovers (F7, F10): real Postfix and real Dovecot behind the shared address of two hosts, and senders that
//! never stop. Each acknowledged message is there in the end, once; twice only where the sender lost the last answer.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::ns::{Net, enter, holders};
use super::post::{Dovecot, OWNER, Place, Postfix};
use super::trial::{Fault, Hosts, More, Setting, System, WITNESS, vip};

const PEERDECK: &str = env!("CARGO_BIN_EXE_peerdeck");
const SECOND: Setting = Setting { interval: Duration::from_secs(1), missed: 3 };
const SETTLE: Duration = Duration::from_secs(4);
/// How long anything may take before the test gives up.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long a sender waits for an answer, and between attempts.
const ANSWER: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(100);
/// Between messages of a sender.
const PACE: Duration = Duration::from_millis(50);
/// Of so many messages of a sender the answer to one is lost.
const DEAF: usize = 50;
/// Senders at once.
const LANES: usize = 3;
/// Accepted messages that wait in the holder's queue when it is struck.
const WAITING: usize = 10;

/// How an attempt ended.
enum Attempt {
    Acknowledged,
    /// `doubtful`: the message was sent as a whole, only the answer is missing.
    Failed {
        doubtful: bool,
        why: io::Error,
    },
}

/// What the senders saw.
#[derive(Default)]
struct Sent {
    acknowledged: BTreeSet<String>,
    /// Attempts that failed, and by message those that may have come through all the same.
    retries: usize,
    doubtful: BTreeMap<String, usize>,
    /// The longest that a message took.
    longest: Duration,
}

/// Says a line, if any; panics at a permanent refusal, the one thing that a sender may never see.
fn say(stream: &mut BufReader<TcpStream>, line: &str, wanted: &str) -> io::Result<()> {
    stream.get_mut().write_all(line.as_bytes())?;
    loop {
        let mut answer = String::new();
        if stream.read_line(&mut answer)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        assert!(!answer.starts_with('5'), "refused for good: {line:?}: {answer}");
        if answer.as_bytes().get(3) != Some(&b'-') {
            return if answer.starts_with(wanted) { Ok(()) } else { Err(io::Error::other(answer)) };
        }
    }
}

/// Sends it once. `deaf`: hangs up before the last answer comes.
fn send(id: &str, deaf: bool) -> Attempt {
    let mut whole = false;
    let mut talk = || -> io::Result<()> {
        let stream = TcpStream::connect_timeout(&SocketAddr::from((vip(), 25)), Duration::from_secs(1))?;
        stream.set_read_timeout(Some(ANSWER))?;
        let mut stream = BufReader::new(stream);
        say(&mut stream, "", "220")?;
        say(&mut stream, "EHLO client.example.com\r\n", "250")?;
        say(&mut stream, "MAIL FROM:<sender@example.net>\r\n", "250")?;
        say(&mut stream, "RCPT TO:<box@example.com>\r\n", "250")?;
        say(&mut stream, "DATA\r\n", "354")?;
        whole = true;
        let text = format!("Message-ID: <{id}>\r\nSubject: {id}\r\n\r\nText.\r\n.\r\n");
        if deaf {
            stream.get_mut().write_all(text.as_bytes())?;
            return Err(io::Error::other("it did not wait for the answer"));
        }
        say(&mut stream, &text, "250")?;
        // Acknowledged is acknowledged, whatever comes now.
        let _ = say(&mut stream, "QUIT\r\n", "221");
        Ok(())
    };
    match talk() {
        Ok(()) => Attempt::Acknowledged,
        Err(why) => Attempt::Failed { doubtful: whole, why },
    }
}

/// Sends one message after the other until told to stop; none is given up.
fn lane(number: usize, stop: &AtomicBool, acknowledged: &AtomicUsize) -> Sent {
    let mut sent = Sent::default();
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let id = format!("{number}.{n}@client.example.com");
        let began = Instant::now();
        // Now and then an answer is lost that would have come.
        let mut deaf = n % DEAF == 0;
        while let Attempt::Failed { doubtful, why } = send(&id, std::mem::take(&mut deaf)) {
            sent.retries += 1;
            if doubtful {
                *sent.doubtful.entry(id.clone()).or_default() += 1;
            }
            assert!(began.elapsed() < PATIENCE, "{id} could not be sent: {why}");
            std::thread::sleep(AGAIN);
        }
        sent.longest = sent.longest.max(began.elapsed());
        sent.acknowledged.insert(id);
        acknowledged.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(PACE);
    }
    sent
}

/// What is in the mailbox, as Dovecot says through the shared address: how often each message.
fn delivered() -> BTreeMap<String, usize> {
    let stream = TcpStream::connect_timeout(&SocketAddr::from((vip(), 143)), ANSWER).unwrap();
    stream.set_read_timeout(Some(ANSWER)).unwrap();
    let mut stream = BufReader::new(stream);
    stream
        .get_mut()
        .write_all(b"a LOGIN box x\r\nb SELECT INBOX\r\nc FETCH 1:* BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)]\r\n")
        .unwrap();
    let mut found = BTreeMap::new();
    loop {
        let mut line = String::new();
        assert!(stream.read_line(&mut line).unwrap() > 0, "Dovecot hung up");
        if let Some(id) = line.strip_prefix("Message-ID: <").and_then(|l| l.trim_end().strip_suffix('>')) {
            *found.entry(id.to_owned()).or_default() += 1;
        } else if line.starts_with("c ") {
            assert!(line.starts_with("c OK"), "{line}");
            return found;
        }
        assert!(!line.contains(" NO ") && !line.contains(" BAD "), "{line}");
    }
}

/// Does it on a host of the net.
fn on<T: Send>(net: &Net, host: usize, what: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let there = scope.spawn(|| {
            net.enter(host);
            what()
        });
        there.join().unwrap()
    })
}

#[track_caller]
fn wait(hosts: &Hosts, what: &str, mut ready: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !ready() {
        assert!(Instant::now() < end, "not in time: {what}\n{}", hosts.logs());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Both hosts' mail servers; the mailbox is shared, as on a file server; each queue is its host's own.
struct Mail {
    store: PathBuf,
    postfix: [Postfix; 2],
    dovecot: [Option<Dovecot>; 2],
    dirs: [PathBuf; 2],
    places: [Place; 2],
}

impl Mail {
    fn start(hosts: &Hosts, dir: &std::path::Path) -> Self {
        let store = dir.join("store");
        std::fs::create_dir_all(&store).unwrap();
        chown(&store, Some(OWNER), Some(OWNER)).unwrap();
        let places = [0, 1].map(|h| Place::Host(hosts.net.hosts[h].clone()));
        let dirs = [0, 1].map(|h| dir.join(format!("h{h}")));
        let postfix =
            [0, 1].map(|h| Postfix::start(places[h].clone(), &dirs[h].join("postfix"), "0.0.0.0:25", Some(&store)));
        let mut mail = Self { store, postfix, dovecot: [None, None], dirs, places };
        for host in 0..2 {
            mail.read(host);
        }
        mail
    }

    fn read(&mut self, host: usize) {
        self.dovecot[host] = None;
        let (dir, mail) = (self.dirs[host].join("dovecot"), self.store.join("box"));
        self.dovecot[host] = Some(Dovecot::start(&self.places[host], &dir, "0.0.0.0", [143, 110], &mail, OWNER));
    }
}

#[test]
#[ignore = "needs root, network namespaces, postfix, dovecot"]
fn f7_f10_each_acknowledged_message_is_delivered_through_failovers() {
    let monitor = |(name, port)| {
        format!(
            "[ha.service.remote-{name}]\nip = \"{}\"\nport = {port}\ncheck-interval = \"2 s\"\n\
             check-timeout = \"1 s\"\nretries = 3\n",
            vip()
        )
    };
    let more =
        More { keys: "quiet-period = \"2 s\"\n".into(), tables: [("smtp", 25), ("imap", 143)].map(monitor).concat() };
    let mut hosts = Hosts::with(PEERDECK, System::Peerdeck("require"), SECOND, more);
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut mail = Mail::start(&hosts, dir.path());
    let (stop, acknowledged) = (AtomicBool::new(false), AtomicUsize::new(0));

    let sent = std::thread::scope(|scope| {
        let (stop, acknowledged) = (&stop, &acknowledged);
        let lanes: Vec<_> = (0..LANES)
            .map(|number| {
                let client = hosts.net.hosts[WITNESS].clone();
                scope.spawn(move || {
                    enter(&client);
                    lane(number, stop, acknowledged)
                })
            })
            .collect();
        // Whatever goes wrong here, the senders end.
        let ending = Ending(stop);
        wait(&hosts, "mail flows", || acknowledged.load(Ordering::Relaxed) > 20);

        for fault in [Fault::KillAll, Fault::PortsOff, Fault::End, Fault::Partition] {
            let holder = hosts.holder();
            mail.postfix[holder].hold(true);
            wait(&hosts, "a queue", || mail.postfix[holder].queued() >= WAITING);
            let outcome = hosts.trial(fault, SETTLE);
            assert!(outcome.took.is_some(), "{fault:?}: nobody took over: {outcome:?}\n{}", hosts.logs());
            assert_eq!(outcome.two, (0, Duration::ZERO), "{fault:?}: two held: {outcome:?}");
            if fault == Fault::KillAll {
                // All of the host died, its mail servers too.
                mail.postfix[holder].tell("start");
                mail.read(holder);
            }
            let waits = mail.postfix[holder].queued();
            assert!(waits >= WAITING, "{fault:?}: only {waits} wait in the former holder's queue");
            mail.postfix[holder].hold(false);
            let before = acknowledged.load(Ordering::Relaxed);
            wait(&hosts, "mail flows again", || acknowledged.load(Ordering::Relaxed) > before + 20);
            println!(
                "{}: taken over after {:?}, {waits} waited in the former holder's queue",
                fault.text(),
                outcome.took.unwrap_or_default()
            );
        }

        // The service alone fails: the other unit's monitor sees it, and the address moves.
        let holder = hosts.holder();
        let began = Instant::now();
        mail.postfix[holder].tell("stop");
        wait(&hosts, "the other takes over for the service", || holders(&hosts.recorder.seen()) == [1 - holder]);
        println!("postfix stopped: taken over after {:?}", began.elapsed());
        mail.postfix[holder].tell("start");
        let before = acknowledged.load(Ordering::Relaxed);
        wait(&hosts, "mail flows after all", || acknowledged.load(Ordering::Relaxed) > before + 20);
        drop(ending);
        let mut all = Sent::default();
        for lane in lanes {
            let lane = lane.join().unwrap();
            all.acknowledged.extend(lane.acknowledged);
            all.doubtful.extend(lane.doubtful);
            all.retries += lane.retries;
            all.longest = all.longest.max(lane.longest);
        }
        all
    });

    for postfix in &mail.postfix {
        wait(&hosts, "the queues are empty", || postfix.queued() == 0);
    }
    let found = on(&hosts.net, WITNESS, delivered);
    let lost: Vec<_> = sent.acknowledged.iter().filter(|id| !found.contains_key(*id)).collect();
    let twice: Vec<_> = found.iter().filter(|(_, times)| **times > 1).collect();
    println!(
        "{} messages acknowledged, {} delivered, {} lost, {} of them more than once; {} attempts failed, {} without the last \
         answer; the slowest message took {:?}",
        sent.acknowledged.len(),
        found.len(),
        lost.len(),
        twice.len(),
        sent.retries,
        sent.doubtful.values().sum::<usize>(),
        sent.longest
    );
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    assert!(!twice.is_empty(), "answers were lost, and yet nothing came twice: it would not be seen");
    for (id, times) in twice {
        let allowed = 1 + sent.doubtful.get(id).copied().unwrap_or_default();
        assert!(*times <= allowed, "{id} came {times} times");
    }
    assert!(found.keys().all(|id| sent.acknowledged.contains(id)), "something was delivered that nobody sent");
}

/// Ends the senders.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
