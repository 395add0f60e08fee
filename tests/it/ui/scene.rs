//! Pictures to draw: clusters made by hand, with faults.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use peerdeck::domain::event::{Event, EventKind};
use peerdeck::domain::ha::HaStatus;
use peerdeck::domain::mesh::link::Probe;
use peerdeck::domain::mesh::verdict::Verdict;
use peerdeck::domain::mesh::{DnsCheck, DnsResult, Pulse};
use peerdeck::domain::observation::{Health, Identity};
use peerdeck::domain::settings::{CommitId, Holding, Tree};
use peerdeck::domain::snapshot::{Committed, Limits, Settings};
use peerdeck::domain::{
    BootId, Cause, Cluster, Finding, FindingId, FindingKind, GroupName, HostName, Line, Link, LinkState, Maintenance,
    Peer, PeerId, Reach, ReachState, Row, Snapshot, Subject, Time,
};

/// 2026-03-14 03:14:21 UTC.
pub const NOW: Time = Time::from_millis(1_773_458_061_000);

/// A cluster that is being made up.
#[derive(Clone)]
pub struct Scene {
    hosts: Vec<String>,
    groups: Vec<String>,
    links: BTreeMap<(usize, usize), Link>,
    peers: BTreeMap<usize, Tweak>,
    verdicts: Vec<Verdict>,
    findings: Vec<Finding>,
    events: Vec<Event>,
    tree: Option<Arc<Tree>>,
    commits: Vec<Committed>,
    units: BTreeMap<usize, (Arc<HaStatus>, Time)>,
}

#[derive(Clone, Default)]
struct Tweak {
    age: Option<Duration>,
    late: Duration,
    detached: bool,
    level: Option<u32>,
    lost: bool,
    silent: bool,
    maintenance: Option<Maintenance>,
    holding: Option<Arc<Holding>>,
}

pub fn ago(seconds: u64) -> Time {
    NOW.before(Duration::from_secs(seconds))
}

impl Scene {
    /// `n` peers that all see each other, in the groups of the lab.
    pub fn lab(n: usize) -> Self {
        let names = ["Main_Group", "Paris", "Rome"];
        let per_group = n.div_ceil(names.len()).max(1);
        let hosts: Vec<String> = (1..=n).map(|i| format!("lab{i}.example.com")).collect();
        let groups = (0..n).map(|i| names[(i / per_group).min(2)].to_owned()).collect();
        Self::of(hosts, groups)
    }

    /// These peers, all connected.
    pub fn of(hosts: Vec<String>, groups: Vec<String>) -> Self {
        let mut scene = Self {
            hosts,
            groups,
            links: BTreeMap::new(),
            peers: BTreeMap::new(),
            verdicts: vec![],
            findings: vec![],
            events: vec![],
            tree: None,
            commits: vec![],
            units: BTreeMap::new(),
        };
        let n = scene.hosts.len();
        for i in 0..n {
            for j in (0..n).filter(|j| *j != i) {
                let mut link = Link::connecting(scene.id(j), ago(4000));
                link.state = LinkState::Connected;
                link.rtt = Some(Duration::from_micros(400 + ((i * 7 + j * 13) % 9) as u64 * 100));
                link.address = format!("127.88.0.{}:22", j % 250 + 1).parse().ok();
                link.probe = Probe::Heard;
                link.heard = Some(NOW);
                link.dns = DnsCheck { forward: DnsResult::Ok, reverse: DnsResult::Ok, answer: Line::default() };
                scene.links.insert((i, j), link);
            }
        }
        scene
    }

    pub fn id(&self, i: usize) -> PeerId {
        assert!(i < self.hosts.len(), "no such peer");
        PeerId::new(&format!("SN{i:04}"))
    }

    /// The peers tell these settings.
    pub fn settings(&mut self, tree: &Arc<Tree>) -> &mut Self {
        self.tree = Some(Arc::clone(tree));
        self
    }

    /// `i` told this of its HA group, so many milliseconds ago.
    pub fn ha(&mut self, i: usize, status: HaStatus, told: u64) -> &mut Self {
        self.units.insert(i, (Arc::new(status), NOW.before(Duration::from_millis(told))));
        self
    }

    pub fn link(&mut self, from: usize, to: usize, change: impl FnOnce(&mut Link)) -> &mut Self {
        change(self.links.get_mut(&(from, to)).unwrap());
        self
    }

    /// `from` says that it does not reach `to`.
    pub fn down(&mut self, from: usize, to: usize, cause: Cause, seconds: u64) -> &mut Self {
        self.link(from, to, |l| {
            l.state = LinkState::Down;
            l.cause = Some(cause);
            l.since = ago(seconds);
            l.rtt = None;
            l.failures = 3;
            l.attempts = 4;
            l.next_attempt = Some(NOW + Duration::from_millis(2100));
            l.probe = Probe::Silent;
            l.detail = Line::new("3 pings in a row without an answer");
        })
    }

    /// Both ways.
    pub fn cut(&mut self, a: usize, b: usize, seconds: u64) -> &mut Self {
        self.down(a, b, Cause::Timeout, seconds).down(b, a, Cause::Timeout, seconds)
    }

    fn tweak(&mut self, i: usize) -> &mut Tweak {
        self.peers.entry(i).or_default()
    }

    /// Nothing was heard of `i` for so long.
    pub fn stale(&mut self, i: usize, seconds: u64) -> &mut Self {
        *self.tweak(i) = Tweak { age: Some(Duration::from_secs(seconds)), lost: true, ..Tweak::default() };
        self
    }

    /// Nothing was ever heard of `i`.
    pub fn silent(&mut self, i: usize) -> &mut Self {
        self.tweak(i).silent = true;
        self
    }

    /// The first peer has taken this commit of actor `a` from here.
    pub fn commit(&mut self, seq: u64, comment: &str, at: Time) -> &mut Self {
        let (commit, on) = (CommitId { actor: Line::new("a"), seq }, self.id(0));
        self.commits.push(Committed { id: seq, commit, on, at, comment: Line::new(comment) });
        self
    }

    /// `i` has so many commits of this actor.
    pub fn holds(&mut self, i: usize, actor: &str, seq: u64) -> &mut Self {
        let have = [(Line::new(actor), seq)].into_iter().collect();
        self.tweak(i).holding = Some(Arc::new(Holding { have, ..Holding::default() }));
        self
    }

    pub fn late(&mut self, i: usize) -> &mut Self {
        self.tweak(i).late = Duration::from_millis(2400);
        self
    }

    pub fn level(&mut self, i: usize, level: u32) -> &mut Self {
        self.tweak(i).level = Some(level);
        self
    }

    /// Somebody works on `i`.
    pub fn maintain(&mut self, i: usize) -> &mut Self {
        let by = Line::new("admin from 10.0.0.9, at lab1.example.com");
        self.tweak(i).maintenance =
            Some(Maintenance::lasting(ago(1200), Duration::from_mins(90), by, Line::new("new disk")));
        let text = format!("lab{} is in maintenance until 2026-03-14 04:24 UTC, announced by admin: new disk", i + 1);
        let peer = self.id(i);
        self.finding(FindingKind::Maintenance, Subject::Peer(peer), 1200, &text)
    }

    /// `i` is worked on for another half an hour.
    pub fn announce(&mut self, i: usize, reason: &str) -> &mut Self {
        let until = NOW + Duration::from_mins(30);
        self.tweak(i).maintenance =
            Some(Maintenance { since: ago(600), until, by: Line::new("admin"), reason: Line::new(reason) });
        self
    }

    /// `i` is disconnected on purpose.
    pub fn detach(&mut self, i: usize) -> &mut Self {
        self.tweak(i).detached = true;
        let n = self.hosts.len();
        for j in (0..n).filter(|j| *j != i) {
            for (from, to) in [(i, j), (j, i)] {
                self.link(from, to, |l| {
                    l.state = LinkState::Detached;
                    l.cause = Some(Cause::Detached);
                    l.since = ago(600);
                });
            }
        }
        self
    }

    pub fn verdict(
        &mut self,
        kind: FindingKind,
        subject: Subject,
        seen_by: usize,
        seconds: u64,
        text: &str,
    ) -> &mut Self {
        let first = self.id(seen_by);
        self.verdicts.push(Verdict {
            kind,
            subject: subject.clone(),
            since: ago(seconds),
            first_seen_by: Some(first),
            text: Line::new(text),
            evidence: vec![],
            cells: vec![],
        });
        self.finding(kind, subject, seconds, text)
    }

    pub fn finding(&mut self, kind: FindingKind, subject: Subject, seconds: u64, text: &str) -> &mut Self {
        self.findings.push(Finding {
            id: FindingId::new(kind, &"americas".into(), &subject),
            cluster: "americas".into(),
            kind,
            severity: kind.severity(),
            subject,
            since: ago(seconds),
            text: Line::new(text),
            evidence: vec![
                Line::new("lab3 says: down, timeout, 3 pings in a row without an answer"),
                Line::new("lab5 says: connected, datagrams of lab3 arrive"),
            ],
            advice: Line::new(
                "look at the firewalls on the way from lab5 to lab3: answers get lost in this direction only",
            ),
        });
        self
    }

    pub fn event(&mut self, seconds: u64, kind: EventKind, text: &str) -> &mut Self {
        self.events.push(Event {
            at: ago(seconds),
            cluster: None,
            kind,
            subject: Subject::Cluster,
            text: Line::new(text),
        });
        self
    }

    /// Without these peers: as if they had left the membership.
    pub fn without(&self, gone: &[usize]) -> Snapshot {
        let mut snapshot = self.build();
        let cluster = Arc::make_mut(&mut snapshot.clusters[0]);
        let keep: Vec<usize> = (0..self.hosts.len()).filter(|i| !gone.contains(i)).collect();
        cluster.peers = keep
            .iter()
            .map(|i| {
                let mut peer = (*cluster.peers[*i]).clone();
                peer.cells = keep.iter().map(|j| peer.cells[*j].clone()).collect();
                peer.pulses = keep.iter().map(|j| peer.pulses[*j]).collect();
                Arc::new(peer)
            })
            .collect();
        cluster.index = Arc::new(cluster.peers.iter().enumerate().map(|(i, p)| (p.id.clone(), i)).collect());
        snapshot
    }

    pub fn build(&self) -> Snapshot {
        let n = self.hosts.len();
        let peers: Vec<Arc<Peer>> = (0..n).map(|i| Arc::new(self.peer(i))).collect();
        let mut groups: Vec<GroupName> = self.groups.iter().map(|g| GroupName::new(g)).collect();
        groups.dedup();
        let links = peers.iter().flat_map(|p| p.cells.iter().flatten());
        let changes = links.filter(|l| l.state != LinkState::Connected).count() as u64;
        let cluster = Cluster {
            name: "americas".into(),
            groups,
            index: Arc::new(peers.iter().enumerate().map(|(i, p)| (p.id.clone(), i)).collect()),
            peers,
            membership_revision: Some(7),
            verdicts: Arc::new(self.verdicts.clone()),
            findings: Arc::new(self.findings.clone()),
            settings: self.tree.as_ref().map(|tree| {
                let digest = Line::new(&format!("{:p}", Arc::as_ptr(tree)));
                Arc::new(Settings { tree: Arc::clone(tree), source: self.id(0), digest, at: NOW })
            }),
            catalogue: super::tree::catalogue(),
            commits: Arc::new(self.commits.clone()),
            limits: Limits::default(),
            changes,
        };
        Snapshot {
            at: NOW,
            generation: 1,
            clusters: vec![Arc::new(cluster)],
            events: Arc::new(self.events.clone()),
            dropped: 0,
        }
    }

    fn peer(&self, i: usize) -> Peer {
        let tweak = self.peers.get(&i).cloned().unwrap_or_default();
        let n = self.hosts.len();
        let age = tweak.age.unwrap_or(Duration::from_millis(300));
        let host = HostName::new(&self.hosts[i]);
        let level = tweak.level.unwrap_or(1);
        let cells: Vec<Option<Arc<Link>>> =
            (0..n).map(|j| self.links.get(&(i, j)).map(|l| Arc::new(l.clone()))).collect();
        let pulses = (0..n).map(|j| self.pulse(i, j)).collect();
        let links: Vec<Arc<Link>> = cells.iter().flatten().cloned().collect();
        let row = Row {
            origin: self.id(i),
            boot: BootId(1),
            seq: 1,
            vouched: NOW.before(age),
            via: None,
            detached: tweak.detached.then(|| ago(600)),
            maintenance: tweak.maintenance.clone(),
            level,
            links,
        };
        let mut reach = Reach::new(ago(4000));
        reach.address = format!("127.88.0.{}:22", i % 250 + 1).parse().ok();
        reach.rtt = Some(Duration::from_micros(700));
        reach.state = ReachState::Connected;
        if tweak.lost || tweak.silent {
            reach.state = ReachState::Unreachable;
            reach.cause = Some(Cause::Refused);
            reach.detail = Line::new("tcp connect to 127.88.0.4:22: connection refused");
            reach.next_attempt = Some(NOW + Duration::from_millis(1500));
            reach.attempts = 5;
        }
        let identity = Identity {
            id: self.id(i),
            host: host.clone(),
            version: Line::new("peerdeck 0.1.0"),
            level,
            boot: BootId(1),
            interval: Duration::from_secs(1),
        };
        Peer {
            id: self.id(i),
            host,
            group: Some(GroupName::new(&self.groups[i])),
            observed: true,
            reach,
            identity: (!tweak.silent).then(|| Arc::new(identity)),
            cells: if tweak.silent { vec![None; n].into() } else { cells.into() },
            row: (!tweak.silent).then(|| Arc::new(row)),
            confirmed: Time::ZERO,
            pulses,
            holding: tweak.holding.clone(),
            ha: self.units.get(&i).cloned(),
            health: Health { clock_offset_ms: 3, late: tweak.late, dropped: 0 },
            sessions: Arc::new([]),
        }
    }

    fn pulse(&self, i: usize, j: usize) -> Pulse {
        let mut pulse = Pulse::default();
        let Some(link) = self.links.get(&(i, j)) else { return pulse };
        for k in 0..16u64 {
            let lost = link.state == LinkState::Down && k >= 12;
            pulse.push((!lost).then(|| Duration::from_micros(300 + (k * 37 % 11) * 150)));
        }
        pulse.set_rtt(link.rtt);
        pulse
    }
}

/// The picture of the design: lab3 does not reach lab5, the way back works.
pub fn one_sided() -> Scene {
    let mut scene = Scene::lab(6);
    let (from, to) = (scene.id(2), scene.id(4));
    // One connection serves both directions: both are down, and only datagrams tell which one is broken.
    scene.cut(2, 4, 134);
    scene.link(2, 4, |l| l.probe = Probe::Heard);
    scene.link(5, 2, |l| {
        *l = Link { address: l.address, dns: l.dns.clone(), ..Link::connecting(l.to.clone(), ago(2)) };
    });
    scene.verdict(
        FindingKind::LinkOneSided,
        Subject::Link { from, to },
        2,
        134,
        "lab3 does not reach lab5; the way back works (one-sided)",
    );
    let peer = scene.id(5);
    scene.finding(FindingKind::ClockSkew, Subject::Peer(peer), 900, "the wall clock of lab6 is 7.2 s ahead");
    scene.event(4000, EventKind::Reach, "connected to lab1, lab2, lab3, lab4, lab5, lab6");
    scene.event(134, EventKind::Link, "lab3 → lab5: connected → down (timeout)");
    scene.event(132, EventKind::Raised, "lab3 does not reach lab5; the way back works (one-sided)");
    scene.event(2, EventKind::Link, "lab6 → lab3: down → connecting");
    scene
}
