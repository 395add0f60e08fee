//! The Settings view by keys: staging, review, commits, setgroup and conflicts.

use std::sync::Arc;
use std::time::Duration;

use peerdeck::app::settings::{Pane, Stage, Standing};
use peerdeck::app::{App, Cmd, Msg, Options, View};
use peerdeck::domain::settings::{Edit, Key, ModeId};
use peerdeck::domain::{Command, DangerClass, Line, Outcome, OutcomeState, Snapshot, Time};

use crate::ui::scene::{NOW, Scene};
use crate::ui::tree::{TreeScene, group, machine, member, value};
use crate::ui::{app, press};

const SIZE: (u16, u16) = (120, 40);

/// The place of Paris, and the machine lab5, in the tree of modes.
const PARIS: &str = "j j j j";
const LAB5: &str = "j j j j j j j j";

fn ms(after: u64) -> Time {
    NOW + Duration::from_millis(after)
}

fn told(tree: &TreeScene) -> Snapshot {
    Scene::lab(6).settings(&tree.build()).build()
}

fn on(keys: &str) -> App {
    app(told(&TreeScene::lab()), SIZE, &format!("2 {keys}"))
}

fn toast(app: &App, now: Time) -> String {
    app.toast_shown(now).map(|t| t.text.clone()).unwrap_or_default()
}

/// The commits that were asked for: who carries them out, what, and the comment.
fn commits(cmds: &[Cmd]) -> Vec<(String, Vec<Edit>, String)> {
    let commits = cmds.iter().filter_map(|c| match c {
        Cmd::Submit { plan, .. } => match &plan.command {
            Command::Commit { on, edits, comment } => Some((on.to_string(), edits.to_vec(), comment.to_string())),
            other => panic!("{other:?}"),
        },
        _ => None,
    });
    commits.collect()
}

fn outcome(app: &mut App, run: u64, state: OutcomeState, now: Time) -> Vec<Cmd> {
    let outcome = Outcome { state, at: now, detail: Line::new("as it is") };
    app.update(Msg::Outcome { run, step: 0, outcome }, now)
}

fn unset(mode: ModeId, feature: &str) -> Edit {
    Edit::Unset { mode, feature: feature.into() }
}

fn set(mode: ModeId, feature: &str, text: &str) -> Edit {
    Edit::Set { mode, feature: feature.into(), value: Arc::new(value(text)) }
}

fn staged(app: &App) -> Vec<Edit> {
    app.stage().map(Stage::edits).unwrap_or_default()
}

#[test]
fn selection_is_by_identity_when_modes_and_features_come_and_go() {
    let mut app = on(&format!("{LAB5} <Tab> j j"));
    assert_eq!((app.mode(), app.feature().unwrap().as_str(), app.pane()), (machine(4), "dnsconfig", Pane::Features));
    // A machine joins before it, and a feature that this console does not know is set.
    let mut tree = TreeScene::lab();
    tree.set(&ModeId::Cluster, "aliasconfig", "{}", 5, 0);
    let scene = tree.clone();
    app.update(Msg::Snapshot(Arc::new(told(&scene))), NOW);
    assert_eq!((app.mode(), app.feature().unwrap().as_str()), (machine(4), "dnsconfig"));
    // It is gone: its neighbour is selected, and not the top.
    let gone = TreeScene::bare(4);
    app.update(Msg::Snapshot(Arc::new(told(&gone))), NOW);
    assert_ne!(app.mode(), ModeId::Cluster);
    assert!(app.book().unwrap().place(&app.mode()).is_some());
}

#[test]
fn panes_turn_by_tab_and_arrows_and_escape_leads_back() {
    for (keys, pane) in [
        ("", Pane::Modes),
        ("<Tab>", Pane::Features),
        ("<Tab> <Tab>", Pane::Value),
        ("<Tab> <Tab> <Tab>", Pane::Modes),
        ("<Shift-Tab>", Pane::Value),
        ("l l l", Pane::Value),
        ("l l h", Pane::Features),
        ("<Enter>", Pane::Features),
        ("<Enter> <Enter> <Esc>", Pane::Features),
        ("<Enter> <Esc> <Esc>", Pane::Modes),
    ] {
        assert_eq!(on(keys).pane(), pane, "{keys}");
    }
}

#[test]
fn c2_what_stands_where_is_told_with_its_origin() {
    let app = on("");
    let standing = |mode: &ModeId, feature: &str| app.shown(mode, &feature.into()).unwrap().standing;
    assert_eq!(standing(&ModeId::Cluster, "smtproutes"), Standing::Set);
    assert_eq!(standing(&group(1), "smtproutes"), Standing::Empty);
    assert_eq!(standing(&machine(2), "smtproutes"), Standing::Inherited(group(1)));
    assert_eq!(standing(&machine(0), "smtproutes"), Standing::Inherited(ModeId::Cluster));
    assert_eq!(standing(&machine(0), "bounceconfig"), Standing::Factory);
    assert_eq!(standing(&machine(0), "addressconfig"), Standing::NotSet);
    let book = app.book().unwrap();
    assert_eq!(book.defined_below(&ModeId::Cluster, &"smtproutes".into()), 2, "Paris and lab5");
    assert_eq!(book.defined_below(&group(2), &"smtproutes".into()), 1);
    assert_eq!(book.defined_below(&group(0), &"smtproutes".into()), 0);
    let marked = |mode: &ModeId| book.modes()[book.place(mode).unwrap()].clone();
    assert_eq!(marked(&group(2)).below.defined, 1, "the mark of lab5 bubbles up");
    assert_eq!(marked(&ModeId::Cluster).own.conflicts, 1);
}

#[test]
fn the_filter_is_on_features_and_knows_states() {
    let names = |app: &App| {
        let book = app.book().unwrap();
        app.feature_places().into_iter().map(|at| book.features()[at].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(&on("/ config <Enter>")).len(), 7);
    assert_eq!(names(&on("/ state:conflict <Enter>")), ["dnsconfig"]);
    assert_eq!(names(&on(&format!("{PARIS} / state:empty <Enter>"))), ["smtproutes"]);
    assert_eq!(names(&on("/ state:overridden <Enter>")), ["bounceconfig", "interfaceconfig", "smtproutes"]);
    let by_state = on(&format!("{PARIS} s"));
    assert_eq!(names(&by_state)[..2], ["bounceconfig", "smtproutes"]);
}

#[test]
fn c16_editing_only_stages_and_nothing_is_sent() {
    let mut app = on(&format!("{PARIS} <Tab> G k"));
    for (keys, wanted) in [
        ("x", vec![unset(group(1), "smtproutes")]),
        // What the register says already needs no change.
        ("0", vec![]),
        ("e <Ctrl-u> {\"a\":1} <Enter>", vec![set(group(1), "smtproutes", "{\"a\":1}")]),
    ] {
        let cmds = press(&mut app, keys, NOW);
        assert_eq!(cmds, [], "{keys}");
        assert_eq!(staged(&app), wanted, "{keys}");
    }
    assert_eq!(app.staged_count(), 1);
    press(&mut app, "X", NOW);
    assert_eq!(app.staged_count(), 0, "C16: clear drops the stage");
}

#[test]
fn a_form_has_a_field_for_each_scalar_and_keeps_what_can_t_be_read() {
    let mut app = on(&format!("{PARIS} <Tab> j e"));
    press(&mut app, "<Tab> x <Enter>", NOW);
    assert_eq!(staged(&app), [], "3x is no whole number");
    assert!(matches!(app.overlay(), Some(peerdeck::app::Overlay::Form(f)) if f.told.contains("whole number")));
    press(&mut app, "<Backspace> <Backspace> 9 <Enter>", NOW);
    let wanted = "{\"notify\": true, \"retries\": 9, \"sender\": \"mailer-daemon\"}";
    assert_eq!(staged(&app), [set(group(1), "bounceconfig", wanted)]);
    // Keys of commands are text in a field.
    press(&mut app, "e qnhl <Esc>", NOW);
    assert_eq!(app.view(), View::Settings);
    assert!(app.overlay().is_none());
}

#[test]
fn c17_what_may_not_be_set_here_is_refused_with_where_it_may() {
    let mut app = on("<Tab> G e");
    assert!(app.overlay().is_some(), "users are the cluster's");
    press(&mut app, "<Esc>", NOW);
    let mut app = on(&format!("{PARIS} <Tab> G e"));
    assert!(app.overlay().is_none());
    assert!(toast(&app, NOW).contains("Cluster americas"), "{}", toast(&app, NOW));
    press(&mut app, "0", NOW);
    assert_eq!(staged(&app), []);
}

#[test]
fn c11_copy_and_move_go_to_the_mode_that_is_picked() {
    let mut app = on(&format!("{LAB5} <Tab> G k"));
    press(&mut app, "p / Rome <Enter> <Enter>", NOW);
    assert_eq!(staged(&app), [set(group(2), "smtproutes", "{\"example.org\": [\"mx9\"]}")]);
    press(&mut app, "X m / all <Enter> <Enter>", NOW);
    let mut edits = staged(&app);
    assert_eq!(edits.pop(), Some(unset(machine(4), "smtproutes")), "C13: moved up");
    assert_eq!(edits.len(), 3, "{edits:?}");
}

#[test]
fn c16_a_commit_is_reviewed_confirmed_and_carries_its_comment() {
    let mut app = on(&format!("{PARIS} <Tab> G k x r"));
    assert!(!app.told().unwrap().effects.is_empty());
    press(&mut app, "a c", NOW);
    let dialog = app.dialog().unwrap();
    assert_eq!(dialog.class(), DangerClass::Disruptive);
    for (keys, at) in [("<Enter>", 900), ("c", 900), ("y", 299)] {
        assert_eq!(press(&mut app, keys, ms(at)), [], "{keys}");
    }
    let cmds = press(&mut app, "<Shift-Tab> routes <Tab> y", ms(900));
    let wanted = vec![unset(group(1), "smtproutes")];
    assert_eq!(commits(&cmds), [("SN0000".to_owned(), wanted, "routes".to_owned())]);
    let Some(Cmd::Submit { plan, run, .. }) = cmds.first() else { panic!("{cmds:?}") };
    let key = Key::Feature(group(1), "smtproutes".into());
    assert!(plan.basis.settings.contains_key(&key), "{:?}", plan.basis);
    assert_eq!(app.staged_count(), 1, "on its way");
    assert_eq!(staged(&app), [], "and not to be sent twice");
    outcome(&mut app, *run, OutcomeState::Accepted, ms(1000));
    assert_eq!(app.staged_count(), 0, "on disk");
    outcome(&mut app, *run, OutcomeState::Observed, ms(1100));
    assert!(toast(&app, ms(1100)).contains("observed"), "{}", toast(&app, ms(1100)));
}

#[test]
fn c16_a_refused_commit_leaves_its_changes_staged() {
    for state in [OutcomeState::Refused, OutcomeState::Failed, OutcomeState::Unknown] {
        let mut app = on(&format!("{PARIS} <Tab> G k x a c"));
        let cmds = press(&mut app, "y", ms(900));
        assert_eq!(commits(&cmds).len(), 1);
        outcome(&mut app, 0, state, ms(1000));
        assert_eq!(staged(&app), [unset(group(1), "smtproutes")], "{state:?}");
    }
}

fn moved() -> App {
    let mut app = on(&format!("{PARIS} <Tab> j x G k x"));
    let mut tree = TreeScene::lab();
    tree.set(&group(1), "smtproutes", "{\"example.net\": [\"mx7\"]}", 5, 3);
    app.update(Msg::Snapshot(Arc::new(told(&tree))), NOW);
    app
}

#[test]
fn c23_what_somebody_else_wrote_must_be_decided_on_before_a_commit() {
    let both = [unset(group(1), "bounceconfig"), unset(group(1), "smtproutes")];
    let (bounce, routes) = (vec![both[0].clone()], both.to_vec());
    // Discard, keep staged, override.
    for (key, carried, left) in [("x", &bounce, 1), ("s", &bounce, 2), ("o", &routes, 2)] {
        let mut app = moved();
        assert_eq!(press(&mut app, "a c", NOW), []);
        assert!(app.dialog().is_none(), "the review is shown instead");
        assert_eq!(app.list_key(), Some(&Key::Feature(group(1), "smtproutes".into())));
        assert!(toast(&app, NOW).contains("discard, keep staged or override"));
        press(&mut app, key, NOW);
        assert_eq!(app.staged_count(), left, "{key}");
        press(&mut app, "a c", NOW);
        let cmds = press(&mut app, "y", ms(900));
        assert_eq!(commits(&cmds).first().map(|c| &c.1), Some(carried), "{key}");
        let Some(Cmd::Submit { plan, cluster, .. }) = cmds.first() else { panic!() };
        let shown = app.picture().clusters.iter().find(|c| c.name == *cluster).unwrap();
        assert_eq!(plan.changes(shown, ms(900)), [], "{key}: it rests on what is there now");
    }
}

#[test]
fn c23_a_change_under_the_commit_dialog_turns_it_red() {
    let mut app = on(&format!("{PARIS} <Tab> G k x a c"));
    let mut tree = TreeScene::lab();
    tree.set(&group(1), "smtproutes", "{\"example.net\": [\"mx7\"]}", 5, 3);
    app.update(Msg::Snapshot(Arc::new(told(&tree))), ms(500));
    assert!(!app.dialog().unwrap().changes().is_empty());
    assert_eq!(press(&mut app, "y", ms(900)), []);
    // Read again, it still can't overwrite unseen: that is decided in the review.
    press(&mut app, "R", ms(1000));
    assert_eq!(press(&mut app, "y", ms(2000)), []);
    // Something that it does not write never turns it red.
    let mut app = on(&format!("{PARIS} <Tab> G k x a c"));
    let mut tree = TreeScene::lab();
    tree.set(&group(2), "bounceconfig", "{}", 5, 3);
    app.update(Msg::Snapshot(Arc::new(told(&tree))), ms(500));
    assert_eq!(commits(&press(&mut app, "y", ms(900))).len(), 1);
}

#[test]
fn b4_setgroup_moves_the_marked_machines_or_the_selected_one() {
    let mut app = on("j j j j j <Space> j <Space> a g j j <Enter>");
    let dialog = app.dialog().unwrap();
    assert_eq!((dialog.about.word(), dialog.class()), ("setgroup", DangerClass::Disruptive));
    let effects: Vec<&str> = dialog.plans()[0].effects.iter().map(Line::as_str).collect();
    assert!(effects.iter().any(|e| e.contains("smtproutes") && e.contains("lab3")), "{effects:?}");
    let rome = |i| {
        let ModeId::Group(group) = group(2) else { unreachable!() };
        Edit::SetGroup { machine: member(i), group }
    };
    assert_eq!(commits(&press(&mut app, "y", ms(900)))[0].1, [rome(2), rome(3)], "one commit for both");
    assert!(app.marks().is_empty());
    // In the mesh it is the cursor's peer.
    let mut app = crate::ui::app(told(&TreeScene::lab()), SIZE, "j j l l a g j j <Enter>");
    assert_eq!(commits(&press(&mut app, "y", ms(900)))[0].1, [rome(2)]);
    // Of a cell's two it is asked which.
    let mut app = crate::ui::app(told(&TreeScene::lab()), SIZE, "j j l a g 1 j j <Enter>");
    assert_eq!(commits(&press(&mut app, "y", ms(900)))[0].1, [rome(2)]);
}

#[test]
fn c24_a_conflict_is_resolved_by_the_chosen_version_and_its_typed_name() {
    let key = Key::Feature(ModeId::Cluster, "dnsconfig".into());
    let tree = TreeScene::lab().build();
    let versions = tree.entry(&key).unwrap().versions().to_vec();
    for (keys, at) in [("", 0), ("l", 1), ("l l l", 1), ("l h", 0)] {
        let mut app = on(&format!("a x {keys} <Enter>"));
        let dialog = app.dialog().unwrap();
        assert_eq!((dialog.about.word(), dialog.class()), ("resolve", DangerClass::Critical));
        assert_eq!(press(&mut app, "y <Enter>", ms(900)), [], "critical: a key alone is not enough");
        press(&mut app, "<Ctrl-u>", ms(900));
        let cmds = press(&mut app, "dnsconfig <Enter>", ms(900));
        let wanted = Edit::Resolve { key: key.clone(), version: versions[at].id.clone() };
        assert_eq!(commits(&cmds).first().map(|c| c.1.clone()), Some(vec![wanted]), "{keys}");
    }
    // --ignore changes nothing.
    let mut app = on("a x");
    assert_eq!(press(&mut app, "<Esc>", NOW), []);
    assert!(app.overlay().is_none());
}

#[test]
fn c24_all_of_one_machine_are_resolved_by_their_typed_count() {
    let mut tree = TreeScene::lab();
    tree.also(&group(1), "smtproutes", "{\"b\": [\"mx3\"]}", 3000, 3);
    tree.also(&group(2), "smtproutes", "{\"b\": [\"mx4\"]}", 3000, 1);
    tree.also(&group(2), "smtproutes", "{\"b\": [\"mx5\"]}", 3000, 2);
    let mut app = app(told(&tree), SIZE, "2 a x l");
    let chosen = app.conflict().unwrap().1.versions()[1].stamp.on.clone();
    assert_eq!(chosen, member(3));
    press(&mut app, "a p", NOW);
    let cmds = press(&mut app, "2 <Enter>", ms(900));
    let edits = commits(&cmds)[0].1.clone();
    let keys: Vec<Key> =
        edits.iter().map(|e| if let Edit::Resolve { key, .. } = e { key.clone() } else { panic!() }).collect();
    let wanted = [Key::Feature(ModeId::Cluster, "dnsconfig".into()), Key::Feature(group(1), "smtproutes".into())];
    assert_eq!(keys, wanted, "those of which that machine wrote a version, and no others");
}

#[test]
fn the_list_of_conflicts_keeps_its_selection_when_one_before_it_is_settled() {
    let mut tree = TreeScene::lab();
    tree.also(&group(1), "smtproutes", "{\"b\": [\"mx3\"]}", 3000, 3);
    let mut app = app(told(&tree), SIZE, "2 a x j");
    let key = Key::Feature(group(1), "smtproutes".into());
    assert_eq!(app.list_key(), Some(&key));
    tree.set(&ModeId::Cluster, "dnsconfig", "{}", 1, 0);
    app.update(Msg::Snapshot(Arc::new(told(&tree))), NOW);
    assert_eq!(app.list_key(), Some(&key));
    assert_eq!(app.conflict().map(|c| c.0), Some(&key));
}

#[test]
fn groups_and_names_are_made_from_the_leader() {
    let mut app = on("a n");
    let cmds = press(&mut app, "Tokyo <Enter>", NOW);
    assert_eq!(commits(&cmds)[0].1, [Edit::AddGroup { name: "Tokyo".into() }], "reversible: no further question");
    assert!(toast(&app, NOW).contains("addgroup Tokyo"), "{}", toast(&app, NOW));
    let mut app = on("a n");
    assert_eq!(press(&mut app, "Paris <Enter>", NOW), [], "there is one");
    assert!(matches!(app.overlay(), Some(peerdeck::app::Overlay::Form(f)) if !f.told.is_empty()));
    let ModeId::Group(paris) = group(1) else { unreachable!() };
    let mut app = on(&format!("{PARIS} a e"));
    let cmds = press(&mut app, "<Ctrl-u> Lyon <Enter>", NOW);
    assert_eq!(commits(&cmds)[0].1, [Edit::RenameGroup { group: paris.clone(), name: "Lyon".into() }]);
    let mut app = on(&format!("{PARIS} a k j <Enter>"));
    assert_eq!(app.dialog().unwrap().class(), DangerClass::Disruptive);
    let ModeId::Group(rome) = group(2) else { unreachable!() };
    let cmds = press(&mut app, "y", ms(900));
    assert_eq!(commits(&cmds)[0].1, [Edit::DeleteGroup { group: paris, into: rome }]);
    let mut app = on(&format!("{LAB5} a R"));
    assert_eq!(app.dialog().unwrap().class(), DangerClass::Critical);
    let cmds = press(&mut app, "lab5 <Enter>", ms(900));
    assert_eq!(commits(&cmds)[0].1, [Edit::RemoveMachine { machine: member(4) }]);
}

#[test]
fn a_read_only_console_stages_and_commits_nothing() {
    let options = Options { read_only: true, width: 120, height: 40, ..Options::default() };
    let mut app = App::new(options, Arc::new(told(&TreeScene::lab())), NOW);
    for keys in ["2 j j j j <Tab> G k x", "0", "e", "E", "p", "m", "a g", "a x", "a n", "r", "a c"] {
        assert_eq!(press(&mut app, keys, NOW), [], "{keys}");
        assert_eq!(app.staged_count(), 0, "{keys}");
        assert!(app.overlay().is_none(), "{keys}");
    }
    let cmds = press(&mut app, "b", NOW);
    assert!(matches!(cmds.as_slice(), [Cmd::History { .. }]), "looking is free: {cmds:?}");
}

#[test]
fn a_value_comes_back_from_the_editor_and_what_is_no_json_is_not_lost() {
    let mut app = on(&format!("{PARIS} <Tab> G k"));
    let cmds = press(&mut app, "E", NOW);
    let [Cmd::Edit { cluster, mode, feature, text }] = cmds.as_slice() else { panic!("{cmds:?}") };
    assert_eq!((mode, feature.as_str(), text.as_str()), (&group(1), "smtproutes", "{}\n"));
    let back = |text| Msg::Edited { cluster: cluster.clone(), mode: mode.clone(), feature: feature.clone(), text };
    app.update(back(Ok(None)), NOW);
    assert_eq!(staged(&app), []);
    app.update(back(Err("vi: not found".to_owned())), NOW);
    assert!(toast(&app, NOW).contains("not found"));
    app.update(back(Ok(Some("{\"a\": [\"mx\"\n".to_owned()))), NOW);
    let Some(peerdeck::app::Overlay::Form(form)) = app.overlay() else { panic!() };
    assert!(form.told.contains("a comma or ]"), "{}", form.told);
    press(&mut app, "]} <Enter>", NOW);
    assert_eq!(staged(&app), [set(group(1), "smtproutes", "{\"a\": [\"mx\"]}")]);
    let other = Msg::Edited {
        cluster: Line::new("another"),
        mode: group(1),
        feature: "dnsconfig".into(),
        text: Ok(Some("{}".to_owned())),
    };
    app.update(other, NOW);
    assert_eq!(app.staged_count(), 1, "C32: never into another cluster");
}

#[test]
fn c27_two_modes_side_by_side_begin_with_what_differs() {
    let mut app = on("v / Paris <Enter> <Enter>");
    assert_eq!(app.beside(), Some(&group(1)));
    let book = app.book().unwrap().clone();
    let names: Vec<&str> = app.feature_places().iter().map(|at| book.features()[*at].as_str()).collect();
    assert_eq!(names[..2], ["bounceconfig", "smtproutes"]);
    press(&mut app, "v", NOW);
    assert_eq!(app.beside(), None);
}

#[test]
fn n_goes_from_conflict_to_conflict() {
    let mut tree = TreeScene::lab();
    tree.also(&group(1), "smtproutes", "{\"b\": [\"mx3\"]}", 3000, 3);
    let mut app = app(told(&tree), SIZE, "2 G");
    let at = |app: &App| (app.mode(), app.feature().unwrap().to_string());
    press(&mut app, "n", NOW);
    assert_eq!(at(&app), (ModeId::Cluster, "dnsconfig".to_owned()), "around the end");
    press(&mut app, "n", NOW);
    assert_eq!(at(&app), (group(1), "smtproutes".to_owned()));
    press(&mut app, "N", NOW);
    assert_eq!(at(&app), (ModeId::Cluster, "dnsconfig".to_owned()));
}

/// Secrets are marked wherever they are shown; the mark left in the text keeps the secret, what is typed is hidden.
#[test]
fn a_secret_is_shown_nowhere_and_stays_when_it_is_left_as_it_is() {
    let mut tree = TreeScene::lab();
    let users =
        |password: &str, role: &str| format!("{{\"ann\": {{\"password\": \"{password}\", \"role\": \"{role}\"}}}}");
    tree.set(&ModeId::Cluster, "userconfig", &users("secret:v1:k:c2VhbGVk", "guest"), 300, 0);
    let mut app = app(told(&tree), SIZE, "2 <Tab> G");
    assert_eq!(app.feature().unwrap().as_str(), "userconfig");
    let edited = |app: &mut App, from: &str, to: &str| {
        let cmds = press(app, "E", NOW);
        let [Cmd::Edit { cluster, mode, feature, text }] = cmds.as_slice() else { panic!("{cmds:?}") };
        assert!(text.contains("\"(secret)\"") && !text.contains("c2VhbGVk") && !text.contains("hunter2"), "{text}");
        let text = Ok(Some(text.replace(from, to)));
        let back = Msg::Edited { cluster: cluster.clone(), mode: mode.clone(), feature: feature.clone(), text };
        app.update(back, NOW);
    };
    edited(&mut app, "guest", "guest");
    assert_eq!(staged(&app), [], "nothing was changed");
    edited(&mut app, "guest", "operator");
    let keeps = set(ModeId::Cluster, "userconfig", &users("secret:v1:k:c2VhbGVk", "operator"));
    assert_eq!(staged(&app), [keeps]);
    edited(&mut app, "(secret)", "hunter2");
    // Edited once more, the new one is kept, not the one before it.
    edited(&mut app, "operator", "admin");
    assert_eq!(staged(&app), [set(ModeId::Cluster, "userconfig", &users("secret:new:hunter2", "admin"))]);
    edited(&mut app, "ann", "bob");
    let Some(peerdeck::app::Overlay::Form(form)) = app.overlay() else { panic!() };
    assert!(form.told.contains("no secret to keep"), "{}", form.told);
}
