//! Silence against the threshold, and how punctual beats were.

use std::time::Duration;

use crate::app::ha::face::tenths;
use crate::domain::Time;
use crate::domain::ha::status::Heartbeat;
use crate::domain::ha::{BeatState, HaStatus};
use crate::domain::time::millis;
use crate::ui::glyphs::Glyphs;
use crate::ui::pen::{Piece, piece};
use crate::ui::theme::Role;

/// A gauge of `cells` cells: it is full when the other takes over; where the threshold comes before that, it is
/// marked. `sure` is false where the word is old: then nothing is green.
pub fn gauge(g: &Glyphs, status: &HaStatus, silent: Duration, cells: usize, sure: bool) -> Vec<Piece> {
    let full = status.threshold.max(status.takeover_after);
    let eighths = part(silent, full, cells * 8);
    let mark = (full > status.threshold).then(|| part(status.threshold, full, cells)).filter(|at| *at < cells);
    let role = if sure { role_of(status, silent) } else { Role::Stale };
    let mut pieces = vec![piece(g.gauge_ends[0], Role::Muted)];
    let mut run = String::new();
    for cell in 0..cells {
        let filled = eighths.saturating_sub(cell * 8).min(8);
        if filled == 0 && mark == Some(cell) {
            pieces.push(piece(std::mem::take(&mut run), role));
            pieces.push(piece(g.gauge_mark, Role::Warn));
        } else {
            run.push_str(g.gauge[filled]);
        }
    }
    pieces.push(piece(run, role));
    pieces.push(piece(g.gauge_ends[1], Role::Muted));
    pieces
}

/// `5.2 / 15 s`, and from when on the other takes over if that is later.
pub fn figures(status: &HaStatus, silent: Duration) -> String {
    let (now, threshold) = (tenths(silent), seconds(status.threshold));
    let now = now.strip_suffix(" s").unwrap_or(&now);
    if status.takeover_after > status.threshold {
        format!("{now} / {threshold} s, acts at {} s", seconds(status.takeover_after))
    } else {
        format!("{now} / {threshold} s")
    }
}

/// Seconds, with one place where there is something in it.
pub fn seconds(span: Duration) -> String {
    let tenths = millis(span) / 100;
    if tenths.is_multiple_of(10) { (tenths / 10).to_string() } else { format!("{}.{}", tenths / 10, tenths % 10) }
}

/// The role of a silence: late from half the threshold on, silent from the threshold on.
pub fn role_of(status: &HaStatus, silent: Duration) -> Role {
    if silent >= status.threshold {
        Role::Crit
    } else if silent * 2 >= status.threshold {
        Role::Warn
    } else {
        Role::Ok
    }
}

/// The word for it: state is never colour alone.
pub fn word_of(status: &HaStatus, silent: Duration) -> &'static str {
    match role_of(status, silent) {
        Role::Crit => BeatState::Silent.as_str(),
        Role::Warn => BeatState::Late.as_str(),
        _ => "",
    }
}

/// The newest intervals, a bar each: the lowest one is punctual, the highest is ten intervals.
pub fn sparkline(g: &Glyphs, status: &HaStatus, beat: &Heartbeat, most: usize) -> String {
    let due = millis(status.interval).max(1);
    let from = beat.intervals.len().saturating_sub(most);
    let bar = |ms: &u32| {
        let percent = u64::from(*ms) * 100 / due;
        let limits = [125, 150, 200, 300, 400, 600, 1000];
        g.bars[limits.iter().filter(|limit| percent >= **limit).count()]
    };
    beat.intervals[from..].iter().map(bar).collect()
}

/// How long a link has been silent at `at`.
pub fn silence(beat: &Heartbeat, at: Time) -> Option<Duration> {
    beat.heard.map(|heard| at.since(heard))
}

/// `whole` parts times `of` in `full`, at most `whole`.
fn part(of: Duration, full: Duration, whole: usize) -> usize {
    let (of, full) = (of.as_micros(), full.as_micros().max(1));
    usize::try_from(of * whole as u128 / full).unwrap_or(whole).min(whole)
}
