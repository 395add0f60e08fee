//! The peer's own log, as far as observers are told of it.

use std::collections::VecDeque;

use super::types::LogLine;
use crate::domain::ids::PeerId;
use crate::domain::text::Line;
use crate::domain::time::Time;

/// Lines that are kept; a report carries at most as many.
pub const LOG_LEN: usize = 128;

/// The newest lines.
#[derive(Debug, Default)]
pub struct Log {
    lines: VecDeque<LogLine>,
    count: u64,
}

impl Log {
    /// Adds a line; the oldest goes when there are too many.
    pub fn push(&mut self, at: Time, peer: Option<&PeerId>, text: &str) {
        if self.lines.len() == LOG_LEN {
            self.lines.pop_front();
        }
        self.count += 1;
        self.lines.push_back(LogLine { n: self.count, at, peer: peer.cloned(), text: Line::new(text) });
    }

    /// Oldest first.
    #[must_use]
    pub fn lines(&self) -> Vec<LogLine> {
        self.lines.iter().cloned().collect()
    }
}
