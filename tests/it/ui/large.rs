//! The Mesh view of 60 to 200 peers: half blocks, folded rows, health bars, lens.

use std::time::Duration;

use peerdeck::domain::event::EventKind;
use peerdeck::domain::{Cause, FindingKind, Subject};
use peerdeck::ui::Depth;

use super::scene::{NOW, Scene};
use super::{app, check, look, render, terminal, text};

/// A cut link, a dead peer, a sick observer and a silent one among many.
fn troubled(n: usize) -> Scene {
    let mut scene = Scene::lab(n);
    scene.cut(2, 41, 31).silent(30).stale(45, 21).late(12).detach(50);
    for i in (0..n).filter(|i| ![7, 30, 45].contains(i)) {
        scene.down(i, 7, Cause::Timeout, 65);
    }
    scene.silent(7);
    for j in (10..30).filter(|j| *j != 19) {
        scene.down(20, j + 1, Cause::Refused, 12);
    }
    let dead = scene.id(7);
    scene.verdict(
        FindingKind::PeerUnreachable,
        Subject::Peer(dead),
        0,
        65,
        "lab8 is down: nobody reaches it (timeout)",
    );
    scene.event(65, EventKind::Raised, "lab8 is down: nobody reaches it (timeout)");
    scene
}

#[test]
fn c22_two_hundred_peers_at_three_sizes() {
    for (w, h) in [(80, 24), (120, 40), (220, 60)] {
        check(&format!("peers-200-{w}x{h}"), troubled(200).build(), (w, h), "F n n", &terminal());
    }
}

#[test]
fn c22_equal_rows_are_one_line_until_they_are_unfolded() {
    check("peers-200-folded", troubled(200).build(), (120, 40), "n", &terminal());
    check("peers-200-well", Scene::lab(200).build(), (80, 24), "", &terminal());
}

#[test]
fn c22_large_in_ascii_and_without_colour() {
    for (name, ascii, depth) in [("ascii", true, Depth::Sixteen), ("mono", false, Depth::None)] {
        let theme = if ascii { "terminal" } else { "mono" };
        let look = look(theme, ascii, depth);
        check(&format!("peers-200-{name}"), troubled(200).build(), (120, 40), "F n n", &look);
        check(&format!("peers-61-{name}"), troubled(61).build(), (80, 24), "G <End>", &look);
    }
}

/// What the screen says at these keys.
fn screen(scene: &Scene, size: (u16, u16), keys: &str) -> String {
    let app = app(scene.build(), size, keys);
    text(&render(&app, size, &terminal(), NOW + Duration::from_millis(100)))
}

#[test]
fn c22_folds_say_how_many_and_what_and_open_on_a_key() {
    let scene = troubled(200);
    let folded = screen(&scene, (120, 40), "");
    assert!(folded.contains("but lab8"), "the dead peer is what equal rows have in common:\n{folded}");
    let open = screen(&scene, (120, 40), "F");
    assert!(!open.contains("but lab8"), "{open}");
    let again = screen(&scene, (120, 40), "F F");
    assert_eq!(folded, again);
    let well = screen(&Scene::lab(100), (120, 40), "");
    assert!(well.contains("all ok"), "{well}");
}

#[test]
fn c22_the_selected_cell_is_always_visible_and_the_lens_shows_it() {
    for size in [(60, 16), (80, 24), (120, 40), (220, 60)] {
        for keys in ["", "G", "F G", "F G n", "n n n N"] {
            let app = app(troubled(200).build(), size, keys);
            let buf = render(&app, size, &terminal(), NOW);
            let selection = terminal().theme.get(peerdeck::ui::Role::Selection);
            let seen = buf
                .content
                .iter()
                .any(|c| c.bg == selection.bg.unwrap() || c.modifier.contains(selection.add_modifier));
            assert!(seen, "{size:?} {keys:?}:\n{}", text(&buf));
        }
    }
    let lens = screen(&troubled(200), (120, 40), "n");
    assert!(lens.contains("lens"), "{lens}");
}

#[test]
fn c22_stale_rows_are_never_well() {
    let mut scene = Scene::lab(200);
    for i in 0..200 {
        scene.stale(i, 60);
    }
    let all = screen(&scene, (120, 40), "");
    assert!(all.contains("silent") && !all.contains("all ok"), "{all}");
    let app = app(scene.build(), (120, 40), "F");
    let buf = render(&app, (120, 40), &terminal(), NOW);
    let ok = terminal().theme.get(peerdeck::ui::Role::Ok).fg;
    assert!(buf.content.iter().all(|c| Some(c.fg) != ok || c.symbol() == " "), "{}", text(&buf));
}
