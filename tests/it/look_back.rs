//! Looking back: keys as text, a recording that answers, and what must never happen (B6).

use std::sync::Arc;
use std::time::Duration;

use peerdeck::app::{App, Cmd, Msg, Options, View};
use peerdeck::domain::event::EventKind;
use peerdeck::domain::finding::Transition;
use peerdeck::domain::past::{Glance, Mark, Moment};
use peerdeck::domain::{Cause, FindingKind, Line, Severity, Snapshot, Subject, Time};
use peerdeck::ui::Depth;
use proptest::prelude::*;

use crate::ui::scene::{NOW, Scene, ago, one_sided};
use crate::ui::{app, check_app, look, press, render, text};

const SIZE: (u16, u16) = (120, 40);

/// A recording: a picture every ten seconds, the newest 60 s ago; lab4 was cut off between two marks.
pub struct Tape {
    frames: Vec<(Time, Arc<Snapshot>)>,
    marks: Arc<[Mark]>,
    at: usize,
    /// How often it was asked.
    asked: usize,
}

impl Tape {
    pub fn new() -> Self {
        let frame = |n: u64| {
            let mut scene = Scene::lab(6);
            if (20..40).contains(&n) {
                scene.cut(3, 5, 60);
                let (a, b) = (scene.id(3), scene.id(5));
                scene.verdict(FindingKind::LinkDown, Subject::pair(&a, &b), 3, 60, "lab4 and lab6 were cut off");
            }
            let at = ago(660).before(Duration::ZERO) + Duration::from_secs(n * 10);
            let mut picture = scene.build();
            picture.at = at;
            (at, Arc::new(picture))
        };
        let mark = |n: u64, raised: bool| Mark {
            at: ago(660) + Duration::from_secs(n * 10),
            severity: Severity::Critical,
            raised,
            text: Line::new("lab4 and lab6 were cut off"),
        };
        let marks = [mark(20, true), mark(40, false)].into();
        Self { frames: (0..=60).map(frame).collect(), marks, at: 60, asked: 0 }
    }

    fn answer(&mut self, glance: Glance) -> Option<Result<Moment, Line>> {
        self.asked += 1;
        let last = self.frames.len() - 1;
        let shown = self.frames[self.at].0;
        let newest = |frames: &[(Time, Arc<Snapshot>)], t: Time| frames.iter().rposition(|f| f.0 <= t).unwrap_or(0);
        self.at = match glance {
            Glance::Live => return None,
            Glance::At(t) => newest(&self.frames, t),
            Glance::Step(n) => self.at.saturating_add_signed(n as isize).min(last),
            Glance::Mark(n) if n > 0 => {
                let next = self.marks.iter().find(|m| m.at > shown).map_or(shown, |m| m.at);
                newest(&self.frames, next)
            }
            Glance::Mark(_) => {
                let before = self.marks.iter().rev().find(|m| m.at < shown).map_or(shown, |m| m.at);
                newest(&self.frames, before)
            }
        };
        let (at, snapshot) = self.frames[self.at].clone();
        let (from, until) = (self.frames[0].0, self.frames[last].0);
        Some(Ok(Moment { snapshot, at, from, until, marks: Arc::clone(&self.marks) }))
    }

    /// Answers until nothing is asked any more; gives what else was wanted.
    fn settle(&mut self, app: &mut App, mut cmds: Vec<Cmd>, now: Time) -> Vec<Cmd> {
        let mut others = Vec::new();
        for _ in 0..1000 {
            let Some(cmd) = cmds.pop() else { return others };
            match cmd {
                Cmd::Past(glance) => {
                    if let Some(told) = self.answer(glance) {
                        cmds.extend(app.update(Msg::Past(told), now));
                    }
                }
                other => others.push(other),
            }
        }
        panic!("it asks for ever");
    }

    /// Types keys one by one, each answered before the next.
    pub fn press(&mut self, app: &mut App, keys: &str, now: Time) -> Vec<Cmd> {
        let mut others = Vec::new();
        for key in keys.split_whitespace() {
            let cmds = press(app, key, now);
            others.extend(self.settle(app, cmds, now));
        }
        others
    }
}

/// What is told on screen of the selected moment, in seconds before now.
fn back(app: &App) -> Option<u64> {
    app.past_at().map(|at| NOW.since(at).as_secs())
}

fn shown(app: &App) -> String {
    text(&render(app, SIZE, &look("terminal", false, Depth::True), NOW))
}

fn refused(app: &App) -> String {
    app.toast_shown(NOW).map(|t| t.text.clone()).unwrap_or_default()
}

#[test]
fn b6_u_shows_the_picture_of_then_in_all_views_and_u_again_the_present() {
    let (mut app, mut tape) = (app(Scene::lab(6).build(), SIZE, ""), Tape::new());
    tape.press(&mut app, "u", NOW);
    assert_eq!(back(&app), Some(60), "the newest picture of the recording");
    tape.press(&mut app, "N N", NOW);
    assert_eq!(back(&app), Some(460));
    assert!(
        shown(&app).contains("lab4 and lab6 were cut off") && shown(&app).contains("PAST 03:06:41"),
        "{}",
        shown(&app)
    );
    assert_eq!(app.moment(NOW), ago(460), "ages are counted from there");
    tape.press(&mut app, "4", NOW);
    assert_eq!((app.view(), app.findings().len()), (View::Findings, 1), "views can be changed");
    assert_eq!(tape.press(&mut app, "u", NOW), []);
    assert_eq!((app.past_at(), app.findings().len(), app.view()), (None, 0, View::Findings));
    assert!(!shown(&app).contains("PAST"), "{}", shown(&app));
}

#[test]
fn b6_keys_of_the_time_line_step_to_pictures_minutes_findings_and_ends() {
    for (keys, at) in [
        ("", 60),
        ("h", 70),
        ("<Left> h h", 90),
        ("h h l", 70),
        ("H", 120),
        ("<PageUp> H L", 120),
        ("g", 660),
        ("<Home> <Right>", 650),
        ("g <PageDown>", 600),
        ("g G", 60),
        ("g <End> l", 60),
        ("N", 260),
        ("K K", 460),
        ("K K n", 260),
        ("g J", 460),
        ("g J J J", 260),
    ] {
        let (mut app, mut tape) = (app(Scene::lab(6).build(), SIZE, ""), Tape::new());
        tape.press(&mut app, "u", NOW);
        tape.press(&mut app, keys, NOW);
        assert_eq!(back(&app), Some(at), "{keys}");
        let esc = tape.press(&mut app, "<Esc>", NOW);
        assert_eq!((esc, app.past_at()), (vec![], None), "{keys}: one key is enough");
    }
}

#[test]
fn b6_a_minute_goes_on_over_a_gap_of_the_recording() {
    let (mut app, mut tape) = (app(Scene::lab(6).build(), SIZE, ""), Tape::new());
    tape.frames.drain(5..30);
    tape.at = tape.frames.len() - 1;
    tape.press(&mut app, "u g l l l l", NOW);
    assert_eq!(back(&app), Some(620));
    tape.press(&mut app, "L", NOW);
    assert_eq!(back(&app), Some(360), "nothing was recorded in between: the next picture");
}

#[test]
fn b6_keys_that_come_faster_than_pictures_add_up_to_one_question() {
    let (mut app, mut tape) = (app(Scene::lab(6).build(), SIZE, ""), Tape::new());
    tape.press(&mut app, "u", NOW);
    let first = press(&mut app, "h", NOW);
    assert_eq!(first, [Cmd::Past(Glance::Step(-1))]);
    assert_eq!(press(&mut app, "h h h l", NOW), [], "one is on its way");
    let asked = tape.asked;
    tape.settle(&mut app, first, NOW);
    assert_eq!((back(&app), tape.asked - asked), (Some(90), 2));
    // A recording that does not answer is asked anew after a while.
    assert_eq!(press(&mut app, "h", NOW).len(), 1);
    assert_eq!(press(&mut app, "h", NOW), []);
    assert_eq!(app.update(Msg::Tick, NOW + Duration::from_secs(5)), [Cmd::Past(Glance::Step(-1))]);
}

#[test]
fn b6_times_that_are_typed_are_local_and_the_last_ones_before_now() {
    let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(1));
    for (typed, at) in [
        ("-2m", 180),
        ("-10m", 600),
        ("-1h30m", 660),
        ("04:10", 270),
        ("04:10:20", 250),
        ("04:14", 60),
        ("23:59", 660),
        ("2026-03-14<Space>04:08", 390),
        ("start", 660),
        ("end", 60),
    ] {
        let options = Options { zone: Some(zone.clone()), ..Options::default() };
        let mut app = App::new(options, Arc::new(Scene::lab(6).build()), NOW);
        let mut tape = Tape::new();
        let mut cmds = press(&mut app, ": at <Space>", NOW);
        for part in typed.split("<Space>").enumerate() {
            if part.0 > 0 {
                cmds.extend(press(&mut app, "<Space>", NOW));
            }
            for c in part.1.chars() {
                cmds.extend(app.update(Msg::Key(c.to_string().parse().unwrap()), NOW));
            }
        }
        cmds.extend(press(&mut app, "<Enter>", NOW));
        tape.settle(&mut app, cmds, NOW);
        assert_eq!(back(&app), Some(if typed == "-2m" { 120 } else { at }), "{typed}");
    }
    let mut app = app(Scene::lab(6).build(), SIZE, ": at <Space> noon <Enter>");
    let told = app.palette().unwrap().told().to_owned();
    assert!(told.contains("\"noon\" is no moment") && told.contains("-10m"), "{told}");
    press(&mut app, "<Esc>", NOW);
    assert!(app.looking().is_none());
}

#[test]
fn b6_nothing_is_done_to_peers_while_somebody_looks_back() {
    let mut scene = one_sided();
    scene.detach(1);
    for keys in
        ["a d", "a r", "a m", "a x", "r", "d", "!", "2 e", "2 E", "2 0", "2 x", "2 a c", "4 i", "4 m", "4 x", "P"]
    {
        let (mut app, mut tape) = (app(scene.build(), SIZE, "j l"), Tape::new());
        tape.press(&mut app, "u", NOW);
        assert_eq!(tape.press(&mut app, keys, NOW), [], "{keys}");
        assert!(refused(&app).contains("you look back"), "{keys}: {}", refused(&app));
        assert!(app.overlay().is_none(), "{keys}");
        assert!(back(&app).is_some(), "{keys}");
    }
    let (mut app, mut tape) = (app(scene.build(), SIZE, ""), Tape::new());
    tape.press(&mut app, "u :", NOW);
    press(&mut app, "disconnect", NOW);
    let line = app.entries(NOW)[0].clone();
    assert!(line.why_not.unwrap().contains("you look back"), "the palette says so as well");
}

#[test]
fn d7_looking_back_waits_for_commands_that_are_still_to_be_sent() {
    let mut app = app(Scene::lab(6).build(), SIZE, "<Space> j <Space> a d");
    let later = NOW + Duration::from_secs(1);
    let cmds = press(&mut app, "<Shift-Tab> 2 <Enter> y", later);
    assert!(cmds.iter().any(|c| matches!(c, Cmd::Submit { .. })), "{cmds:?}");
    assert_eq!(press(&mut app, "<Esc> u", later), []);
    assert!(app.toast_shown(later).is_some_and(|t| t.text.contains("still wait to be sent")));
    assert!(app.looking().is_none());
}

#[test]
fn b6_alerts_that_come_meanwhile_are_counted_in_the_badge() {
    let (mut app, mut tape) = (app(Scene::lab(6).build(), SIZE, ""), Tape::new());
    tape.press(&mut app, "u", NOW);
    let finding = one_sided().build().clusters[0].findings[1].clone();
    for _ in 0..3 {
        app.update(Msg::Alert(Transition::Raised, finding.clone()), NOW);
    }
    assert!(shown(&app).contains("PAST 03:13:21, 3 alerts"), "{}", shown(&app));
    let mut live = one_sided();
    live.down(0, 1, Cause::Timeout, 2);
    app.update(Msg::Snapshot(Arc::new(live.build())), NOW);
    assert_eq!(app.cluster().unwrap().findings.len(), 0, "the present is kept, not shown");
    tape.press(&mut app, "u", NOW);
    assert_eq!(app.cluster().unwrap().findings.len(), 2);
}

#[test]
fn b6_a_pause_ends_when_somebody_looks_back_and_is_another_word() {
    let (mut app, mut tape) = (app(Scene::lab(6).build(), SIZE, "P"), Tape::new());
    assert!(shown(&app).contains("PAUSED") && !shown(&app).contains("PAST"));
    tape.press(&mut app, "u", NOW);
    assert!(!shown(&app).contains("PAUSED") && shown(&app).contains("PAST"));
    assert!(app.stands_still() && app.paused_at().is_none());
}

#[test]
fn b6_without_a_recording_it_is_told_and_the_present_stays() {
    let mut app = app(Scene::lab(6).build(), SIZE, "");
    assert_eq!(press(&mut app, "u", NOW), [Cmd::Past(Glance::At(NOW))]);
    app.update(Msg::Past(Err(Line::new("nothing is recorded"))), NOW);
    assert!(app.looking().is_none() && !shown(&app).contains("PAST"));
    assert_eq!(refused(&app), "no picture of then: nothing is recorded");
    // An answer that comes too late opens nothing.
    app.update(Msg::Past(Tape::new().answer(Glance::Step(0)).unwrap()), NOW);
    assert!(app.looking().is_none());
}

#[test]
fn b6_playing_goes_on_by_itself_faster_with_each_press_and_stops_at_the_end() {
    let (mut app, mut tape) = (app(Scene::lab(6).build(), SIZE, ""), Tape::new());
    tape.press(&mut app, "u", NOW);
    tape.press(&mut app, "<Space>", NOW);
    assert!(refused(&app).contains("end of the recording"), "{}", refused(&app));
    tape.press(&mut app, "g <Space>", NOW);
    assert_eq!(app.next_wake(NOW), Some(Duration::from_secs(1)));
    let mut at = NOW;
    let mut run = |app: &mut App, tape: &mut Tape, seconds: u64| {
        for _ in 0..seconds * 2 {
            at = at + Duration::from_millis(500);
            let cmds = app.update(Msg::Tick, at);
            tape.settle(app, cmds, at);
        }
        back(app)
    };
    assert_eq!(run(&mut app, &mut tape, 20), Some(640), "as fast as it was");
    let later = NOW + Duration::from_secs(20);
    tape.press(&mut app, "<Space>", later);
    assert_eq!(run(&mut app, &mut tape, 10), Some(540), "ten times as fast");
    tape.press(&mut app, "<Space>", NOW + Duration::from_secs(30));
    assert_eq!(run(&mut app, &mut tape, 30), Some(60), "sixty times, and to the end");
    assert_eq!(app.looking().unwrap().play(), None);
    tape.press(&mut app, "g <Space> <Space> <Space> <Space>", NOW + Duration::from_mins(1));
    assert_eq!(app.looking().unwrap().play(), None, "a fourth press stops it");
}

/// The console over a recording of another machine.
fn replay(keys: &str) -> (App, Tape) {
    let mut tape = Tape::new();
    let options = Options { replay: true, read_only: true, width: 120, height: 40, ..Options::default() };
    let mut app = App::new(options, Arc::clone(&tape.frames[60].1), NOW + Duration::from_hours(24 * 30));
    let told = tape.answer(Glance::At(NOW)).unwrap();
    app.update(Msg::Past(told), NOW);
    tape.press(&mut app, keys, NOW);
    (app, tape)
}

#[test]
fn b6_a_replay_has_no_present_to_go_back_to() {
    let (mut app, mut tape) = replay("");
    assert!(shown(&app).contains("REPLAY 03:13:21") && !shown(&app).contains("PAST "), "{}", shown(&app));
    assert!(shown(&app).contains("before the end"), "{}", shown(&app));
    for keys in ["u", "<Esc>"] {
        assert_eq!(tape.press(&mut app, keys, NOW), []);
        assert_eq!(refused(&app), "this is a recording: there is no present to go back to; q leaves");
        assert_eq!(back(&app), Some(60));
    }
    tape.press(&mut app, "h z <Esc>", NOW);
    assert!(!app.is_zoomed(), "Esc goes back where there is something to go back from");
    tape.press(&mut app, "a d", NOW);
    assert!(refused(&app).contains("read-only"), "{}", refused(&app));
    assert_eq!(tape.press(&mut app, "q", NOW), [Cmd::Quit]);
    // Before the recording has told anything the badge is there as well.
    let options = Options { replay: true, read_only: true, ..Options::default() };
    let app = App::new(options, Arc::clone(&tape.frames[0].1), NOW);
    assert!(shown(&app).contains(" REPLAY ") && app.moment(NOW) == ago(660), "{}", shown(&app));
}

#[test]
fn b6_the_cluster_on_screen_stays_the_same_one() {
    let mut fleet = Scene::lab(6).build();
    let mut other = (*fleet.clusters[0]).clone();
    other.name = "europe".into();
    fleet.clusters.insert(0, Arc::new(other));
    let mut app = App::new(Options::default(), Arc::new(fleet), NOW);
    let mut tape = Tape::new();
    tape.press(&mut app, "<Esc> C u", NOW);
    assert_eq!(app.cluster().unwrap().name.as_str(), "americas");
    assert_eq!(app.cluster_number(), (1, 1), "then there was one");
    tape.press(&mut app, "u", NOW);
    assert_eq!((app.cluster().unwrap().name.as_str(), app.cluster_number()), ("americas", (2, 2)));
}

#[test]
fn b6_the_time_line_at_four_sizes_in_ascii_and_without_colour() {
    let unicode = look("terminal", false, Depth::True);
    for (w, h) in [(40, 10), (80, 24), (120, 40), (220, 60)] {
        let (mut app, mut tape) = (app(Scene::lab(6).build(), (w, h), "j j j"), Tape::new());
        tape.press(&mut app, "u N N", NOW);
        check_app(&format!("past-{w}x{h}"), &app, (w, h), &unicode);
    }
    let (mut app, mut tape) = (app(Scene::lab(6).build(), (80, 24), ""), Tape::new());
    tape.press(&mut app, "u N h <Space>", NOW);
    check_app("past-ascii", &app, (80, 24), &look("terminal", true, Depth::Sixteen));
    check_app("past-mono", &app, (80, 24), &look("mono", false, Depth::None));
    let (app, _) = replay("g");
    check_app("past-replay", &app, (80, 24), &unicode);
}

#[derive(Clone, Debug)]
enum Deed {
    Keys(&'static str),
    Answer(i8),
    Fails,
    News,
    Alert,
    Later(u64),
    Resize(u16, u16),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let keys = prop::sample::select(vec![
        "u",
        "<Esc>",
        "h",
        "l",
        "H",
        "L",
        "n",
        "N",
        "J",
        "K",
        "g",
        "G",
        "<Space>",
        "j",
        "k",
        "1",
        "2",
        "4",
        "5",
        "q",
        "a d",
        "a r",
        "a m",
        "y",
        "Y",
        "<Enter>",
        "<Tab>",
        "e",
        "x",
        "i",
        "m",
        "o",
        "v",
        "D",
        "s",
        "z",
        "P",
        "r",
        "d",
        "!",
        "/ lab3 <Enter>",
        ":",
        "?",
        "O",
        "C",
        "A",
        "R",
        ": at <Space> -5m <Enter>",
        "b",
        "c",
        "f",
    ]);
    let deed = prop_oneof![
        8 => keys.prop_map(Deed::Keys),
        4 => any::<i8>().prop_map(Deed::Answer),
        1 => Just(Deed::Fails),
        1 => Just(Deed::News),
        1 => Just(Deed::Alert),
        1 => (0u64..8000).prop_map(Deed::Later),
        1 => prop::sample::select(vec![(40, 10), (80, 24), (200, 50)]).prop_map(|(w, h)| Deed::Resize(w, h)),
    ];
    prop::collection::vec(deed, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn b6_the_past_is_never_shown_without_its_badge_and_nothing_is_submitted_from_it(
        deeds in deeds(),
        replay in any::<bool>(),
    ) {
        let mut tape = Tape::new();
        let options = Options { replay, read_only: replay, width: 80, height: 24, ..Options::default() };
        let mut scene = one_sided();
        scene.event(1, EventKind::Membership, "lab1 was set up");
        let live = Arc::new(scene.build());
        let mut app = App::new(options, Arc::clone(&live), NOW);
        let mut now = NOW;
        let look = look("terminal", false, Depth::True);
        for deed in deeds {
            let back = app.looking().is_some();
            let cmds = match &deed {
                Deed::Keys(keys) => press(&mut app, keys, now),
                Deed::Answer(n) => {
                    let told = tape.answer(Glance::Step(i32::from(*n))).unwrap();
                    app.update(Msg::Past(told), now)
                }
                Deed::Fails => app.update(Msg::Past(Err(Line::new("the disk is gone"))), now),
                Deed::News => app.update(Msg::Snapshot(Arc::clone(&live)), now),
                Deed::Alert => app.update(Msg::Alert(Transition::Raised, live.clusters[0].findings[0].clone()), now),
                Deed::Later(ms) => {
                    now = now + Duration::from_millis(*ms);
                    app.update(Msg::Tick, now)
                }
                Deed::Resize(width, height) => app.update(Msg::Resize { width: *width, height: *height }, now),
            };
            if back && app.looking().is_some() {
                let acts = |c: &Cmd| matches!(
                    c,
                    Cmd::Submit { .. } | Cmd::Order(_) | Cmd::DialNow { .. } | Cmd::Shell { .. } | Cmd::Diagnose(_)
                        | Cmd::TrustHostKey { .. } | Cmd::Fault(_)
                );
                prop_assert!(!cmds.iter().any(acts), "{deed:?}: {cmds:?}");
            }
            let size = (app.options().width, app.options().height);
            let screen = text(&render(&app, size, &look, now));
            let head = screen.lines().next().unwrap_or("");
            let is_live = Arc::ptr_eq(app.picture(), &live);
            let badge = if replay { "REPLAY" } else { "PAST" };
            prop_assert!(is_live || head.contains(badge), "{deed:?}:\n{screen}");
            prop_assert!(app.looking().is_some() || is_live || app.paused_at().is_some());
            prop_assert_eq!(replay && !head.contains(badge), false);
        }
    }
}
