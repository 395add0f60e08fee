//! Drawing: every view and dialog at several sizes, with its styles.

pub mod ha;
mod large;
pub mod scene;
mod settings;
pub mod tree;

use std::sync::Arc;
use std::time::Duration;

use peerdeck::app::keys::Key;
use peerdeck::app::{App, Cmd, Diagnosis, DiagnosisStep, HostKeyQuestion, Msg, Options, StepResult, ThemeList};
use peerdeck::domain::event::EventKind;
use peerdeck::domain::{Cause, FindingKind, Line, LinkState, Snapshot, Subject, Time};
use peerdeck::ui::{Depth, Look, Themes, glyphs};
use proptest::prelude::*;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};
use scene::{NOW, Scene};
use strum::IntoEnumIterator;

/// A look: theme, signs and depth.
pub fn look(theme: &str, ascii: bool, depth: Depth) -> Look {
    let (themes, _) = Themes::load(&[]);
    Look {
        theme: themes.get(themes.position(theme).unwrap(), depth),
        glyphs: if ascii { glyphs::ASCII } else { glyphs::UNICODE },
        zone: jiff::tz::TimeZone::UTC,
    }
}

fn themes() -> ThemeList {
    let names = peerdeck::ui::theme::embedded_names().into_iter().map(str::to_owned).collect();
    ThemeList { names, ..ThemeList::default() }
}

/// The console over a scene, after some keys.
pub fn app(snapshot: Snapshot, size: (u16, u16), keys: &str) -> App {
    let options = Options { lab: true, themes: themes(), width: size.0, height: size.1, ..Options::default() };
    let mut app = App::new(options, Arc::new(snapshot), NOW);
    press(&mut app, keys, NOW);
    app
}

/// Types `keys`: words of one character or `<name>` are keys, longer ones are typed.
pub fn press(app: &mut App, keys: &str, now: Time) -> Vec<peerdeck::app::Cmd> {
    let mut cmds = Vec::new();
    for word in keys.split_whitespace() {
        let typed: Vec<Key> = match word.strip_prefix('<').and_then(|w| w.strip_suffix('>')) {
            Some(name) => vec![name.parse().unwrap()],
            None => word.chars().map(|c| c.to_string().parse().unwrap()).collect(),
        };
        for key in typed {
            cmds.extend(app.update(Msg::Key(key), now));
        }
    }
    cmds
}

pub fn render(app: &App, size: (u16, u16), look: &Look, now: Time) -> Buffer {
    let mut buf = Buffer::empty(Rect::new(0, 0, size.0, size.1));
    peerdeck::ui::draw(&mut buf, app, look, now);
    buf
}

pub fn text(buf: &Buffer) -> String {
    let mut out = String::new();
    for y in 0..buf.area.height {
        let mut line = String::new();
        let mut skip = 0;
        for x in 0..buf.area.width {
            if skip > 0 {
                skip -= 1;
                continue;
            }
            let symbol = buf[(x, y)].symbol();
            skip = peerdeck::ui::text::width(symbol).saturating_sub(1);
            line.push_str(symbol);
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// The screen, then a map of the same shape with a letter a style, then what the letters mean.
pub fn styled(buf: &Buffer) -> String {
    let base = buf[(0, buf.area.height - 1)].style();
    let mut legend: Vec<Style> = vec![base];
    let mut map = String::new();
    for y in 0..buf.area.height {
        let mut line = String::new();
        for x in 0..buf.area.width {
            let style = buf[(x, y)].style();
            let at = legend.iter().position(|s| *s == style).unwrap_or_else(|| {
                legend.push(style);
                legend.len() - 1
            });
            line.push(if at == 0 { '.' } else { char::from(b'A' + u8::try_from(at - 1).unwrap()) });
        }
        map.push_str(line.trim_end_matches('.'));
        map.push('\n');
    }
    let mut out = format!("{}--\n{map}--\n", text(buf));
    for (at, style) in legend.iter().enumerate() {
        let letter = if at == 0 { '.' } else { char::from(b'A' + u8::try_from(at - 1).unwrap()) };
        let colour = |c: Option<Color>| c.map_or_else(|| "-".to_owned(), |c| c.to_string());
        let line = format!("{letter} {} on {} {:?}", colour(style.fg), colour(style.bg), style.add_modifier);
        out.push_str(line.trim_end_matches(" NONE"));
        out.push('\n');
    }
    out
}

/// Compares the screen of `app` with the snapshot `name`.
pub fn same(name: &str, app: &App, size: (u16, u16), now: Time) {
    let buf = render(app, size, &terminal(), now);
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, styled(&buf));
    });
}

/// Draws and compares with the snapshot `name`.
fn check(name: &str, snapshot: Snapshot, size: (u16, u16), keys: &str, look: &Look) {
    check_app(name, &app(snapshot, size, keys), size, look);
}

/// Draws `app` and compares with the snapshot `name`.
pub fn check_app(name: &str, app: &App, size: (u16, u16), look: &Look) {
    let buf = render(app, size, look, NOW + Duration::from_millis(100));
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, styled(&buf));
    });
}

const SIZES: [(u16, u16); 4] = [(40, 10), (80, 24), (120, 40), (220, 60)];

fn terminal() -> Look {
    look("terminal", false, Depth::True)
}

/// Of everything something: a cut, a detached peer, a silent one, an unwell one, another level.
fn troubled(n: usize) -> Scene {
    let mut scene = Scene::lab(n);
    scene.cut(2, 8, 31).down(9, 10, Cause::Version, 400).late(4).stale(6, 21).detach(3).level(10, 2).silent(11);
    let (a, b) = (scene.id(2), scene.id(8));
    scene.verdict(FindingKind::LinkDown, Subject::pair(&a, &b), 2, 31, "lab3 and lab9 do not reach each other");
    let gone = scene.id(6);
    scene.verdict(FindingKind::UnknownTooLong, Subject::Peer(gone), 0, 21, "lab7 has not told about its links");
    scene.event(31, EventKind::Raised, "lab3 and lab9 do not reach each other");
    scene
}

#[test]
fn c22_maintenance_is_marked_in_header_row_and_detail() {
    let mut scene = Scene::lab(6);
    scene.maintain(2);
    check("maintenance-link-80x24", scene.build(), (80, 24), "j j <right> <right> <right>", &terminal());
    check("maintenance-peer-120x40", scene.build(), (120, 40), "j j <right> <right>", &terminal());
    let narrow = app(scene.build(), (40, 10), "");
    let shown = text(&render(&narrow, (40, 10), &terminal(), NOW));
    assert!(shown.contains("MAINTENANCE lab3"), "{shown}");
    let later = text(&render(&narrow, (40, 10), &terminal(), NOW + Duration::from_hours(2)));
    assert!(!later.contains("MAINTENANCE"), "it has ended by itself: {later}");
}

#[test]
fn a_well_mesh_at_four_sizes() {
    for (w, h) in SIZES {
        check(&format!("well-{w}x{h}"), Scene::lab(6).build(), (w, h), "", &terminal());
    }
}

#[test]
fn a_one_sided_link_at_four_sizes() {
    for (w, h) in SIZES {
        check(&format!("one-sided-{w}x{h}"), scene::one_sided().build(), (w, h), "n", &terminal());
    }
}

#[test]
fn from_two_to_sixty_peers() {
    check("peers-2", Scene::lab(2).build(), (80, 24), "l", &terminal());
    check("peers-20", troubled(20).build(), (120, 40), "n", &terminal());
    check("peers-60", troubled(60).build(), (220, 60), "n", &terminal());
    check("peers-60-small", troubled(60).build(), (80, 24), "G <End>", &terminal());
}

#[test]
fn in_ascii_and_without_colour() {
    check("ascii", troubled(14).build(), (100, 30), "n", &look("terminal", true, Depth::Sixteen));
    check("mono", troubled(14).build(), (100, 30), "n", &look("mono", false, Depth::None));
}

#[test]
fn long_and_wide_names() {
    let hosts = (1..=7).map(|i| match i {
        1..=4 => format!("mail-gateway-of-the-north-western-region-{i:02}.example.com"),
        _ => format!("郵便局-{i}.example.jp"),
    });
    let groups = (1..=7).map(|i| if i < 5 { "A group with a rather long name".to_owned() } else { "東京".to_owned() });
    let mut scene = Scene::of(hosts.collect(), groups.collect());
    scene.cut(0, 5, 70);
    for (w, h) in [(80, 24), (120, 40)] {
        check(&format!("names-{w}x{h}"), scene.build(), (w, h), "n", &terminal());
    }
    check("names-connections", scene.build(), (80, 24), "<Enter>", &terminal());
}

#[test]
fn views_and_what_lies_over_them() {
    let scene = scene::one_sided;
    for (name, size, keys) in [
        ("connections", (80, 24), "j j <Enter>"),
        ("connections-wide", (220, 60), "j j <Enter> n"),
        ("zoom", (80, 24), "n z"),
        ("findings", (80, 24), "4"),
        ("findings-open", (80, 24), "4 <Enter>"),
        ("findings-small", (40, 10), "4 <Enter>"),
        ("events", (80, 24), "5"),
        ("events-held", (80, 24), "5 k k"),
        ("help", (80, 24), "?"),
        ("help-search", (80, 24), "? / dial"),
        ("help-small", (40, 10), "?"),
        ("filter", (80, 24), "/ lab3"),
        ("filter-nothing", (80, 24), "/ nobody"),
        ("faults-only", (80, 24), "f"),
        ("sorted", (120, 40), "s s s"),
        ("paused", (80, 24), "P"),
        ("diagnosis-runs", (80, 24), "n d"),
    ] {
        check(name, scene().build(), size, keys, &terminal());
    }
}

#[test]
fn a_diagnosis_and_a_host_key_question() {
    let size = (80, 24);
    let mut app = app(scene::one_sided().build(), size, "n");
    let cmds = press(&mut app, "d", NOW);
    let Some(Cmd::Diagnose(request)) = cmds.first() else { panic!("{cmds:?}") };
    let step = |name: &str, result, detail: &str, hint: &str| DiagnosisStep {
        step: Line::new(name),
        result,
        took: (result != StepResult::Skipped).then_some(Duration::from_micros(1700)),
        detail: Line::new(detail),
        hint: Line::new(hint),
    };
    let diagnosis = Diagnosis {
        title: Line::new("from this console to lab5.example.com"),
        steps: vec![
            step("dns forward", StepResult::Ok, "127.88.0.5", ""),
            step("dns reverse", StepResult::Warning, "mail5.example.com", "the reverse record names another host"),
            step("tcp", StepResult::Failed, "connection refused", "is the peer process running, is the port right?"),
            step("key exchange", StepResult::Skipped, "", ""),
        ],
    };
    app.update(Msg::Diagnosed(request.clone(), diagnosis), NOW);
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("diagnosis", styled(&render(&app, size, &terminal(), NOW)));
        press(&mut app, "<Esc>", NOW);
        app.update(Msg::AskHostKey(question()), NOW);
        insta::assert_snapshot!("host-key", styled(&render(&app, size, &terminal(), NOW)));
        insta::assert_snapshot!("host-key-small", styled(&render(&app, (40, 10), &terminal(), NOW)));
    });
}

/// A question with a picture of its fingerprint.
pub fn question() -> HostKeyQuestion {
    let art = [
        "+--[host key]-----+",
        "|      .o+.       |",
        "|     . =*o       |",
        "|      = B+.      |",
        "+----[SHA256]-----+",
    ];
    HostKeyQuestion {
        cluster: "americas".into(),
        peer: "SN0003".into(),
        host: "lab4.example.com".into(),
        address: "127.88.0.4:22".parse().ok(),
        fingerprint: Line::new("SHA256:uNiVztksCsDhcc0u9e8BrVrVKDiWQwSYo4Vym3vSyrQ"),
        art: art.map(str::to_owned).into(),
    }
}

#[test]
fn every_theme_as_a_whole() {
    let (themes, _) = Themes::load(&[]);
    for name in themes.names() {
        check(&format!("theme-{name}"), troubled(14).build(), (80, 24), "n", &look(name, false, Depth::True));
    }
}

#[test]
fn c31_states_are_told_apart_without_colour() {
    for ascii in [false, true] {
        let glyphs = if ascii { glyphs::ASCII } else { glyphs::UNICODE };
        let all = [
            glyphs.connected,
            glyphs.connecting,
            glyphs.down,
            glyphs.one_sided,
            glyphs.level,
            glyphs.detached,
            glyphs.unknown,
            glyphs.own,
        ];
        let distinct: std::collections::BTreeSet<&str> = all.into_iter().collect();
        assert_eq!(distinct.len(), all.len(), "{all:?}");
        for glyph in all {
            assert_eq!(peerdeck::ui::text::width(glyph), 1, "{glyph}");
            assert!(!ascii || glyph.is_ascii(), "{glyph}");
        }
    }
}

#[test]
fn a_verdict_of_every_kind_is_told_with_since_and_by_whom() {
    for kind in FindingKind::iter() {
        let mut scene = Scene::lab(6);
        let peer = scene.id(3);
        scene.verdict(kind, Subject::Peer(peer), 1, 75, kind.meaning());
        let app = app(scene.build(), (120, 40), "");
        let screen = text(&render(&app, (120, 40), &terminal(), NOW));
        assert!(screen.contains(kind.meaning()), "{screen}");
        assert!(screen.contains("First seen by lab2, 1 m ago."), "{screen}");
        assert!(screen.contains(&format!("1 {}", kind.severity().as_str())), "{screen}");
    }
}

#[test]
fn c31_nothing_is_green_on_stale_evidence() {
    let (w, h) = (120, 40);
    let app = app(Scene::lab(6).build(), (w, h), "");
    let later = NOW + Duration::from_secs(10);
    let screen = text(&render(&app, (w, h), &terminal(), later));
    assert!(!screen.contains(glyphs::UNICODE.connected), "{screen}");
    assert!(screen.contains("0/30 links") && screen.contains("no news for 10 s"), "{screen}");
}

#[test]
fn the_badges_and_the_worst_finding_survive_the_narrowest_screen() {
    let mut app = app(scene::one_sided().build(), (40, 10), "P");
    app.update(Msg::Tick, NOW);
    let screen = text(&render(&app, (40, 10), &terminal(), NOW));
    assert!(screen.contains("LAB") && screen.contains("PAUSED 0 s") && screen.contains("1 critical"), "{screen}");
}

#[test]
fn hints_name_only_what_works() {
    let hints = |app: &App| app.hints(NOW).iter().map(|(key, word)| format!("{key} {word}")).collect::<Vec<_>>();
    let well = app(Scene::lab(6).build(), (120, 40), "");
    assert!(!hints(&well).iter().any(|h| h.contains("fault") && h.starts_with("n ")), "{:?}", hints(&well));
    let ill = app(scene::one_sided().build(), (120, 40), "");
    assert!(hints(&ill).contains(&"n next fault".to_owned()), "{:?}", hints(&ill));
    let listed = app(scene::one_sided().build(), (120, 40), "<Enter>");
    assert!(hints(&listed).contains(&"Esc back".to_owned()), "{:?}", hints(&listed));
}

fn any_state() -> impl Strategy<Value = LinkState> {
    prop::sample::select(vec![LinkState::Connected, LinkState::Connecting, LinkState::Down, LinkState::Detached])
}

fn any_keys() -> impl Strategy<Value = String> {
    let keys = [
        "j", "l", "k", "h", "G", "g g", "<Tab>", "4", "5", "1", "<Enter>", "<Esc>", "n", "N", "f", "s", "P", "z", "d",
        "?", "/", "x", "é", "!", "U", "T", ":", "L", "H", "W", "c", "<Down>", "<Up>", "p",
    ];
    prop::collection::vec(prop::sample::select(keys.to_vec()), 0..12).prop_map(|k| k.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_size_and_any_picture_can_be_drawn(
        w in 0u16..200,
        h in 0u16..80,
        n in 0usize..12,
        name in "\\PC{0,30}",
        states in prop::collection::vec((0usize..12, 0usize..12, any_state()), 0..20),
        odd in prop::collection::vec((0usize..12, 0u8..5), 0..4),
        keys in any_keys(),
        later in 0u64..100_000,
        ascii: bool,
    ) {
        let hosts = (0..n).map(|i| format!("{name}{i}")).collect();
        let mut scene = Scene::of(hosts, (0..n).map(|i| format!("{}{name}", i / 3)).collect());
        for (i, j, state) in states {
            if i < n && j < n && i != j {
                scene.link(i, j, |l| l.state = state);
            }
        }
        for (i, what) in odd.into_iter().filter(|(i, _)| *i < n) {
            match what {
                0 => scene.stale(i, 9),
                1 => scene.late(i),
                2 => scene.silent(i),
                3 => scene.level(i, 3),
                _ => scene.detach(i),
            };
        }
        if n > 1 {
            let (from, to) = (scene.id(0), scene.id(1));
            scene.verdict(FindingKind::LinkOneSided, Subject::Link { from, to }, 0, later / 7, &name);
            scene.event(later, EventKind::Link, &name);
        }
        let mut app = app(scene.build(), (w, h), &keys);
        let now = NOW + Duration::from_millis(later);
        app.update(Msg::Tick, now);
        let buf = render(&app, (w, h), &look("dark", ascii, Depth::True), now);
        prop_assert_eq!((buf.area.width, buf.area.height), (w, h));
    }
}
