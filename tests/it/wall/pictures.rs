//! What the wall looks like, with its styles.

use std::time::Duration;

use peerdeck::app::wall::Msg;
use peerdeck::domain::{Cause, FindingKind, Snapshot, Subject};
use peerdeck::ui::{Depth, Look};
use strum::IntoEnumIterator;

use super::{blind, cut, dead, fleet, render, unicode, wall, warning};
use crate::ui::scene::{NOW, Scene};
use crate::ui::{look, styled};

const SIZES: [(u16, u16); 4] = [(200, 50), (80, 24), (40, 10), (220, 60)];

fn check(name: &str, snapshot: &Snapshot, sizes: &[(u16, u16)], look: &Look, later: Duration) {
    for (width, height) in sizes {
        let wall = wall(snapshot.clone(), (*width, *height));
        let buf = render(&wall, (*width, *height), look, NOW + later);
        insta::with_settings!({
            prepend_module_to_snapshot => false,
            omit_expression => true,
            snapshot_path => "../snapshots",
        }, {
            insta::assert_snapshot!(format!("wall-{name}-{width}x{height}"), styled(&buf));
        });
    }
}

const NOW_ISH: Duration = Duration::from_millis(100);

#[test]
fn d9_fine_one_warning_a_dead_peer_a_cut_site_and_cut_off_itself() {
    check("fine", &Scene::lab(20).build(), &SIZES, &unicode(), NOW_ISH);
    check("warning", &warning().build(), &SIZES, &unicode(), NOW_ISH);
    check("dead", &dead().build(), &SIZES, &unicode(), NOW_ISH);
    check("cut", &cut().build(), &SIZES, &unicode(), NOW_ISH);
    check("blind", &blind().build(), &SIZES, &unicode(), NOW_ISH);
}

#[test]
fn d9_three_clusters() {
    let well = || {
        fleet(vec![
            ("americas", Scene::lab(20).build()),
            ("europe", Scene::lab(6).detach(2).build()),
            ("asia", Scene::lab(3).maintain(1).build()),
        ])
    };
    check("clusters-fine", &well(), &SIZES, &unicode(), NOW_ISH);
    let ill = fleet(vec![("americas", Scene::lab(20).build()), ("europe", cut().build()), ("asia", warning().build())]);
    check("clusters-ill", &ill, &SIZES, &unicode(), NOW_ISH);
}

#[test]
fn d9_twelve_findings() {
    let mut scene = cut();
    let kinds = FindingKind::iter().filter(|k| {
        k.severity() >= peerdeck::domain::Severity::Warning
            && !matches!(k, FindingKind::WatcherBlind | FindingKind::GroupsCut)
    });
    for (i, kind) in kinds.take(11).enumerate() {
        let peer = scene.id(i);
        scene.finding(kind, Subject::Peer(peer), 60 + 700 * i as u64, kind.meaning());
    }
    check("twelve", &scene.build(), &SIZES, &unicode(), NOW_ISH);
}

#[test]
fn d9_long_and_wide_names() {
    let hosts = (1..=6).map(|i| format!("mail-gateway-of-the-north-western-region-{i:02}.example.com"));
    let mut long = Scene::of(hosts.collect(), vec!["A group with a rather long name".into(); 6]);
    long.cut(0, 5, 70);
    let text = "mail-gateway-of-the-north-western-region-01 and mail-gateway-of-the-north-western-region-06 do not \
                reach each other (timeout)";
    let (a, b) = (long.id(0), long.id(5));
    long.verdict(FindingKind::LinkDown, Subject::pair(&a, &b), 0, 70, text);
    check("long", &long.build(), &SIZES, &unicode(), NOW_ISH);
    let mut wide = Scene::of((1..=6).map(|i| format!("郵便局{i}.example.jp")).collect(), vec!["東京".into(); 6]);
    wide.down(0, 5, Cause::Timeout, 70);
    let (from, to) = (wide.id(0), wide.id(5));
    let link = Subject::Link { from, to };
    wide.verdict(FindingKind::LinkOneSided, link, 0, 70, "郵便局1 does not reach 郵便局6; the way back works");
    check("wide", &wide.build(), &SIZES, &unicode(), NOW_ISH);
    check(
        "wide-fine",
        &Scene::of(vec!["郵便局1".into(), "郵便局2".into()], vec!["東京".into(); 2]).build(),
        &[(80, 24)],
        &unicode(),
        NOW_ISH,
    );
}

#[test]
fn d9_in_ascii_and_without_colour() {
    check("ascii", &dead().build(), &SIZES, &look("terminal", true, Depth::Sixteen), NOW_ISH);
    check(
        "ascii-fine",
        &Scene::lab(20).build(),
        &[(200, 50), (80, 24)],
        &look("terminal", true, Depth::Sixteen),
        NOW_ISH,
    );
    check("mono", &dead().build(), &SIZES, &look("mono", false, Depth::None), NOW_ISH);
}

#[test]
fn d9_stale_before_anybody_says_why() {
    check("stale", &Scene::lab(20).build(), &SIZES, &unicode(), Duration::from_secs(5));
}

#[test]
fn d9_the_other_pages() {
    for (name, at, n) in [("mesh", 20, 20), ("peers", 40, 20), ("mesh-many", 20, 70)] {
        let size = (200, 50);
        let snapshot = Scene::lab(n).build();
        let mut wall = wall(snapshot.clone(), size);
        let now = NOW + Duration::from_secs(at);
        let mut fresh = snapshot;
        let cluster = std::sync::Arc::make_mut(&mut fresh.clusters[0]);
        cluster.peers.iter_mut().for_each(|p| std::sync::Arc::make_mut(p).confirmed = now);
        let fresh = std::sync::Arc::new(fresh);
        wall.update(Msg::Snapshot(fresh), NOW + Duration::from_secs(1));
        let buf = render(&wall, size, &unicode(), now);
        insta::with_settings!({
            prepend_module_to_snapshot => false,
            omit_expression => true,
            snapshot_path => "../snapshots",
        }, {
            insta::assert_snapshot!(format!("wall-{name}"), styled(&buf));
        });
    }
}
