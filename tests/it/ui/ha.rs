//! The HA view: roles, gauges, what is loud, what is counted down, and which keys ask what of whom.

use std::sync::Arc;
use std::time::Duration;

use peerdeck::app::{App, Cmd, Msg, View};
use peerdeck::domain::ha::status::{Address, Heartbeat, Monitor, Permit, Rehearsal, RoleChange, Said};
use peerdeck::domain::ha::{
    AddressAction, BeatState, Configured, Effective, GroupKind, HaAct, HaStatus, LinkName, MonitorKind, MonitorState,
    OnFailure, Service, SplitBrain, WitnessMode,
};
use peerdeck::domain::{Command, HaName, Line, PeerId, Snapshot, Time};
use peerdeck::ui::Depth;
use proptest::prelude::*;

use super::scene::{NOW, Scene, ago};
use super::{app, check, check_app, look, press, render, terminal, text};

const SIZES: [(u16, u16); 4] = [(40, 10), (80, 24), (120, 40), (220, 60)];

/// So many milliseconds before the picture.
fn ms(before: u64) -> Time {
    NOW.before(Duration::from_millis(before))
}

/// So many milliseconds after it.
fn later(after: u64) -> Time {
    NOW + Duration::from_millis(after)
}

fn beat(link: LinkName, to: usize, heard: u64) -> Heartbeat {
    Heartbeat {
        link,
        peer: Some(PeerId::new(&format!("SN{to:04}"))),
        address: format!("10.0.{}.{}", 1 + link as usize, to + 1).parse().unwrap(),
        state: BeatState::Ok,
        heard: Some(ms(heard)),
        hears_us: Some(true),
        missed: 0,
        intervals: (0..30).map(|n| 1000 + n * 7 % 40).collect(),
        said: Some(Said { configured: Configured::Primary, effective: Effective::Primary, epoch: 3, holds: true }),
    }
}

fn monitor(kind: MonitorKind, state: MonitorState) -> Monitor {
    let failures = match state {
        MonitorState::Idle | MonitorState::Ok => 0,
        MonitorState::Failing => 2,
        MonitorState::Failed => 3,
    };
    let next = (state != MonitorState::Idle).then(|| later(12_000));
    let detail = if failures > 0 { Line::new("read 127.88.0.1:25: no greeting within 30 s") } else { Line::default() };
    Monitor { kind, state, failures, retries: 3, next, detail }
}

fn change(seconds: u64, from: Effective, to: Effective, epoch: u64, row: u8, reason: &str) -> RoleChange {
    RoleChange { at: ago(seconds), from, to, epoch, reason: Line::new(reason), row }
}

/// A unit of a pair that does what it is told; `other` is the place of its fellow.
pub fn unit(configured: Configured, other: usize) -> HaStatus {
    let primary = configured == Configured::Primary;
    let role = configured.effective();
    let smtp = if primary { MonitorState::Idle } else { MonitorState::Ok };
    let own = if primary { MonitorState::Ok } else { MonitorState::Idle };
    HaStatus {
        group: HaName::new("gw"),
        kind: GroupKind::ActivePassive,
        configured,
        effective: role,
        epoch: 3,
        since: ago(7200),
        reason: Line::new("started; nobody else was primary"),
        on_failure: OnFailure::BecomeSecondary,
        interval: Duration::from_secs(1),
        threshold: Duration::from_secs(15),
        takeover_after: Duration::from_secs(15),
        split_brain: SplitBrain::Resolve,
        heartbeats: vec![beat(LinkName::Primary, other, 600), beat(LinkName::Secondary, other, 700)],
        monitors: vec![
            monitor(MonitorKind::Remote(Service::Smtp), smtp),
            monitor(MonitorKind::Ports, own),
            monitor(MonitorKind::Disk, own),
        ],
        addresses: vec![Address {
            address: "10.0.0.10".parse().unwrap(),
            prefix: 24,
            interface: Line::new("eth0"),
            action: AddressAction::Add,
            held: primary,
            lease_until: primary.then(|| later(800)),
        }],
        permit: Permit {
            mode: WitnessMode::Require,
            until: primary.then(|| later(2400)),
            witness_heard: Some(ms(300)),
            votes: if primary { 3 } else { 0 },
        },
        rehearsal: if primary {
            Rehearsal::None
        } else {
            Rehearsal::Takes { from: Duration::from_secs(15), to: Duration::from_millis(16_200), may_split: false }
        },
        hold_off_until: None,
        quiet_until: None,
        distrust: None,
        config_synced: Some(ms(3200)),
        data_synced: None,
        sync_trouble: None,
        strangers: 0,
        replays: 0,
        last_stranger: None,
        hook_trouble: None,
        troubles: vec![],
        changes: vec![change(7200, Effective::Off, role, 3, 1, "started; nobody else was primary")],
    }
}

/// A unit of a config-only group of four, of which `at` is the place.
fn edge(at: usize, first: usize, count: usize) -> HaStatus {
    let configured = if at == first { Configured::ConfigPrimary } else { Configured::ConfigSecondary };
    let fellows = (first..first + count).filter(|i| *i != at);
    HaStatus {
        group: HaName::new("edge"),
        kind: GroupKind::ConfigOnly,
        configured,
        effective: configured.effective(),
        heartbeats: fellows.map(|i| beat(LinkName::Primary, i, 300 + 10 * i as u64)).collect(),
        monitors: vec![],
        addresses: vec![],
        permit: Permit { mode: WitnessMode::Off, until: None, witness_heard: None, votes: 0 },
        rehearsal: Rehearsal::None,
        changes: vec![],
        ..unit(Configured::Secondary, 0)
    }
}

/// The lab with a pair: its two units can be changed.
fn pair(primary: impl FnOnce(&mut HaStatus), secondary: impl FnOnce(&mut HaStatus)) -> Scene {
    let mut scene = Scene::lab(6);
    let (mut a, mut b) = (unit(Configured::Primary, 1), unit(Configured::Secondary, 0));
    primary(&mut a);
    secondary(&mut b);
    scene.ha(0, a, 300).ha(1, b, 300);
    scene
}

fn healthy() -> Scene {
    pair(|_| {}, |_| {})
}

/// The primary is killed: the other hears it no more, and neither does the console.
fn silent(heard: u64) -> Scene {
    let mut scene = pair(
        |_| {},
        |b| {
            for beat in &mut b.heartbeats {
                beat.heard = Some(ms(heard));
                beat.state = if heard > 15_000 { BeatState::Silent } else { BeatState::Late };
            }
        },
    );
    scene.stale(0, heard / 1000);
    scene.ha(0, unit(Configured::Primary, 1), heard);
    scene
}

/// The secondary has taken over; the former primary is back as secondary.
fn took_over() -> Scene {
    pair(
        |a| {
            a.effective = Effective::Secondary;
            a.epoch = 4;
            a.since = ago(20);
            a.reason = Line::new("on-failure become-secondary: lab2 is primary");
            a.addresses[0].held = false;
            a.rehearsal =
                Rehearsal::Takes { from: Duration::from_secs(15), to: Duration::from_millis(16_200), may_split: true };
            a.permit.votes = 0;
            a.permit.until = None;
            a.changes.push(change(20, Effective::Off, Effective::Secondary, 4, 14, "lab2 is primary in epoch 4"));
        },
        |b| {
            b.effective = Effective::Primary;
            b.epoch = 4;
            b.since = ago(83);
            b.reason = Line::new("lab1 was silent on all links for 15.2 s");
            b.addresses[0].held = true;
            b.addresses[0].lease_until = Some(later(900));
            b.rehearsal = Rehearsal::None;
            b.permit.until = Some(later(2100));
            b.permit.votes = 2;
            b.quiet_until = Some(later(517_000));
            b.changes.push(change(
                83,
                Effective::Secondary,
                Effective::Primary,
                4,
                3,
                "lab1 was silent on all links for 15.2 s",
            ));
        },
    )
}

fn two_primaries() -> Scene {
    pair(
        |_| {},
        |b| {
            b.effective = Effective::Primary;
            b.epoch = 4;
            b.addresses[0].held = true;
            b.rehearsal = Rehearsal::None;
        },
    )
}

fn hold_off() -> Scene {
    pair(
        |a| {
            a.effective = Effective::Off;
            a.reason = Line::new("restarts: announced by admin");
            a.addresses[0].held = false;
        },
        |b| {
            b.effective = Effective::HoldOff;
            b.hold_off_until = Some(later(252_000));
            b.reason = Line::new("lab1 announced a restart");
            b.rehearsal = Rehearsal::Refuses(Line::new("lab1 announced a restart"));
        },
    )
}

fn failing() -> Scene {
    pair(
        |a| {
            a.monitors[2] = monitor(MonitorKind::Disk, MonitorState::Failed);
            a.effective = Effective::Failed;
            a.reason = Line::new("local-hd failed 3 times: write: read-only file system");
            a.troubles = vec![Line::new("no right to set addresses: CAP_NET_ADMIN is missing")];
        },
        |b| {
            b.monitors[0] = monitor(MonitorKind::Remote(Service::Smtp), MonitorState::Failing);
            b.strangers = 12;
            b.last_stranger = Some((Line::new("192.0.2.66:20000"), ago(40)));
            b.rehearsal = Rehearsal::Refuses(Line::new("it distrusts itself"));
            b.distrust = Some(Line::new("no carrier and no reference address answers"));
        },
    )
}

/// The pair and the config-only group of the lab.
fn both() -> Scene {
    let mut scene = healthy();
    for i in 2..6 {
        scene.ha(i, edge(i, 2, 4), 300);
    }
    scene
}

fn shown(scene: &Scene, size: (u16, u16), keys: &str) -> String {
    let app = app(scene.build(), size, keys);
    text(&render(&app, size, &terminal(), NOW))
}

#[test]
fn f14_a_healthy_pair_at_four_sizes_and_in_plain_looks() {
    for size in SIZES {
        check(&format!("ha-well-{}x{}", size.0, size.1), healthy().build(), size, "3", &terminal());
    }
    check("ha-well-ascii", healthy().build(), (120, 40), "3", &look("terminal", true, Depth::Sixteen));
    check("ha-well-mono", healthy().build(), (120, 40), "3", &look("mono", false, Depth::None));
}

#[test]
fn f14_a_silent_primary_is_counted_down_until_the_other_takes_over() {
    for size in SIZES {
        check(&format!("ha-silent-{}x{}", size.0, size.1), silent(5200).build(), size, "3 j", &terminal());
    }
    let app = app(silent(5200).build(), (120, 40), "3");
    let at = |after: u64| text(&render(&app, (120, 40), &terminal(), later(after)));
    assert!(at(0).contains("takes over in 9.8 s (lab1 silent for 5.2 s)"), "{}", at(0));
    assert!(at(250).contains("takes over in 9.5 s (lab1 silent for 5.4 s)"), "{}", at(250));
    assert!(at(0).contains("5.2 / 15 s"), "{}", at(0));
    assert!(at(0).contains("NO WORD OF THE PRIMARY of gw: lab1 was it, last heard of 5.2 s ago"), "{}", at(0));
    // A word that is old counts nothing down.
    assert!(!at(5000).contains("takes over in"), "{}", at(5000));
    assert!(at(5000).contains("no unit is heard of"), "{}", at(5000));
}

#[test]
fn f14_a_takeover_shows_its_reason_its_drift_and_the_quiet_period() {
    for size in SIZES {
        check(&format!("ha-taken-{}x{}", size.0, size.1), took_over().build(), size, "3", &terminal());
    }
    check("ha-taken-ascii", took_over().build(), (80, 24), "3", &look("terminal", true, Depth::Sixteen));
    let wide = shown(&took_over(), (120, 40), "3");
    assert!(wide.contains("primary → secondary ! differs"), "{wide}");
    assert!(wide.contains("lab1 was silent on all links for 15.2 s"), "{wide}");
}

#[test]
fn f14_two_primaries_or_none_are_the_loudest_from_any_view() {
    for (name, scene) in [("two", two_primaries()), ("hold-off", hold_off()), ("failing", failing())] {
        for size in SIZES {
            check(&format!("ha-{name}-{}x{}", size.0, size.1), scene.build(), size, "3", &terminal());
        }
    }
    check("ha-two-mono", two_primaries().build(), (80, 24), "3", &look("mono", false, Depth::None));
    for keys in ["3", "1", "4"] {
        assert!(shown(&two_primaries(), (80, 24), keys).contains("3 HA  !!"), "in view {keys}");
        assert!(!shown(&healthy(), (80, 24), keys).contains("!!"), "in view {keys}");
    }
    let two = shown(&two_primaries(), (80, 24), "3");
    assert!(two.contains("TWO PRIMARIES in gw: lab1 (epoch 3) and lab2 (epoch 4)"), "{two}");
    assert!(two.contains("ADDRESS HELD TWICE in gw: 10.0.0.10 by lab1 and lab2"), "{two}");
    let none = shown(&hold_off(), (120, 40), "3");
    assert!(none.contains("NO PRIMARY in gw"), "{none}");
    assert!(none.contains("lab2 waits for a restart, at most 4 m 12 s"), "{none}");
}

#[test]
fn f14_nothing_is_green_on_an_old_word() {
    let mut scene = healthy();
    scene.stale(0, 21);
    scene.ha(0, unit(Configured::Primary, 1), 21_000);
    for size in SIZES {
        check(&format!("ha-stale-{}x{}", size.0, size.1), scene.build(), size, "3", &terminal());
    }
    let stale = shown(&scene, (80, 24), "3");
    assert!(stale.contains("? lab1  unknown, last word 21 s ago (was primary)"), "{stale}");
}

#[test]
fn f1_config_only_groups_are_a_list_and_never_show_failover() {
    for size in SIZES {
        check(&format!("ha-edge-{}x{}", size.0, size.1), both().build(), size, "3 <Tab>", &terminal());
    }
    let mut scene = Scene::lab(25);
    for i in 0..25 {
        scene.ha(i, edge(i, 0, 25), 300);
    }
    check("ha-edge-25-80x24", scene.build(), (80, 24), "3 G", &terminal());
    let last = shown(&scene, (80, 24), "3 G");
    assert!(last.contains("lab25") && !last.contains("takes over"), "{last}");
    let menu = shown(&scene, (120, 40), "3 a");
    assert!(menu.contains("sync") && !menu.contains("failover") && !menu.contains("switchover"), "{menu}");
}

#[test]
fn without_a_group_one_calm_sentence_tells_how_to_make_one() {
    check("ha-none-80x24", Scene::lab(6).build(), (80, 24), "3", &terminal());
    let none = shown(&Scene::lab(6), (80, 24), "3");
    assert!(none.contains("No peer of this cluster is in an HA group."), "{none}");
}

#[test]
fn f14_all_of_a_unit_stands_below_or_alone() {
    for size in SIZES {
        check(&format!("ha-open-{}x{}", size.0, size.1), failing().build(), size, "3 j <Enter>", &terminal());
    }
    check("ha-zoom", took_over().build(), (80, 24), "3 j z", &terminal());
}

#[test]
fn f14_the_takeover_is_marked_where_it_comes_after_the_threshold() {
    let scene = pair(
        |_| {},
        |b| {
            b.threshold = Duration::from_secs(3);
            b.takeover_after = Duration::from_millis(3500);
        },
    );
    let wide = shown(&scene, (80, 24), "3 j");
    assert!(wide.contains("0.6 / 3 s, acts at 3.5 s"), "{wide}");
    check("ha-mark", scene.build(), (80, 24), "3 j", &terminal());
}

fn cursor(app: &App) -> String {
    app.unit().map(ToString::to_string).unwrap_or_default()
}

#[test]
fn f14_the_cursor_goes_over_units_and_tab_from_group_to_group() {
    let mut app = app(both().build(), (120, 40), "3");
    assert_eq!(app.view(), View::Ha);
    // Pairs stand first.
    assert_eq!(cursor(&app), "SN0000");
    for (keys, wanted) in [
        ("j", "SN0001"),
        ("G", "SN0005"),
        ("j", "SN0005"),
        ("<Tab>", "SN0000"),
        ("<Tab>", "SN0002"),
        ("<Shift-Tab>", "SN0000"),
        ("G", "SN0005"),
        ("g g", "SN0000"),
    ] {
        press(&mut app, keys, NOW);
        assert_eq!(cursor(&app), wanted, "after {keys}");
    }
    press(&mut app, "/ group:gw <Enter>", NOW);
    assert_eq!((cursor(&app).as_str(), app.hits(NOW)), ("SN0000", (2, 6)));
    press(&mut app, "<Enter>", NOW);
    assert!(app.is_unit_open());
    press(&mut app, "<Esc> <Esc>", NOW);
    assert!(!app.is_unit_open() && app.hits(NOW) == (6, 6));
}

/// What was asked of whom.
fn asked(cmds: &[Cmd]) -> Vec<(HaAct, String, String)> {
    let plans = cmds.iter().filter_map(|c| if let Cmd::Submit { plan, .. } = c { Some(&plan.command) } else { None });
    plans
        .filter_map(|c| match c {
            Command::Ha { act, on, reason } => Some((*act, on.to_string(), reason.to_string())),
            _ => None,
        })
        .collect()
}

#[test]
fn f15_critical_acts_want_the_name_of_the_group_and_go_to_the_right_unit() {
    for (keys, act, unit) in [
        // The primary hands over and the secondary takes, wherever the cursor stands.
        ("a s", HaAct::Switchover, "SN0000"),
        ("j a s", HaAct::Switchover, "SN0000"),
        ("a f", HaAct::Failover, "SN0001"),
        ("j a f", HaAct::Failover, "SN0001"),
    ] {
        let mut app = app(healthy().build(), (120, 40), &format!("3 {keys}"));
        let dialog = app.dialog().unwrap_or_else(|| panic!("{keys}: no dialog"));
        assert_eq!(dialog.wanted_text(app.cluster().unwrap()).as_deref(), Some("gw"), "{keys}");
        assert_eq!(press(&mut app, "lab1 <Enter>", later(900)), [], "another name does nothing");
        let cmds = press(&mut app, "<Ctrl-u> gw <Enter>", later(900));
        assert_eq!(asked(&cmds), [(act, unit.to_owned(), String::new())], "{keys}");
    }
}

#[test]
fn f15_restore_sync_accept_and_restart_go_to_the_unit_under_the_cursor() {
    let mut taken = app(took_over().build(), (120, 40), "3 a o");
    let cmds = press(&mut taken, "gw <Enter>", later(900));
    assert_eq!(asked(&cmds), [(HaAct::Restore, "SN0000".to_owned(), String::new())]);
    // What is undone by nobody's hand needs no dialog: the only takeover is meant, wherever the cursor stands.
    let mut taken = app(took_over().build(), (120, 40), "3");
    let cmds = press(&mut taken, "a t", NOW);
    assert_eq!(asked(&cmds), [(HaAct::Accept, "SN0001".to_owned(), String::new())]);
    let mut well = app(healthy().build(), (120, 40), "3 j a y");
    let cmds = press(&mut well, "<Shift-Tab> after <Space> the <Space> move <Tab> <Tab> <Enter>", later(900));
    assert_eq!(asked(&cmds), [(HaAct::Sync, "SN0001".to_owned(), "after the move".to_owned())]);
    let mut failed = app(failing().build(), (120, 40), "3 j a h");
    let cmds = press(&mut failed, "y", later(900));
    assert_eq!(asked(&cmds), [(HaAct::Restart, "SN0000".to_owned(), String::new())]);
}

#[test]
fn f15_what_can_not_be_done_is_told_with_its_reason() {
    let cases = [
        ("3 a o", "as configured"),
        ("3 a t", "has no takeover that waits"),
        ("3 a h", "has no unit on which HA stands still"),
    ];
    for (keys, why) in cases {
        let app = app(healthy().build(), (120, 40), keys);
        let toast = app.toast_shown(NOW).map(|t| t.text.clone()).unwrap_or_default();
        assert!(app.dialog().is_none() && toast.contains(why), "{keys}: {toast}");
    }
    let two = app(two_primaries().build(), (120, 40), "3 a f");
    assert!(two.dialog().is_none(), "there is nobody left to take it");
    let mut edge = app(both().build(), (120, 40), "3 <Tab> a s");
    assert!(edge.dialog().is_none());
    assert!(edge.toast_shown(NOW).unwrap().text.contains("config-only"));
    let cmds = press(&mut edge, "a y", NOW);
    assert_eq!((cmds.len(), edge.dialog().is_some()), (0, true), "the configuration can be brought over");
}

#[test]
fn f15_a_role_that_changes_under_the_dialog_turns_it_red() {
    let mut app = app(healthy().build(), (120, 40), "3 a s");
    app.update(Msg::Snapshot(Arc::new(took_over().build())), later(400));
    let changes = app.dialog().unwrap().changes().to_vec();
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert!(changes[0].as_str().contains("lab1 is secondary in epoch 4 now"), "{changes:?}");
    assert_eq!(press(&mut app, "gw <Enter>", later(900)), []);
}

#[test]
fn f15_dialog_and_menu_look_as_they_should() {
    for size in [(80, 24), (120, 40)] {
        check(&format!("ha-menu-{}x{}", size.0, size.1), healthy().build(), size, "3 a", &terminal());
        let app = app(healthy().build(), size, "3 a f");
        check_app(&format!("ha-failover-{}x{}", size.0, size.1), &app, size, &terminal());
    }
}

#[test]
fn the_gauge_moves_four_times_a_second_only_while_something_is_silent_and_on_screen() {
    let second = Duration::from_secs(1);
    let quarter = Duration::from_millis(250);
    assert_eq!(app(healthy().build(), (80, 24), "3").ages_due(NOW), second);
    assert_eq!(app(silent(5200).build(), (80, 24), "3").ages_due(NOW), quarter);
    assert_eq!(app(silent(5200).build(), (80, 24), "1").ages_due(NOW), second, "the view is not on screen");
    // Long dead: the gauge is full and stands still.
    let dead = pair(
        |_| {},
        |b| {
            for beat in &mut b.heartbeats {
                beat.heard = Some(ms(600_000));
            }
        },
    );
    assert_eq!(app(dead.build(), (80, 24), "3").ages_due(NOW), second);
}

#[test]
fn d9_the_wall_has_a_calm_line_for_each_group_and_is_not_fine_without_a_primary() {
    let size = (120, 40);
    let shown = |scene: &Scene| {
        let wall = crate::wall::wall(scene.build(), size);
        (text(&crate::wall::render(&wall, size, &terminal(), NOW)), wall.faces(NOW)[0].state)
    };
    let (well, state) = shown(&both());
    assert_eq!(state, peerdeck::app::wall::State::Fine);
    assert!(well.contains("gw: lab1 primary, lab2 ready (takes over in 16.2 s)"), "{well}");
    assert!(well.contains("edge: lab3 config-primary, 3 others ready"), "{well}");
    let (two, state) = shown(&two_primaries());
    assert_ne!(state, peerdeck::app::wall::State::Fine);
    assert!(two.contains("TWO PRIMARIES in gw"), "{two}");
}

fn any_time() -> impl Strategy<Value = Time> {
    prop_oneof![
        (0u64..100_000).prop_map(ms),
        (0u64..100_000).prop_map(later),
        Just(Time::ZERO),
        Just(Time::from_millis(u64::MAX)),
    ]
}

fn any_beat() -> impl Strategy<Value = Heartbeat> {
    let said = prop::option::of(any::<bool>());
    (
        0usize..4,
        prop::option::of(any_time()),
        prop::option::of(any::<bool>()),
        any::<bool>(),
        said,
        prop::collection::vec(any::<u32>(), 0..80),
    )
        .prop_map(|(to, heard, hears_us, second, said, intervals)| Heartbeat {
            heard,
            hears_us,
            intervals: intervals.into(),
            said: said.map(|holds| Said {
                configured: Configured::Off,
                effective: Effective::Failed,
                epoch: u64::MAX,
                holds,
            }),
            ..beat(if second { LinkName::Secondary } else { LinkName::Primary }, to, 0)
        })
}

fn any_status() -> impl Strategy<Value = HaStatus> {
    let roles = (
        prop::sample::select(vec![
            Configured::Off,
            Configured::Primary,
            Configured::Secondary,
            Configured::ConfigPrimary,
            Configured::ConfigSecondary,
        ]),
        prop::sample::select(vec![
            Effective::Off,
            Effective::Primary,
            Effective::Secondary,
            Effective::Failed,
            Effective::HoldOff,
            Effective::ConfigPrimary,
            Effective::ConfigSecondary,
        ]),
        any::<bool>(),
        any::<u64>(),
        "\\PC{0,90}",
    );
    let times = (
        prop::option::of(any_time()),
        prop::option::of(any_time()),
        prop::option::of(any_time()),
        prop::option::of(any_time()),
        (0u64..40_000, 0u64..40_000, 0u64..40_000),
    );
    let parts = (
        prop::collection::vec(any_beat(), 0..30),
        prop::collection::vec(prop::sample::select(MonitorKind::ALL.to_vec()), 0..8),
        0usize..4,
        prop::option::of("\\PC{0,60}"),
        0u8..3,
    );
    (roles, times, parts).prop_map(|(roles, times, parts)| {
        let (configured, effective, pair, epoch, reason) = roles;
        let (hold, quiet, synced, until, (interval, threshold, takeover)) = times;
        let (heartbeats, kinds, addresses, trouble, rehearsal) = parts;
        let line = |t: &str| Line::new(t);
        let base = unit(Configured::Secondary, 0);
        HaStatus {
            group: HaName::new(if pair { "gw" } else { "edge" }),
            kind: if pair { GroupKind::ActivePassive } else { GroupKind::ConfigOnly },
            configured,
            effective,
            epoch,
            reason: line(&reason),
            interval: Duration::from_millis(interval),
            threshold: Duration::from_millis(threshold),
            takeover_after: Duration::from_millis(takeover),
            heartbeats,
            monitors: kinds.into_iter().map(|k| monitor(k, MonitorState::Failing)).collect(),
            addresses: vec![Address { lease_until: until, held: true, ..base.addresses[0].clone() }; addresses],
            rehearsal: match rehearsal {
                0 => Rehearsal::None,
                1 => Rehearsal::Refuses(line(&reason)),
                _ => Rehearsal::Takes {
                    from: Duration::from_millis(interval),
                    to: Duration::from_millis(takeover),
                    may_split: true,
                },
            },
            hold_off_until: hold,
            quiet_until: quiet,
            config_synced: synced,
            distrust: trouble.as_deref().map(line),
            troubles: trouble.iter().map(|t| line(t)).collect(),
            last_stranger: trouble.as_deref().map(line).zip(until),
            permit: Permit { until, witness_heard: synced, ..base.permit.clone() },
            ..base
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_unit_can_be_drawn_at_any_size(
        w in 40u16..200,
        h in 10u16..70,
        units in prop::collection::vec((0usize..6, any_status(), 0u64..30_000), 0..6),
        keys in prop::sample::select(vec!["3", "3 G <Enter>", "3 j z", "3 a", "3 a f", "3 a s", "3 <Tab> / gw"]),
        after in 0u64..40_000,
        ascii: bool,
    ) {
        let mut scene = Scene::lab(6);
        for (i, status, told) in units {
            scene.ha(i, status, told);
        }
        let snapshot: Snapshot = scene.build();
        let app = app(snapshot, (w, h), keys);
        let now = later(after);
        render(&app, (w, h), &look("terminal", ascii, Depth::True), now);
        let _ = (app.ages_due(now), app.copied(peerdeck::app::copy::Extent::Table, now));
    }
}
