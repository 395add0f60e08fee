//! Clicks and the wheel: what a place on the screen stands for, and what a press there does.

use super::{Action, App, Cmd, Scope, View};
use crate::app::settings::Pane;
use crate::domain::settings::ModeId;
use crate::domain::{Event, FeatureName, FindingId, PeerId, Severity, Time};

/// Lines that one notch of the wheel moves in lists.
const NOTCH: isize = 3;

/// What a place on the screen stands for, by identity: the picture may be another when the click comes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Hit {
    /// A tab.
    Tab(View),
    /// What one peer says about another.
    Cell {
        /// Who says it.
        from: PeerId,
        /// About whom.
        to: PeerId,
    },
    /// The name of a row's peer.
    Row(PeerId),
    /// A line of the connections of one peer: the other one.
    Connection(PeerId),
    /// A unit of an HA group.
    Unit(PeerId),
    /// A finding.
    Finding(FindingId),
    /// An event.
    Event(Box<Event>),
    /// A mode.
    Mode(ModeId),
    /// A feature.
    Feature(FeatureName),
    /// A pane of the Settings view.
    Pane(Pane),
    /// The titles above a list or the grid.
    Titles,
}

/// Something done with the mouse.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Mouse {
    /// A press of the first button on something.
    Press(Hit),
    /// The wheel: lines down, negative up.
    Wheel(isize),
}

impl App {
    /// Whether the terminal tells about the mouse.
    #[must_use]
    pub fn is_mouse_on(&self) -> bool {
        self.options.mouse
    }

    pub(super) fn switch_mouse(&mut self, now: Time) -> Vec<Cmd> {
        self.options.mouse = !self.options.mouse;
        let text = if self.options.mouse {
            "mouse on: click selects, wheel moves, a click on the titles sorts; Shift selects text"
        } else {
            "mouse off: the terminal selects text"
        };
        self.toast(text.to_owned(), Severity::Notice, now);
        vec![Cmd::Mouse(self.options.mouse)]
    }

    pub(super) fn mouse(&mut self, mouse: Mouse, now: Time) -> Vec<Cmd> {
        // A click is no answer to a question, and no key of a chord.
        self.pending.clear();
        let over_view = self.scope() != self.view_scope();
        match mouse {
            Mouse::Wheel(_) if self.scope() == Scope::Question => {}
            Mouse::Wheel(notches) => {
                let lines = if self.scope() == Scope::Mesh { notches } else { notches * NOTCH };
                self.step(lines, 0, now);
            }
            Mouse::Press(_) if over_view || self.is_typing() => {}
            Mouse::Press(hit) => return self.press(hit, now),
        }
        Vec::new()
    }

    fn press(&mut self, hit: Hit, now: Time) -> Vec<Cmd> {
        match hit {
            Hit::Tab(view) => self.show(view),
            Hit::Cell { from, to } => self.cursor.select(from, to),
            Hit::Row(from) => {
                let to = self.cursor.to().cloned().unwrap_or_else(|| from.clone());
                self.cursor.select(from, to);
            }
            Hit::Connection(to) => {
                if let Some(from) = self.cursor.from().cloned() {
                    self.cursor.select(from, to);
                }
            }
            Hit::Unit(id) => self.select_unit(id),
            Hit::Finding(id) => self.finding = Some(id),
            Hit::Event(event) => self.event = Some(*event),
            Hit::Mode(mode) => {
                self.turn_to(Pane::Modes);
                self.go_to_mode(mode);
            }
            Hit::Feature(feature) => {
                self.turn_to(Pane::Features);
                self.go_to_feature(feature, now);
            }
            Hit::Pane(pane) => self.turn_to(pane),
            Hit::Titles => {
                let sorts = matches!(self.view_scope(), Scope::Mesh | Scope::Connections);
                if sorts && self.can(Action::Sort, now) {
                    return self.act(Action::Sort, None, now);
                }
            }
        }
        Vec::new()
    }
}
