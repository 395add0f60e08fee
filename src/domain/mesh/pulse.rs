//! The last pings of a link, small enough to keep a million of them.

use std::time::Duration;

/// How many pings are kept.
pub const PULSE_LEN: usize = 16;

/// One ping, as it is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Beat {
    /// No ping yet.
    None,
    /// Answered, with the round trip to within 10 %.
    Answered(Duration),
    /// Not answered.
    Lost,
}

/// The last [`PULSE_LEN`] pings, oldest first, a byte each: round trips on a logarithmic scale from 10 µs
/// to 60 s in steps of about 7 %. The newest round trip is kept exactly.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pulse {
    beats: [u8; PULSE_LEN],
    /// Microseconds, one more than there are; 0 is none.
    newest: u32,
}

const NONE: u8 = 0;
const LOST: u8 = 255;
/// Steps of the scale between [`FLOOR_US`] and `FLOOR_US * 6e6`.
const STEPS: f64 = 253.0;
const FLOOR_US: f64 = 10.0;
const DECADES_LN: f64 = 15.607; // ln(6e6)

impl Pulse {
    /// Adds a ping; `None` is a lost one.
    pub fn push(&mut self, rtt: Option<Duration>) {
        self.beats.rotate_left(1);
        self.beats[PULSE_LEN - 1] = rtt.map_or(LOST, encode);
        if rtt.is_some() {
            self.set_rtt(rtt);
        }
    }

    /// The newest round trip, to the microsecond; a lost ping leaves it.
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        self.newest.checked_sub(1).map(|us| Duration::from_micros(u64::from(us)))
    }

    /// Says what the newest round trip is, without a ping.
    pub fn set_rtt(&mut self, rtt: Option<Duration>) {
        let us = |rtt: Duration| u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX).saturating_add(1);
        self.newest = rtt.map_or(0, us);
    }

    /// What is kept: a code for each ping, oldest first, and one more than the microseconds of the newest round trip
    /// (0: there is none). For recordings (B6).
    #[must_use]
    pub fn parts(&self) -> ([u8; PULSE_LEN], u32) {
        (self.beats, self.newest)
    }

    /// Of what [`Pulse::parts`] told.
    #[must_use]
    pub fn of_parts(beats: [u8; PULSE_LEN], newest: u32) -> Self {
        Self { beats, newest }
    }

    /// The pings, oldest first.
    pub fn beats(&self) -> impl Iterator<Item = Beat> + '_ {
        self.beats.iter().map(|b| match *b {
            NONE => Beat::None,
            LOST => Beat::Lost,
            code => Beat::Answered(decode(code)),
        })
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "clamped to 1..=254"
)]
fn encode(rtt: Duration) -> u8 {
    let us = (rtt.as_micros() as f64).max(FLOOR_US);
    let step = (us / FLOOR_US).ln() / DECADES_LN * STEPS;
    (step.round().clamp(0.0, STEPS) as u8) + 1
}

fn decode(code: u8) -> Duration {
    let us = FLOOR_US * (f64::from(code - 1) / STEPS * DECADES_LN).exp();
    Duration::from_secs_f64(us / 1e6)
}
