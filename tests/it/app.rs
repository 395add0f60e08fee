//! State of the console: keys as text, what they change, what they ask for.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use peerdeck::app::action::{TABLE, keys_markdown};
use peerdeck::app::keymap::Match;
use peerdeck::app::keys::{Key, chord};
use peerdeck::app::{Action, App, Cmd, Keymap, Msg, Options, Scope, View};
use peerdeck::domain::event::EventKind;
use peerdeck::domain::finding::Transition;
use peerdeck::domain::{Cause, FindingKind, PeerId, ReachState, Snapshot, Subject, Time};
use strum::IntoEnumIterator;

use crate::ui::scene::{NOW, Scene, one_sided};
use crate::ui::{app, press, question};

const SIZE: (u16, u16) = (120, 40);

/// The selected cell as `lab3>lab5`.
fn selected(app: &App) -> String {
    let cluster = app.cluster().unwrap();
    let name = |id: Option<&PeerId>| id.map_or("-".to_owned(), |id| cluster.label(id).to_owned());
    format!("{}>{}", name(app.cursor().from()), name(app.cursor().to()))
}

fn later(seconds: u64) -> Time {
    NOW + Duration::from_secs(seconds)
}

/// A picture in which lab4 waits for an answer about its host key.
fn asking(snapshot: &Snapshot) -> Arc<Snapshot> {
    let mut snapshot = snapshot.clone();
    let cluster = Arc::make_mut(&mut snapshot.clusters[0]);
    let peer = Arc::make_mut(&mut cluster.peers[3]);
    peer.reach.state = ReachState::AskHostKey;
    peer.reach.detail = question().fingerprint;
    Arc::new(snapshot)
}

#[test]
fn keys_move_by_identity() {
    for (keys, at) in [
        ("", "lab1>lab1"),
        ("j", "lab2>lab1"),
        ("j j l l l", "lab3>lab4"),
        ("<Down> <Right> <Up> <Left>", "lab1>lab1"),
        ("G", "lab6>lab1"),
        ("G g g", "lab1>lab1"),
        ("G g j", "lab6>lab1"), // An unfinished chord does nothing; its last key counts by itself.
        ("<Ctrl-d>", "lab6>lab1"),
        ("k h", "lab1>lab1"),
        ("/ lab3 <Enter>", "lab3>lab1"),
        ("/ lab3 <Enter> <Esc> j", "lab4>lab1"),
        ("/ group:rome", "lab5>lab1"),
        ("/ !group:rome <Enter> G", "lab4>lab1"),
        ("/ state:down <Enter>", "lab3>lab3"),
        ("/ cause:timeout <Space> !host:lab3 <Enter>", "lab5>lab3"),
        ("n", "lab3>lab5"),
        ("n n", "lab5>lab3"),
        ("n n n", "lab3>lab5"),
        ("N", "lab5>lab3"),
        ("f", "lab3>lab3"),
        ("<Enter> j", "lab1>lab3"),
        ("j <Enter> G <Esc>", "lab2>lab6"),
        ("s s s", "lab1>lab1"),
        ("s s s g g", "lab3>lab1"),
    ] {
        let app = app(one_sided().build(), SIZE, keys);
        assert_eq!(selected(&app), at, "{keys}");
    }
}

#[test]
fn the_selection_follows_its_peers_and_the_nearest_stays_when_one_goes() {
    let scene = Scene::lab(6);
    let mut app = app(scene.build(), SIZE, "j j l l l l");
    assert_eq!(selected(&app), "lab3>lab5");
    app.update(Msg::Snapshot(Arc::new(scene.without(&[0, 1]))), NOW);
    assert_eq!(selected(&app), "lab3>lab5");
    assert_eq!((app.cursor().row(), app.cursor().col()), (0, 2));
    app.update(Msg::Snapshot(Arc::new(scene.without(&[0, 1, 2]))), NOW);
    assert_eq!(selected(&app), "lab4>lab5");
    app.update(Msg::Snapshot(Arc::new(scene.build())), NOW);
    assert_eq!(selected(&app), "lab4>lab5", "the chosen peer is kept, not its place");
}

#[test]
fn the_order_changes_only_on_its_key() {
    let mut scene = Scene::lab(6);
    let mut app = app(scene.build(), SIZE, "s s s");
    let rows = |app: &App| {
        let cluster = app.cluster().unwrap();
        app.grid(NOW).rows.iter().map(|i| cluster.peers[*i].host.short().to_owned()).collect::<Vec<_>>().join(" ")
    };
    let before = rows(&app);
    scene.cut(3, 5, 9);
    app.update(Msg::Snapshot(Arc::new(scene.build())), NOW);
    assert_eq!(rows(&app), before);
    press(&mut app, "s s s s", NOW);
    assert!(rows(&app).starts_with("lab4 lab6"), "{}", rows(&app));
}

#[test]
fn views_by_number_and_in_a_circle() {
    for (keys, view) in [
        ("4", View::Findings),
        ("5", View::Events),
        ("5 1", View::Mesh),
        ("2", View::Settings),
        ("<Tab>", View::Settings),
        ("4 <Tab> <Tab>", View::Mesh),
        ("4 <Shift-Tab>", View::Ha),
        ("3 <Tab>", View::Ha),
        ("<Shift-Tab>", View::Events),
        ("3", View::Ha),
    ] {
        assert_eq!(app(one_sided().build(), SIZE, keys).view(), view, "{keys}");
    }
    let app = app(one_sided().build(), SIZE, "<Enter> 4 1");
    assert!(app.connections_of().is_some(), "a view is found again as it was left");
}

#[test]
fn a_pause_holds_the_picture_while_collecting_goes_on() {
    let mut scene = Scene::lab(6);
    let mut app = app(scene.build(), SIZE, "P");
    scene.cut(0, 1, 1);
    app.update(Msg::Snapshot(Arc::new(scene.build())), later(30));
    assert!(app.is_complete(later(30)), "ages stand still as well: nothing becomes stale");
    assert_eq!(app.cluster().unwrap().link_counts(app.moment(later(30))), (30, 30));
    assert_eq!(app.next_wake(later(30)), Some(Duration::from_secs(1)));
    assert_eq!(app.next_wake(later(90)), Some(Duration::from_secs(30)), "its age shows minutes");
    let finding =
        scene.verdict(FindingKind::LinkDown, Subject::Cluster, 0, 1, "cut").build().clusters[0].findings[0].clone();
    let cmds = app.update(Msg::Alert(Transition::Raised, finding), later(31));
    assert_eq!((cmds, app.alerts_while_paused()), (vec![], 1));
    press(&mut app, "P", NOW);
    assert_eq!(app.cluster().unwrap().link_counts(app.moment(NOW)), (30, 28));
}

#[test]
fn an_idle_console_wakes_by_seconds_only_while_an_age_shows_seconds() {
    let mut scene = Scene::lab(6);
    let app = app(scene.build(), SIZE, "");
    assert_eq!(app.ages_due(NOW), Duration::from_secs(1), "rows come all the time");
    assert_eq!(app.ages_due(NOW + Duration::from_millis(300)), Duration::from_millis(700), "on whole seconds");
    for i in 0..6 {
        scene.stale(i, 70);
    }
    let app = crate::ui::app(scene.build(), SIZE, "");
    assert_eq!(app.ages_step(later(1)), Duration::from_mins(1), "the next dial is told by its moment");
    // It is 23 s past a whole minute.
    assert_eq!(app.ages_due(later(2)), Duration::from_secs(37), "all ages show minutes");
    assert_eq!((app.ages_step(later(2)), app.next_wake(later(2))), (Duration::from_mins(1), None), "nothing else");
    scene.finding(FindingKind::LinkDown, Subject::Cluster, 20, "just now");
    let app = crate::ui::app(scene.build(), SIZE, "");
    assert_eq!(app.ages_due(later(2)), Duration::from_secs(1), "one age shows seconds");
    assert_eq!(app.ages_due(later(40)), Duration::from_secs(59));
}

#[test]
fn a_new_critical_finding_rings_and_is_told_and_nothing_else_does() {
    let options = Options { bell: true, ..Options::default() };
    let mut app = App::new(options, Arc::new(one_sided().build()), NOW);
    let findings = app.cluster().unwrap().findings.clone();
    let (critical, warning) = (findings[0].clone(), findings[1].clone());
    assert_eq!(app.update(Msg::Alert(Transition::Raised, warning), NOW), []);
    assert_eq!(app.update(Msg::Alert(Transition::Changed, critical.clone()), NOW), []);
    assert_eq!(app.toast_shown(NOW), None);
    assert_eq!(app.update(Msg::Alert(Transition::Raised, critical.clone()), NOW), [Cmd::Bell]);
    assert_eq!(app.toast_shown(NOW).unwrap().text, critical.text.as_str());
    assert_eq!(app.toast_shown(later(7)), None);
    press(&mut app, "B", NOW);
    assert_eq!(app.update(Msg::Alert(Transition::Raised, critical), NOW), []);
}

#[test]
fn commands_are_asked_for_with_names() {
    let mut app = app(one_sided().build(), SIZE, "n");
    let cmds = press(&mut app, "r", NOW);
    assert_eq!(cmds, [Cmd::DialNow { cluster: "americas".into(), peer: "SN0002".into() }]);
    let Some(Cmd::Diagnose(request)) = press(&mut app, "d", NOW).pop() else { panic!("no diagnosis") };
    assert_eq!((request.from.as_str(), request.to.as_str()), ("SN0002", "SN0004"));
    assert_eq!(press(&mut app, "q", NOW), [], "q closes what lies over the view");
    assert_eq!(press(&mut app, "q", NOW), [Cmd::Quit]);
    assert_eq!(press(&mut app, "/ <Ctrl-c>", NOW), [Cmd::Quit], "from anywhere");
}

#[test]
fn a_read_only_console_asks_for_nothing() {
    let options = Options { read_only: true, ..Options::default() };
    let mut app = App::new(options, Arc::new(one_sided().build()), NOW);
    assert_eq!(press(&mut app, "r", NOW), []);
    assert!(!app.can(Action::Redial, NOW));
    assert!(app.help("").iter().all(|(_, help)| !help.contains("dial the row")));
}

#[test]
fn pasted_text_counts_in_a_field_only() {
    let mut app = app(one_sided().build(), SIZE, "");
    assert_eq!(app.update(Msg::Paste("q".into()), NOW), []);
    assert_eq!((app.view(), app.filter().text.as_str()), (View::Mesh, ""));
    press(&mut app, "/", NOW);
    app.update(Msg::Paste("lab3\nq".into()), NOW);
    assert_eq!(app.filter().text, "lab3");
}

#[test]
fn d4_a_host_key_needs_a_choice_and_enter_alone_does_nothing() {
    let snapshot = asking(&Scene::lab(6).build());
    let fresh = |keys: &str, after: u64| {
        let mut app = App::new(Options::default(), Arc::clone(&snapshot), NOW);
        app.update(Msg::AskHostKey(question()), NOW);
        let cmds = press(&mut app, keys, NOW + Duration::from_millis(after));
        (cmds, app.questions().open().is_some())
    };
    let trust =
        Cmd::TrustHostKey { cluster: "americas".into(), peer: "SN0003".into(), fingerprint: question().fingerprint };
    assert_eq!(fresh("y", 299), (vec![], true), "typed before it was read");
    assert_eq!(fresh("y", 300), (vec![trust.clone()], false));
    assert_eq!(fresh("<Enter> <Enter>", 900), (vec![], true));
    assert_eq!(fresh("n", 900), (vec![], false));
    assert_eq!(fresh("<Esc>", 900), (vec![], false));
    assert_eq!(fresh("<Tab> <Enter>", 900), (vec![trust], false), "a button that was chosen");
    assert_eq!(fresh("<Tab> <Tab> <Enter>", 900), (vec![], false));
    assert_eq!(fresh("q j 4 <Space>", 900), (vec![], true));
    assert_eq!(fresh("<Ctrl-c>", 0), (vec![Cmd::Quit], true));
}

#[test]
fn d4_a_host_key_is_never_asked_twice_in_silence() {
    let snapshot = asking(&Scene::lab(6).build());
    let mut app = App::new(Options::default(), Arc::clone(&snapshot), NOW);
    app.update(Msg::AskHostKey(question()), NOW);
    press(&mut app, "n", later(1));
    app.update(Msg::AskHostKey(question()), later(2));
    assert!(app.questions().open().is_none(), "a rejected key is not asked again by itself");

    let other = peerdeck::app::HostKeyQuestion { fingerprint: "SHA256:other".into(), ..question() };
    app.update(Msg::AskHostKey(other), later(3));
    let open = app.questions().open().unwrap();
    assert_eq!(open.before.as_ref().unwrap().fingerprint, question().fingerprint, "the other key is told");

    press(&mut app, "n g g j j j r", later(4));
    app.update(Msg::AskHostKey(question()), later(5));
    assert!(app.questions().open().is_some(), "redialling on purpose asks again");
    app.update(Msg::Snapshot(Arc::new(Scene::lab(6).build())), later(6));
    assert!(app.questions().open().is_none(), "settled elsewhere");
}

#[test]
fn events_follow_until_one_is_chosen() {
    let mut scene = one_sided();
    let mut app = app(scene.build(), SIZE, "5");
    let place = |app: &App| app.event_place(&app.events());
    assert_eq!(place(&app), None);
    press(&mut app, "k", NOW);
    assert_eq!(place(&app), Some(2));
    scene.event(0, EventKind::Peer, "something new");
    app.update(Msg::Snapshot(Arc::new(scene.build())), NOW);
    assert_eq!(place(&app), Some(2), "the chosen one stays");
    press(&mut app, "G", NOW);
    assert_eq!(place(&app), None);
    press(&mut app, "/ state:raised <Enter>", NOW);
    assert_eq!(app.events().len(), 1);
}

#[test]
fn findings_are_chosen_by_identity() {
    let mut scene = one_sided();
    let mut app = app(scene.build(), SIZE, "4 j");
    let chosen = |app: &App| app.findings()[app.finding_place()].text.to_string();
    let before = chosen(&app);
    scene.finding(FindingKind::LinkDown, Subject::Cluster, 1, "one more");
    app.update(Msg::Snapshot(Arc::new(scene.build())), NOW);
    assert_eq!(chosen(&app), before);
    press(&mut app, "/ host:lab6 <Enter>", NOW);
    assert_eq!(app.findings().len(), 1);
}

#[test]
fn the_digest_changes_with_the_picture_and_not_with_ages_and_round_trips() {
    let mut scene = one_sided();
    let mut app = app(scene.build(), SIZE, "");
    let before = app.digest(NOW);
    scene.link(0, 1, |l| l.rtt = Some(Duration::from_millis(9)));
    app.update(Msg::Snapshot(Arc::new(scene.build())), later(1));
    assert_eq!(app.digest(later(1)), before);
    scene.down(0, 1, Cause::Auth, 0);
    app.update(Msg::Snapshot(Arc::new(scene.build())), later(1));
    assert_ne!(app.digest(later(1)), before);
    assert_ne!(app.digest(later(20)), app.digest(later(1)), "what became stale is another picture");
}

#[test]
fn every_chord_can_be_read_and_no_prefix_is_itself_an_action() {
    let keymap = Keymap::default();
    for spec in TABLE {
        assert!(!spec.scopes.is_empty() && !spec.keys.is_empty() && !spec.help.is_empty(), "{:?}", spec.action);
        for keys in spec.keys {
            let typed = chord(keys).unwrap();
            for scope in spec.scopes {
                assert_eq!(keymap.find(*scope, &typed), Match::Action(spec.action), "{keys} in {scope:?}");
                for n in 1..typed.len() {
                    assert_eq!(keymap.find(*scope, &typed[..n]), Match::Prefix, "{keys} in {scope:?}");
                }
            }
        }
    }
}

#[test]
fn every_action_is_in_the_table_once_and_no_two_share_a_key() {
    let listed: Vec<Action> = TABLE.iter().map(|s| s.action).collect();
    let distinct: BTreeSet<Action> = listed.iter().copied().collect();
    assert_eq!(distinct.len(), listed.len());
    assert_eq!(distinct, Action::iter().collect());
    for scope in Scope::iter() {
        let keymap = Keymap::default();
        let chords: Vec<&[Key]> = keymap.bindings().filter(|(s, _, _)| *s == scope).map(|(_, c, _)| c).collect();
        let distinct: BTreeSet<&[Key]> = chords.iter().copied().collect();
        assert_eq!(distinct.len(), chords.len(), "{scope:?}");
    }
    assert_eq!(Keymap::default().find(Scope::Mesh, &chord("a").unwrap()), Match::Prefix, "the leader is no action");
}

#[test]
fn the_readme_table_names_every_key() {
    let table = keys_markdown();
    for spec in TABLE {
        for keys in spec.keys {
            assert!(table.contains(&format!("`{keys}`")), "{keys}");
        }
        assert!(table.contains(spec.action.name()), "{table}");
    }
    assert!(table.lines().all(|l| l.starts_with('|') && l.ends_with('|')));
}

#[test]
fn an_empty_fleet_and_an_empty_cluster_take_every_key() {
    let nothing = Snapshot { clusters: vec![], ..Scene::lab(1).build() };
    for snapshot in [nothing, Scene::lab(0).build(), Scene::lab(1).build()] {
        let mut app = App::new(Options::default(), Arc::new(snapshot), NOW);
        for spec in TABLE {
            for keys in spec.keys {
                for key in chord(keys).unwrap() {
                    app.update(Msg::Key(key), NOW);
                }
            }
        }
        assert!(!app.is_complete(NOW));
    }
}
