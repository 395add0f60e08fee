//! Looking back: the whole console shows a picture of a recording, with a loud badge, until it is live again (B6).
//!
//! One question is on its way at a time: keys that repeat faster than pictures come add up to one step.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::runs::Run;
use super::{Action, App, Cmd};
use crate::domain::past::{Glance, Mark, Moment};
use crate::domain::{ClusterName, Line, Severity, Time, span};

/// Said when somebody wants to act, or to ask peers, while looking back.
pub const IN_THE_PAST: &str = "you look back: nothing can be done to what is past; u shows the present again";

/// Said of a recording that is replayed.
pub const NO_PRESENT: &str = "this is a recording: there is no present to go back to; q leaves";

/// Without an answer for so long, it is asked anew.
const PATIENCE: Duration = Duration::from_secs(5);

/// What `H` and `L` are worth.
const MINUTE: Duration = Duration::from_mins(1);

/// How fast time can run.
const SPEEDS: [u32; 3] = [1, 10, 60];

/// Time that runs on by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Play {
    /// So many times as fast as it was.
    pub speed: u32,
    /// When it was started.
    since: Time,
    /// From which moment.
    from: Time,
}

impl Play {
    /// The moment that is due at `now`.
    fn due(self, now: Time) -> Time {
        self.from + now.since(self.since).saturating_mul(self.speed)
    }

    /// How long it waits from picture to picture.
    fn tick(self) -> Duration {
        Duration::from_millis(if self.speed == 1 { 1000 } else { 500 })
    }
}

/// The time line, while it is open.
#[derive(Clone, Debug, Default)]
pub struct Looking {
    moment: Option<Moment>,
    /// When the recording was asked, as long as it has not answered.
    asked: Option<(Time, Glance)>,
    /// What is asked next.
    wish: Option<Glance>,
    play: Option<Play>,
    alerts: usize,
}

impl Looking {
    /// What is on screen; `None` until the recording has told something.
    #[must_use]
    pub fn moment(&self) -> Option<&Moment> {
        self.moment.as_ref()
    }

    /// How time runs, if it does.
    #[must_use]
    pub fn play(&self) -> Option<Play> {
        self.play
    }

    /// Alerts that came meanwhile.
    #[must_use]
    pub fn alerts(&self) -> usize {
        self.alerts
    }

    /// Marks of a finding that stand in the same `part` of the time line as what is shown, the nearest first.
    #[must_use]
    pub fn mark_near(&self, part: Duration) -> Option<&Mark> {
        let moment = self.moment.as_ref()?;
        let far = |m: &&Mark| m.at.since(moment.at).max(moment.at.since(m.at));
        moment.marks.iter().filter(|m| far(m) <= part).min_by_key(far)
    }

    /// Wants a picture: steps that were not asked yet add up.
    fn want(&mut self, glance: Glance) {
        self.wish = Some(match (self.wish, glance) {
            (Some(Glance::Step(a)), Glance::Step(b)) => Glance::Step(a.saturating_add(b)),
            (Some(Glance::Mark(a)), Glance::Mark(b)) => Glance::Mark(a.saturating_add(b)),
            (Some(_) | None, glance) => glance,
        });
    }

    /// What to ask now.
    fn ask(&mut self, now: Time) -> Vec<Cmd> {
        if self.asked.is_some_and(|(at, _)| now.since(at) < PATIENCE) {
            return Vec::new();
        }
        let Some(glance) = self.wish.take() else { return Vec::new() };
        self.asked = Some((now, glance));
        vec![Cmd::Past(glance)]
    }
}

impl App {
    /// The time line, while it is open.
    #[must_use]
    pub fn looking(&self) -> Option<&Looking> {
        self.past.as_ref()
    }

    /// The moment of the recording that is on screen.
    #[must_use]
    pub fn past_at(&self) -> Option<Time> {
        self.past.as_ref()?.moment.as_ref().map(|m| m.at)
    }

    /// Whether the picture on screen is not the present one: held, or of a recording.
    #[must_use]
    pub fn stands_still(&self) -> bool {
        self.held.is_some() || self.past.is_some()
    }

    /// Why nobody can look back now.
    pub(super) fn no_look_back(&self) -> Option<String> {
        // What still waits would be sent while the screen shows something else.
        let waiting = self.runs.unfinished().any(Run::is_waiting);
        waiting.then(|| "commands still wait to be sent: look back once they are done, or stop them (A)".to_owned())
    }

    /// Whether `action` does something to what is there now, or asks it: not while somebody looks back.
    #[must_use]
    pub(super) fn needs_the_present(action: Action) -> bool {
        let asks = [Action::Shell, Action::Diagnose, Action::History, Action::Pause];
        let looks = [Action::Results, Action::Accept];
        (super::acts::is_for_acting(action) || asks.contains(&action)) && !looks.contains(&action)
    }

    /// What the recording told.
    pub(super) fn past_came(&mut self, told: Result<Moment, Line>, now: Time) -> Vec<Cmd> {
        let cluster = self.shown_name();
        let replay = self.options.replay;
        let Some(looking) = &mut self.past else { return Vec::new() };
        let asked = looking.asked.take();
        match told {
            Ok(moment) => {
                let before = looking.moment.as_ref().map(|m| m.at);
                // Where nothing was recorded for longer than a minute, the next picture is meant.
                if let (Some((_, Glance::At(wanted))), Some(before)) = (asked, before)
                    && looking.play.is_none()
                    && wanted > before
                    && moment.at <= before
                    && before < moment.until
                {
                    looking.want(Glance::Step(1));
                }
                if looking.play.is_some() && moment.at >= moment.until {
                    looking.play = None;
                }
                looking.moment = Some(moment);
                let cmds = looking.ask(now);
                self.show_cluster(cluster);
                cmds
            }
            Err(why) => {
                looking.play = None;
                looking.wish = None;
                if looking.moment.is_none() && !replay {
                    self.past = None;
                    self.show_cluster(cluster);
                }
                self.toast(format!("no picture of then: {why}"), Severity::Warning, now);
                Vec::new()
            }
        }
    }

    /// Opens the time line at its end, or at a moment.
    pub(super) fn look_back(&mut self, at: Option<Time>, now: Time) -> Vec<Cmd> {
        if self.past.is_none() {
            if let Some(why) = self.no_look_back() {
                self.toast(why, Severity::Warning, now);
                return Vec::new();
            }
            let cluster = self.shown_name();
            self.held = None;
            self.past = Some(Looking::default());
            self.show_cluster(cluster);
        }
        self.glance(Glance::At(at.unwrap_or(now)), now)
    }

    /// Ends looking back.
    fn back_to_live(&mut self, now: Time) -> Vec<Cmd> {
        if self.options.replay {
            if self.can(Action::Back, now) {
                return self.act(Action::Back, None, now);
            }
            self.toast(NO_PRESENT.to_owned(), Severity::Notice, now);
            return Vec::new();
        }
        let cluster = self.shown_name();
        if self.past.take().is_none() {
            return Vec::new();
        }
        self.show_cluster(cluster);
        vec![Cmd::Past(Glance::Live)]
    }

    fn glance(&mut self, glance: Glance, now: Time) -> Vec<Cmd> {
        let Some(looking) = &mut self.past else { return Vec::new() };
        looking.play = None;
        looking.want(glance);
        looking.ask(now)
    }

    /// A key of the time line.
    pub(super) fn act_in_past(&mut self, action: Action, now: Time) -> Vec<Cmd> {
        let at = self.past_at();
        match action {
            Action::LookBack => self.look_back(None, now),
            Action::Live => self.back_to_live(now),
            Action::FrameBack => self.glance(Glance::Step(-1), now),
            Action::FrameOn => self.glance(Glance::Step(1), now),
            Action::PreviousMark => self.glance(Glance::Mark(-1), now),
            Action::NextMark => self.glance(Glance::Mark(1), now),
            Action::MinuteBack => at.map_or_else(Vec::new, |at| self.glance(Glance::At(at.before(MINUTE)), now)),
            Action::MinuteOn => at.map_or_else(Vec::new, |at| self.glance(Glance::At(at + MINUTE), now)),
            Action::PastStart => self.glance(Glance::At(Time::ZERO), now),
            Action::PastEnd => self.glance(Glance::At(Time::from_millis(u64::MAX)), now),
            Action::Play => {
                self.play_faster(now);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn play_faster(&mut self, now: Time) {
        let Some(looking) = &mut self.past else { return };
        let Some(moment) = &looking.moment else { return };
        let next = match looking.play {
            None => SPEEDS.first(),
            Some(play) => SPEEDS.iter().find(|s| **s > play.speed),
        };
        let from = looking.play.map_or(moment.at, |play| play.due(now));
        let text = match next {
            Some(_) if moment.at >= moment.until => {
                looking.play = None;
                Some("this is the end of the recording: g goes to its beginning")
            }
            Some(speed) => {
                looking.play = Some(Play { speed: *speed, since: now, from });
                None
            }
            None => {
                looking.play = None;
                None
            }
        };
        if let Some(text) = text {
            self.toast(text.to_owned(), Severity::Notice, now);
        }
    }

    /// Time has passed: the next picture of what is played.
    pub(super) fn play_on(&mut self, now: Time) -> Vec<Cmd> {
        let Some(looking) = &mut self.past else { return Vec::new() };
        if let Some(play) = looking.play {
            looking.want(Glance::At(play.due(now)));
        }
        looking.ask(now)
    }

    /// How long until the time line shows something else by itself; `None`: never.
    pub(super) fn past_wake(&self, now: Time) -> Option<Duration> {
        let looking = self.past.as_ref()?;
        let second = Duration::from_secs(1);
        match (looking.play, &looking.moment) {
            (Some(play), _) => Some(play.tick()),
            (None, Some(moment)) if !self.options.replay => {
                // How long ago that was, counted in seconds.
                let into_it = Duration::from_millis(u64::from(now.since(moment.at).subsec_millis()));
                Some(second.saturating_sub(into_it).max(Duration::from_millis(1)))
            }
            (None, Some(_)) => None,
            (None, None) => Some(second),
        }
    }

    /// Counts an alert that came while somebody looks back.
    pub(super) fn count_past_alert(&mut self) {
        if let Some(looking) = &mut self.past {
            looking.alerts = looking.alerts.saturating_add(1);
        }
    }

    /// The name of the cluster on screen.
    pub(super) fn shown_name(&self) -> Option<ClusterName> {
        self.cluster().map(|c| c.name.clone())
    }

    /// The cluster of this name is on screen, wherever the picture has it.
    pub(super) fn show_cluster(&mut self, name: Option<ClusterName>) {
        let place = name.and_then(|name| self.picture().clusters.iter().position(|c| c.name == name));
        if let Some(place) = place {
            self.cluster = place;
        }
    }

    /// The moment that somebody typed: `14:03`, `14:03:22`, `2026-03-14 14:03`, `-10m`, `start`, `end`.
    ///
    /// A time of day is the last one before now (of a replay: before its end).
    ///
    /// # Errors
    /// In words, with examples.
    pub(super) fn moment_typed(&self, text: &str, now: Time) -> Result<Time, String> {
        let wrong = || format!("\"{text}\" is no moment: 14:03, 14:03:22, 2026-03-14 14:03, -10m, start or end");
        let until = self.past.as_ref().and_then(|p| p.moment.as_ref()).map(|m| m.until);
        let newest = if self.options.replay { until.unwrap_or(self.live.at) } else { now };
        match text {
            "start" => return Ok(Time::ZERO),
            "end" => return Ok(Time::from_millis(u64::MAX)),
            _ => {}
        }
        if let Some(back) = text.strip_prefix('-') {
            let span = span::parse(back).map_err(|_| wrong())?;
            // Of a moment that is shown: back from there.
            return Ok(self.past_at().unwrap_or(newest).before(span));
        }
        let zone = match &self.options.zone {
            Some(zone) if !self.is_utc() => zone.clone(),
            Some(_) | None => TimeZone::UTC,
        };
        let day_first = text.contains('-');
        let ms = i64::try_from(newest.as_millis()).map_err(|_| wrong())?;
        let today = Timestamp::from_millisecond(ms).map_err(|_| wrong())?.to_zoned(zone.clone());
        let whole = if day_first { text.replacen(' ', "T", 1) } else { format!("{}T{text}", today.date()) };
        let typed: DateTime = whole.parse().map_err(|_| wrong())?;
        let moment = |at: DateTime| -> Option<Time> {
            let stamp = at.to_zoned(zone.clone()).ok()?.timestamp().as_millisecond();
            u64::try_from(stamp).ok().map(Time::from_millis)
        };
        let at = moment(typed).ok_or_else(wrong)?;
        if day_first || at <= newest {
            return Ok(at);
        }
        let yesterday = typed.checked_sub(jiff::Span::new().days(1)).map_err(|_| wrong())?;
        moment(yesterday).ok_or_else(wrong)
    }
}
