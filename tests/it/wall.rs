//! The wall: what it shows, what it does with keys (next to nothing), and that it can't act.

mod days;
mod pictures;
mod pty;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use peerdeck::app::ThemeList;
use peerdeck::app::keys::Key;
use peerdeck::app::wall::{Cmd, Msg, Options, Page, SHIFT, State, Wall, Weight};
use peerdeck::domain::{Cause, Cluster, ClusterName, Finding, FindingId, FindingKind, Snapshot, Subject, Time};
use peerdeck::ui::glyphs::Charset;
use peerdeck::ui::wall::big;
use peerdeck::ui::{Look, Role};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::engine::world;
use crate::ui::scene::{NOW, Scene};

/// A wall over `snapshot`, with pages that come round every 20 s.
pub fn wall(snapshot: Snapshot, size: (u16, u16)) -> Wall {
    let options = Options {
        rotate: Duration::from_secs(20),
        themes: ThemeList { names: vec!["terminal".into(), "dark".into()], ..ThemeList::default() },
        utc: true,
        width: size.0,
        height: size.1,
        ..Options::default()
    };
    let mut wall = Wall::new(options, Arc::new(snapshot), NOW);
    wall.update(Msg::Tick(NOW), NOW);
    wall
}

pub fn render(wall: &Wall, size: (u16, u16), look: &Look, now: Time) -> Buffer {
    let mut buf = Buffer::empty(Rect::new(0, 0, size.0, size.1));
    peerdeck::ui::wall::draw(&mut buf, wall, look, now);
    buf
}

pub fn unicode() -> Look {
    crate::ui::look("terminal", false, peerdeck::ui::Depth::True)
}

/// Whether `text` stands somewhere on the screen, in any size.
pub fn shows(buf: &Buffer, text: &str, charset: Charset) -> bool {
    big::SIZES.iter().filter(|s| s.can(text, charset)).any(|size| {
        let rows: Vec<Vec<char>> = big::rows(text, *size, charset).iter().map(|r| r.chars().collect()).collect();
        let (wide, high) = (u16::try_from(rows[0].len()).unwrap(), u16::try_from(rows.len()).unwrap());
        if wide > buf.area.width || high > buf.area.height {
            return false;
        }
        let stands = |x: u16, y: u16| {
            (0..high)
                .zip(&rows)
                .all(|(dy, row)| (0..wide).zip(row).all(|(dx, c)| buf[(x + dx, y + dy)].symbol().chars().eq([*c])))
        };
        (0..=buf.area.height - high).any(|y| (0..=buf.area.width - wide).any(|x| stands(x, y)))
    })
}

/// One picture of several clusters.
pub fn fleet(clusters: Vec<(&str, Snapshot)>) -> Snapshot {
    let named = |(name, mut snapshot): (&str, Snapshot)| {
        let cluster: &mut Cluster = Arc::make_mut(&mut snapshot.clusters[0]);
        cluster.name = ClusterName::from(name);
        for finding in Arc::make_mut(&mut cluster.findings) {
            finding.cluster = name.into();
        }
        snapshot.clusters[0].clone()
    };
    Snapshot {
        at: NOW,
        generation: 1,
        clusters: clusters.into_iter().map(named).collect(),
        events: Arc::default(),
        dropped: 0,
    }
}

/// One warning.
pub fn warning() -> Scene {
    let mut scene = Scene::lab(20);
    let peer = scene.id(5);
    scene.finding(FindingKind::ClockSkew, Subject::Peer(peer), 900, "the wall clock of lab6 is 7.2 s ahead");
    scene
}

/// lab7 is gone.
pub fn dead() -> Scene {
    let mut scene = Scene::lab(20);
    for i in (0..20).filter(|i| *i != 6) {
        scene.down(i, 6, Cause::Refused, 134);
    }
    scene.stale(6, 134);
    let peer = scene.id(6);
    scene.verdict(FindingKind::PeerUnreachable, Subject::Peer(peer), 0, 134, "nobody reaches lab7 (refused)");
    scene
}

/// The group in the middle is cut off.
pub fn cut() -> Scene {
    let mut scene = Scene::lab(20);
    for (i, j) in (7..14).flat_map(|i| (0..7).chain(14..20).map(move |j| (i, j))) {
        scene.cut(i, j, 9);
    }
    let text = "group Paris (lab8, lab9 and 5 more) is cut off from all other groups (timeout); it is fine inside";
    scene.verdict(FindingKind::GroupsCut, Subject::Group("Paris".into()), 0, 9, text);
    scene
}

/// Nobody is reached any more; lab7 was dead before.
pub fn blind() -> Scene {
    let mut scene = dead();
    for i in 0..20 {
        scene.stale(i, if i == 6 { 134 } else { 17 });
    }
    let text = "this console reaches none of the 20 peers (timeout); it may be cut off itself";
    scene.finding(FindingKind::WatcherBlind, Subject::Watcher, 12, text);
    scene
}

fn press(wall: &mut Wall, key: &str) -> Option<Cmd> {
    wall.update(Msg::Key(key.parse::<Key>().unwrap()), NOW)
}

#[test]
fn d9_only_quit_and_theme_are_keys() {
    let size = (80, 24);
    let mut wall = wall(dead().build(), size);
    let before = render(&wall, size, &unicode(), NOW);
    let mut keys: Vec<String> = (' '..='~').map(|c| if c == ' ' { "<Space>".into() } else { c.to_string() }).collect();
    keys.extend(('a'..='z').map(|c| format!("<C-{c}>")));
    keys.extend((1..=12).map(|n| format!("<F{n}>")));
    keys.extend(
        ["<Enter>", "<Esc>", "<Tab>", "<Up>", "<Down>", "<Left>", "<Right>", "<Home>", "<End>"].map(Into::into),
    );
    let mut pressed = 0;
    for key in &keys {
        let name = key.trim_start_matches('<').trim_end_matches('>');
        let Ok(parsed) = (if key.chars().count() == 1 { key.parse() } else { name.parse::<Key>() }) else { continue };
        pressed += 1;
        let cmd = wall.update(Msg::Key(parsed), NOW);
        let quits = key == "q" || name.eq_ignore_ascii_case("C-c") || name.eq_ignore_ascii_case("Ctrl-c");
        assert_eq!(cmd, quits.then_some(Cmd::Quit), "{key}");
        assert_eq!(wall.theme(), usize::from(key == "T" || wall.theme() == 1), "{key}");
    }
    assert!(pressed > 100, "{pressed}");
    press(&mut wall, "T");
    assert_eq!(wall.theme(), 0);
    assert_eq!(render(&wall, size, &unicode(), NOW), before, "nothing but the theme can be changed");
}

/// Files that make up the wall.
fn sources() -> Vec<PathBuf> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![src.join("app/wall.rs"), src.join("cli/wall.rs")];
    files.extend(std::fs::read_dir(src.join("ui/wall")).unwrap().map(|e| e.unwrap().path()));
    assert!(files.len() > 5, "{files:?}");
    files
}

#[test]
fn rule_8_no_module_of_the_wall_names_what_could_act() {
    let acting = [
        "Commander",
        "commander",
        "Submit",
        "submit",
        "Historian",
        "trust_host_key",
        "TrustHostKey",
        "dial_now",
        "DialNow",
        "PeerRequest",
        "engine::plans",
        "domain::Plan",
        "Sender",
        "shell",
        "connect::start",
    ];
    for file in sources() {
        let text = std::fs::read_to_string(&file).unwrap();
        for word in acting {
            assert!(!text.contains(word), "{} names {word}", file.display());
        }
    }
    // What is looked for is really what the console acts with.
    let console = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/console.rs")).unwrap();
    assert!(["Commander", "Submitter", "trust_host_key", "dial_now"].iter().all(|w| console.contains(w)));
}

#[test]
fn d9_fine_means_fresh_and_whole_and_waiting_is_not_fine() {
    let state = |scene: &Scene, later: u64| {
        let now = NOW + Duration::from_secs(later);
        wall(scene.build(), (80, 24)).faces(now)[0].state
    };
    assert_eq!(state(&Scene::lab(6), 1), State::Fine);
    assert_eq!(state(&Scene::lab(6), 10), State::Silent);
    assert_eq!(state(Scene::lab(6).cut(1, 2, 1), 1), State::Unsettled);
    assert_eq!(state(Scene::lab(6).detach(2), 1), State::Fine);
    assert_eq!(state(Scene::lab(6).maintain(2), 1), State::Fine, "announced work is no trouble");
    let mut nobody = Scene::lab(3);
    (0..3).for_each(|i| {
        nobody.silent(i);
    });
    assert_eq!(state(&nobody, 1), State::Waiting);
    assert_eq!(state(&blind(), 1), State::Blind);
}

#[test]
fn d9_what_is_stale_is_said_loudly_and_nothing_is_green() {
    let look = unicode();
    for (size, scene) in
        [((200, 50), Scene::lab(20)), ((80, 24), dead()), ((40, 10), Scene::lab(6)), ((80, 24), blind())]
    {
        let wall = wall(scene.build(), size);
        let buf = render(&wall, size, &look, NOW + Duration::from_secs(12));
        let word = if scene.build().clusters[0].findings.iter().any(|f| f.kind == FindingKind::WatcherBlind) {
            "CUT OFF"
        } else {
            "NO NEWS"
        };
        assert!(shows(&buf, word, Charset::Unicode), "{}", crate::ui::text(&buf));
        let green = look.theme.get(Role::Ok).fg;
        let shown = buf.content.iter().filter(|c| c.symbol() != " ");
        assert!(shown.clone().all(|c| Some(c.fg) != green), "{}", crate::ui::text(&buf));
    }
}

#[test]
fn d9_the_wall_itself_cut_off_comes_first_and_the_rest_is_old() {
    let snapshot = fleet(vec![("americas", cut().build()), ("europe", blind().build())]);
    let wall = wall(snapshot, (200, 50));
    let troubles: Vec<_> = wall.troubles(NOW).iter().map(|t| (t.weight, t.old.is_some())).collect();
    assert_eq!(troubles, [(Weight::Blind, false), (Weight::Critical, false), (Weight::Critical, true)]);
}

#[test]
fn d9_two_primaries_come_before_an_older_finding_that_is_as_critical() {
    let mut scene = dead();
    scene.finding(
        FindingKind::HaTwoPrimaries,
        Subject::Cluster,
        3,
        "gw has 2 primaries: lab1 in epoch 1 and lab2 in epoch 2",
    );
    let wall = wall(fleet(vec![("americas", cut().build()), ("europe", scene.build())]), (200, 50));
    let troubles: Vec<_> = wall.troubles(NOW).iter().map(|t| t.finding.unwrap().kind).collect();
    let kinds = [FindingKind::HaTwoPrimaries, FindingKind::PeerUnreachable, FindingKind::GroupsCut];
    assert_eq!(troubles, kinds);
}

#[test]
fn d9_pages_turn_only_while_nothing_is_wrong() {
    let size = (200, 50);
    let mut wall = wall(Scene::lab(20).build(), size);
    assert_eq!(wall.pages(), [Page::Clusters { first: 0, count: 1 }, Page::Mesh(0), Page::Peers(0)]);
    let mut seen = Vec::new();
    for second in 0..60 {
        let mut fresh = Scene::lab(20).build();
        let cluster = Arc::make_mut(&mut fresh.clusters[0]);
        for peer in &mut cluster.peers {
            Arc::make_mut(peer).confirmed = NOW + Duration::from_secs(second);
        }
        let now = NOW + Duration::from_secs(second);
        wall.update(Msg::Snapshot(Arc::new(fresh)), now);
        seen.push(wall.page(now));
    }
    for (place, page) in wall.pages().into_iter().enumerate() {
        assert!(seen[place * 20..(place + 1) * 20].iter().all(|p| *p == page), "{seen:?}");
    }
    let late = NOW + Duration::from_secs(70);
    wall.update(Msg::Snapshot(Arc::new(dead().build())), late);
    assert_eq!(wall.page(late + Duration::from_secs(45)), Page::Clusters { first: 0, count: 1 });
}

#[test]
fn d9_clusters_stand_side_by_side_while_there_is_room() {
    let names = ["a", "b", "c", "d", "e"];
    let snapshot = || fleet(names.iter().map(|n| (*n, Scene::lab(3).build())).collect());
    let pages =
        |size| wall(snapshot(), size).pages().into_iter().filter(|p| matches!(p, Page::Clusters { .. })).count();
    assert_eq!(pages((200, 50)), 1);
    assert_eq!(pages((120, 40)), 2);
    assert_eq!(pages((40, 10)), 5);
}

#[test]
fn d9_the_picture_moves_against_burn_in() {
    let size = (80, 24);
    let mut wall = wall(Scene::lab(6).build(), size);
    let mut places = std::collections::BTreeSet::new();
    for minute in 0..12_u32 {
        let now = NOW + SHIFT * minute;
        let cmd = wall.update(Msg::Tick(now), now);
        assert_eq!(cmd, (minute > 0).then_some(Cmd::Redraw), "a whole new picture, each time it has moved");
        assert_eq!(wall.update(Msg::Tick(now), now), None);
        places.insert(wall.shift());
        let buf = render(&wall, size, &unicode(), now);
        let (dx, dy) = wall.shift();
        let blank = |x: u16, y: u16| buf[(x, y)].symbol() == " ";
        assert!((0..dx).all(|x| (0..24).all(|y| blank(x, y))) && (0..dy).all(|y| (0..80).all(|x| blank(x, y))));
    }
    assert_eq!(places.len(), 6);
}

#[test]
fn d9_the_clock_is_the_wall_clock_even_when_that_steps() {
    let size = (40, 10);
    let mut wall = wall(Scene::lab(6).build(), size);
    let text = |wall: &Wall| crate::ui::text(&render(wall, size, &unicode(), NOW));
    assert!(text(&wall).contains("03:14:21"), "{}", text(&wall));
    wall.update(Msg::Tick(NOW + Duration::from_hours(2)), NOW);
    assert!(text(&wall).contains("05:14:21"), "{}", text(&wall));
}

#[test]
fn d9_what_is_wrong_with_files_is_told_and_ends() {
    let size = (80, 24);
    let mut wall = wall(Scene::lab(6).build(), size);
    wall.update(Msg::Warning("fleet.toml:3: unknown key".into()), NOW);
    let text = |wall: &Wall, now| crate::ui::text(&render(wall, size, &unicode(), now));
    assert!(text(&wall, NOW).contains("fleet.toml:3: unknown key"));
    assert!(!text(&wall, NOW + Duration::from_mins(6)).contains("fleet.toml"));
    wall.update(Msg::Notice, NOW);
    assert!(!text(&wall, NOW).contains("fleet.toml"));
}

#[test]
fn d9_below_forty_by_ten_it_says_so() {
    for size in [(39, 10), (40, 9), (12, 2), (1, 1)] {
        let wall = wall(dead().build(), size);
        let shown = crate::ui::text(&render(&wall, size, &unicode(), NOW));
        assert!(size.0 < 12 || shown.contains("too small"), "{shown}");
    }
}

#[test]
fn d9_two_clusters_of_one_name_share_nothing_and_no_cluster_is_said() {
    let size = (80, 24);
    let none = wall(fleet(vec![]), size);
    let shown = crate::ui::text(&render(&none, size, &unicode(), NOW));
    assert!(shown.contains("no cluster"), "{shown}");
}

/// Findings of all kinds, about all kinds of subjects.
fn any_findings() -> impl proptest::strategy::Strategy<Value = Vec<(FindingKind, u8, u64, String)>> {
    use proptest::prelude::*;
    use strum::IntoEnumIterator;
    let kinds: Vec<FindingKind> = FindingKind::iter().collect();
    prop::collection::vec((prop::sample::select(kinds), 0u8..5, 0u64..500_000, "\\PC{0,90}"), 0..40)
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig {
        cases: 150, failure_persistence: None, ..proptest::prelude::ProptestConfig::default()
    })]

    #[test]
    fn d9_any_size_can_be_drawn_and_the_worst_is_on_screen(
        width in 1u16..300,
        height in 1u16..100,
        clusters in 1usize..4,
        findings in any_findings(),
        name in "\\PC{1,30}",
        later in 0u64..20_000,
        ascii: bool,
        mono: bool,
    ) {
        let hosts = (0..6).map(|i| format!("{name}{i}")).collect();
        let scene = Scene::of(hosts, (0..6).map(|i| format!("{}{name}", i / 3)).collect());
        let mut snapshot = fleet((0..clusters).map(|_| (name.as_str(), scene.build())).collect());
        for (at, (kind, about, since, text)) in findings.into_iter().enumerate() {
            let subject = match about {
                0 => Subject::Watcher,
                1 => Subject::Cluster,
                2 => Subject::Peer(scene.id(at % 6)),
                3 => Subject::Link { from: scene.id(at % 6), to: scene.id((at + 1) % 6) },
                _ => Subject::Group(name.as_str().into()),
            };
            let cluster = Arc::make_mut(&mut snapshot.clusters[at % clusters]);
            Arc::make_mut(&mut cluster.findings).push(Finding {
                id: FindingId::new(kind, &cluster.name, &subject),
                cluster: cluster.name.clone(),
                kind,
                severity: kind.severity(),
                subject,
                since: NOW.before(Duration::from_secs(since)),
                text: peerdeck::domain::Line::new(&text),
                evidence: vec![],
                advice: peerdeck::domain::Line::default(),
            });
        }
        let now = NOW + Duration::from_millis(later);
        let depth = if mono { peerdeck::ui::Depth::None } else { peerdeck::ui::Depth::True };
        let look = crate::ui::look(if mono { "mono" } else { "dark" }, ascii, depth);
        let wall = wall(snapshot, (width, height));
        let buf = render(&wall, (width, height), &look, now);
        if width >= 40 && height >= 10
            && let Some(worst) = wall.troubles(now).first()
        {
            let shown = shows(&buf, worst.weight.word(), look.glyphs.charset);
            proptest::prop_assert!(shown, "{:?}\n{}", worst.weight, crate::ui::text(&buf));
        }
    }
}
