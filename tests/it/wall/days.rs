//! Days of a wall over the real engine in simulated time: faults come and go, and each second is drawn.

use std::sync::Arc;
use std::time::Duration;

use peerdeck::app::wall::{Msg, Options, State, Wall};
use peerdeck::domain::snapshot::Limits;
use peerdeck::domain::{Cause, LinkState};
use peerdeck::ui::{Look, Themes, glyphs};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::world::World;

/// The faults come round in so many seconds.
pub const ROUND: u64 = 600;
const PEERS: usize = 6;

/// A wall that has run for a while.
pub struct Days {
    world: World,
    wall: Wall,
    look: Look,
    terminal: Terminal<TestBackend>,
    second: u64,
    /// Seconds in which all was well, something was wrong, and the wall was cut off.
    pub seen: [u64; 3],
}

fn name(i: usize) -> String {
    format!("lab{}", i + 1)
}

impl Days {
    pub fn new((width, height): (u16, u16)) -> Self {
        let groups: Vec<(String, Vec<String>)> =
            [("Paris", 0..3), ("Rome", 3..6)].map(|(g, of)| (g.to_owned(), of.map(name).collect())).into();
        let mut world = World::new(&groups, Limits::default(), &|_| true, false);
        world.connect_all();
        let options = Options { rotate: Duration::from_secs(20), utc: true, width, height, ..Options::default() };
        let themes = Themes::load(&[]).0;
        let look = Look {
            theme: themes.get(0, peerdeck::ui::Depth::True),
            glyphs: glyphs::UNICODE,
            zone: jiff::tz::TimeZone::UTC,
        };
        let wall = Wall::new(options, world.snapshot(), world.now);
        let terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        Self { world, wall, look, terminal, second: 0, seen: [0; 3] }
    }

    fn links(&mut self, state: LinkState, cause: Option<Cause>, fits: impl Fn(usize, usize) -> bool) {
        for (i, j) in (0..PEERS).flat_map(|i| (0..PEERS).map(move |j| (i, j))).filter(|(i, j)| i != j && fits(*i, *j)) {
            self.world.set_state(&name(i), &name(j), state, cause);
        }
    }

    /// What breaks and heals in this second of a round.
    fn faults(&mut self) {
        let (up, down, timeout) = (LinkState::Connected, LinkState::Down, Some(Cause::Timeout));
        match self.second % ROUND {
            60 => self.links(down, timeout, |i, j| i + j == 1),
            120 => self.links(up, None, |i, j| i + j == 1),
            180 => {
                self.world.lose(&name(2), Cause::Refused);
                self.links(down, Some(Cause::Refused), |i, j| i == 2 || j == 2);
            }
            240 => {
                self.links(up, None, |i, j| i == 2 || j == 2);
                self.world.connect(&name(2));
            }
            300 => self.links(down, timeout, |i, j| i / 3 != j / 3),
            360 => self.links(up, None, |i, j| i / 3 != j / 3),
            420 => (0..PEERS).for_each(|i| self.world.lose(&name(i), Cause::Timeout)),
            480 => (0..PEERS).for_each(|i| self.world.connect(&name(i))),
            _ => {}
        }
    }

    /// Another second: reports, the engine's ticks, a picture.
    pub fn pass(&mut self) {
        self.faults();
        self.second += 1;
        self.world.run(1.0);
        // What the world notes down for tests is no part of the program.
        self.world.alerts.clear();
        self.world.requests.clear();
        let now = self.world.now;
        let picture: Arc<_> = self.world.snapshot();
        self.wall.update(Msg::Snapshot(picture), now);
        self.wall.update(Msg::Tick(now), now);
        let (wall, look) = (&self.wall, &self.look);
        self.terminal.draw(|frame| peerdeck::ui::wall::draw(frame.buffer_mut(), wall, look, now)).unwrap();
        match self.wall.faces(now)[0].state {
            State::Fine => self.seen[0] += 1,
            State::Trouble(_) => self.seen[1] += 1,
            State::Blind => self.seen[2] += 1,
            State::Unsettled | State::Waiting | State::Silent => {}
        }
    }
}

/// The bench `wall` does the same for two days, and weighs the process.
#[cfg(test)]
#[test]
fn d9_a_round_of_faults_is_seen_and_ends_well() {
    let mut days = Days::new((80, 24));
    for _ in 0..ROUND {
        days.pass();
    }
    let [fine, trouble, blind] = days.seen;
    assert!(fine > 200 && trouble > 120 && blind > 30, "{:?}", days.seen);
}
