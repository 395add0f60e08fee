//! The comforts of the console: palette, filter, command log, past toasts, several clusters, lists.

use std::sync::Arc;
use std::time::Duration;

use peerdeck::app::action::TABLE;
use peerdeck::app::lists::{List, ListSort};
use peerdeck::app::palette::{FaultKind, HISTORY_MAX};
use peerdeck::app::{App, Cmd, Msg, Options, Scope, ThemeList, View};
use peerdeck::domain::event::{Event, EventKind};
use peerdeck::domain::finding::Transition;
use peerdeck::domain::observation::OperatorSession;
use peerdeck::domain::{ClusterName, FindingKind, Line, OutcomeState, Snapshot, Subject, Time};
use peerdeck::ui::{Depth, Look, glyphs};
use ratatui::style::Modifier;
use strum::IntoEnumIterator;

use crate::ui::scene::{NOW, Scene, ago, one_sided};
use crate::ui::{check_app, look, press, render, text};

const SIZE: (u16, u16) = (120, 40);
const SIZES: [(u16, u16); 3] = [(40, 10), (80, 24), (120, 40)];

fn options() -> Options {
    let fault = |word: &str, args: &str| FaultKind { word: word.into(), args: args.into(), help: "breaks".into() };
    Options {
        lab: true,
        themes: ThemeList { names: ["terminal", "dark", "light"].map(str::to_owned).into(), ..ThemeList::default() },
        faults: vec![fault("cut", "A B"), fault("dns", "A nxdomain|ok"), fault("isolate", "A|group:G|console")],
        width: SIZE.0,
        height: SIZE.1,
        ..Options::default()
    }
}

fn app(snapshot: Snapshot) -> App {
    App::new(options(), Arc::new(snapshot), NOW)
}

fn later(seconds: u64) -> Time {
    NOW + Duration::from_secs(seconds)
}

/// Types a line into the palette, as it stands, and presses Enter.
fn command(app: &mut App, line: &str) -> Vec<Cmd> {
    type_line(app, line);
    press(app, "<Enter>", NOW)
}

fn type_line(app: &mut App, line: &str) {
    press(app, ":", NOW);
    for c in line.chars() {
        let key = if c == ' ' { "Space".to_owned() } else { c.to_string() };
        press(app, &format!("<{key}>"), NOW);
    }
}

fn names(app: &App) -> Vec<String> {
    app.entries(NOW).into_iter().map(|e| e.text).collect()
}

fn told(app: &App) -> String {
    app.palette().map(|p| p.told().to_owned()).expect("the palette is open")
}

fn selected(app: &App) -> String {
    let cluster = app.cluster().unwrap();
    app.cursor().from().map_or("-".to_owned(), |id| cluster.label(id).to_owned())
}

/// A picture as if it were of another cluster.
fn renamed(snapshot: &Snapshot, name: &str) -> Snapshot {
    let mut snapshot = snapshot.clone();
    let cluster = Arc::make_mut(&mut snapshot.clusters[0]);
    cluster.name = name.into();
    for finding in Arc::make_mut(&mut cluster.findings) {
        finding.cluster = name.into();
    }
    for event in Arc::make_mut(&mut snapshot.events) {
        event.cluster = Some(name.into());
    }
    snapshot
}

/// A fleet of two: one ill, one well; both have a lab1.
fn fleet() -> Snapshot {
    let ill = renamed(&one_sided().build(), "americas");
    let mut well = Scene::lab(4);
    well.detach(3).event(60, EventKind::Reach, "connected to lab1 of europe");
    let well = renamed(&well.build(), "europe");
    let events = ill.events.iter().chain(well.events.iter()).cloned().collect();
    Snapshot { clusters: vec![ill.clusters[0].clone(), well.clusters[0].clone()], events: Arc::new(events), ..ill }
}

#[test]
fn every_action_of_the_table_is_in_the_palette_with_its_key_and_the_reason_why_not() {
    let mut app = app(one_sided().build());
    press(&mut app, ":", NOW);
    let entries = app.entries(NOW);
    for spec in TABLE {
        let entry = entries.iter().find(|e| e.text == spec.action.name() && e.args.is_empty());
        let entry = entry.unwrap_or_else(|| panic!("{} is missing", spec.action.name()));
        assert_eq!(entry.key, app.keymap().first_key(spec.scopes[0], spec.action).unwrap_or_default());
        let refused = peerdeck::app::acts::command_of(spec.action).and_then(|kind| app.refusal(kind, NOW));
        let works = spec.scopes.contains(&Scope::Mesh) && app.can(spec.action, NOW) && refused.is_none();
        assert_eq!(entry.why_not.is_none(), works, "{entry:?}");
        assert_ne!(entry.why_not.as_deref(), Some(""), "{entry:?}");
    }
    let first_off = entries.iter().position(|e| e.why_not.is_some()).unwrap();
    assert!(entries[first_off..].iter().all(|e| e.why_not.is_some()), "what works stands first");
    let cluster = entries.iter().find(|e| e.text == "next-cluster").unwrap();
    assert_eq!(cluster.why_not.as_deref(), Some("the fleet has one cluster"));
}

#[test]
fn the_palette_does_by_name_what_the_key_does() {
    for (line, view) in [("findings", View::Findings), ("view events", View::Events), ("find", View::Findings)] {
        let mut app = app(one_sided().build());
        command(&mut app, line);
        assert_eq!((app.view(), app.palette().is_some()), (view, false), "{line}");
    }
    let mut app = app(one_sided().build());
    assert_eq!(command(&mut app, "quit"), [Cmd::Remember("quit".into()), Cmd::Quit]);
    assert_eq!(command(&mut app, "q").last(), Some(&Cmd::Quit));
    command(&mut app, "theme light");
    assert_eq!(app.theme(), 2);
    command(&mut app, "sort name");
    assert_eq!(app.sort().title(), "name");
    command(&mut app, "filter host:lab3");
    assert_eq!((app.filter().text.as_str(), app.hits(NOW)), ("host:lab3", (1, 6)));
    command(&mut app, "filter");
    assert!(app.is_typing(), "without a text it opens the field");
}

#[test]
fn the_best_line_stands_first_and_a_beginning_is_completed() {
    let mut app = app(one_sided().build());
    type_line(&mut app, "fin");
    assert_eq!(names(&app)[0], "findings");
    press(&mut app, "<Tab>", NOW);
    assert_eq!(app.palette().unwrap().text(), "findings");
    press(&mut app, "<Esc>", NOW);

    type_line(&mut app, "nxtflt");
    assert_eq!(names(&app)[0], "next-fault", "letters in order are enough to find it");
    press(&mut app, "<Enter>", NOW);
    assert!(told(&app).starts_with("There is no command nxtflt."), "and not enough to do it: {}", told(&app));
    press(&mut app, "<Tab> <Enter>", NOW);
    assert!(app.palette().is_none());

    type_line(&mut app, "finding s");
    press(&mut app, "<Ctrl-u>", NOW);
    type_line(&mut app, "red");
    press(&mut app, "<Ctrl-u>", NOW);
    press(&mut app, "redia", NOW);
    assert_eq!(press(&mut app, "<Enter>", NOW), [], "what acts is never done by its beginning");
    assert_eq!((app.palette().unwrap().text(), told(&app).as_str()), ("redial", "Enter again does it"));
    assert!(matches!(press(&mut app, "<Enter>", NOW)[..], [Cmd::Remember(_), Cmd::DialNow { .. }]));
}

#[test]
fn an_unknown_word_is_answered_with_the_nearest() {
    for (line, answer) in [
        ("finidngs", "Did you mean findings?"),
        ("xyzzyxyzzy", "There is no command xyzzyxyzzy."),
        ("theme drak", "did you mean dark?"),
        ("sort nmae", "did you mean name?"),
        ("view", "what follows is missing"),
        ("quit now", "quit takes no words"),
        ("next-cluster", "the fleet has one cluster"),
        ("cluster europe", "the fleet has one cluster"),
        ("columns state", "the grid has no columns"),
        ("accept", "works in Question about a host key"),
        ("run", "works in Palette"),
    ] {
        let mut app = app(one_sided().build());
        assert_eq!(command(&mut app, line), [], "{line}");
        assert!(told(&app).contains(answer), "{line}: {}", told(&app));
    }
}

#[test]
fn a_beginning_of_a_peers_name_completes_and_never_means_another_peer() {
    let hosts = (1..=12).map(|i| format!("lab{i}.example.com")).collect();
    let mut app = app(Scene::of(hosts, vec!["Paris".to_owned(); 12]).build());
    type_line(&mut app, "peer lab1");
    assert_eq!(names(&app), ["peer lab1", "peer lab10", "peer lab11", "peer lab12"]);
    press(&mut app, "<Enter>", NOW);
    assert_eq!(selected(&app), "lab1", "a whole name means itself");
    for (line, answer) in
        [("peer la", "the beginning of 12 names"), ("peer lab2.", "no peer lab2."), ("peer nobody", "no peer")]
    {
        command(&mut app, line);
        assert!(told(&app).contains(answer), "{line}: {}", told(&app));
        press(&mut app, "<Esc>", NOW);
        assert_eq!(selected(&app), "lab1", "{line}");
    }
    for (line, to) in [("peer lab12.example.com", "lab12"), ("peer SN0006", "lab7"), ("peer lab11", "lab11")] {
        command(&mut app, line);
        assert_eq!(selected(&app), to, "{line}");
    }
    command(&mut app, "filter lab3");
    command(&mut app, "peer lab9");
    assert_eq!(
        (selected(&app).as_str(), app.filter().text.as_str()),
        ("lab9", ""),
        "no filter puts another in its place"
    );
    type_line(&mut app, "peer lab1");
    press(&mut app, "<Down> <Enter>", NOW);
    assert_eq!(selected(&app), "lab10", "chosen in the list");
}

#[test]
fn the_palette_remembers_what_was_done_and_nothing_that_begins_with_a_space() {
    let history: Vec<String> = (0..300).map(|i| format!("filter old{i}")).collect();
    let mut app = App::new(Options { history, ..options() }, Arc::new(one_sided().build()), NOW);
    assert_eq!(app.history().len(), HISTORY_MAX);
    press(&mut app, ": <Up> <Up>", NOW);
    assert_eq!(app.palette().unwrap().text(), "filter old298");
    press(&mut app, "<Down>", NOW);
    assert_eq!(app.palette().unwrap().text(), "filter old299");
    press(&mut app, "<Down> <Esc>", NOW);
    assert_eq!(command(&mut app, "view events"), [Cmd::Remember("view events".into())]);
    assert_eq!(command(&mut app, "view events"), [], "not twice in a row");
    assert_eq!(command(&mut app, " filter once"), []);
    assert_eq!(app.filter().text, "once", "it is done all the same");
    command(&mut app, "no such thing");
    press(&mut app, "<Esc> : <Up>", NOW);
    assert_eq!((app.palette().unwrap().text(), app.history().len()), ("view events", HISTORY_MAX));
}

#[test]
fn a_paste_into_the_palette_is_one_line_and_does_nothing_by_itself() {
    let mut app = app(one_sided().build());
    press(&mut app, ":", NOW);
    assert_eq!(app.update(Msg::Paste("view events\nquit\n".into()), NOW), []);
    assert_eq!(app.palette().unwrap().text(), "view events");
    assert_eq!(app.view(), View::Mesh);
}

#[test]
fn faults_are_completed_by_their_usage_and_asked_of_the_lab() {
    let mut app = app(one_sided().build());
    type_line(&mut app, "fault ");
    assert_eq!(names(&app), ["fault cut", "fault dns", "fault isolate"]);
    type_line(&mut app, "");
    for (line, first) in [
        ("cut lab1 ", "fault cut lab1 lab2"),
        ("dns lab2 ", "fault dns lab2 nxdomain"),
        ("isolate gro", "fault isolate group:Main_Group"),
    ] {
        press(&mut app, "<Esc>", NOW);
        type_line(&mut app, &format!("fault {line}"));
        assert_eq!(names(&app)[0], first);
    }
    press(&mut app, "<Esc>", NOW);
    let cmds = command(&mut app, "fault cut lab1 lab2");
    assert_eq!(cmds[1], Cmd::Fault(["cut", "lab1", "lab2"].map(str::to_owned).into()));
    app.update(Msg::Faulted("cut lab1 lab2".into(), Err("no such peer".into())), later(1));
    let log: Vec<&str> = app.command_log().map(|e| e.text.as_str()).collect();
    assert_eq!(log, ["fault cut lab1 lab2: sent", "fault cut lab1 lab2: refused, no such peer"]);

    let mut real = App::new(Options { faults: vec![], ..options() }, Arc::new(one_sided().build()), NOW);
    command(&mut real, "fault cut lab1 lab2");
    assert!(told(&real).starts_with("There is no command fault."), "a console without a lab has none");
}

#[test]
fn help_in_the_palette_and_over_a_list_is_about_them_and_leads_back() {
    for (keys, title) in
        [(":", "Palette"), ("L", "Command log"), ("H", "Past toasts"), ("W", "Sessions"), ("4 c", "Columns")]
    {
        let mut app = app(one_sided().build());
        press(&mut app, keys, NOW);
        let scope = app.scope();
        press(&mut app, "?", NOW);
        assert_eq!((app.scope(), app.help_title()), (Scope::Help, title), "{keys}");
        assert!(!app.help("").is_empty());
        press(&mut app, "<Esc>", NOW);
        assert_eq!(app.scope(), scope, "{keys}");
        press(&mut app, "<Esc>", NOW);
        assert!(app.overlay().is_none(), "{keys}");
    }
}

#[test]
fn the_command_log_keeps_commands_and_outcomes_when_events_are_long_gone() {
    let mut scene = one_sided();
    scene.event(50, EventKind::Command, "disconnect lab3: sent, sent");
    let mut app = app(scene.build());
    scene.event(40, EventKind::Command, "disconnect lab3: observed, lab3 says that it is detached");
    let with = scene.build();
    app.update(Msg::Snapshot(Arc::new(with.clone())), NOW);
    app.update(Msg::Snapshot(Arc::new(with.clone())), NOW);
    // The ring has lost all that is old.
    let last = Event { at: NOW, cluster: None, kind: EventKind::Link, subject: Subject::Cluster, text: Line::new("x") };
    app.update(Msg::Snapshot(Arc::new(Snapshot { events: Arc::new(vec![last]), ..with })), NOW);
    press(&mut app, "r", NOW);
    let log: Vec<(&str, Option<OutcomeState>)> = app.command_log().map(|e| (e.text.as_str(), e.state())).collect();
    assert_eq!(log.len(), 3, "{log:?}");
    assert_eq!(log[0].1, Some(OutcomeState::Sent));
    assert_eq!(log[1].1, Some(OutcomeState::Observed));
    assert_eq!(log[2].0, "redial lab1: sent");
    press(&mut app, "L / observed <Enter>", NOW);
    let panel = app.panel().unwrap();
    assert_eq!(app.panel_len(panel, NOW), 1);
}

#[test]
fn past_toasts_are_kept_with_their_times() {
    let mut app = app(one_sided().build());
    for n in 0..150 {
        app.update(Msg::Notice(format!("told {n}")), later(n));
    }
    assert_eq!(app.notices().count(), 100);
    assert_eq!(app.notices().next_back().map(|n| (n.text.as_str(), n.at)), Some(("told 149", later(149))));
    press(&mut app, "H", NOW);
    let shown = |app: &App| text(&render(app, SIZE, &look("terminal", false, Depth::True), later(150)));
    assert!(shown(&app).contains("told 149") && shown(&app).contains("03:16:50"), "{}", shown(&app));
    press(&mut app, "g g", NOW);
    assert!(shown(&app).contains("told 50") && !shown(&app).contains("told 49 "), "{}", shown(&app));
}

#[test]
fn c32_two_clusters_never_mix() {
    let mut app = app(fleet());
    assert_eq!(app.scope(), Scope::Overview, "several clusters are shown first");
    let lines = app.cluster_lines("", NOW);
    assert_eq!(lines.len(), 2);
    assert_eq!((lines[0].peers, lines[0].links, lines[0].findings), ((6, 6), (27, 30), (1, 1)));
    assert_eq!((lines[1].peers, lines[1].links, lines[1].findings, lines[1].detached), ((4, 4), (6, 12), (0, 0), 1));

    press(&mut app, "j <Enter>", NOW);
    let europe = ClusterName::from("europe");
    assert_eq!(app.cluster().unwrap().name, europe);
    assert!(app.findings().is_empty());
    let events: Vec<&str> = app.events().iter().map(|e| e.text.as_str()).collect();
    assert_eq!(events, ["connected to lab1 of europe"]);
    press(&mut app, "j j l / lab <Enter> r", NOW);
    assert_eq!(selected(&app), "lab3");
    let screen = text(&render(&app, SIZE, &look("terminal", false, Depth::True), NOW));
    assert!(!screen.contains("critical") && !screen.contains("one-sided") && !screen.contains("lab5"), "{screen}");

    press(&mut app, "C", NOW);
    assert_eq!(app.cluster().unwrap().name.as_str(), "americas");
    assert_eq!((selected(&app).as_str(), app.filter().text.as_str()), ("lab1", ""), "nothing came along");
    assert_eq!(app.command_log().count(), 0, "a command belongs to its cluster");
    assert_eq!(app.findings().len(), 2);
    press(&mut app, "j C", NOW);
    assert_eq!((selected(&app).as_str(), app.filter().text.as_str()), ("lab3", "lab"), "found again as it was left");
    assert_eq!(app.command_log().count(), 1);

    press(&mut app, "O <Esc>", NOW);
    assert_eq!(app.cluster().unwrap().name, europe, "Escape leads back");
    command(&mut app, "cluster americas");
    assert_eq!((app.cluster().unwrap().name.as_str(), selected(&app).as_str()), ("americas", "lab2"));
    command(&mut app, "cluster eur");
    assert!(told(&app).contains("no cluster eur"), "{}", told(&app));
}

#[test]
fn c32_a_cluster_that_learns_its_name_keeps_what_belongs_to_it() {
    let mut app = app(fleet());
    press(&mut app, "j <Enter> j j r C", NOW);
    let named = |europe: &str| {
        let mut snapshot = fleet();
        Arc::make_mut(&mut snapshot.clusters[1]).name = europe.into();
        snapshot
    };
    app.update(Msg::Snapshot(Arc::new(named("EU"))), NOW);
    assert_eq!((app.events().len(), app.command_log().count()), (4, 0), "not the other's");
    press(&mut app, "C", NOW);
    assert_eq!((app.cluster().unwrap().name.as_str(), selected(&app).as_str()), ("EU", "lab3"));
    assert_eq!((app.events().len(), app.command_log().count()), (1, 1));
    app.update(Msg::Snapshot(Arc::new(named("Europa"))), NOW);
    assert_eq!((app.events().len(), app.command_log().count()), (1, 1));
}

#[test]
fn c32_marks_stay_with_their_cluster() {
    let mut app = app(fleet());
    press(&mut app, "<Enter> <Space> j <Space> C", NOW);
    assert_eq!(app.marks().len(), 0, "a peer of the same name elsewhere is not marked");
    press(&mut app, "C", NOW);
    assert_eq!(app.marks().len(), 2);
}

#[test]
fn c22_an_action_by_name_opens_its_dialog_and_enter_alone_does_nothing_there() {
    let mut app = app(one_sided().build());
    assert_eq!(command(&mut app, "disconnec"), []);
    assert_eq!(told(&app), "Enter again does it");
    assert_eq!(press(&mut app, "<Enter>", NOW), [Cmd::Remember("disconnect".into())]);
    assert!(matches!(app.scope(), Scope::Dialog | Scope::Choice), "{:?}", app.scope());
    assert_eq!(press(&mut app, "<Enter> <Enter>", later(2)), []);
    press(&mut app, "<Esc> <Esc>", later(3));
    assert!(app.overlay().is_none());

    let read_only = Options { read_only: true, ..options() };
    let mut app = App::new(read_only, Arc::new(one_sided().build()), NOW);
    assert_eq!(command(&mut app, "disconnect"), []);
    assert!(told(&app).contains("read-only"), "{}", told(&app));
    press(&mut app, "<Esc>", NOW);
    command(&mut app, "fault cut lab1 lab2");
    assert!(told(&app).contains("read-only"), "{}", told(&app));
}

#[test]
fn c32_what_is_told_of_another_cluster_names_it_and_the_title_counts_all() {
    let mut app = app(fleet());
    let finding = app.cluster().unwrap().findings[0].clone();
    app.update(Msg::Alert(Transition::Raised, finding), NOW);
    assert!(app.toast_shown(NOW).unwrap().text.starts_with("americas: lab3 does not reach lab5"));
    assert!(app.title().starts_with("peerdeck 2 clusters: 1 critical: americas: lab3"), "{}", app.title());
    press(&mut app, "<Enter> C", NOW);
    let before = app.digest(NOW);
    let mut other = fleet();
    Arc::make_mut(&mut other.clusters[0]).changes += 1;
    app.update(Msg::Snapshot(Arc::new(other.clone())), NOW);
    assert_eq!(app.digest(NOW), before, "what changes elsewhere does not redraw this");
    press(&mut app, "O", NOW);
    let before = app.digest(NOW);
    Arc::make_mut(&mut other.clusters[0]).changes += 1;
    app.update(Msg::Snapshot(Arc::new(other)), NOW);
    assert_ne!(app.digest(NOW), before, "but the page of clusters");
}

#[test]
fn q_leaves_from_the_page_of_clusters_and_one_cluster_has_none() {
    assert_eq!(press(&mut app(fleet()), "q", NOW), [Cmd::Quit]);
    let mut one = app(one_sided().build());
    assert_eq!(one.scope(), Scope::Mesh);
    assert!(!one.can(peerdeck::app::Action::Overview, NOW));
    assert_eq!(press(&mut one, "C", NOW), []);
}

#[test]
fn a_field_that_is_none_is_told_below_the_filter_and_hides_everything() {
    let mut app = app(one_sided().build());
    press(&mut app, "/ hots:lab3", NOW);
    let screen = text(&render(&app, (80, 24), &look("terminal", false, Depth::True), NOW));
    let lines: Vec<&str> = screen.lines().collect();
    assert!(lines[22].starts_with(" /hots:lab3") && lines[22].ends_with("0 of 6"), "{screen}");
    assert!(lines[23].starts_with(" There is no field hots: here. Did you mean host:?"), "{screen}");
    press(&mut app, "<Enter>", NOW);
    let screen = text(&render(&app, (120, 40), &look("terminal", false, Depth::True), NOW));
    assert!(screen.contains("Press Esc to end it."), "{screen}");
    press(&mut app, "<Esc>", NOW);
    assert_eq!(app.hits(NOW), (6, 6));
    press(&mut app, "/ gr <Tab> rome", NOW);
    assert_eq!((app.filter().text.as_str(), app.view(), app.hits(NOW)), ("group:rome", View::Mesh, (2, 6)));
    press(&mut app, "<Esc> 4 / severity:warn <Enter>", NOW);
    assert_eq!(app.hits(NOW), (1, 2));
    press(&mut app, "5 / !kind:link <Enter>", NOW);
    assert_eq!(app.hits(NOW), (2, 4));
}

#[test]
fn every_empty_view_says_so_in_words() {
    let nothing = Snapshot { clusters: vec![], ..Scene::lab(0).build() };
    let look = look("terminal", false, Depth::True);
    for (snapshot, keys, says) in [
        (nothing, "", "No cluster is configured."),
        (Scene::lab(0).build(), "", "No peers are known yet."),
        (Scene::lab(3).build(), "4", "Nothing is wrong."),
        (Scene::lab(2).silent(0).silent(1).build(), "4", "No peer has told anything yet."),
        (Scene::lab(3).build(), "5", "Nothing has changed yet."),
        (Scene::lab(3).build(), "f", "No faults. Press f"),
        (Scene::lab(1).build(), "<Enter>", "This peer has no fellows yet."),
        (Scene::lab(3).build(), "<Enter> f", "No link of this peer is in trouble."),
        (Scene::lab(3).build(), "<Enter> / zz", "No link passes the filter. Press Esc"),
        (one_sided().build(), "4 / zz", "No finding passes the filter. Press Esc"),
        (one_sided().build(), "5 / zz", "No event passes the filter. Press Esc"),
        (one_sided().build(), "/ zz", "No peer passes the filter. Press Esc"),
        (Scene::lab(3).build(), "L", "No command was sent from here yet."),
        (Scene::lab(3).build(), "H", "Nothing was told yet."),
        (Scene::lab(3).build(), "W", "The 3 peers on the line tell of no session."),
        (one_sided().build(), "H / x", "Nothing contains what is searched for."),
        (Scene::lab(3).build(), ": zzqq", "No command is called like that."),
    ] {
        let mut app = app(snapshot.clone());
        press(&mut app, keys, NOW);
        let screen = text(&render(&app, (100, 30), &look, NOW));
        assert!(screen.contains(says), "{keys}: {says}\n{screen}");
    }
}

#[test]
fn findings_and_events_are_sorted_by_key_and_name_and_the_header_says_by_what() {
    let mut app = app(one_sided().build());
    let order = |app: &App| app.findings().iter().map(|f| f.kind).collect::<Vec<_>>();
    let header = |app: &App| {
        let screen = text(&render(app, SIZE, &look("terminal", false, Depth::True), NOW));
        screen.lines().nth(3).unwrap().to_owned()
    };
    press(&mut app, "4", NOW);
    assert_eq!(order(&app), [FindingKind::LinkOneSided, FindingKind::ClockSkew]);
    assert!(header(&app).contains("severity↓"), "{}", header(&app));
    let chosen = app.findings()[0].id.clone();
    press(&mut app, "s s s", NOW);
    assert_eq!((app.list_sort(List::Findings), order(&app)[0]), (ListSort::Kind, FindingKind::ClockSkew));
    assert_eq!(app.findings()[app.finding_place()].id, chosen, "the selection is by identity");
    press(&mut app, "s", NOW);
    assert_eq!(app.list_sort(List::Findings), ListSort::Usual);
    command(&mut app, "sort about");
    assert!(header(&app).contains("subject↓"), "{}", header(&app));
    press(&mut app, "5", NOW);
    command(&mut app, "sort kind");
    assert_eq!(app.events()[0].kind, EventKind::Link);
    press(&mut app, "j j", NOW);
    assert_eq!(app.event_place(&app.events()), Some(2));
}

#[test]
fn columns_are_chosen_and_what_does_not_fit_stays_away() {
    let mut app = app(one_sided().build());
    press(&mut app, "j j <Enter>", NOW);
    let header = |app: &App, width: u16| {
        let screen = text(&render(app, (width, 24), &look("terminal", false, Depth::True), NOW));
        screen.lines().nth(5).unwrap().split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(header(&app, 80), "state peer back since cause rtt");
    command(&mut app, "columns address peer state dns");
    assert_eq!(header(&app, 120), "address peer state dns");
    assert_eq!(header(&app, 50), "address peer state", "kept to what fits");
    assert_eq!(command(&mut app, "columns peer nonsense"), []);
    assert!(told(&app).contains("no column nonsense"), "{}", told(&app));
    press(&mut app, "<Esc>", NOW);
    command(&mut app, "columns usual");
    assert_eq!(header(&app, 80), "state peer back since cause rtt");
    press(&mut app, "c j <Enter> <Esc>", NOW);
    assert_eq!(header(&app, 80), "state back since cause rtt dials", "the second column is off");
    press(&mut app, "c u <Esc>", NOW);
    assert!(app.is_usual(List::Connections));
    for list in List::iter() {
        assert!(!list.columns().is_empty());
    }
}

#[test]
fn zoom_shows_the_selected_line_of_every_list_alone_and_back_leads_back() {
    for (keys, alone, hidden) in [
        ("n <Enter> z", "3 pings in a row without an answer", "fellows connected"),
        ("4 j z", "the wall clock of lab6 is 7.2 s ahead", "severity"),
        ("5 k z", "lab3 does not reach lab5; the way back works (one-sided)", "newer"),
    ] {
        let mut app = app(one_sided().build());
        press(&mut app, keys, NOW);
        let look = look("terminal", false, Depth::True);
        let screen = text(&render(&app, (100, 30), &look, NOW));
        assert!(screen.contains(alone) && !screen.contains(hidden), "{keys}\n{screen}");
        let scope = app.scope();
        press(&mut app, "<Esc>", NOW);
        assert!(!app.is_zoomed());
        assert_eq!(app.scope(), scope, "{keys}");
    }
    let mut app = app(one_sided().build());
    press(&mut app, "z 4", NOW);
    assert!(!app.is_zoomed(), "each view has its own");
}

#[test]
fn other_operators_are_counted_and_listed_with_what_they_do() {
    let mut snapshot = one_sided().build();
    let session = |user: &str, what: &str| OperatorSession {
        user: Line::new(user),
        from: Line::new("192.0.2.7:51000"),
        since: ago(120),
        what: Line::new(what),
    };
    let cluster = Arc::make_mut(&mut snapshot.clusters[0]);
    Arc::make_mut(&mut cluster.peers[1]).sessions = vec![session("op", "console"), session("eve", "shell")].into();
    let mut app = app(snapshot);
    press(&mut app, "W", NOW);
    let screen = text(&render(&app, (120, 30), &look("terminal", false, Depth::True), NOW));
    assert!(screen.contains("1 other session"), "{screen}");
    let line = screen.lines().find(|l| l.contains("eve")).unwrap();
    for word in ["lab2", "192.0.2.7:51000", "03:12:21", "shell"] {
        assert!(line.contains(word), "{line}");
    }
    press(&mut app, "/ console <Enter>", NOW);
    assert_eq!(app.session_lines("console").len(), 1);
}

#[test]
fn new_times_are_local_or_utc_as_all_others() {
    let look = Look { zone: jiff::tz::TimeZone::get("Asia/Tokyo").unwrap(), ..look("terminal", false, Depth::True) };
    let mut app = app(one_sided().build());
    app.update(Msg::Notice("told".into()), NOW);
    press(&mut app, "r", NOW);
    for keys in ["H", "L", "5 k z"] {
        press(&mut app, keys, NOW);
        let shown = |app: &App| text(&render(app, SIZE, &look, NOW));
        let hour = |app: &App, hour: &str| shown(app).contains(&format!("{hour}:1"));
        assert!(hour(&app, "12") && !hour(&app, " 03"), "{keys}\n{}", shown(&app));
        press(&mut app, "U", NOW);
        assert!(hour(&app, "03") && !hour(&app, "12"), "{keys}\n{}", shown(&app));
        press(&mut app, "U <Esc>", NOW);
    }
}

#[test]
fn palette_log_overview_and_filter_at_three_sizes() {
    let plain = look("terminal", false, Depth::True);
    for size in SIZES {
        let name = |what: &str| format!("{what}-{}x{}", size.0, size.1);
        let mut app = app(one_sided().build());
        press(&mut app, ":", NOW);
        check_app(&name("palette"), &app, size, &plain);
        type_line(&mut app, "");
        press(&mut app, "<Esc>", NOW);
        type_line(&mut app, "so");
        check_app(&name("palette-typed"), &app, size, &plain);
        press(&mut app, "<Esc>", NOW);
        type_line(&mut app, "peer lab");
        press(&mut app, "<Down> <Down>", NOW);
        check_app(&name("palette-peer"), &app, size, &plain);
        press(&mut app, "<Esc> r", NOW);
        let mut scene = one_sided();
        scene.event(9, EventKind::Command, "disconnect lab3: sent, sent");
        scene.event(8, EventKind::Command, "disconnect lab3: failed, lab3 can't write its state: the disk is full");
        app.update(Msg::Snapshot(Arc::new(scene.build())), NOW);
        press(&mut app, "L", NOW);
        check_app(&name("log"), &app, size, &plain);
        press(&mut app, "<Esc> / state:down", NOW);
        check_app(&name("filter-line"), &app, size, &plain);
        press(&mut app, "<Space> hots:x", NOW);
        check_app(&name("filter-problem"), &app, size, &plain);
        let fleet = App::new(options(), Arc::new(fleet()), NOW);
        check_app(&name("overview"), &fleet, size, &plain);
    }
}

#[test]
fn c31_what_cannot_be_done_is_told_apart_without_colour() {
    let mono = look("mono", true, Depth::None);
    let mut app = app(one_sided().build());
    type_line(&mut app, "clu");
    press(&mut app, "<Down>", NOW);
    let buf = render(&app, (80, 24), &mono, NOW);
    let screen = text(&buf);
    assert!(screen.contains("(the fleet has one cluster)"), "{screen}");
    assert!(screen.contains(glyphs::ASCII.pointer), "{screen}");
    let reversed = buf.content().iter().filter(|c| c.modifier.contains(Modifier::REVERSED)).count();
    assert!(reversed > 0, "the chosen line stands out");
}
