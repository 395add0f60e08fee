//! Real labs with HA: what each fault does to the pair, as the rows of the state table say (issue 6, "Must show" 1 and 4).
//!
//! Who held the address when comes from the lab itself, which knows of every instant; nothing is polled for it.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use peerdeck::domain::Time;
use peerdeck::domain::ha::{Effective, HaStatus, OnFailure, Service, SplitBrain, WitnessMode};
use peerdeck::lab::ha::HaOptions;
use peerdeck::lab::{Holding, Lab, LabError, Options, mail_port};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::support::{TestLab, quick};

/// For a debug build on a machine with too much to do.
const LONG: Duration = Duration::from_secs(90);

/// Short times: with a lease of 1 s a takeover waits for 3.5 s whatever the threshold is. Without monitors: a machine
/// with too much to do answers them late.
fn short() -> HaOptions {
    HaOptions {
        threshold: Duration::from_secs(1),
        interval: Duration::from_millis(100),
        hold_off: LONG,
        quiet: Duration::from_millis(1),
        remote_checks: Duration::from_hours(1),
        local_checks: Duration::from_hours(1),
        ..HaOptions::default()
    }
}

/// With monitors.
fn watched(on_failure: OnFailure) -> HaOptions {
    let often = Duration::from_secs(1);
    HaOptions { on_failure, remote_checks: often, local_checks: often, ..short() }
}

/// So many of these labs at once: more would make each other late.
static ROOM: Semaphore = Semaphore::const_new(2);

struct Pair {
    test: TestLab,
    _room: SemaphorePermit<'static>,
}

type Statuses = [Option<Arc<HaStatus>>; 2];

fn name(unit: usize) -> String {
    format!("lab{}", unit + 1)
}

fn role(statuses: &Statuses, unit: usize) -> Option<Effective> {
    statuses[unit].as_ref().map(|s| s.effective)
}

/// Whether this unit is primary, alone, and has the address.
fn leads(statuses: &Statuses, unit: usize) -> bool {
    let holds = |u: usize| statuses[u].as_ref().is_some_and(|s| s.holds());
    role(statuses, unit) == Some(Effective::Primary)
        && holds(unit)
        && role(statuses, 1 - unit) != Some(Effective::Primary)
        && !holds(1 - unit)
}

fn hears(statuses: &Statuses, unit: usize) -> bool {
    let heard = |s: &HaStatus| s.heartbeats.iter().all(|h| h.said.is_some() && h.hears_us == Some(true));
    statuses[unit].as_ref().is_some_and(|s| heard(s))
}

/// The rows by which a unit has changed its role.
fn rows(statuses: &Statuses, unit: usize) -> Vec<u8> {
    statuses[unit].iter().flat_map(|s| s.changes.iter().map(|c| c.row)).collect()
}

/// When two units had the address at once.
fn overlaps(held: &[Holding], now: Time) -> Vec<Duration> {
    let mut found = Vec::new();
    for (i, a) in held.iter().enumerate() {
        for b in held[i + 1..].iter().filter(|b| b.peer != a.peer) {
            let (from, to) = (a.from.max(b.from), a.to.unwrap_or(now).min(b.to.unwrap_or(now)));
            if from < to {
                found.push(to.since(from));
            }
        }
    }
    found
}

impl Pair {
    /// Started, one leads (on a machine with too much to do not always `lab1`), both hear each other.
    async fn start(ha: HaOptions) -> Self {
        let room = ROOM.acquire().await.unwrap();
        // Nothing here needs the mesh: its handshakes would only make everything late.
        let test =
            TestLab::start_with(Options { ha: Some(ha), ping_interval: Duration::from_secs(2), ..quick() }).await;
        let pair = Self { test, _room: room };
        pair.settled().await;
        pair
    }

    /// Waits until one leads, the other waits, and both hear each other; tells who they are.
    async fn settled(&self) -> (usize, usize) {
        let is = |s: &Statuses, u: usize| leads(s, u) && role(s, 1 - u) == Some(Effective::Secondary);
        let calm = |s: &Statuses| (is(s, 0) || is(s, 1)) && hears(s, 0) && hears(s, 1);
        let statuses = self.until("one leads and the other waits", calm).await;
        let leader = usize::from(!leads(&statuses, 0));
        (leader, 1 - leader)
    }

    fn lab(&self) -> &Lab {
        &self.test.lab
    }

    async fn fault(&self, words: &str) {
        self.test.fault(words).await;
    }

    async fn statuses(&self) -> Statuses {
        [self.lab().ha_status(0).await, self.lab().ha_status(1).await]
    }

    #[track_caller]
    fn until<'a>(
        &'a self,
        what: &'a str,
        condition: impl Fn(&Statuses) -> bool + 'a,
    ) -> impl Future<Output = Statuses> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let began = Instant::now();
            loop {
                let statuses = self.statuses().await;
                if condition(&statuses) {
                    return statuses;
                }
                assert!(
                    began.elapsed() < LONG,
                    "{caller}: not within {LONG:?}: {what}\n{}\n{:?}",
                    self.told(&statuses),
                    self.lab().holdings()
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    fn told(&self, statuses: &Statuses) -> String {
        let mut told = Vec::new();
        for (n, status) in statuses.iter().enumerate() {
            let Some(s) = status else {
                told.push(format!("lab{} does not run", n + 1));
                continue;
            };
            told.push(format!(
                "lab{}: {:?} epoch {} holds {} ({}) troubles {:?} permit {:?} distrust {:?}\n  silent for {:?}; {:?}",
                n + 1,
                s.effective,
                s.epoch,
                s.holds(),
                s.reason,
                s.troubles,
                s.permit,
                s.distrust,
                s.silence(self.lab().now()),
                s.changes
            ));
        }
        told.join("\n")
    }

    /// Who greets at the virtual address.
    async fn greeted_by(&self) -> String {
        let at = (self.lab().virtual_address().unwrap(), mail_port(Service::Smtp));
        let greeting = tokio::task::spawn_blocking(move || {
            let stream = TcpStream::connect(at).unwrap();
            stream.set_read_timeout(Some(LONG)).unwrap();
            let mut line = String::new();
            BufReader::new(stream).read_line(&mut line).unwrap();
            line
        });
        let greeting = greeting.await.unwrap();
        greeting.strip_prefix("220 ").unwrap().split('.').next().unwrap().to_owned()
    }

    /// The newest time that this unit held the address.
    fn holding(&self, peer: u16) -> Holding {
        self.lab().holdings().into_iter().rfind(|h| h.peer == peer).expect("it held the address")
    }

    #[track_caller]
    fn never_two(&self) {
        let held = self.lab().holdings();
        assert_eq!(overlaps(&held, self.lab().now()), Vec::<Duration>::new(), "two holders: {held:?}");
    }

    /// That the newest takeover of `unit` came no earlier after the last beat than it says.
    #[track_caller]
    fn not_before(&self, statuses: &Statuses, unit: usize) {
        let status = statuses[unit].as_ref().unwrap();
        let heard = status.heartbeats.iter().filter_map(|h| h.heard).max().expect("it heard the other once");
        let took = self.holding(u16::try_from(unit).unwrap()).from.since(heard);
        assert!(took >= status.takeover_after, "taken {took:?} after the last beat, {:?}", status.takeover_after);
        assert!(status.takeover_after >= Duration::from_millis(3500));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f1_a_lab_with_ha_has_a_pair_and_a_config_only_group_and_says_what_it_needs() {
    let few = Lab::start(Options { peers: 5, ha: Some(short()), ..quick() }).await.err().unwrap();
    assert!(matches!(&few, LabError::Ha(text) if text.contains("at least 6 peers")), "{few}");
    let dir = tempfile::tempdir().unwrap();
    let bad = HaOptions { threshold: Duration::from_millis(250), ..short() };
    let options = Options { ha: Some(bad), state_dir: Some(dir.path().join("l")), ..quick() };
    let bad = Lab::start(options).await.err().unwrap();
    assert!(bad.to_string().contains("hb-lost-threshold"), "{bad}");

    let pair = Pair::start(short()).await;
    let (leader, _) = pair.settled().await;
    assert_eq!(pair.greeted_by().await, name(leader));
    let began = Instant::now();
    loop {
        let mut roles = Vec::new();
        for unit in 2..6 {
            roles.push(pair.lab().ha_status(unit).await.map(|s| s.effective));
        }
        let others = [Some(Effective::ConfigSecondary); 3];
        if roles[0] == Some(Effective::ConfigPrimary) && roles[1..] == others {
            break;
        }
        assert!(began.elapsed() < LONG, "{roles:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let refused = |words: &str| {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        async move { pair.lab().apply_words(&words).await.unwrap_err().to_string() }
    };
    assert_eq!(refused("heartbeat edge secondary off").await, "edge has no secondary heartbeat link");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b2_a_killed_and_a_frozen_primary_are_followed_when_the_rule_says_and_not_before() {
    let pair = Pair::start(short()).await;
    let (old, new) = pair.settled().await;
    pair.fault(&format!("kill {}", name(old))).await;
    let statuses = pair.until("the other has taken over", |s| leads(s, new)).await;
    pair.not_before(&statuses, new);
    assert_eq!(rows(&statuses, new).last(), Some(&1), "{}", pair.told(&statuses));
    assert_eq!(pair.greeted_by().await, name(new));
    pair.never_two();

    pair.fault(&format!("start {}", name(old))).await;
    let (leader, waits) = pair.settled().await;
    assert_eq!(leader, new, "nobody takes a role back by himself");
    pair.fault(&format!("freeze {}", name(leader))).await;
    let taken = |s: &Statuses| role(s, waits) == Some(Effective::Primary) && s[waits].as_ref().unwrap().holds();
    let statuses = pair.until("the other has taken over", taken).await;
    pair.not_before(&statuses, waits);
    pair.never_two();
    pair.fault(&format!("thaw {}", name(leader))).await;
    let (leader, _) = pair.settled().await;
    assert_eq!(leader, waits);
    pair.never_two();
    assert_eq!(pair.greeted_by().await, name(leader));
}

/// Waits until a unit has heard nothing for clearly longer than a takeover takes.
async fn long_silence(pair: &Pair, unit: usize) -> Statuses {
    let silent = |s: &HaStatus| s.silence(pair.lab().now()).is_some_and(|t| t > s.takeover_after + SECOND);
    pair.until("it is silent for long", |s| s[unit].as_ref().is_some_and(|s| silent(s))).await
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b1_with_a_witness_no_cut_of_any_kind_gives_two_holders() {
    let pair = Pair::start(short()).await;
    let (first, other) = pair.settled().await;
    let (a, b) = (name(first), name(other));
    for cut in ["heartbeat gw both off".to_owned(), format!("cut-one-way {a} {b}"), format!("cut {a} {b}")] {
        let changes = rows(&pair.statuses().await, other).len();
        pair.fault(&cut).await;
        let statuses = long_silence(&pair, other).await;
        assert_eq!(rows(&statuses, other).len(), changes, "{cut}: the witness still hears the first");
        let has = |s: &Statuses| s[first].as_ref().is_some_and(|s| s.holds());
        pair.until("the first still has the address", has).await;
        pair.never_two();
        pair.fault("heal").await;
        assert_eq!(pair.settled().await, (first, other));
    }
    // One link alone changes nothing.
    pair.fault(&format!("interface {a} port1 down")).await;
    pair.until("the primary link is silent", |s| {
        let link = |n: usize| s[other].as_ref().unwrap().heartbeats[n].heard.unwrap();
        link(1).since(link(0)) > Duration::from_secs(4)
    })
    .await;
    assert_eq!(role(&pair.statuses().await, other), Some(Effective::Secondary));
    pair.fault("heal").await;
    assert_eq!(pair.settled().await, (first, other));
    // Alone, without other and witness, it must let go before the other takes.
    pair.fault(&format!("isolate {a}")).await;
    let statuses = pair.until("the other has it", |s| s[other].as_ref().is_some_and(|s| s.holds())).await;
    pair.not_before(&statuses, other);
    pair.never_two();
    pair.fault("heal").await;
    assert_eq!(pair.settled().await, (other, first));
    pair.never_two();
}

/// Without a witness a unit's own loop is its permit: with a long threshold it may be late.
fn alone(split_brain: SplitBrain) -> HaOptions {
    HaOptions { witness: WitnessMode::Off, split_brain, threshold: Duration::from_secs(8), ..short() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b2_without_a_witness_a_cut_gives_two_holders_until_it_is_resolved() {
    let pair = Pair::start(alone(SplitBrain::Resolve)).await;
    let (first, other) = pair.settled().await;
    pair.fault("cut lab1 lab2").await;
    let both =
        |s: &Statuses| s.iter().flatten().filter(|s| s.holds() && s.effective == Effective::Primary).count() == 2;
    let statuses = pair.until("both hold the address", both).await;
    pair.not_before(&statuses, other);
    pair.fault("heal").await;
    assert_eq!(pair.settled().await, (other, first), "the lower epoch has given way");
    let statuses = pair.statuses().await;
    assert_eq!(rows(&statuses, first).last(), Some(&17), "{}", pair.told(&statuses));
    assert_eq!(pair.greeted_by().await, name(other));
    assert!(!overlaps(&pair.lab().holdings(), pair.lab().now()).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b2_a_split_brain_that_is_to_be_held_stays_after_the_heal() {
    let pair = Pair::start(alone(SplitBrain::Hold)).await;
    // Where only heartbeats are lost, the probe for another holder finds one.
    let (first, other) = pair.settled().await;
    pair.fault("heartbeat gw both off").await;
    let found = |s: &HaStatus| s.troubles.iter().any(|t| t.as_str().contains("answers for"));
    pair.until("the probe finds the holder", |s| s[other].as_ref().is_some_and(|s| found(s))).await;
    pair.never_two();
    pair.fault("heal").await;
    assert_eq!(pair.settled().await, (first, other));
    pair.fault("cut lab1 lab2").await;
    let both =
        |s: &Statuses| s.iter().flatten().filter(|s| s.holds() && s.effective == Effective::Primary).count() == 2;
    pair.until("both hold the address", both).await;
    pair.fault("heal").await;
    let statuses =
        pair.until("both hear each other, and beats of both say primary", |s| hears(s, 0) && hears(s, 1)).await;
    assert!(both(&statuses), "{}\n{:?}", pair.told(&statuses), pair.lab().holdings());
    let since = pair.lab().now();
    pair.until("a second of beats more", |s| {
        let fresh = |s: &HaStatus| {
            s.heartbeats.iter().all(|h| h.heard.is_some_and(|at| at.since(since) > Duration::from_secs(1)))
        };
        s.iter().flatten().all(|s| fresh(s))
    })
    .await;
    let statuses = pair.statuses().await;
    assert!(both(&statuses), "both stay until a person decides: {}", pair.told(&statuses));
}

/// Breaks whoever leads in this way, and mends it: who leads then.
async fn breaks(pair: &Pair, on_failure: OnFailure, fault: (&str, &str, u8)) {
    let (broken, mended, row) = fault;
    let (old, new) = pair.settled().await;
    let before = pair.statuses().await;
    let fresh = |s: &Statuses, u: usize| rows(s, u).split_off(rows(&before, u).len());
    pair.fault(&broken.replace('A', &name(old))).await;
    // One whose own checks are good is well again at once: only the rows tell.
    let both = |s: &Statuses| fresh(s, old).contains(&row) && fresh(s, new).contains(&row);
    let statuses = pair.until(broken, both).await;
    let out = if on_failure == OnFailure::Off { Effective::Off } else { Effective::Failed };
    let failed = statuses[old].as_ref().unwrap().changes.iter().any(|c| c.row == row && c.to == out);
    assert!(failed, "{broken}: {}", pair.told(&statuses));
    pair.never_two();
    pair.fault(&mended.replace('A', &name(old))).await;
    match on_failure {
        OnFailure::BecomeSecondary => {
            let back = |s: &Statuses| leads(s, new) && role(s, old) == Some(Effective::Secondary);
            let statuses = pair.until("it is well again and waits", back).await;
            assert_eq!(rows(&statuses, old).last(), Some(&20));
        }
        OnFailure::RestoreRole => {
            let back = |s: &Statuses| leads(s, old) && role(s, new) == Some(Effective::Secondary);
            let statuses = pair.until("it has its role again", back).await;
            assert_eq!(rows(&statuses, old).last(), Some(&19));
        }
        OnFailure::Off => {
            let since = pair.lab().now();
            pair.until("two seconds of beats more", |s| {
                let heard = s[new].as_ref().and_then(|s| s.heartbeats.iter().filter_map(|h| h.heard).max());
                heard.is_some_and(|at| at.since(since) > Duration::from_secs(2))
            })
            .await;
            let statuses = pair.statuses().await;
            assert!(leads(&statuses, new) && role(&statuses, old) == Some(Effective::Off), "a person must restart it");
        }
    }
    pair.never_two();
}

/// How it is broken, how it is mended, and the row of the state table.
const DISK: (&str, &str, u8) = ("disk A readonly", "disk A ok", 6);
const FULL: (&str, &str, u8) = ("disk A full", "disk A ok", 6);
const PORT: (&str, &str, u8) = ("interface A port3 down", "interface A port3 up", 5);
const SMTP: (&str, &str, u8) = ("service A smtp off", "service A smtp on", 4);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f9_f10_f11_f13_what_fails_a_primary_that_then_becomes_secondary() {
    let pair = Pair::start(watched(OnFailure::BecomeSecondary)).await;
    for fault in [SMTP, PORT, DISK] {
        breaks(&pair, OnFailure::BecomeSecondary, fault).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f9_f10_f11_f13_what_fails_a_primary_that_then_takes_its_role_back() {
    let pair = Pair::start(watched(OnFailure::RestoreRole)).await;
    for fault in [SMTP, PORT, FULL] {
        breaks(&pair, OnFailure::RestoreRole, fault).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f9_a_primary_that_failed_stays_off_where_that_is_wanted() {
    let pair = Pair::start(watched(OnFailure::Off)).await;
    breaks(&pair, OnFailure::Off, PORT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f9_an_announced_restart_is_waited_for() {
    let pair = Pair::start(short()).await;
    let (first, other) = pair.settled().await;
    pair.fault(&format!("restart {}", name(first))).await;
    assert_eq!(pair.settled().await, (first, other));
    let statuses = pair.statuses().await;
    assert!(rows(&statuses, other).ends_with(&[7, 8]), "it waited and no more: {}", pair.told(&statuses));
    pair.never_two();
}
