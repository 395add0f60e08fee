//! The Findings view for those who look after findings: acknowledging, silencing, history, and what changed (B5).

use std::sync::Arc;
use std::time::Duration;

use peerdeck::app::{App, Cmd, Msg, Options};
use peerdeck::domain::alert::{Ack, Alert, Book, Matcher, Notice, Order, Seen, Silence, Told};
use peerdeck::domain::event::EventKind;
use peerdeck::domain::finding::Transition;
use peerdeck::domain::{Finding, FindingKind, Line, Severity, Subject, Time};
use peerdeck::ui::Depth;

use crate::ui::scene::{NOW, Scene, ago};
use crate::ui::{check_app, look, press, render, text};

const SIZE: (u16, u16) = (120, 40);
const AUTHOR: &str = "ann@noc1";

fn app(scene: &Scene, keys: &str) -> App {
    let options =
        Options { author: AUTHOR.to_owned(), bell: true, width: SIZE.0, height: SIZE.1, ..Options::default() };
    let mut app = App::new(options, Arc::new(scene.build()), NOW);
    press(&mut app, keys, NOW);
    app
}

fn shown(app: &App) -> String {
    text(&render(app, SIZE, &look("terminal", false, Depth::True), NOW))
}

/// Two cut links, a link that is one-sided, and a clock that is off.
fn troubled() -> Scene {
    let mut scene = Scene::lab(6);
    let pair = |s: &Scene, a, b| Subject::pair(&s.id(a), &s.id(b));
    let (one, two, lab6) = (pair(&scene, 0, 3), pair(&scene, 1, 4), scene.id(5));
    scene.cut(0, 3, 300).cut(1, 4, 100);
    scene.finding(FindingKind::LinkDown, one.clone(), 300, "lab1 and lab4 do not reach each other");
    scene.finding(FindingKind::LinkDown, two, 100, "lab2 and lab5 do not reach each other");
    scene.finding(FindingKind::ClockSkew, Subject::Peer(lab6), 900, "the wall clock of lab6 is 7.2 s ahead");
    scene.event(4000, EventKind::Raised, "lab1 and lab4 do not reach each other (timeout)");
    scene.event(3880, EventKind::Cleared, "lab1 and lab4 do not reach each other");
    scene.event(300, EventKind::Raised, "lab1 and lab4 do not reach each other");
    scene
}

fn findings(scene: &Scene) -> Vec<Finding> {
    scene.build().clusters[0].findings.to_vec()
}

fn ack(reason: &str) -> Ack {
    Ack { by: Line::new("bob@noc2"), at: ago(60), reason: Line::new(reason) }
}

fn silence(id: u64, matcher: Matcher) -> Silence {
    Silence {
        id,
        matcher,
        by: Line::new("bob@noc2"),
        reason: Line::new("new firewall"),
        from: ago(600),
        until: NOW + Duration::from_mins(42),
    }
}

fn notice(seq: u64, at: Time, told: Told, finding: &Finding, flapping: Option<u32>) -> Notice {
    let raised = finding.since;
    let alert = Alert { seen: Seen { finding: finding.clone(), hosts: vec![] }, raised, flapping, ack: None };
    Notice { seq, at, told, alert, before: None }
}

fn known(app: &mut App, book: Book) {
    assert_eq!(app.update(Msg::Book(Arc::new(book)), NOW), []);
}

/// Of the three findings the first is acknowledged, and all of lab6 is silenced.
fn book(scene: &Scene) -> Book {
    let all = findings(scene);
    let lab6 = Matcher { host: Some("lab6.example.com".into()), ..Matcher::default() };
    Book {
        acks: [(all[0].id.clone(), ack("cable is ordered"))].into_iter().collect(),
        silences: vec![silence(7, lab6)],
        notices: vec![
            notice(1, ago(3990), Told::Raised, &all[0], None),
            notice(2, ago(3870), Told::Cleared, &all[0], None),
            notice(3, ago(290), Told::Raised, &all[0], None),
            notice(4, ago(60), Told::Acknowledged, &all[0], Some(14)),
        ],
    }
}

fn toast(app: &App) -> String {
    app.toast_shown(NOW).map(|t| t.text.clone()).unwrap_or_default()
}

#[test]
fn b5_i_acknowledges_with_author_moment_and_reason() {
    let scene = troubled();
    let mut app = app(&scene, "4 i");
    let cmds = press(&mut app, "cable <Space> ordered <Enter>", NOW);
    let reason = Line::new("cable ordered");
    let wanted =
        Order::Acknowledge { id: findings(&scene)[0].id.clone(), ack: Ack { by: Line::new(AUTHOR), at: NOW, reason } };
    assert_eq!(cmds, [Cmd::Order(wanted)]);
    assert!(app.overlay().is_none());
    // A reason may be left out; Esc leaves everything as it is.
    assert_eq!(press(&mut app, "i <Enter>", NOW).len(), 1);
    assert_eq!(press(&mut app, "i x <Esc>", NOW), []);
}

#[test]
fn b5_the_form_stays_with_the_finding_it_was_opened_for() {
    let scene = troubled();
    let mut app = app(&scene, "4 j i");
    let gone = Scene::lab(6);
    app.update(Msg::Snapshot(Arc::new(gone.build())), NOW);
    let cmds = press(&mut app, "<Enter>", NOW);
    let Some(Cmd::Order(Order::Acknowledge { id, .. })) = cmds.first() else { panic!("{cmds:?}") };
    assert_eq!(*id, findings(&scene)[1].id, "not whatever stands there now");
}

#[test]
fn b5_m_silences_a_finding_a_peer_or_a_kind_for_a_while_with_a_reason() {
    let scene = troubled();
    let all = findings(&scene);
    let cluster = all[0].cluster.clone();
    let of_host =
        |host: &str| Matcher { host: Some(host.into()), cluster: Some(cluster.clone()), ..Matcher::default() };
    for (keys, minutes, matcher) in [
        ("<Tab> <Tab> x", 60, Matcher { id: Some(all[0].id.clone()), ..Matcher::default() }),
        ("<Down> <Tab> <Down> <Tab> x", 240, of_host("lab1.example.com")),
        ("<Up> <Tab> <Down> <Down> <Tab> x", 30, of_host("lab4.example.com")),
        (
            "<Ctrl-u> 90m <Tab> <Up> <Tab> x",
            90,
            Matcher { kind: Some(FindingKind::LinkDown), cluster: Some(cluster.clone()), ..Matcher::default() },
        ),
    ] {
        let mut app = app(&scene, "4 m");
        let cmds = press(&mut app, &format!("{keys} <Enter>"), NOW);
        let until = NOW + Duration::from_mins(minutes);
        let (by, reason) = (Line::new(AUTHOR), Line::new("x"));
        let wanted = Silence { id: 0, matcher, by, reason, from: NOW, until };
        assert_eq!(cmds, [Cmd::Order(Order::Silence(wanted))], "{keys}");
    }
    for (keys, why) in [
        ("", "reason: say why"),
        ("<Ctrl-u> <Tab> <Tab> x", "for: "),
        ("<Ctrl-u> 0m <Tab> <Tab> x", "for: a silence of no time"),
        ("<Ctrl-u> 31d <Tab> <Tab> x", "for: at most 30d"),
        ("<Ctrl-u> soon <Tab> <Tab> x", "for: \"soon\" is not a time"),
        ("<Tab> <Ctrl-u> lab1 <Tab> x", "what: one of this finding, all of lab1.example.com"),
    ] {
        let mut app = app(&scene, "4 m");
        assert_eq!(press(&mut app, &format!("{keys} <Enter>"), NOW), [], "{keys}");
        let screen = shown(&app);
        assert!(screen.contains(why), "{keys}: {why}\n{screen}");
        assert!(app.overlay().is_some(), "{keys}: nothing typed is lost");
    }
}

#[test]
fn b5_acknowledgements_and_silences_are_taken_back() {
    let scene = troubled();
    let mut app = app(&scene, "4");
    assert_eq!(press(&mut app, "I", NOW), []);
    assert_eq!(toast(&app), "nobody has acknowledged it");
    assert_eq!(press(&mut app, "x", NOW), []);
    assert_eq!(toast(&app), "no silence is about it");
    known(&mut app, book(&scene));
    // It stands behind the one that needs somebody, and stays selected.
    let id = findings(&scene)[0].id.clone();
    assert_eq!(press(&mut app, "I", NOW), [Cmd::Order(Order::Unacknowledge(id))]);
    assert_eq!(press(&mut app, "G x", NOW), [Cmd::Order(Order::Unsilence(7))]);
    assert_eq!(press(&mut app, "v x", NOW), [Cmd::Order(Order::Unsilence(7))], "from the list as well");
    // One that has ended is shown and can't be ended again.
    let mut ended = book(&scene);
    ended.silences[0].until = ago(5);
    known(&mut app, ended);
    assert_eq!(press(&mut app, "x", NOW), []);
    assert_eq!(toast(&app), "that silence has ended");
}

#[test]
fn b5_what_needs_nobody_stands_last_of_its_severity_is_counted_and_never_lost() {
    let scene = troubled();
    let mut app = app(&scene, "4");
    let order = |app: &App| app.findings().iter().map(|f| f.text.to_string()).collect::<Vec<_>>();
    let before = order(&app);
    known(&mut app, book(&scene));
    let after = order(&app);
    assert_eq!(after, [&*before[1], &*before[0], &*before[2]]);
    let screen = shown(&app);
    let head = screen.lines().next().unwrap();
    assert!(head.contains("2 critical (1 ack)") && head.contains("1 warning (1 silenced)"), "{head}");
    assert!(screen.contains("1 ack, 1 silenced"), "{screen}");
    press(&mut app, "o", NOW);
    assert_eq!(order(&app), [&*before[1]]);
    assert!(shown(&app).contains("1 ack, 1 silenced, hidden"), "{}", shown(&app));
    press(&mut app, "o", NOW);
    assert_eq!(order(&app).len(), 3);
    // All of them quiet and hidden: said, with the way back.
    let mut all = book(&scene);
    all.acks = findings(&scene).iter().map(|f| (f.id.clone(), ack(""))).collect();
    known(&mut app, all);
    press(&mut app, "o", NOW);
    assert!(shown(&app).contains("Nothing that needs anybody: 3 ack, hidden; o shows them."), "{}", shown(&app));
}

#[test]
fn b5_a_silence_ends_by_itself_on_screen_too() {
    let scene = troubled();
    let mut app = app(&scene, "4");
    known(&mut app, book(&scene));
    assert_eq!(app.quiet_counts(), (1, 1));
    app.update(Msg::Tick, NOW + Duration::from_mins(42));
    assert_eq!(app.quiet_counts(), (1, 0));
}

#[test]
fn b5_a_silenced_alert_neither_rings_nor_tells() {
    let scene = troubled();
    let mut app = app(&scene, "");
    let critical = findings(&scene)[0].clone();
    assert_eq!(app.update(Msg::Alert(Transition::Raised, critical.clone()), NOW), [Cmd::Bell]);
    let silences = vec![silence(1, Matcher { id: Some(critical.id.clone()), ..Matcher::default() })];
    known(&mut app, Book { silences, ..Book::default() });
    assert_eq!(app.update(Msg::Alert(Transition::Raised, critical), NOW + Duration::from_secs(10)), []);
    assert_eq!(app.toast_shown(NOW + Duration::from_secs(10)), None);
}

#[test]
fn b5_the_filter_knows_who_looks_after_what() {
    let scene = troubled();
    for (filter, hits) in [
        ("ack:yes", 1),
        ("ack:no", 2),
        ("ack:bob", 1),
        ("ack:ann", 0),
        ("silenced:yes", 1),
        ("silenced:no", 2),
        ("silenced:noc2", 1),
        ("!ack:yes <Space> !silenced:yes", 1),
    ] {
        let mut app = app(&scene, "4");
        known(&mut app, book(&scene));
        press(&mut app, &format!("/ {filter} <Enter>"), NOW);
        assert_eq!(app.findings().len(), hits, "{filter}");
        assert_eq!(app.filter().problem(), None, "{filter}");
    }
}

#[test]
fn b5_a_read_only_console_says_why_it_writes_nothing() {
    let scene = troubled();
    for keys in ["i", "I", "m", "x"] {
        let options = Options { read_only: true, ..Options::default() };
        let mut app = App::new(options, Arc::new(scene.build()), NOW);
        known(&mut app, book(&scene));
        assert_eq!(press(&mut app, &format!("4 j {keys}"), NOW), [], "{keys}");
        assert!(app.overlay().is_none(), "{keys}");
        assert!(toast(&app).contains("this console is read-only"), "{keys}: {}", toast(&app));
    }
}

#[test]
fn b5_the_history_of_a_finding_tells_when_how_long_and_how_often() {
    let mut scene = troubled();
    let first = findings(&scene)[0].clone();
    // The picture remembers it by its subject.
    let mut picture = scene.build();
    let events = Arc::make_mut(&mut picture.events);
    for event in events.iter_mut() {
        event.subject = first.subject.clone();
    }
    scene.event(1, EventKind::Peer, "something else");
    let mut app = App::new(Options::default(), Arc::new(picture), NOW);
    let past = app.past_of(&first);
    let steps = |past: &peerdeck::app::alarms::Past| {
        past.steps.iter().map(peerdeck::app::alarms::step_words).collect::<Vec<_>>()
    };
    assert_eq!(steps(&past), ["raised", "cleared after 2 m 00 s", "raised"]);
    assert_eq!((past.raised, past.lasted), (2, Duration::from_mins(7)));
    known(&mut app, book(&scene));
    let past = app.past_of(&first);
    assert_eq!(
        steps(&past),
        [
            "told: acknowledged",
            "told: raised",
            "raised",
            "told: cleared after 0.0 s",
            "cleared after 2 m 00 s",
            "told: raised",
            "raised"
        ]
    );
    assert_eq!(past.raised, 2, "the watch and the picture tell of the same");
    let other = app.past_of(&findings(&scene)[2]);
    assert_eq!((other.steps, other.raised), (vec![], 0));
}

#[test]
fn b6_what_changed_lately_is_grouped_and_the_worst_stands_first() {
    let mut scene = troubled();
    scene.event(3000, EventKind::Membership, "an hour ago, not ten minutes");
    scene.event(500, EventKind::Membership, "lab6 joined");
    let mut picture = scene.build();
    let link = |from: usize, to: usize| Subject::Link { from: scene.id(from), to: scene.id(to) };
    let event = |seconds: u64, kind, subject, words: &str| peerdeck::domain::Event {
        at: ago(seconds),
        cluster: None,
        kind,
        subject,
        text: Line::new(words),
    };
    let all = findings(&scene);
    let events = Arc::make_mut(&mut picture.events);
    for to in 1..5 {
        events.push(event(
            200,
            EventKind::Link,
            link(0, to),
            &format!("lab1 → lab{}: down (timeout), was connected", to + 1),
        ));
    }
    events.push(event(180, EventKind::Link, link(0, 1), "lab1 → lab2: connected, was down"));
    events.push(event(170, EventKind::Raised, all[2].subject.clone(), "the wall clock of lab6 is 7.2 s ahead"));
    for seconds in [160, 140] {
        events.push(event(seconds, EventKind::Raised, Subject::Peer(scene.id(2)), "lab3 is sick"));
        events.push(event(seconds - 10, EventKind::Cleared, Subject::Peer(scene.id(2)), "lab3 is sick"));
    }
    for seconds in [120, 110, 100] {
        events.push(event(seconds, EventKind::Reach, Subject::Peer(scene.id(3)), "lab4 is lost"));
    }
    events.push(event(90, EventKind::Raised, all[0].subject.clone(), all[0].text.as_str()));
    events.push(event(80, EventKind::Cleared, all[1].subject.clone(), "was there before"));
    let options = Options { width: 120, height: 40, ..Options::default() };
    let mut app = App::new(options, Arc::new(picture), NOW);
    press(&mut app, "D", NOW);
    let told: Vec<String> = app.recent_lines("", NOW).into_iter().map(|l| format!("{} x{}", l.text, l.count)).collect();
    assert_eq!(
        told,
        [
            "raised: lab1 and lab4 do not reach each other x1",
            "raised: the wall clock of lab6 is 7.2 s ahead x1",
            "raised: lab1 and lab4 do not reach each other x1",
            "3 links: down (timeout): lab1 to lab3, lab1 to lab4, lab1 to lab5 x3",
            "1 link: connected: lab1 to lab2 x1",
            "lab6 joined x1",
            "lab4 is lost x3",
            "came and went 2 times: lab3 is sick x2",
            "cleared: was there before x1",
        ]
    );
    check_app("changes-120x40", &app, SIZE, &look("terminal", false, Depth::True));
    press(&mut app, "s", NOW);
    assert_eq!(app.recent_span(), Duration::from_hours(1));
    assert!(app.recent_lines("hour ago", NOW).len() == 1);
    press(&mut app, "<Esc>", NOW);
    assert!(app.overlay().is_none());
}

#[test]
fn b5_findings_at_four_sizes_in_ascii_and_without_colour() {
    let scene = troubled();
    let unicode = look("terminal", false, Depth::True);
    for (w, h) in [(40, 10), (80, 24), (120, 40), (220, 60)] {
        let options = Options { author: AUTHOR.to_owned(), width: w, height: h, ..Options::default() };
        let mut app = App::new(options, Arc::new(scene.build()), NOW);
        known(&mut app, book(&scene));
        press(&mut app, if h > 10 { "4 j <Enter>" } else { "4" }, NOW);
        check_app(&format!("alarms-{w}x{h}"), &app, (w, h), &unicode);
    }
    let mut app = app(&scene, "4");
    known(&mut app, book(&scene));
    check_app("alarms-ascii", &app, (80, 24), &look("terminal", true, Depth::Sixteen));
    check_app("alarms-mono", &app, (80, 24), &look("mono", false, Depth::None));
    press(&mut app, "m", NOW);
    check_app("alarms-form", &app, (80, 24), &unicode);
    press(&mut app, "<Esc> v", NOW);
    check_app("alarms-silences", &app, (120, 40), &unicode);
}

#[test]
fn b5_none_and_five_hundred_findings_and_hostile_names() {
    let unicode = look("terminal", false, Depth::True);
    let none = app(&Scene::lab(6), "4");
    assert!(shown(&none).contains("Nothing is wrong."));
    let mut scene = Scene::lab(6);
    for n in 0..500 {
        let subject = Subject::Group(format!("group {n}").as_str().into());
        scene.finding(FindingKind::DnsForward, subject, n, &format!("finding {n}"));
    }
    let mut many = app(&scene, "4");
    let acks = findings(&scene).iter().step_by(2).map(|f| (f.id.clone(), ack(""))).collect();
    let silences = vec![silence(1, Matcher { kind: Some(FindingKind::DnsForward), ..Matcher::default() })];
    known(&mut many, Book { acks, silences, notices: vec![] });
    assert_eq!(many.counts().iter().map(|c| (c.all, c.acked, c.silenced)).nth(1), Some((500, 250, 250)));
    press(&mut many, "G <Enter>", NOW);
    assert!(shown(&many).contains("500"), "{}", shown(&many));
    assert_eq!(many.counts()[1].severity, Severity::Warning);
    // Names and reasons are cleaned where they come in; what is left is cut, never spilled.
    let mut hostile = Scene::of(
        vec!["a\u{1b}[31m.example.com".into(), format!("{}.example.com", "x".repeat(120)), "郵便局.example.jp".into()],
        vec!["Main".into(), "Main".into(), "Main".into()],
    );
    for i in 0..3 {
        let peer = hostile.id(i);
        hostile.finding(
            FindingKind::ClockSkew,
            Subject::Peer(peer),
            5,
            &format!("\u{202e}{}", "wide 郵便 ".repeat(40)),
        );
    }
    let mut app = app(&hostile, "4 <Enter>");
    let mut book = Book::default();
    for finding in findings(&hostile) {
        let by = Line::new(&format!("e\u{7}vil\u{1b}]0;x\u{7}{}@host", "u".repeat(90)));
        book.acks.insert(finding.id.clone(), Ack { by, at: ago(9), reason: Line::new("\u{200b}why\nnot") });
    }
    known(&mut app, book);
    for size in [(40, 10), (80, 24), (220, 60)] {
        let screen = text(&render(&app, size, &unicode, NOW));
        assert!(!screen.chars().any(|c| c.is_control() && c != '\n' || c == '\u{202e}'), "{screen:?}");
    }
}

#[test]
fn a_refusal_is_seen_above_what_lies_over_the_view() {
    let mut app = app(&troubled(), "4 v x");
    for (w, h) in [(40, 10), (80, 24), (120, 40)] {
        app.update(Msg::Resize { width: w, height: h }, NOW);
        let screen = text(&render(&app, (w, h), &look("terminal", false, Depth::True), NOW));
        assert!(screen.contains("no silence is about it"), "{screen}");
    }
}
