//! What is told of findings, and when: the pure core of the alerts, on a time line (B5, C21).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use peerdeck::alerts::{Alerts, Effect, Event, Flapping, Kept, Memory, Rule, Rules};
use peerdeck::domain::alert::{Ack, Held, Matcher, Notice, Seen, Silence, Told};
use peerdeck::domain::finding::{Finding, FindingId, FindingKind, Severity, Subject, Transition};
use peerdeck::domain::{ClusterName, GroupName, HostName, Line, PeerId, Time};
use proptest::prelude::*;

const START: Time = Time::from_millis(1_000_000_000);

/// A watch whose disk is the effects that it asked for.
struct Watch {
    alerts: Alerts,
    rules: Rules,
    now: Time,
    disk: BTreeMap<FindingId, Kept>,
    silences: Vec<Silence>,
    told: Vec<Notice>,
}

impl Watch {
    fn new(rules: Rules) -> Self {
        let alerts = Alerts::new(rules.clone(), Memory::default());
        Self { alerts, rules, now: START, disk: BTreeMap::new(), silences: Vec::new(), told: Vec::new() }
    }

    fn step(&mut self, events: impl IntoIterator<Item = Event>) -> Vec<Notice> {
        let effects = self.alerts.step(self.now, events);
        let from = self.told.len();
        for effect in effects {
            match effect {
                Effect::Keep(kept) => {
                    self.disk.insert(kept.seen.finding.id.clone(), *kept);
                }
                Effect::Forget(id) => {
                    self.disk.remove(&id);
                }
                Effect::Tell(notice) => self.told.push(*notice),
            }
        }
        self.told[from..].to_vec()
    }

    fn raise(&mut self, seen: &Seen) -> Vec<Notice> {
        self.step([Event::Told(Transition::Raised, seen.clone())])
    }

    fn clear(&mut self, seen: &Seen) -> Vec<Notice> {
        self.step([Event::Told(Transition::Cleared, seen.clone())])
    }

    /// Time passes; the core is woken when it asked for it, and then at the end.
    fn pass(&mut self, span: Duration) -> Vec<Notice> {
        let (from, end) = (self.told.len(), self.now + span);
        while let Some(next) = self.alerts.next(self.now).filter(|n| *n <= end) {
            assert!(next > self.now, "a moment that is over is asked for again");
            self.now = next;
            self.step([Event::Tick]);
        }
        self.now = end;
        self.step([Event::Tick]);
        self.told[from..].to_vec()
    }

    fn silence(&mut self, matcher: Matcher, span: Duration) {
        let id = u64::try_from(self.silences.len()).unwrap();
        let (by, reason) = (Line::new("ann@noc"), Line::new("cabling"));
        self.silences.push(Silence { id, matcher, by, reason, from: self.now, until: self.now + span });
        let silences = self.silences.clone();
        self.step([Event::Silences(silences)]);
    }

    /// Ends and begins anew with what stands on the disk.
    fn restart(&mut self) {
        let seq = self.told.last().map_or(0, |n| n.seq);
        let memory = Memory { kept: self.disk.values().cloned().collect(), silences: self.silences.clone(), seq };
        self.alerts = Alerts::new(self.rules.clone(), memory);
    }

    fn picture(&mut self, seen: &[&Seen], settled: bool) -> Vec<Notice> {
        self.step([Event::Picture { seen: seen.iter().copied().cloned().collect(), settled }])
    }
}

fn seen(kind: FindingKind, subject: Subject) -> Seen {
    let cluster = ClusterName::new("lab");
    let hosts = subject.peers().map(|p| HostName::new(&format!("{p}.example.com"))).collect();
    let finding = Finding {
        id: FindingId::new(kind, &cluster, &subject),
        cluster,
        kind,
        severity: kind.severity(),
        subject,
        since: START,
        text: Line::new(kind.meaning()),
        evidence: Vec::new(),
        advice: Line::new(""),
    };
    Seen { finding, hosts }
}

fn dead(peer: &str) -> Seen {
    seen(FindingKind::PeerUnreachable, Subject::Peer(peer.into()))
}

fn down(a: &str, b: &str) -> Seen {
    seen(FindingKind::LinkDown, Subject::pair(&a.into(), &b.into()))
}

fn flapping(a: &str, b: &str) -> Seen {
    seen(FindingKind::LinkFlapping, Subject::pair(&a.into(), &b.into()))
}

fn words(notices: &[Notice]) -> Vec<(Told, &str)> {
    notices.iter().map(|n| (n.told, n.alert.seen.finding.kind.as_str())).collect()
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn plain() -> Rules {
    Rules { repeat: Duration::ZERO, ..Rules::default() }
}

#[test]
fn b5_c21_a_finding_is_told_once_when_it_comes_and_once_when_it_goes_with_how_long_it_lasted() {
    let mut w = Watch::new(plain());
    assert_eq!(words(&w.raise(&dead("p1"))), [(Told::Raised, "peer-unreachable")]);
    assert_eq!(w.raise(&dead("p1")), [], "the picture says the same again");
    assert_eq!(w.pass(s(60)), []);
    let cleared = w.clear(&dead("p1"));
    assert_eq!(words(&cleared), [(Told::Cleared, "peer-unreachable")]);
    assert_eq!(cleared[0].lasted(), Some(s(60)));
    assert_eq!(w.clear(&dead("p1")), []);
    assert_eq!(w.told.iter().map(|n| n.seq).collect::<Vec<_>>(), [1, 2], "no gap in the numbers");
}

#[test]
fn b5_for_and_recovery_hold_it_back_and_a_short_fault_is_never_told() {
    let rule = Rule { hold: Some(s(30)), recovery: Some(s(10)), ..Rule::default() };
    let mut w = Watch::new(Rules { rules: vec![rule], ..plain() });
    assert_eq!(w.raise(&down("p1", "p2")), []);
    assert_eq!(w.pass(s(29)), []);
    w.clear(&down("p1", "p2"));
    assert_eq!(w.pass(s(900)), [], "29 s are less than 30 s");

    w.raise(&down("p1", "p2"));
    let raised = w.pass(s(31));
    assert_eq!(words(&raised), [(Told::Raised, "link-down")]);
    assert_eq!(raised[0].at.since(raised[0].alert.raised), Duration::ZERO);
    assert_eq!(w.clear(&down("p1", "p2")), []);
    assert_eq!(w.pass(s(9)), []);
    w.raise(&down("p1", "p2"));
    w.clear(&down("p1", "p2"));
    assert_eq!(w.pass(s(9)), [], "it came back within the recovery: the time begins anew");
    assert_eq!(words(&w.pass(s(2))), [(Told::Cleared, "link-down")]);
}

#[test]
fn b5_the_first_rule_that_fits_and_says_something_counts() {
    let rules = Rules {
        rules: vec![
            Rule { kinds: vec![FindingKind::LinkDown], severity: Some(Severity::Warning), ..Rule::default() },
            Rule { severity: Some(Severity::Notice), hold: Some(s(7)), ..Rule::default() },
            Rule { kinds: vec![FindingKind::LinkDown], hold: Some(s(99)), ..Rule::default() },
            Rule { cluster: Some("elsewhere".into()), ignore: Some(true), ..Rule::default() },
        ],
        ..plain()
    };
    let terms = rules.terms(&down("p1", "p2").finding);
    assert_eq!((terms.severity, terms.hold, terms.ignore, terms.repeat), (Severity::Warning, s(7), false, None));
    assert_eq!(rules.terms(&dead("p1").finding).severity, Severity::Notice);
}

#[test]
fn b5_what_comes_and_goes_is_one_alert_that_flaps_and_ends_once() {
    let rules = Rules { flapping: Flapping { high: 6, low: 2, window: s(600) }, ..plain() };
    let mut w = Watch::new(rules);
    let dns = seen(FindingKind::DnsForward, Subject::Peer("p1".into()));
    for _ in 0..30 {
        w.raise(&dns);
        w.pass(s(5));
        w.clear(&dns);
        w.pass(s(5));
    }
    assert_eq!(
        words(&w.told),
        [
            (Told::Raised, "dns-forward"),
            (Told::Cleared, "dns-forward"),
            (Told::Raised, "dns-forward"),
            (Told::Cleared, "dns-forward"),
            (Told::Raised, "dns-forward"),
            (Told::Changed, "dns-forward"),
        ],
        "six changes are told one by one, the rest is flapping"
    );
    assert_eq!(w.told[5].alert.flapping, Some(6));
    let end = w.pass(s(1200));
    assert_eq!(words(&end), [(Told::Cleared, "dns-forward")]);
    assert!(end[0].lasted().unwrap() > s(300));
    assert!(w.disk.is_empty(), "and then it is forgotten: {:?}", w.disk);
}

#[test]
fn b5_a_dead_peer_is_one_alert_and_its_links_are_not_told_beside_it() {
    let mut w = Watch::new(plain());
    w.raise(&dead("p7"));
    for other in ["p1", "p2", "p3"] {
        assert_eq!(w.raise(&down("p7", other)), []);
    }
    assert_eq!(w.raise(&seen(FindingKind::DnsReverse, Subject::Peer("p7".into()))), []);
    assert_eq!(words(&w.raise(&down("p1", "p2"))), [(Told::Raised, "link-down")], "another link is told");
    let links: Vec<_> = w.alerts.kept().filter(|k| w.alerts.held(k, w.now) == Some(Held::Inhibited)).collect();
    assert_eq!(links.len(), 4);
    // They go with it, a moment later.
    w.clear(&dead("p7"));
    w.pass(s(3));
    w.clear(&down("p7", "p1"));
    w.clear(&down("p7", "p2"));
    w.clear(&seen(FindingKind::DnsReverse, Subject::Peer("p7".into())));
    // But for one that has a fault of its own.
    let late = w.pass(s(10));
    assert_eq!(words(&late), [(Told::Raised, "link-down")]);
    assert!(late[0].alert.seen.hosts.contains(&HostName::new("p3.example.com")));
    assert_eq!(w.told.iter().filter(|n| n.told == Told::Raised).count(), 3);
}

#[test]
fn b5_a_flapping_link_explains_that_it_is_down_now_and_then() {
    let mut w = Watch::new(plain());
    w.raise(&flapping("p1", "p2"));
    for _ in 0..20 {
        w.raise(&down("p1", "p2"));
        w.pass(s(1));
        w.clear(&down("p1", "p2"));
        w.pass(s(1));
    }
    w.clear(&flapping("p1", "p2"));
    w.pass(s(3600));
    assert_eq!(words(&w.told), [(Told::Raised, "link-flapping"), (Told::Cleared, "link-flapping")]);
}

#[test]
fn b5_a_watcher_that_sees_nobody_tells_that_alone_and_forgets_nothing() {
    let mut w = Watch::new(plain());
    w.raise(&dead("p1"));
    let blind = seen(FindingKind::WatcherBlind, Subject::Watcher);
    assert_eq!(words(&w.raise(&blind)), [(Told::Raised, "watcher-blind")]);
    w.raise(&dead("p2"));
    w.clear(&dead("p1"));
    w.pass(s(600));
    w.picture(&[&blind], true);
    assert_eq!(w.told.len(), 2, "nothing is raised, and nothing counts as gone: {:?}", words(&w.told));
    w.restart();
    w.picture(&[&blind], true);
    assert_eq!(w.told.len(), 2);
    // It sees again: p1 is well, p2 is not.
    w.step([Event::Told(Transition::Cleared, blind.clone()), Event::Picture { seen: vec![dead("p2")], settled: true }]);
    w.pass(s(30));
    let rest: BTreeSet<_> = w.told[2..].iter().map(|n| (n.told.as_str(), n.alert.id().to_string())).collect();
    let id = |s: &Seen| s.finding.id.to_string();
    assert_eq!(
        rest,
        BTreeSet::from([("cleared", id(&blind)), ("cleared", id(&dead("p1"))), ("raised", id(&dead("p2")))])
    );
}

#[test]
fn b5_a_restart_neither_repeats_nor_forgets() {
    let mut w = Watch::new(Rules::default());
    w.raise(&dead("p1"));
    w.raise(&down("p2", "p3"));
    w.restart();
    w.pass(s(2));
    assert_eq!(w.picture(&[], false), [], "nobody has answered yet");
    assert_eq!(w.raise(&dead("p1")), [], "it is there still");
    let end = w.picture(&[&dead("p1")], true);
    assert_eq!(words(&end), [(Told::Cleared, "link-down")], "what went meanwhile is told");
    assert_eq!(end[0].seq, 3);
}

#[test]
fn b5_what_lasts_is_repeated_until_somebody_looks_after_it() {
    let mut w = Watch::new(Rules { repeat: s(3600), ..Rules::default() });
    w.raise(&dead("p1"));
    assert_eq!(words(&w.pass(s(7300))), [(Told::Repeated, "peer-unreachable"); 2]);
    let ack = Ack { by: Line::new("ann"), at: w.now + s(3), reason: Line::new("") };
    let id = dead("p1").finding.id;
    let told = w.step([Event::Acknowledge { id: id.clone(), ack: ack.clone() }]);
    assert_eq!(words(&told), [(Told::Acknowledged, "peer-unreachable")]);
    assert_eq!(told[0].alert.ack, Some(ack.clone()));
    w.restart();
    assert_eq!(w.pass(s(36_000)), []);
    // The acknowledgement ends with the incident.
    w.clear(&dead("p1"));
    assert_eq!(words(&w.raise(&dead("p1"))), [(Told::Raised, "peer-unreachable")]);
    assert_eq!(w.told.last().unwrap().alert.ack, None);
    let nobody = w.step([Event::Acknowledge { id: down("p8", "p9").finding.id, ack }]);
    assert_eq!(nobody, [], "there is nothing to look after");
}

#[test]
fn b5_a_silence_holds_until_it_ends_and_hides_no_end_of_what_was_told() {
    let mut w = Watch::new(plain());
    w.raise(&down("p1", "p2"));
    w.silence(Matcher { host: Some("p1.example.com".into()), ..Matcher::default() }, s(600));
    assert_eq!(w.raise(&seen(FindingKind::ClockSkew, Subject::Peer("p1".into()))), []);
    assert_eq!(
        words(&w.raise(&seen(FindingKind::ClockSkew, Subject::Peer("p3".into())))),
        [(Told::Raised, "clock-skew")]
    );
    assert_eq!(words(&w.clear(&down("p1", "p2"))), [(Told::Cleared, "link-down")], "its beginning was told");
    let after = w.pass(s(700));
    assert_eq!(words(&after), [(Told::Raised, "clock-skew")], "still there when the silence ends");
    assert_eq!(after[0].at, START + s(600));
    assert!(!Matcher::default().fits(&dead("p1")), "a silence about nothing in particular silences nothing");
}

#[test]
fn b5_another_severity_or_another_text_is_a_change() {
    let mut w = Watch::new(plain());
    w.raise(&dead("p1"));
    let rule = Rule { severity: Some(Severity::Notice), ..Rule::default() };
    let told = w.step([Event::Rules(Rules { rules: vec![rule], ..plain() })]);
    assert_eq!(words(&told), [(Told::Changed, "peer-unreachable")]);
    assert_eq!((told[0].before, told[0].alert.severity()), (Some(Severity::Critical), Severity::Notice));
    let mut other = dead("p1");
    other.finding.text = Line::new("p1 is dead for another reason");
    assert_eq!(w.picture(&[&other], true), [], "words of the picture alone are no news");
    assert_eq!(words(&w.step([Event::Told(Transition::Changed, other.clone())])), [], "nor are those that stand there");
    other.finding.text = Line::new("p1 is dead for a third reason");
    assert_eq!(words(&w.step([Event::Told(Transition::Changed, other)])), [(Told::Changed, "peer-unreachable")]);
    assert_eq!(w.clear(&dead("p1"))[0].alert.severity(), Severity::Notice, "as it was told last");
}

#[test]
fn b5_what_comes_and_goes_within_one_batch_is_told() {
    let mut w = Watch::new(plain());
    let told = w.step([
        Event::Told(Transition::Raised, dead("p1")),
        Event::Told(Transition::Raised, dead("p2")),
        Event::Told(Transition::Cleared, dead("p1")),
    ]);
    let of = |n: &Notice| (n.told, n.alert.id().clone());
    let told: Vec<_> = told.iter().map(of).collect();
    let (p1, p2) = (dead("p1").finding.id, dead("p2").finding.id);
    assert_eq!(told, [(Told::Raised, p1.clone()), (Told::Raised, p2), (Told::Cleared, p1)]);
}

#[test]
fn b5_a_thousand_findings_at_once_are_told_once_each() {
    let mut w = Watch::new(plain());
    let all: Vec<Seen> =
        (0..1000).map(|n| seen(FindingKind::ClockSkew, Subject::Peer(format!("p{n}").as_str().into()))).collect();
    w.step(all.iter().map(|f| Event::Told(Transition::Raised, f.clone())));
    w.picture(&all.iter().collect::<Vec<_>>(), true);
    w.step(all.iter().map(|f| Event::Told(Transition::Cleared, f.clone())));
    let count =
        |told: Told| w.told.iter().filter(|n| n.told == told).map(|n| n.alert.id()).collect::<BTreeSet<_>>().len();
    assert_eq!((w.told.len(), count(Told::Raised), count(Told::Cleared)), (2000, 1000, 1000));
    assert_eq!(w.told.last().unwrap().seq, 2000);
}

/// Something that happens to the watch.
#[derive(Clone, Debug)]
enum Deed {
    Raise(usize),
    Clear(usize),
    Reword(usize, u8),
    Pass(u64),
    Restart,
    Silence(usize, u64),
    Acknowledge(usize),
    Picture,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let one = prop_oneof![
        6 => (0..12_usize).prop_map(Deed::Raise),
        6 => (0..12_usize).prop_map(Deed::Clear),
        1 => (0..12_usize, 0..3_u8).prop_map(|(n, w)| Deed::Reword(n, w)),
        6 => (0..400_u64).prop_map(Deed::Pass),
        1 => Just(Deed::Restart),
        1 => (0..12_usize, 1..500_u64).prop_map(|(n, t)| Deed::Silence(n, t)),
        1 => (0..12_usize).prop_map(Deed::Acknowledge),
        2 => Just(Deed::Picture),
    ];
    prop::collection::vec(one, 1..80)
}

/// Findings that explain each other, and some that don't.
fn pool() -> Vec<Seen> {
    let peer = |kind, p: &str| seen(kind, Subject::Peer(PeerId::new(p)));
    vec![
        seen(FindingKind::WatcherBlind, Subject::Watcher),
        dead("p1"),
        dead("p2"),
        down("p1", "p2"),
        down("p2", "p3"),
        flapping("p1", "p2"),
        peer(FindingKind::DnsForward, "p1"),
        peer(FindingKind::ClockSkew, "p3"),
        peer(FindingKind::Maintenance, "p2"),
        seen(FindingKind::GroupsCut, Subject::groups(&GroupName::new("a"), &GroupName::new("b"))),
        peer(FindingKind::ObserverSick, "p3"),
        seen(FindingKind::Inconsistency, Subject::Cluster),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 150 } else { 2_000 }))]

    /// Whatever happens: raised and cleared alternate for each finding, numbers have no gap, what is gone for good is
    /// told as gone, and what stays and is not held back is told as there.
    #[test]
    fn b5_told_is_what_is_there_whatever_happens(deeds in deeds()) {
        let rules = Rules { hold: s(2), recovery: s(3), repeat: s(900), ..Rules::default() };
        let mut w = Watch::new(rules);
        let pool = pool();
        let mut there: BTreeSet<usize> = BTreeSet::new();
        for deed in deeds {
            w.now = w.now + Duration::from_millis(1);
            match deed {
                Deed::Raise(n) => { there.insert(n); w.raise(&pool[n]); }
                Deed::Clear(n) => { there.remove(&n); w.clear(&pool[n]); }
                Deed::Reword(n, word) => if there.contains(&n) {
                    let mut seen = pool[n].clone();
                    seen.finding.text = Line::new(&format!("in other words {word}"));
                    w.step([Event::Told(Transition::Changed, seen)]);
                },
                Deed::Pass(span) => { w.pass(s(span)); }
                Deed::Restart => w.restart(),
                Deed::Silence(n, span) => w.silence(
                    Matcher { id: Some(pool[n].finding.id.clone()), ..Matcher::default() }, s(span)),
                Deed::Acknowledge(n) => {
                    let ack = Ack { by: Line::new("ann"), at: w.now, reason: Line::new("") };
                    w.step([Event::Acknowledge { id: pool[n].finding.id.clone(), ack }]);
                }
                Deed::Picture => {
                    let seen: Vec<&Seen> = there.iter().map(|n| &pool[*n]).collect();
                    w.picture(&seen, true);
                }
            }
        }
        // Everything comes to rest.
        let seen: Vec<&Seen> = there.iter().map(|n| &pool[*n]).collect();
        w.picture(&seen, true);
        w.pass(s(7_200));
        let mut raised: BTreeSet<FindingId> = BTreeSet::new();
        for (n, notice) in w.told.iter().enumerate() {
            prop_assert_eq!(notice.seq, u64::try_from(n).unwrap() + 1);
            let id = notice.alert.id().clone();
            match notice.told {
                Told::Raised => prop_assert!(raised.insert(id), "raised twice: {:?}", notice),
                Told::Cleared => prop_assert!(raised.remove(&id), "cleared and not raised: {:?}", notice),
                Told::Changed | Told::Repeated | Told::Acknowledged =>
                    prop_assert!(raised.contains(&id), "not raised: {:?}", notice),
            }
        }
        let blind = there.contains(&0);
        for (n, seen) in pool.iter().enumerate() {
            let id = &seen.finding.id;
            let kept = w.alerts.kept().find(|k| k.seen.finding.id == *id);
            let held = kept.and_then(|k| w.alerts.held(k, w.now));
            if there.contains(&n) && held.is_none() {
                prop_assert!(raised.contains(id), "there and not told: {id}");
            }
            if !there.contains(&n) && !blind {
                prop_assert!(!raised.contains(id), "gone and not told: {id}");
            }
        }
        // And a restart says nothing new.
        let before = w.told.len();
        w.restart();
        w.picture(&seen, true);
        w.pass(s(10));
        prop_assert!(w.told[before..].iter().all(|n| n.told == Told::Repeated), "{:?}", words(&w.told[before..]));
    }
}
