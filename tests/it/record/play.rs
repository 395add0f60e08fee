//! Pictures to record: a world of peers to which things happen.

use std::sync::Arc;
use std::time::Duration;

use peerdeck::domain::mesh::link::{Cause, LinkState, Probe};
use peerdeck::domain::observation::{Fact, Observation, RowDelta};
use peerdeck::domain::reach::PeerEvent;
use peerdeck::domain::settings::{Content, Key, ModeId, Value};
use peerdeck::domain::snapshot::{Limits, Snapshot};
use peerdeck::domain::{Line, Maintenance, PeerId};

use crate::engine::pair::Unit;
use crate::engine::world::{World, feature, group, member, one};

pub const NAMES: [&str; 4] = ["lab1", "lab2", "lab3", "lab4"];

/// Something that happens.
#[derive(Clone, Debug)]
pub enum Deed {
    Run(u32),
    State(usize, usize, u8),
    Lose(usize),
    Connect(usize),
    Ping(usize, Vec<Option<u32>>),
    Detach(usize, bool),
    Maintain(usize, bool),
    Late(usize, u64),
    Set(u8, String),
    Unset(u8),
    Hold(usize, u64),
    Log(usize, String),
    Ha(usize, u8),
}

pub fn world() -> World {
    let groups = [("Main_Group", vec!["lab1", "lab2"]), ("Paris", vec!["lab3", "lab4"])];
    let groups: Vec<(String, Vec<String>)> =
        groups.map(|(g, of)| (g.to_owned(), of.into_iter().map(str::to_owned).collect())).to_vec();
    let mut world = World::new(&groups, Limits::default(), &|_| true, false);
    world.write(Vec::new());
    for name in NAMES {
        world.hold(name, "a", 3);
    }
    world
}

fn mode(n: u8) -> Key {
    let feature = |mode| feature(mode, ["smtproutes", "dnsconfig"][usize::from(n / 3 % 2)]);
    match n % 3 {
        0 => feature(ModeId::Cluster),
        1 => feature(ModeId::Group(group("Paris"))),
        _ => feature(ModeId::Machine(member("lab2"))),
    }
}

pub fn act(world: &mut World, deed: &Deed) {
    let name = |n: &usize| NAMES[n % NAMES.len()];
    match deed {
        Deed::Run(ms) => world.run(f64::from(*ms) / 1000.0),
        Deed::State(a, b, to) => {
            let (a, b) = (name(a), name(b));
            if a != b {
                let (state, cause, probe) = match to % 3 {
                    0 => (LinkState::Connected, None, Probe::Heard),
                    1 => (LinkState::Down, Some(Cause::Timeout), Probe::Silent),
                    _ => (LinkState::Connecting, None, Probe::Untested),
                };
                world.set_state(a, b, state, cause);
                world.change(a, b, |l| {
                    l.probe = probe;
                    l.rtt = (state == LinkState::Connected).then_some(Duration::from_micros(700));
                    l.detail = Line::new("as the test says");
                    l.changes += 1;
                });
            }
        }
        Deed::Lose(n) => world.lose(name(n), Cause::Dropped),
        Deed::Connect(n) => world.connect(name(n)),
        Deed::Ping(n, pings) => ping(world, name(n), pings),
        Deed::Detach(n, yes) => {
            let now = world.now;
            world.actors.get_mut(name(n)).unwrap().detached = yes.then_some(now);
            let other = name(&(n + 1));
            world.change(name(n), other, |_| {});
        }
        Deed::Maintain(n, yes) => {
            let announced = Maintenance::lasting(world.now, Duration::from_mins(9), "admin".into(), "new disk".into());
            world.actors.get_mut(name(n)).unwrap().maintenance = yes.then_some(announced);
            let other = name(&(n + 1));
            world.change(name(n), other, |_| {});
        }
        Deed::Late(n, ms) => world.actors.get_mut(name(n)).unwrap().health.late = Duration::from_millis(*ms),
        Deed::Set(n, text) => {
            let value = Value::table([("x", Value::text(text))]);
            let version = one(&format!("v{text}"), Content::Value(Arc::new(value)));
            world.write(vec![(mode(*n), version)]);
        }
        Deed::Unset(n) => world.write(vec![(mode(*n), None)]),
        Deed::Hold(n, seq) => world.hold(name(n), "b", *seq),
        Deed::Ha(n, what) => {
            let mut unit = Unit::default();
            match what % 8 {
                0 => unit.configured = Some(if n % 2 == 0 { "primary".into() } else { "secondary".into() }),
                1 => (unit.effective, unit.epoch) = (Some("primary".into()), Some(u64::from(*what))),
                2 => unit.effective = Some("failed".into()),
                3 => unit.beats = Some(vec!["ok".into(), "silent".into()]),
                4 => unit.beats = Some(vec!["ok".into(), "ok".into()]),
                5 => (unit.quiet, unit.hold_off) = (Some(60.0), Some(30.0)),
                6 => unit.stranger = Some("10.9.9.9: another password".into()),
                _ => unit.monitors = [("remote-smtp".to_owned(), "failing".to_owned())].into(),
            }
            world.unit(name(&(n % 2)), &unit);
        }
        Deed::Log(n, text) => {
            let event = peerdeck::domain::Event {
                at: world.now,
                cluster: None,
                kind: peerdeck::domain::event::EventKind::Peer,
                subject: peerdeck::domain::Subject::Peer(PeerId::new(name(n))),
                text: Line::new(text),
            };
            let (at, observer) = (world.now, PeerId::new(name(n)));
            world.say(name(n), PeerEvent::Observed(vec![Observation { at, observer, fact: Fact::Event(event) }]));
        }
    }
}

/// New round trips; 0 is a ping that was not sent, `None` a lost one.
pub fn ping(world: &mut World, name: &str, pings: &[Option<u32>]) {
    let snapshot = world.snapshot();
    let peer = snapshot.clusters[0].peer(&PeerId::new(name));
    let Some(row) = peer.and_then(|p| p.row.clone()) else { return };
    let ping = |p: &Option<u32>| match p {
        None => Some(None),
        Some(0) => None,
        Some(us) => Some(Some(Duration::from_micros(u64::from(*us)))),
    };
    let delta = RowDelta {
        seq: row.seq,
        detached: row.detached,
        maintenance: row.maintenance.clone(),
        level: row.level,
        changed: Vec::new(),
        removed: Vec::new(),
        pings: pings.iter().map(ping).collect(),
    };
    let (at, observer) = (world.now, PeerId::new(name));
    world.say(name, PeerEvent::Observed(vec![Observation { at, observer, fact: Fact::RowDelta(delta) }]));
}

/// Ten minutes with faults: one picture a second.
pub fn ten_minutes() -> Vec<Arc<Snapshot>> {
    let mut world = world();
    world.connect_all();
    let mut pictures = Vec::new();
    for second in 0..600_u32 {
        match second {
            60 => act(&mut world, &Deed::State(0, 2, 1)),
            70 => act(&mut world, &Deed::State(2, 0, 1)),
            120 => act(&mut world, &Deed::State(0, 2, 0)),
            125 => act(&mut world, &Deed::State(2, 0, 0)),
            200 => act(&mut world, &Deed::Lose(3)),
            260 => act(&mut world, &Deed::Connect(3)),
            300 => act(&mut world, &Deed::Set(1, "mail".into())),
            320 => act(&mut world, &Deed::Maintain(1, true)),
            _ => {}
        }
        for name in NAMES {
            ping(&mut world, name, &[Some(300 + second % 50), Some(500), (second % 17 > 0).then_some(900)]);
        }
        world.run(1.0);
        pictures.push(world.snapshot());
    }
    pictures
}
