//! Reads `tests/scenarios/*.toml`, plays each, and compares every alert with what the file says.
//!
//! A file lists what happens (`[[step]]`, times in seconds) and all alerts that come of it (`[[alert]]`), in
//! order, each with the earliest and the latest moment. What is not listed must not come.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use peerdeck::domain::maintenance::Maintenance;
use peerdeck::domain::mesh::link::{Cause, DnsResult, LinkState, Probe};
use peerdeck::domain::observation::{Fact, Observation};
use peerdeck::domain::reach::PeerEvent;
use peerdeck::domain::settings::{Content, Entry, Key, Version};
use peerdeck::domain::snapshot::Limits;
use peerdeck::domain::{FindingKind, PeerId};
use serde::Deserialize;

use super::pair::Unit;
use super::world::{World, time, version};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Scenario {
    /// What it shows, for the reader.
    #[expect(dead_code, reason = "for the reader of the file")]
    about: String,
    groups: toml::Table,
    /// How long it runs.
    until: f64,
    #[serde(default)]
    limits: BTreeMap<String, f64>,
    /// Peers that the console does not connect to.
    #[serde(default)]
    not_observed: Vec<String>,
    #[serde(default)]
    step: Vec<Step>,
    #[serde(default)]
    alert: Vec<Expected>,
    /// Verdicts at given moments.
    #[serde(default)]
    verdict: Vec<ExpectedVerdict>,
}

/// Something happens. Links are `a>b` (what a says of b) or `a-b` (both); `spread` seconds between one and the next.
#[derive(Deserialize, Clone, Default)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Step {
    at: f64,
    spread: f64,
    cause: Option<String>,
    down: Vec<String>,
    up: Vec<String>,
    /// Datagrams of the first no longer arrive at the second, or do again.
    silent: Vec<String>,
    heard: Vec<String>,
    /// Two peers lose each other in every way.
    cut: Vec<String>,
    heal: Vec<String>,
    /// The console loses or reaches a peer.
    lose: Vec<String>,
    reach: Vec<String>,
    /// A peer dies: the console and all its fellows lose it; and comes back.
    kill: Vec<String>,
    start: Vec<String>,
    /// A peer no longer reports over a connection that stands.
    mute: Vec<String>,
    unmute: Vec<String>,
    detach: Vec<String>,
    attach: Vec<String>,
    /// Somebody works on a peer, for so many seconds; the work is done.
    maintain: BTreeMap<String, f64>,
    release: Vec<String>,
    /// The host key of a peer is not known here.
    ask: Vec<String>,
    /// A peer sends garbage.
    garbage: Vec<String>,
    level: BTreeMap<String, u32>,
    version: BTreeMap<String, String>,
    skew_ms: BTreeMap<String, i64>,
    late_ms: BTreeMap<String, u64>,
    changes: BTreeMap<String, u32>,
    forward: BTreeMap<String, String>,
    reverse: BTreeMap<String, String>,
    /// A peer's row no longer says anything about another.
    forget: Vec<String>,
    dropped: u64,
    /// Who answers on a peer's connection when it is reached again.
    answer: BTreeMap<String, String>,
    /// Registers on all peers: those of one key are its concurrent versions.
    write: Vec<Write>,
    /// By peer: how many commits of which actor it has.
    commits: BTreeMap<String, BTreeMap<String, u64>>,
    /// By peer: the size of its history.
    history_mib: BTreeMap<String, u64>,
    /// By peer: why it can't keep settings.
    trouble: BTreeMap<String, String>,
    /// By peer: what changes of it as a unit of an HA group.
    ha: BTreeMap<String, Unit>,
}

/// A version of a register; without a value it inherits.
#[derive(Deserialize, Clone)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Write {
    key: String,
    version: String,
    on: String,
    at: u64,
    value: Option<toml::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Expected {
    is: String,
    kind: String,
    subject: String,
    between: (f64, f64),
    /// Part of the text.
    text: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct ExpectedVerdict {
    at: f64,
    is: Vec<String>,
}

/// Plays the file; what differs, in words.
pub fn play(path: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
    let scenario: Scenario = toml::from_str(&text).map_err(|e| e.to_string())?;
    let groups: Vec<(String, Vec<String>)> = scenario
        .groups
        .iter()
        .map(|(g, of)| (g.clone(), of.as_array().unwrap().iter().map(|n| n.as_str().unwrap().to_owned()).collect()))
        .collect();
    let observed = |name: &str| !scenario.not_observed.iter().any(|n| n == name);
    let mut world = World::new(&groups, limits(&scenario.limits)?, &observed, false);
    world.connect_all();
    let mut acts: Vec<(f64, Act)> = scenario.step.iter().flat_map(acts).collect();
    acts.extend(scenario.verdict.iter().map(|v| (v.at, Act::Look(v.is.clone()))));
    acts.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut wrong = String::new();
    for (at, act) in acts {
        world.run_until(time(at));
        if let Act::Look(expected) = act {
            let found: Vec<String> = world.snapshot().clusters[0].verdicts.iter().map(|v| v.text.to_string()).collect();
            if found != expected {
                writeln!(wrong, "verdicts at {at}:\n  expected {expected:#?}\n  found {found:#?}").unwrap();
            }
        } else {
            act.apply(&mut world);
        }
    }
    world.run_until(time(scenario.until));
    compare(&scenario.alert, &world, &mut wrong);
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

fn compare(expected: &[Expected], world: &World, wrong: &mut String) {
    let found: Vec<(f64, String, String)> = world
        .alerts
        .iter()
        .map(|(at, transition, f)| {
            let seconds = at.since(time(0.0)).as_secs_f64();
            let is: &str = transition.into();
            (seconds, format!("{is} {} {}", f.kind.as_str(), f.subject), f.text.to_string())
        })
        .collect();
    for (i, e) in expected.iter().enumerate() {
        let want = format!("{} {} {}", e.is, e.kind, e.subject);
        let fits = found.get(i).is_some_and(|(at, what, text)| {
            *what == want
                && (e.between.0..=e.between.1).contains(at)
                && e.text.as_ref().is_none_or(|t| text.contains(t))
        });
        if !fits {
            writeln!(wrong, "alert {i}: expected {want} between {:?} with {:?}", e.between, e.text).unwrap();
        }
    }
    if found.len() != expected.len() {
        writeln!(wrong, "expected {} alerts", expected.len()).unwrap();
    }
    if !wrong.is_empty() {
        writeln!(wrong, "found:").unwrap();
        for (at, what, text) in &found {
            writeln!(wrong, "  {at:6.2} {what}: {text}").unwrap();
        }
    }
}

fn limits(given: &BTreeMap<String, f64>) -> Result<Limits, String> {
    let mut limits = Limits::default();
    for (name, value) in given {
        let span = Duration::from_secs_f64(*value);
        match name.as_str() {
            "stale" => limits.stale = span,
            "unreachable" => limits.unreachable = span,
            "group" => limits.group = span,
            "recovery" => limits.recovery = span,
            "detached" => limits.detached = span,
            "clock-skew" => limits.clock_skew = span,
            "unknown" => limits.unknown = span,
            "propagation" => limits.propagation = span,
            "machines" => limits.machines = usize::try_from(span.as_secs()).unwrap(),
            "history-mib" => limits.history_mib = span.as_secs(),
            other => return Err(format!("no limit {other}")),
        }
    }
    Ok(limits)
}

/// One thing that happens.
enum Act {
    Down(String, String, Cause),
    Up(String, String),
    Probe(String, String, Probe),
    Lose(String, Cause),
    Reach(String, String),
    Talk(String, bool),
    Detach(String, bool),
    Maintain(String, f64),
    Release(String),
    Ask(String),
    Garbage(String),
    Level(String, u32),
    Version(String, String),
    Skew(String, i64),
    Late(String, u64),
    Changes(String, String, u32),
    Dns(String, String, Option<DnsResult>, Option<DnsResult>),
    Forget(String, String),
    Dropped(u64),
    Kill(String, Cause),
    Start(String),
    Look(Vec<String>),
    Write(Vec<Write>),
    Commits(String, BTreeMap<String, u64>),
    History(String, u64),
    Trouble(String, String),
    Ha(String, Box<Unit>),
}

fn acts(step: &Step) -> Vec<(f64, Act)> {
    let cause =
        |default: Cause| step.cause.as_ref().map_or(default, |c| c.parse().unwrap_or_else(|_| panic!("cause {c}")));
    let mut acts = Vec::new();
    for (a, b) in links(&step.down) {
        acts.push(Act::Down(a, b, cause(Cause::Timeout)));
    }
    acts.extend(links(&step.up).map(|(a, b)| Act::Up(a, b)));
    acts.extend(links(&step.silent).map(|(a, b)| Act::Probe(a, b, Probe::Silent)));
    acts.extend(links(&step.heard).map(|(a, b)| Act::Probe(a, b, Probe::Heard)));
    for (a, b) in links(&step.cut) {
        acts.push(Act::Down(a.clone(), b.clone(), cause(Cause::Timeout)));
        acts.push(Act::Probe(a, b, Probe::Silent));
    }
    for (a, b) in links(&step.heal) {
        acts.push(Act::Up(a.clone(), b.clone()));
        acts.push(Act::Probe(a, b, Probe::Heard));
    }
    acts.extend(step.lose.iter().map(|p| Act::Lose(p.clone(), cause(Cause::Timeout))));
    acts.extend(step.kill.iter().map(|p| Act::Kill(p.clone(), cause(Cause::Refused))));
    acts.extend(step.start.iter().map(|p| Act::Start(p.clone())));
    acts.extend(step.reach.iter().map(|p| {
        let as_whom = step.answer.get(p).unwrap_or(p);
        Act::Reach(p.clone(), as_whom.clone())
    }));
    acts.extend(step.mute.iter().map(|p| Act::Talk(p.clone(), false)));
    acts.extend(step.unmute.iter().map(|p| Act::Talk(p.clone(), true)));
    acts.extend(step.detach.iter().map(|p| Act::Detach(p.clone(), true)));
    acts.extend(step.attach.iter().map(|p| Act::Detach(p.clone(), false)));
    acts.extend(step.maintain.iter().map(|(p, s)| Act::Maintain(p.clone(), *s)));
    acts.extend(step.release.iter().map(|p| Act::Release(p.clone())));
    acts.extend(step.ask.iter().map(|p| Act::Ask(p.clone())));
    acts.extend(step.garbage.iter().map(|p| Act::Garbage(p.clone())));
    acts.extend(step.level.iter().map(|(p, l)| Act::Level(p.clone(), *l)));
    acts.extend(step.version.iter().map(|(p, v)| Act::Version(p.clone(), v.clone())));
    acts.extend(step.skew_ms.iter().map(|(p, ms)| Act::Skew(p.clone(), *ms)));
    acts.extend(step.late_ms.iter().map(|(p, ms)| Act::Late(p.clone(), *ms)));
    for (link, n) in &step.changes {
        acts.extend(links([link]).map(|(a, b)| Act::Changes(a, b, *n)));
    }
    for (link, word) in &step.forward {
        acts.extend(links([link]).map(|(a, b)| Act::Dns(a, b, Some(word.parse().unwrap()), None)));
    }
    for (link, word) in &step.reverse {
        acts.extend(links([link]).map(|(a, b)| Act::Dns(a, b, None, Some(word.parse().unwrap()))));
    }
    acts.extend(links(&step.forget).map(|(a, b)| Act::Forget(a, b)));
    if step.dropped > 0 {
        acts.push(Act::Dropped(step.dropped));
    }
    if !step.write.is_empty() {
        acts.push(Act::Write(step.write.clone()));
    }
    acts.extend(step.commits.iter().map(|(p, of)| Act::Commits(p.clone(), of.clone())));
    acts.extend(step.history_mib.iter().map(|(p, n)| Act::History(p.clone(), *n)));
    acts.extend(step.trouble.iter().map(|(p, why)| Act::Trouble(p.clone(), why.clone())));
    acts.extend(step.ha.iter().map(|(p, unit)| Act::Ha(p.clone(), Box::new(unit.clone()))));
    let mut at = step.at;
    acts.into_iter()
        .map(|act| {
            let this = (at, act);
            at += step.spread;
            this
        })
        .collect()
}

fn links<'a>(words: impl IntoIterator<Item = &'a String>) -> impl Iterator<Item = (String, String)> {
    words.into_iter().flat_map(|word| {
        if let Some((a, b)) = word.split_once('>') {
            vec![(a.to_owned(), b.to_owned())]
        } else {
            let (a, b) = word.split_once('-').unwrap_or_else(|| panic!("link {word}"));
            vec![(a.to_owned(), b.to_owned()), (b.to_owned(), a.to_owned())]
        }
    })
}

impl Act {
    fn apply(self, world: &mut World) {
        match self {
            Self::Down(a, b, cause) => world.set_state(&a, &b, LinkState::Down, Some(cause)),
            Self::Up(a, b) => world.set_state(&a, &b, LinkState::Connected, None),
            Self::Probe(a, b, probe) => world.set_probe(&a, &b, probe),
            Self::Lose(p, cause) => world.lose(&p, cause),
            Self::Reach(p, as_whom) if p == as_whom => world.connect(&p),
            Self::Reach(p, as_whom) => {
                let id = PeerId::new(&as_whom);
                world.say(&p, PeerEvent::Connected { address: None, took: Duration::ZERO, id });
            }
            Self::Talk(p, talks) => world.actors.get_mut(&p).unwrap().talks = talks,
            Self::Detach(p, detach) => {
                let now = world.now;
                let actor = world.actors.get_mut(&p).unwrap();
                actor.detached = detach.then_some(now);
                let fellows: Vec<String> = actor.links.keys().cloned().collect();
                let state = if detach { LinkState::Detached } else { LinkState::Connected };
                for other in fellows {
                    world.set_state(&p, &other, state, detach.then_some(Cause::Detached));
                    world.set_state(&other, &p, state, detach.then_some(Cause::Detached));
                }
            }
            Self::Maintain(p, seconds) => {
                let span = Duration::from_secs_f64(seconds);
                let told = Maintenance::lasting(world.now, span, "admin from 10.0.0.9".into(), "new disk".into());
                world.actors.get_mut(&p).unwrap().maintenance = Some(told);
            }
            Self::Release(p) => world.actors.get_mut(&p).unwrap().maintenance = None,
            Self::Ask(p) => {
                world.actors.get_mut(&p).unwrap().connected = false;
                world.say(
                    &p,
                    PeerEvent::AskHostKey { key: "ssh-ed25519 CCCC".into(), fingerprint: "SHA256:cccc".into() },
                );
            }
            Self::Garbage(p) => {
                let fact = Fact::Unparsed { why: "not JSON".into() };
                let facts = vec![Observation { at: world.now, observer: PeerId::new(&p), fact }];
                world.say(&p, PeerEvent::Observed(facts));
            }
            Self::Level(p, level) => {
                let actor = world.actors.get_mut(&p).unwrap();
                actor.level = level;
                let fellows: Vec<String> = actor.links.keys().cloned().collect();
                for other in fellows {
                    let differs = world.actors[&other].level != level;
                    let (state, cause) =
                        if differs { (LinkState::Down, Some(Cause::Version)) } else { (LinkState::Connected, None) };
                    world.set_state(&p, &other, state, cause);
                    world.set_state(&other, &p, state, cause);
                }
            }
            Self::Version(p, version) => {
                world.actors.get_mut(&p).unwrap().version = version;
                world.lose(&p, Cause::Dropped);
                world.connect(&p);
            }
            Self::Skew(p, ms) => world.actors.get_mut(&p).unwrap().health.clock_offset_ms = ms,
            Self::Late(p, ms) => world.actors.get_mut(&p).unwrap().health.late = Duration::from_millis(ms),
            Self::Changes(a, b, n) => world.change(&a, &b, |link| link.changes = n),
            Self::Dns(a, b, forward, reverse) => world.change(&a, &b, |link| {
                link.dns.forward = forward.unwrap_or(link.dns.forward);
                link.dns.reverse = reverse.unwrap_or(link.dns.reverse);
            }),
            Self::Forget(a, b) => {
                let actor = world.actors.get_mut(&a).unwrap();
                actor.links.remove(&b);
                world.lose(&a, Cause::Dropped);
                world.connect(&a);
            }
            Self::Dropped(n) => {
                let any = world.actors.keys().next().unwrap().clone();
                world.say(&any, PeerEvent::Dropped(n));
            }
            Self::Kill(p, cause) => {
                world.actors.get_mut(&p).unwrap().talks = false;
                world.lose(&p, cause);
                let fellows: Vec<String> = world.actors[&p].links.keys().cloned().collect();
                for other in fellows {
                    world.set_state(&other, &p, LinkState::Down, Some(cause));
                }
            }
            Self::Start(p) => {
                let fellows: Vec<String> = world.actors[&p].links.keys().cloned().collect();
                for other in fellows {
                    world.set_state(&p, &other, LinkState::Connected, None);
                    world.set_state(&other, &p, LinkState::Connected, None);
                }
                world.connect(&p);
            }
            Self::Look(_) => {}
            Self::Write(all) => {
                let mut registers: BTreeMap<Key, Vec<Version>> = BTreeMap::new();
                for w in all {
                    let content = w.value.map_or(Content::Inherits, |v| {
                        let json = serde_json::to_value(v).unwrap();
                        Content::Value(Arc::new(peerdeck::proto::settings::from_json(&json).unwrap()))
                    });
                    let of = registers.entry(w.key.parse().unwrap()).or_default();
                    of.push(version(&w.version, content, &w.on, w.at));
                }
                world.write(registers.into_iter().map(|(key, of)| (key, Entry::new(of))).collect());
            }
            Self::Commits(p, of) => of.iter().for_each(|(actor, seq)| world.hold(&p, actor, *seq)),
            Self::History(p, n) => {
                world.actors.get_mut(&p).unwrap().holding.get_or_insert_default().bytes = n * 1024 * 1024;
            }
            Self::Ha(p, unit) => world.unit(&p, &unit),
            Self::Trouble(p, why) => {
                world.actors.get_mut(&p).unwrap().holding.get_or_insert_default().trouble = why.as_str().into();
            }
        }
    }
}

/// The kinds that some file raises.
pub fn kinds_raised(path: &Path) -> Vec<FindingKind> {
    let scenario: Scenario = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    scenario.alert.iter().filter(|a| a.is == "raised").map(|a| a.kind.parse().unwrap()).collect()
}
