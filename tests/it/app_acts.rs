//! Acting from the console: which keys confirm and which never do, what is sent, and what is shown of it.

use std::sync::Arc;
use std::time::Duration;

use peerdeck::app::acts::Targets;
use peerdeck::app::dialog::Focus;
use peerdeck::app::{Action, App, Cmd, Msg, Options, Overlay};
use peerdeck::domain::{Cause, Command, Line, Outcome, OutcomeState, Snapshot, Time};
use peerdeck::engine::bulk::StepState;

use crate::ui::scene::{NOW, Scene};
use crate::ui::{app, press, same};

const SIZES: [(u16, u16); 2] = [(80, 24), (120, 40)];

fn ms(after: u64) -> Time {
    NOW + Duration::from_millis(after)
}

/// A well mesh of six with the cursor on lab3 itself, after `keys`.
fn on_lab3(keys: &str) -> App {
    after(Scene::lab(6).build(), &format!("j j l l {keys}"))
}

fn after(snapshot: Snapshot, keys: &str) -> App {
    app(snapshot, (120, 40), keys)
}

/// The commands that were asked for: word, target, reason.
fn sent(cmds: &[Cmd]) -> Vec<(&'static str, String, String)> {
    let submitted = cmds.iter().filter_map(|c| match c {
        Cmd::Submit { plan, .. } => {
            let command = &plan.command;
            Some((command.word(), command.target().to_string(), command.reason().to_string()))
        }
        _ => None,
    });
    submitted.collect()
}

fn toast(app: &App, now: Time) -> String {
    app.toast_shown(now).map(|t| t.text.clone()).unwrap_or_default()
}

fn outcome(app: &mut App, run: u64, step: usize, state: OutcomeState, detail: &str, now: Time) -> Vec<Cmd> {
    let outcome = Outcome { state, at: now, detail: Line::new(detail) };
    app.update(Msg::Outcome { run, step, outcome }, now)
}

const LAB3: (&str, &str, &str) = ("disconnect", "SN0002", "");

fn own(row: (&'static str, &str, &str)) -> (&'static str, String, String) {
    (row.0, row.1.to_owned(), row.2.to_owned())
}

#[test]
fn d7_a_disruptive_action_has_its_focus_on_cancel_and_only_a_choice_confirms() {
    for (keys, at, wanted, open) in [
        ("<Enter>", 900, vec![], true),
        ("<Enter> <Enter> <Enter>", 900, vec![], true),
        ("d", 900, vec![], true),
        ("a d", 900, vec![], true),
        ("a d d", 900, vec![], true),
        ("<Space>", 900, vec![], true),
        ("y", 0, vec![], true),
        ("y", 299, vec![], true),
        ("y", 300, vec![own(LAB3)], false),
        ("<Tab> <Enter>", 299, vec![], true),
        ("<Tab> <Enter>", 900, vec![own(LAB3)], false),
        ("<Tab> <Tab> <Tab> <Enter>", 900, vec![], false),
        ("<Esc>", 900, vec![], false),
        ("n", 900, vec![], false),
        ("q", 900, vec![], false),
    ] {
        let mut app = on_lab3("a d");
        assert_eq!(app.dialog().unwrap().focus, Focus::Cancel);
        assert_eq!(sent(&press(&mut app, keys, ms(at))), wanted, "{keys} after {at} ms");
        assert_eq!(app.dialog().is_some(), open, "{keys} after {at} ms");
    }
}

#[test]
fn d7_pasted_text_confirms_nothing() {
    let mut app = on_lab3("a d");
    assert_eq!(app.update(Msg::Paste("y\n\ty".into()), ms(900)), []);
    assert!(app.dialog().is_some());
    // In the field for the reason it is text.
    press(&mut app, "<Shift-Tab>", ms(900));
    app.update(Msg::Paste("moved to rack 7\ny".into()), ms(900));
    assert_eq!(app.dialog().unwrap().reason.as_str(), "moved to rack 7");
    let cmds = press(&mut app, "<Tab> <Tab> <Enter>", ms(900));
    assert_eq!(sent(&cmds), [own(("disconnect", "SN0002", "moved to rack 7"))]);
}

#[test]
fn d7_keys_of_a_word_in_a_field_are_text() {
    let mut app = on_lab3("a d");
    assert_eq!(press(&mut app, "<Shift-Tab> yqnR <Enter>", ms(900)), [], "Enter leaves the field, and no more");
    let dialog = app.dialog().unwrap();
    assert_eq!((dialog.reason.as_str(), dialog.focus), ("yqnR", Focus::Cancel));
}

#[test]
fn d7_a_changed_fact_turns_the_dialog_red_until_it_is_read_again() {
    let mut scene = Scene::lab(6);
    let mut app = after(scene.build(), "j j l l a d");
    scene.down(2, 4, Cause::Timeout, 0);
    app.update(Msg::Snapshot(Arc::new(scene.build())), ms(1000));
    let changes = app.dialog().unwrap().changes().to_vec();
    assert_eq!(changes, [Line::new("the link from lab3 to lab5 is no longer connected")]);
    for keys in ["y", "<Tab> <Enter>", "<Tab> <Tab> y", "n", "q", "<Enter>"] {
        assert_eq!(press(&mut app, keys, ms(2000)), [], "{keys}");
        assert!(app.dialog().is_some(), "{keys}: whoever types on does not close it unread");
    }
    // Back again: it was read all the same while it was otherwise.
    app.update(Msg::Snapshot(Arc::new(Scene::lab(6).build())), ms(3000));
    assert_eq!(press(&mut app, "y", ms(4000)), []);
    assert_eq!(press(&mut app, "R y", ms(5000)), [], "what is read anew can't be confirmed at once");
    assert_eq!(app.dialog().unwrap().changes(), []);
    assert_eq!(sent(&press(&mut app, "y", ms(5300))), [own(LAB3)]);
}

#[test]
fn d7_ages_and_round_trips_never_turn_it_red() {
    let mut scene = Scene::lab(6);
    let mut app = after(scene.build(), "j j l l a d");
    for (n, seconds) in [(1, 1), (2, 60), (3, 4000)] {
        scene.link(2, 4, |l| l.rtt = Some(Duration::from_millis(n * 90)));
        scene.link(0, 1, |l| l.state = peerdeck::domain::LinkState::Down);
        app.update(Msg::Snapshot(Arc::new(scene.build())), NOW + Duration::from_secs(seconds));
        assert_eq!(app.dialog().unwrap().changes(), [], "after {seconds} s");
    }
    assert_eq!(sent(&press(&mut app, "y", NOW + Duration::from_secs(4001))), [own(LAB3)]);
}

#[test]
fn d7_a_peer_that_leaves_the_cluster_under_the_dialog_is_told() {
    let scene = Scene::lab(6);
    let mut app = after(scene.build(), "j j l l a d");
    app.update(Msg::Snapshot(Arc::new(scene.without(&[2]))), ms(900));
    assert!(app.dialog().unwrap().changes()[0].as_str().contains("no longer a member"));
    assert_eq!(press(&mut app, "R", ms(1900)), []);
    assert!(app.overlay().is_none(), "there is nobody left to do it to");
    assert!(toast(&app, ms(1900)).contains("no peer of cluster"), "{}", toast(&app, ms(1900)));
}

#[test]
fn d7_several_are_disconnected_only_by_their_typed_count() {
    let mut app = after(Scene::lab(6).build(), "<Space> j <Space> j <Space> a d");
    assert_eq!(app.dialog().unwrap().focus, Focus::Cancel);
    for keys in ["<Enter>", "<Tab> <Enter>", "2 <Enter>", "<Backspace> yes <Enter>", "<Tab> <Tab> <Enter>"] {
        assert_eq!(press(&mut app, keys, ms(900)), [], "{keys}");
        assert!(app.dialog().is_some(), "{keys}");
    }
    press(&mut app, "<Esc> a d", ms(1000));
    app.update(Msg::Paste("3".into()), ms(1900));
    press(&mut app, "<Shift-Tab>", ms(1900));
    assert_eq!(app.dialog().unwrap().focus, Focus::Typed);
    app.update(Msg::Paste("3".into()), ms(1900));
    assert_eq!(app.dialog().unwrap().typed.as_str(), "", "what must be typed can't be pasted");
    let cmds = press(&mut app, "3 <Enter>", ms(1900));
    assert_eq!(sent(&cmds), [own(("disconnect", "SN0000", ""))], "the canary alone");
    assert!(app.marks().is_empty(), "an action spends its marks");
}

#[test]
fn d7_three_marked_with_one_failing_stop_there_and_each_has_a_result() {
    let mut app = after(Scene::lab(6).build(), "<Space> j <Space> j <Space> a d");
    press(&mut app, "3 <Enter>", ms(900));
    assert_eq!(outcome(&mut app, 0, 0, OutcomeState::Accepted, "", ms(1000)), [], "accepted is not done");
    let next = outcome(&mut app, 0, 0, OutcomeState::Observed, "lab1 says that it is detached", ms(1100));
    assert_eq!(sent(&next), [own(("disconnect", "SN0001", ""))]);
    let why = "the membership has changed: revision 8 now, 7 when it was decided";
    assert_eq!(outcome(&mut app, 0, 1, OutcomeState::Refused, why, ms(1200)), []);
    let states: Vec<_> =
        app.runs().newest_first().next().unwrap().bulk.steps().iter().map(|s| s.state.clone()).collect();
    assert!(matches!(&states[0], StepState::Over(o) if o.state == OutcomeState::Observed), "{states:?}");
    assert!(matches!(&states[1], StepState::Over(o) if o.state == OutcomeState::Refused), "{states:?}");
    assert_eq!(states[2], StepState::Skipped);
    let told = toast(&app, ms(1300));
    assert!(told.contains("lab2 refused") && told.contains("1 not sent"), "{told}");
    for (w, h) in SIZES {
        same(&format!("acts-results-{w}x{h}"), &app, (w, h), ms(2000));
    }
    press(&mut app, "<Esc>", ms(9000));
    assert!(app.overlay().is_none());
    press(&mut app, "4 A", ms(9000));
    assert!(matches!(app.overlay(), Some(Overlay::Results { .. })), "the results come back");
}

#[test]
fn the_rest_of_several_can_be_stopped() {
    let mut app = after(Scene::lab(6).build(), "<Space> j <Space> j <Space> a d");
    press(&mut app, "3 <Enter> s", ms(900));
    assert_eq!(outcome(&mut app, 0, 0, OutcomeState::Observed, "", ms(1000)), []);
    let run = app.runs().newest_first().next().unwrap();
    assert_eq!(run.bulk.steps().iter().filter(|s| s.state == StepState::Skipped).count(), 2);
    assert!(run.bulk.is_over());
}

#[test]
fn d7_a_cell_asks_whether_the_observer_or_the_observed_is_meant() {
    for (keys, wanted) in [
        ("1", Some("SN0002")),
        ("2", Some("SN0004")),
        ("<Enter>", Some("SN0002")),
        ("j <Enter>", Some("SN0004")),
        ("<Esc>", None),
    ] {
        let mut app = after(Scene::lab(6).build(), "j j l l l l a d");
        assert!(matches!(app.overlay(), Some(Overlay::Choice(_))), "{keys}");
        press(&mut app, keys, NOW);
        let about = app.dialog().map(|d| d.plans()[0].command.target().to_string());
        assert_eq!(about.as_deref(), wanted, "{keys}");
    }
    // In a list the line is meant, on the diagonal the peer, with marks the marked.
    let meant = |keys: &str| match after(Scene::lab(6).build(), keys).targets() {
        Targets::These(peers) => peers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        other => format!("{other:?}"),
    };
    assert_eq!(meant("j j <Enter> G"), "SN0005");
    assert_eq!(meant("j l"), "SN0001");
    assert_eq!(meant("j <Space> G <Space> l"), "SN0001 SN0005");
    assert_eq!(meant("4"), "Nobody");
}

#[test]
fn one_of_the_two_that_it_can_not_be_done_to_is_told_and_not_taken() {
    let mut scene = Scene::lab(6);
    scene.detach(4);
    let mut app = after(scene.build(), "j j l l l l a r 1");
    assert!(matches!(app.overlay(), Some(Overlay::Choice(_))));
    assert_eq!(toast(&app, NOW), "lab3 is not detached");
    same("acts-choice", &app, (80, 24), ms(7000));
    press(&mut app, "2", NOW);
    assert_eq!(app.dialog().unwrap().plans()[0].command.target().as_str(), "SN0004");
}

#[test]
fn marks_follow_their_peers_and_escape_takes_them_away_last() {
    let scene = Scene::lab(6);
    let mut app = after(scene.build(), "j <Space> j <Space> / lab <Enter>");
    let marked =
        |app: &App| app.marks().peers(app.cluster().unwrap()).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(marked(&app), ["SN0001", "SN0002"]);
    press(&mut app, "<Esc>", NOW);
    assert_eq!(marked(&app).len(), 2, "the filter first");
    app.update(Msg::Snapshot(Arc::new(scene.without(&[0, 1]))), NOW);
    assert_eq!(marked(&app), ["SN0002"], "a peer that is gone is not marked");
    app.update(Msg::Snapshot(Arc::new(scene.build())), NOW);
    assert_eq!(marked(&app), ["SN0002"]);
    assert!(app.can(Action::Back, NOW));
    press(&mut app, "<Esc>", NOW);
    assert!(app.marks().is_empty());
    // In the list of connections the line's peer is marked.
    press(&mut app, "g g <Enter> G <Space>", NOW);
    assert_eq!(marked(&app), ["SN0005"]);
    press(&mut app, "<Space>", NOW);
    assert!(app.marks().is_empty());
}

#[test]
fn those_that_it_can_not_be_done_to_are_left_out_and_told() {
    let mut scene = Scene::lab(6);
    scene.detach(1);
    let mut app = after(scene.build(), "<Space> j <Space> a d");
    let dialog = app.dialog().unwrap();
    assert_eq!((dialog.plans().len(), dialog.left_out().len()), (1, 1));
    assert_eq!(dialog.left_out()[0].as_str(), "lab2 is detached already");
    assert_eq!(sent(&press(&mut app, "y", ms(900))), [own(("disconnect", "SN0000", ""))]);
    let app = after(scene.build(), "j l a d");
    assert!(app.overlay().is_none());
    assert_eq!(toast(&app, NOW), "lab2 is detached already");
}

#[test]
fn c22_maintenance_is_one_step_with_a_reason_and_a_time() {
    let lasting = |cmds: &[Cmd]| match cmds {
        [Cmd::Submit { plan, .. }] => match &plan.command {
            Command::MaintenanceOn { lasting, reason, .. } => Some((lasting.as_secs(), reason.to_string())),
            other => panic!("{other:?}"),
        },
        _ => None,
    };
    for (keys, at, wanted) in [
        ("<Enter>", 299, None),
        ("<Enter>", 300, Some((3600, ""))),
        ("<Tab> <Ctrl-u> 90m <Enter>", 900, Some((5400, ""))),
        ("disks <Enter>", 900, Some((3600, "disks"))),
        ("disks <Tab> <Ctrl-u> 2d <Enter>", 900, Some((172_800, "disks"))),
        ("disks <Tab> <Ctrl-u> soon <Enter>", 900, None),
        ("disks <Tab> <Ctrl-u> 31d <Enter>", 900, None),
        ("disks <Tab> <Ctrl-u> 0s <Enter>", 900, None),
        ("disks <Tab> <Tab> <Enter>", 900, None),
    ] {
        let mut app = on_lab3("a m");
        let cmds = press(&mut app, keys, ms(at));
        let wanted = wanted.map(|(s, r): (u64, &str)| (s, r.to_owned()));
        assert_eq!(lasting(&cmds), wanted, "{keys}");
        if wanted.is_some() {
            assert!(app.overlay().is_none(), "told by toasts alone");
            assert_eq!(toast(&app, ms(at)), "maintenance-on lab3: sent");
            outcome(&mut app, 0, 0, OutcomeState::Observed, "", ms(1000));
            assert_eq!(toast(&app, ms(1000)), "maintenance-on lab3: observed");
        }
    }
}

#[test]
fn c22_maintenance_ends_with_one_key() {
    let mut scene = Scene::lab(6);
    scene.announce(2, "disks");
    let mut app = after(scene.build(), "j j l l a");
    let cmds = press(&mut app, "M", NOW);
    assert_eq!(sent(&cmds), [own(("maintenance-off", "SN0002", ""))]);
    assert!(app.overlay().is_none());
    let mut app = on_lab3("a");
    assert_eq!(press(&mut app, "M", NOW), []);
    assert_eq!(toast(&app, NOW), "lab3 is not in maintenance");
}

#[test]
fn d8_a_read_only_console_has_no_leader_and_says_so() {
    let options = Options { read_only: true, ..Options::default() };
    let mut app = App::new(options, Arc::new(Scene::lab(6).build()), NOW);
    assert_eq!(press(&mut app, "a", NOW), []);
    assert!(app.pending().is_empty() && app.menu(NOW).is_none());
    assert!(toast(&app, NOW).contains("read-only"), "{}", toast(&app, NOW));
    assert_eq!(press(&mut app, "d <Esc>", NOW).len(), 1, "d is the diagnosis, and nothing else");
    press(&mut app, "<Space>", NOW);
    assert!(app.marks().is_empty());
    let hints: Vec<&str> = app.hints(NOW).iter().map(|(_, word)| *word).collect();
    assert!(!hints.contains(&"act") && !hints.contains(&"mark"), "{hints:?}");
    assert!(app.help("").iter().all(|(keys, _)| !keys.starts_with("a ") && keys != "Space"));
}

#[test]
fn nothing_is_done_on_a_picture_that_stands_still() {
    let mut app = on_lab3("P a d");
    assert!(app.overlay().is_none());
    assert!(toast(&app, NOW).contains("stands still"), "{}", toast(&app, NOW));
    assert!(app.hints(NOW).iter().all(|(_, word)| *word != "act"));
    press(&mut app, "P a d", NOW);
    assert!(app.dialog().is_some());
}

#[test]
fn leaving_while_a_command_is_on_its_way_asks() {
    let mut app = on_lab3("a d");
    press(&mut app, "y <Esc>", ms(900));
    assert_eq!(press(&mut app, "q", ms(1000)), []);
    assert!(matches!(app.overlay(), Some(Overlay::Leave { .. })));
    assert_eq!(press(&mut app, "q q <Enter>", ms(1100)), [], "a key too many does not leave");
    assert_eq!(press(&mut app, "y", ms(1399)), [], "typed before it was read");
    let line = app.left_behind()[0].to_string();
    assert_eq!(line, "disconnect lab3 is on its way: what comes of it stays unknown");
    assert_eq!(press(&mut app, "y", ms(1500)), [Cmd::Quit]);
    assert_eq!(press(&mut app, "<Ctrl-c>", ms(1500)), [Cmd::Quit], "from anywhere");
    outcome(&mut app, 0, 0, OutcomeState::Unknown, "the connection was lost", ms(2000));
    press(&mut app, "<Esc>", ms(2000));
    assert_eq!(press(&mut app, "q", ms(2000)), [Cmd::Quit]);
}

#[test]
fn the_menu_behind_the_leader_says_what_can_be_done_and_what_not() {
    let app = on_lab3("a");
    let menu = app.menu(NOW).unwrap();
    assert_eq!(menu.title, "a  on lab3");
    let lines: Vec<(&str, bool)> = menu.items.iter().map(|i| (i.keys.as_str(), i.refusal.is_none())).collect();
    // Nobody has told settings: nothing of them can be changed.
    let wanted = [("d", true), ("r", false), ("m", true), ("M", false), ("g", false), ("x", false)];
    assert_eq!(lines, wanted);
    for (w, h) in SIZES {
        same(&format!("acts-menu-{w}x{h}"), &app, (w, h), ms(7000));
    }
    assert_eq!(on_lab3("g").menu(NOW).unwrap().items.len(), 1, "every chord has its menu");
}

#[test]
fn dialogs_at_two_sizes() {
    for (w, h) in SIZES {
        same(&format!("acts-disconnect-{w}x{h}"), &on_lab3("a d"), (w, h), ms(400));
        let mut scene = Scene::lab(6);
        let mut app = after(scene.build(), "j j l l a d");
        scene.cut(2, 4, 0);
        app.update(Msg::Snapshot(Arc::new(scene.build())), ms(400));
        same(&format!("acts-changed-{w}x{h}"), &app, (w, h), ms(400));
        let mut scene = Scene::lab(6);
        scene.detach(5);
        let mut app = after(scene.build(), "j j <Space> j <Space> G <Space> a d");
        press(&mut app, "2", ms(400));
        same(&format!("acts-several-{w}x{h}"), &app, (w, h), ms(400));
        let mut app = on_lab3("a m");
        press(&mut app, "new disks", ms(400));
        same(&format!("acts-maintenance-{w}x{h}"), &app, (w, h), ms(400));
    }
}

#[test]
fn marks_and_maintenance_stand_in_the_grid() {
    let mut scene = Scene::lab(6);
    scene.announce(2, "disks");
    same("acts-marks", &after(scene.build(), "j <Space> G <Space>"), (80, 24), NOW);
    same("acts-maintained", &after(scene.build(), "j j l l"), (80, 24), NOW);
}

#[test]
fn the_dialog_fits_the_smallest_screen() {
    same("acts-disconnect-40x10", &on_lab3("a d"), (40, 10), ms(400));
}

#[test]
fn d7_the_key_that_opens_a_dialog_never_confirms_it_whatever_it_is_bound_to() {
    use peerdeck::app::keymap::{Change, Keymap};
    use peerdeck::app::keys::chord;
    let change = Change { scope: None, chord: chord("a y").unwrap(), action: Some(Action::Disconnect), line: 1 };
    let mut app = after(Scene::lab(6).build(), "j j l l");
    app.update(Msg::Keymap(Keymap::with(&[change]).unwrap().0), NOW);
    press(&mut app, "a y", NOW);
    assert_eq!(press(&mut app, "y y", ms(900)), []);
    assert!(app.dialog().is_some());
    assert_eq!(sent(&press(&mut app, "<Tab> <Enter>", ms(900))), [own(LAB3)], "a button still does");
    let enter = Change {
        scope: Some(peerdeck::app::Scope::Dialog),
        chord: chord("Enter").unwrap(),
        action: Some(Action::Confirm),
        line: 1,
    };
    assert!(Keymap::with(&[enter]).is_err(), "Enter alone never confirms");
}

#[test]
fn a_wrong_key_behind_the_leader_and_escape_only_close_its_menu() {
    let mut app = on_lab3("<Space> a");
    assert_eq!(press(&mut app, "q", NOW), [], "it was meant for the menu");
    assert!(app.menu(NOW).is_none());
    press(&mut app, "a <Esc>", NOW);
    assert!(app.menu(NOW).is_none());
    assert_eq!(app.marks().len(), 1, "the marks are kept");
}
