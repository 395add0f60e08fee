//! A small world of peers that report to an engine: what the scenario files act on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use peerdeck::domain::finding::{Finding, Transition};
use peerdeck::domain::ha::HaStatus;
use peerdeck::domain::maintenance::Maintenance;
use peerdeck::domain::membership::{Addressing, Machine, Membership};
use peerdeck::domain::mesh::link::{Cause, DnsResult, Link, LinkState, Probe};
use peerdeck::domain::observation::{Health, Identity, RowDelta, TreePart};
use peerdeck::domain::reach::{Endpoint, EndpointKey, PeerEvent, PeerRequest};
use peerdeck::domain::settings::{Content, Entry, Holding, Key, ModeId, Past, Stamp, Tree, Value, Version, VersionId};
use peerdeck::domain::snapshot::{Limits, Snapshot};
use peerdeck::domain::{
    BootId, ClusterName, Fact, FeatureName, GroupId, HostName, Line, MemberId, Observation, Outcome, PeerId, Plan, Row,
    Time,
};
use peerdeck::engine::{ClusterConfig, Config, Effect, Engine, Event};

use super::pair::{Pair, Unit};

/// The engine's own moment zero: late enough that ages don't reach before the epoch.
pub const START: u64 = 1_000_000_000;

/// One peer, as it is and as it talks.
#[expect(clippy::struct_excessive_bools, reason = "facts that hold independently of each other")]
pub struct Actor {
    pub host: String,
    pub group: String,
    pub links: BTreeMap<String, Link>,
    pub detached: Option<Time>,
    pub maintenance: Option<Maintenance>,
    pub level: u32,
    pub version: String,
    pub health: Health,
    /// Whether this console has it on the line.
    pub connected: bool,
    /// Whether it reports.
    pub talks: bool,
    /// Whether it tells in whole rows only.
    seq: u64,
    told: u64,
    base: bool,
    relay: BTreeSet<String>,
    next_report: Time,
    /// Its settings, told whole whenever they are others; by [`World::write`] the same on all peers.
    pub tree: Option<Arc<Tree>>,
    tree_told: Option<Arc<Tree>>,
    /// Whether its tree is wanted.
    pub wanted: bool,
    /// As a unit of an HA group; told with each report.
    pub ha: Option<Pair>,
    pub holding: Option<Holding>,
    holding_told: Option<Holding>,
}

/// Peers, an engine, and what the engine said.
pub struct World {
    pub engine: Engine,
    pub now: Time,
    pub cluster: ClusterName,
    pub actors: BTreeMap<String, Actor>,
    pub membership: Option<Membership>,
    pub alerts: Vec<(Time, Transition, Finding)>,
    pub outcomes: Vec<(u64, Outcome)>,
    pub histories: Vec<(u64, Result<Vec<Past>, Line>)>,
    pub requests: Vec<(EndpointKey, PeerRequest)>,
    pub started: BTreeSet<EndpointKey>,
    pub events: Vec<peerdeck::domain::Event>,
    pub interval: Duration,
    next_tick: Time,
}

pub fn time(seconds: f64) -> Time {
    Time::from_millis(START) + Duration::from_secs_f64(seconds)
}

fn host(name: &str) -> String {
    format!("{name}.example.com")
}

impl World {
    /// All peers of the groups, each connected to each; the console connects when [`World::connect_all`] says so.
    pub fn new(
        groups: &[(String, Vec<String>)],
        limits: Limits,
        observed: &dyn Fn(&str) -> bool,
        discover: bool,
    ) -> Self {
        let cluster = ClusterName::new("americas");
        let now = time(0.0);
        let names: Vec<String> = groups.iter().flat_map(|(_, of)| of.clone()).collect();
        let mut actors = BTreeMap::new();
        for (group, of) in groups {
            for name in of {
                let links = names.iter().filter(|n| *n != name).map(|n| (n.clone(), connected(n, now))).collect();
                actors.insert(
                    name.clone(),
                    Actor {
                        host: host(name),
                        group: group.clone(),
                        links,
                        detached: None,
                        maintenance: None,
                        level: 1,
                        version: "peerdeck 0.1.0".into(),
                        health: Health::default(),
                        connected: false,
                        talks: true,
                        seq: 1,
                        told: 0,
                        base: false,
                        relay: BTreeSet::new(),
                        next_report: now,
                        tree: None,
                        tree_told: None,
                        wanted: false,
                        ha: None,
                        holding: None,
                        holding_told: None,
                    },
                );
            }
        }
        let mut membership = Membership {
            cluster_id: "c1".into(),
            name: cluster.clone(),
            revision: 1,
            addressing: Addressing::HostName,
            groups: groups.iter().map(|(g, _)| g.as_str().into()).collect(),
            machines: actors.iter().map(|(name, a)| Arc::new(machine(name, &a.host, &a.group))).collect(),
        };
        membership.sort();
        let endpoints = names.iter().filter(|n| observed(n)).map(|n| endpoint(&cluster, n)).collect();
        let config = Config {
            clusters: vec![ClusterConfig {
                name: cluster.clone(),
                endpoints,
                discover,
                limits,
                catalogue: peerdeck::proto::features::built_in(),
            }],
        };
        let (engine, effects) = Engine::new(config, now);
        let mut world = Self {
            engine,
            now,
            cluster,
            actors,
            membership: Some(membership),
            alerts: Vec::new(),
            outcomes: Vec::new(),
            histories: Vec::new(),
            requests: Vec::new(),
            started: BTreeSet::new(),
            events: Vec::new(),
            interval: Duration::from_secs(1),
            next_tick: now,
        };
        world.take(effects);
        world
    }

    pub fn key(&self, name: &str) -> EndpointKey {
        EndpointKey { cluster: self.cluster.clone(), host: HostName::new(&host(name)), port: 22 }
    }

    pub fn connect_all(&mut self) {
        let wanted: Vec<String> = self.actors.keys().filter(|n| self.started.contains(&self.key(n))).cloned().collect();
        for name in wanted {
            self.connect(&name);
        }
    }

    /// The console reaches a peer, which reports at once.
    pub fn connect(&mut self, name: &str) {
        let id = PeerId::new(name);
        self.say(name, PeerEvent::Connected { address: None, took: Duration::from_millis(40), id });
        let now = self.now;
        let actor = self.actors.get_mut(name).unwrap();
        actor.connected = true;
        actor.talks = true;
        actor.base = false;
        actor.relay.clear();
        actor.next_report = now;
        // The driver asks again by itself.
        (actor.tree_told, actor.holding_told) = (None, None);
        self.report(name);
    }

    /// The same registers on all peers, on top of what they have; at first the groups and machines of the cluster.
    pub fn write(&mut self, registers: Vec<(Key, Option<Entry>)>) {
        let base = self.actors.values().find_map(|a| a.tree.clone());
        let mut tree = base.map_or_else(|| base_tree(self.membership.as_ref().unwrap()), |t| Tree::clone(&t));
        tree.update(registers);
        let tree = Arc::new(tree);
        self.actors.values_mut().for_each(|a| a.tree = Some(Arc::clone(&tree)));
    }

    /// What a peer has of the commits of an actor.
    pub fn hold(&mut self, name: &str, actor: &str, seq: u64) {
        let holding = self.actors.get_mut(name).unwrap().holding.get_or_insert_default();
        holding.have.insert(actor.into(), seq);
        holding.digest = Line::new(&format!("{:?}", holding.have));
    }

    pub fn lose(&mut self, name: &str, cause: Cause) {
        self.actors.get_mut(name).unwrap().connected = false;
        self.say(
            name,
            PeerEvent::Lost {
                cause,
                detail: "as the scenario says".into(),
                address: None,
                retry_in: Some(Duration::from_secs(1)),
            },
        );
    }

    /// Changes what `from` says about `to`; told at the next report, at once where `now` is set.
    pub fn change(&mut self, from: &str, to: &str, change: impl FnOnce(&mut Link)) {
        let now = self.now;
        let actor = self.actors.get_mut(from).unwrap_or_else(|| panic!("no peer {from}"));
        let link = actor.links.get_mut(to).unwrap_or_else(|| panic!("no link {from}>{to}"));
        let before = link.state;
        change(link);
        if link.state != before {
            link.since = now;
        }
        actor.seq += 1;
    }

    pub fn set_state(&mut self, from: &str, to: &str, state: LinkState, cause: Option<Cause>) {
        self.change(from, to, |link| {
            link.state = state;
            link.cause = cause;
        });
    }

    pub fn set_probe(&mut self, from: &str, to: &str, probe: Probe) {
        // What arrives of `from` is known to `to`.
        self.change(to, from, |link| link.probe = probe);
    }

    pub fn say(&mut self, name: &str, event: PeerEvent) {
        let key = self.key(name);
        self.step(Event::Peer { key, event });
    }

    pub fn step(&mut self, event: Event) {
        let effects = self.engine.step(self.now, event);
        self.take(effects);
    }

    pub fn submit(&mut self, id: u64, plan: Plan) {
        let cluster = self.cluster.clone();
        self.step(Event::Submit { id, cluster, plan });
    }

    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Start(endpoint) => {
                    self.started.insert(endpoint.key);
                }
                Effect::Stop(key) => {
                    self.started.remove(&key);
                }
                Effect::Request { key, request } => {
                    if let PeerRequest::Tree(wanted) = &request {
                        let name = key.host.short().to_owned();
                        if let Some(actor) = self.actors.get_mut(&name) {
                            actor.wanted = *wanted;
                            actor.tree_told = None;
                        }
                    }
                    if let PeerRequest::Relay(of) = &request {
                        let name = key.host.short().to_owned();
                        if let Some(actor) = self.actors.get_mut(&name) {
                            actor.relay = of.iter().map(ToString::to_string).collect();
                        }
                    }
                    self.requests.push((key, request));
                }
                Effect::Alert(transition, finding) => self.alerts.push((self.now, transition, finding)),
                Effect::Happened(event) => self.events.push(event),
                Effect::Outcome { id, outcome } => self.outcomes.push((id, outcome)),
                Effect::History { id, past } => self.histories.push((id, past)),
            }
        }
    }

    /// Changes a peer as a unit of its HA group; `lab1` and `lab2` are each other's fellows.
    pub fn unit(&mut self, name: &str, unit: &Unit) {
        let now = self.now;
        let other = if name == "lab1" { "lab2" } else { "lab1" };
        self.actors.get_mut(name).unwrap().ha.get_or_insert_with(|| Pair::new(other, now)).change(unit, now);
    }

    fn ha_word(&mut self, name: &str) -> Option<Arc<HaStatus>> {
        let now = self.now;
        let mine = self.actors[name].ha.as_ref()?.status.heartbeats.first()?.peer.clone()?;
        let fellow = self.actors.get(mine.as_str()).and_then(|a| a.ha.as_ref()).map(|p| p.status.clone());
        let actor = self.actors.get_mut(name)?;
        actor.ha.as_mut().map(|pair| pair.told(fellow.as_ref(), now))
    }

    /// One report of a peer that is on the line: what is new, and the rows that it was asked to pass on.
    pub fn report(&mut self, name: &str) {
        let now = self.now;
        let membership = self.membership.clone();
        let relayed: Vec<Fact> = self.actors[name].relay.iter().filter_map(|of| self.relayed(name, of)).collect();
        let ha = self.ha_word(name);
        let actor = self.actors.get_mut(name).unwrap();
        let id = PeerId::new(name);
        let mut facts = Vec::new();
        if actor.base {
            facts.push(Fact::RowDelta(RowDelta {
                seq: actor.seq,
                detached: actor.detached,
                maintenance: actor.maintenance.clone(),
                level: actor.level,
                changed: if actor.seq == actor.told {
                    Vec::new()
                } else {
                    actor.links.values().map(|l| Arc::new(l.clone())).collect()
                },
                removed: Vec::new(),
                pings: Vec::new(),
            }));
        } else {
            facts.push(Fact::Identity(Identity {
                id: id.clone(),
                host: HostName::new(&actor.host),
                version: Line::new(&actor.version),
                level: actor.level,
                boot: BootId(1),
                interval: Duration::from_secs(1),
            }));
            facts.extend(membership.map(|m| Fact::Membership(Arc::new(m))));
            facts.push(Fact::Row(Arc::new(row(name, actor, now, None))));
        }
        actor.base = true;
        actor.told = actor.seq;
        actor.next_report = now + self.interval;
        facts.extend(relayed);
        facts.push(Fact::Health(actor.health));
        facts.extend(ha.map(Fact::Ha));
        if actor.holding != actor.holding_told {
            actor.holding_told.clone_from(&actor.holding);
            facts.extend(actor.holding.clone().map(|h| Fact::Holding(Arc::new(h))));
        }
        if let Some(tree) = actor.tree.clone().filter(|t| actor.wanted && actor.tree_told.as_ref() != Some(t)) {
            actor.tree_told = Some(Arc::clone(&tree));
            let digest = actor.holding.as_ref().map(|h| h.digest.clone()).unwrap_or_default();
            let registers = tree.registers().map(|(k, e)| (k.clone(), Some(e.clone()))).collect();
            let cluster_id = tree.cluster_id.clone();
            facts.push(Fact::Tree(TreePart { cluster_id, first: true, last: true, digest, registers }));
        }
        let facts = facts.into_iter().map(|fact| Observation { at: now, observer: id.clone(), fact }).collect();
        self.say(name, PeerEvent::Observed(facts));
    }

    /// The row of `of` as `via` has it: young only where the two are connected over somebody.
    fn relayed(&self, via: &str, of: &str) -> Option<Fact> {
        let origin = self.actors.get(of)?;
        let is_up = |a: &str, b: &str| self.actors[a].links.get(b).is_some_and(|l| l.state == LinkState::Connected);
        let known = is_up(via, of) || self.actors.keys().any(|k| k != of && k != via && is_up(via, k) && is_up(k, of));
        (known && origin.talks).then(|| Fact::Row(Arc::new(row(of, origin, self.now, Some(via)))))
    }

    /// Lets time pass: reports each second, ticks each quarter.
    pub fn run_until(&mut self, end: Time) {
        while self.now < end {
            let next = (self.now + Duration::from_millis(50)).min(end);
            self.now = next;
            let due: Vec<String> = self
                .actors
                .iter()
                .filter(|(_, a)| a.connected && a.talks && a.next_report <= next)
                .map(|(n, _)| n.clone())
                .collect();
            for name in due {
                self.report(&name);
            }
            if self.next_tick <= next {
                self.next_tick = next + Duration::from_millis(250);
                self.step(Event::Tick);
            }
        }
    }

    pub fn run(&mut self, seconds: f64) {
        self.run_until(self.now + Duration::from_secs_f64(seconds));
    }

    pub fn snapshot(&mut self) -> Arc<Snapshot> {
        self.engine.snapshot(self.now)
    }
}

fn connected(to: &str, now: Time) -> Link {
    let mut link = Link::connecting(PeerId::new(to), now);
    link.state = LinkState::Connected;
    link.rtt = Some(Duration::from_micros(600));
    link.probe = Probe::Heard;
    link.dns.forward = DnsResult::Ok;
    link.dns.reverse = DnsResult::Ok;
    link
}

pub fn machine(name: &str, host: &str, group: &str) -> Machine {
    Machine {
        id: PeerId::new(name),
        host: HostName::new(host),
        group: group.into(),
        address: HostName::new(host),
        port: 22,
        machine_key: "ssh-ed25519 AAAA".into(),
        host_key: "ssh-ed25519 BBBB".into(),
    }
}

pub fn endpoint(cluster: &ClusterName, name: &str) -> Endpoint {
    Endpoint {
        key: EndpointKey { cluster: cluster.clone(), host: HostName::new(&host(name)), port: 22 },
        expected: None,
        address: None,
        vouched_host_key: None,
    }
}

fn row(name: &str, actor: &Actor, now: Time, via: Option<&str>) -> Row {
    Row {
        origin: PeerId::new(name),
        boot: BootId(1),
        seq: actor.seq,
        vouched: now,
        via: via.map(PeerId::new),
        detached: actor.detached,
        maintenance: actor.maintenance.clone(),
        level: actor.level,
        links: actor.links.values().map(|l| Arc::new(l.clone())).collect(),
    }
}

pub fn member(name: &str) -> MemberId {
    MemberId::new(&format!("m-{name}"))
}

pub fn group(name: &str) -> GroupId {
    GroupId::new(&format!("g-{name}"))
}

pub fn feature(mode: ModeId, name: &str) -> Key {
    Key::Feature(mode, FeatureName::new(name))
}

/// A version by admin on `on`; `at` in seconds of the writer's clock.
pub fn version(id: &str, content: Content, on: &str, at: u64) -> Version {
    let stamp = Stamp { at: Time::from_millis(at * 1000), count: 0, on: member(on) };
    Version { id: VersionId::new(id), content, stamp, by: "admin".into() }
}

pub fn text(text: &str) -> Content {
    Content::Value(Arc::new(Value::text(text)))
}

pub fn one(id: &str, content: Content) -> Option<Entry> {
    Entry::new(vec![version(id, content, "lab1", 1_795_000_000)])
}

/// The registers of the structure that the membership shows.
fn base_tree(m: &Membership) -> Tree {
    let mut all = vec![(Key::ClusterName, text(m.name.as_str()))];
    all.extend(m.groups.iter().map(|g| (Key::GroupName(group(g.as_str())), text(g.as_str()))));
    for machine in &m.machines {
        let id = member(machine.id.as_str());
        let fields = [
            ("serial", Value::text(machine.id.as_str())),
            ("host", Value::text(machine.host.as_str())),
            ("address", Value::text(machine.address.as_str())),
            ("port", Value::Int(22)),
            ("machine-key", Value::text("ssh-ed25519 AAAA")),
            ("host-key", Value::text("ssh-ed25519 BBBB")),
        ];
        all.push((Key::MachineIdentity(id.clone()), Content::Value(Arc::new(Value::table(fields)))));
        all.push((Key::MachineGroup(id), text(group(machine.group.as_str()).as_str())));
    }
    Tree::new(m.cluster_id.clone(), all.into_iter().map(|(key, c)| (key, one("genesis", c).unwrap())))
}
