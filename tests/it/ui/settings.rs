//! The Settings view and what lies over it.

use std::sync::Arc;
use std::time::Duration;

use peerdeck::app::{App, Cmd, Msg};
use peerdeck::domain::settings::{CommitId, Key, ModeId, Past};
use peerdeck::domain::{ClusterName, Line, Outcome, OutcomeState, Snapshot};
use peerdeck::ui::Depth;

use super::scene::{NOW, Scene};
use super::tree::{TreeScene, group};
use super::{app, check, check_app, look, press, render, terminal, text};

const SIZES: [(u16, u16); 4] = [(40, 10), (80, 24), (120, 40), (220, 60)];

fn lab() -> Snapshot {
    Scene::lab(6).settings(&TreeScene::lab().build()).build()
}

/// The console on a feature of a mode, after `keys`.
fn on(size: (u16, u16), keys: &str) -> App {
    app(lab(), size, &format!("2 {keys}"))
}

#[test]
fn c2_three_panes_tell_inherited_overridden_empty_and_not_set_apart() {
    // Paris overrides the routes with nothing.
    for size in SIZES {
        check(&format!("settings-{}x{}", size.0, size.1), lab(), size, "2 j j j j <Tab> G k", &terminal());
    }
    let paris = "2 j j j j";
    check("settings-ascii", lab(), (120, 40), paris, &look("terminal", true, Depth::Sixteen));
    check("settings-mono", lab(), (120, 40), paris, &look("mono", false, Depth::None));
}

#[test]
fn c2_empty_and_not_set_differ_by_word_and_sign_in_every_look() {
    for (ascii, theme, depth) in
        [(false, "terminal", Depth::True), (true, "terminal", Depth::Sixteen), (true, "mono", Depth::None)]
    {
        let shown = text(&render(&on((120, 40), "j j j j"), (120, 40), &look(theme, ascii, depth), NOW));
        // The pane in the middle: sign, name, words.
        let middle = |l: &str| l.split(['│', '|']).nth(1).map(|m| m.trim_start_matches(['▸', '>', ' ']).to_owned());
        let line = |feature: &str| {
            let mut lines = shown.lines().skip(4).filter_map(middle);
            lines.find(|l| l.contains(&format!("{feature} "))).unwrap_or_else(|| panic!("{feature}\n{shown}"))
        };
        let (set, empty, not_set) = (line("bounceconfig"), line("smtproutes"), line("addressconfig"));
        assert!(set.contains("set here") && empty.contains("empty here") && not_set.contains("not set"), "{shown}");
        assert!(line("dnsconfig").contains("from Cluster americas"), "{shown}");
        let signs = [&set, &empty, &not_set, &line("dnsconfig")].map(|l| l.chars().next().unwrap());
        let distinct: std::collections::BTreeSet<char> = signs.into_iter().collect();
        assert_eq!(distinct.len(), 4, "{signs:?}\n{shown}");
    }
}

#[test]
fn c16_the_results_tell_peer_by_peer_who_has_the_commit() {
    let mut scene = Scene::lab(6);
    scene.settings(&TreeScene::lab().build());
    let size = (120, 40);
    let mut app = app(scene.build(), size, "2 j j j j <Tab> G k x a c");
    let later = NOW + Duration::from_secs(1);
    let cmds = press(&mut app, "<Shift-Tab> routes <Tab> y", later);
    let Some(Cmd::Submit { run, .. }) = cmds.first() else { panic!("{cmds:?}") };
    let outcome = Outcome { state: OutcomeState::Accepted, at: later, detail: Line::new("on disk at lab1") };
    app.update(Msg::Outcome { run: *run, step: 0, outcome }, later);
    // Another's commit at the same time, and ours.
    scene.commit(7, "others", later).commit(8, "routes", later);
    scene.holds(0, "a", 8).holds(1, "a", 9).holds(2, "a", 7).stale(3, 20).holds(4, "b", 8);
    app.update(Msg::Snapshot(Arc::new(scene.build())), later);
    check_app("settings-spread", &app, size, &terminal());
    let shown = text(&render(&app, size, &terminal(), later));
    assert!(shown.contains("has it    2: lab1, lab2"), "{shown}");
    assert!(shown.contains("not yet   2: lab3, lab5"), "{shown}");
    assert!(shown.contains("not known 2: lab4, lab6"), "{shown}");
}

#[test]
fn c24_conflicts_are_marked_at_register_feature_and_mode() {
    for size in [(80, 24), (120, 40)] {
        check(&format!("settings-conflict-{}x{}", size.0, size.1), lab(), size, "2 n", &terminal());
    }
}

#[test]
fn c24_versions_of_a_conflict_stand_side_by_side_with_who_when_and_where() {
    for size in SIZES {
        let app = on(size, "n a x");
        check_app(&format!("settings-resolve-{}x{}", size.0, size.1), &app, size, &terminal());
    }
    let app = on((120, 40), "n a x l");
    check_app("settings-resolve-other", &app, (120, 40), &terminal());
    check_app("settings-resolve-ascii", &app, (120, 40), &look("terminal", true, Depth::Sixteen));
    check_app("settings-resolve-mono", &app, (120, 40), &look("mono", false, Depth::None));
    let mut app = app;
    press(&mut app, "<Enter>", NOW);
    check_app("settings-resolve-confirm", &app, (120, 40), &terminal());
    check_app("settings-resolve-confirm-80x24", &app, (80, 24), &terminal());
}

#[test]
fn b4_setgroup_tells_what_changes_on_which_machine() {
    for size in SIZES {
        // lab3 and lab4 are marked in Paris; Rome is where they go.
        let app = on(size, "j j j j j <Space> j <Space> a g j j <Enter>");
        check_app(&format!("settings-setgroup-{}x{}", size.0, size.1), &app, size, &terminal());
    }
    let app = on((120, 40), "j j j j j <Space> j <Space> a g");
    check_app("settings-setgroup-pick", &app, (120, 40), &terminal());
}

#[test]
fn c16_staged_changes_are_reviewed_as_a_diff() {
    let keys = "j j j j <Tab> j e <Ctrl-u> false <Tab> <Ctrl-u> 7 <Enter> G k x r";
    for size in SIZES {
        check_app(&format!("settings-review-{}x{}", size.0, size.1), &on(size, keys), size, &terminal());
    }
    let app = on((120, 40), keys);
    check_app("settings-review-ascii", &app, (120, 40), &look("terminal", true, Depth::Sixteen));
    check_app("settings-review-mono", &app, (120, 40), &look("mono", false, Depth::None));
    let mut app = app;
    press(&mut app, "a c", NOW);
    check_app("settings-commit", &app, (120, 40), &terminal());
    let staged = on((120, 40), "j j j j <Tab> G k x");
    check_app("settings-staged", &staged, (120, 40), &terminal());
}

#[test]
fn c23_what_somebody_else_wrote_meanwhile_is_shown_beside_what_is_staged() {
    let mut app = on((120, 40), "j j j j <Tab> G k x");
    let mut tree = TreeScene::lab();
    tree.set(&group(1), "smtproutes", "{\"example.net\": [\"mx7\"]}", 5, 3);
    app.update(Msg::Snapshot(Arc::new(Scene::lab(6).settings(&tree.build()).build())), NOW);
    press(&mut app, "r", NOW);
    check_app("settings-review-moved", &app, (120, 40), &terminal());
    check_app("settings-review-moved-80x24", &app, (80, 24), &terminal());
}

#[test]
fn c27_two_modes_stand_side_by_side_and_what_differs_first() {
    for size in [(80, 24), (120, 40), (220, 60)] {
        let app = on(size, "v / Paris <Enter> <Enter>");
        check_app(&format!("settings-beside-{}x{}", size.0, size.1), &app, size, &terminal());
    }
    let app = on((120, 40), "v / Paris <Enter> <Enter>");
    check_app("settings-beside-ascii", &app, (120, 40), &look("terminal", true, Depth::Sixteen));
}

#[test]
fn a_value_is_typed_field_by_field_or_as_json() {
    check_app("settings-form", &on((80, 24), "j j j j <Tab> j e"), (80, 24), &terminal());
    check_app("settings-form-json", &on((80, 24), "<Tab> G k e"), (80, 24), &terminal());
    check_app("settings-form-wrong", &on((80, 24), "<Tab> G k e x <Enter>"), (80, 24), &terminal());
    check_app("settings-form-small", &on((40, 10), "j j j j <Tab> j e"), (40, 10), &terminal());
}

#[test]
fn c25_what_a_setting_names_in_vain_is_told_with_what_to_do() {
    check("settings-dangling", lab(), (120, 40), "2 <Tab> j j j j", &terminal());
}

#[test]
fn c23_the_history_of_a_setting_keeps_the_loser() {
    let mut app = on((120, 40), "<Tab> j j b");
    check_app("settings-history-asked", &app, (120, 40), &terminal());
    let key = Key::Feature(ModeId::Cluster, "dnsconfig".into());
    let tree = TreeScene::lab().build();
    let versions = tree.entry(&key).unwrap().versions();
    let past = versions.iter().enumerate().map(|(n, v)| Past {
        key: key.clone(),
        version: v.clone(),
        commit: CommitId { actor: Line::new("a"), seq: n as u64 },
        comment: Line::new("moved to the new resolvers"),
        stands: n == 0,
    });
    let past = Ok(past.collect());
    app.update(Msg::History { cluster: ClusterName::new("americas"), key, past }, NOW);
    check_app("settings-history", &app, (120, 40), &terminal());
}

#[test]
fn nobody_has_told_settings_yet() {
    let app = app(Scene::lab(6).build(), (80, 24), "2");
    let shown = text(&render(&app, (80, 24), &terminal(), NOW));
    assert!(shown.contains("No peer has told its settings yet."), "{shown}");
}

#[test]
fn a_thousand_machines_with_fifty_settings_each_are_walked_to_their_ends() {
    let mut tree = TreeScene::bare(1000);
    for i in 0..1000 {
        for feature in 0..50 {
            let text = format!("{{\"value\": {i}}}");
            tree.set(&super::tree::machine(i), &format!("feature{feature:02}"), &text, 100, i);
        }
    }
    let tree = tree.build();
    let snapshot = Scene::lab(6).settings(&tree).build();
    let size = (220, 60);
    let mut app = app(snapshot, size, "2 <Tab>");
    let look = terminal();
    let mut worst = Duration::ZERO;
    let mut shown = String::new();
    for keys in ["j", "<Shift-Tab> j j j j", "G", "k k", "<Tab> G", "s", "s"] {
        let start = std::time::Instant::now();
        press(&mut app, keys, NOW);
        let keys = u32::try_from(keys.split_whitespace().count()).unwrap();
        let moved = start.elapsed() / keys;
        let start = std::time::Instant::now();
        let drawn = render(&app, size, &look, NOW);
        worst = worst.max(moved + start.elapsed());
        shown = text(&drawn);
    }
    println!("key and frame, at most: {worst:?}");
    assert!(
        shown.contains("feature49") && shown.contains("machine-0999") | shown.contains("999"),
        "the ends are reached: {shown}"
    );
}
