//! What each fault does to the rows of real peers, and that `heal` ends it.

use std::time::Duration;

use peerdeck::domain::mesh::Cause;

use super::eyes::{Grid, log_in};
use crate::support::{TestLab, quick};

/// A lab with all links up, and somebody who looks at all of it.
async fn lab(peers: usize) -> (TestLab, Grid) {
    let test = TestLab::start(peers).await;
    let grid = Grid::open(&test.lab);
    let all: Vec<usize> = (1..=peers).collect();
    grid.until("the whole grid up at first", |g| g.all_up(&all)).await;
    (test, grid)
}

async fn heal(test: &TestLab, grid: &Grid) {
    test.fault("heal").await;
    let all: Vec<usize> = (1..=test.lab.roster().peers.len()).collect();
    grid.until("the whole grid up after the heal", |g| g.all_up(&all)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c18_a_full_mesh_comes_up_over_real_ssh() {
    let (test, grid) = lab(6).await;
    assert_eq!(test.lab.wait_links_up(Duration::from_secs(1)).await.unwrap(), 30);
    let ready: serde_json::Value = serde_json::from_str(&test.lab.ready_line(30)).unwrap();
    assert_eq!((ready["peers"].as_u64(), ready["links"].as_u64()), (Some(6), Some(30)));
    assert_eq!(ready["fleet"].as_str(), test.lab.fleet_path().to_str());
    grid.until("round trips and look-ups of every link", |g| {
        (1..=6).flat_map(|a| (1..=6).map(move |b| (a, b))).filter(|(a, b)| a != b).all(|(a, b)| {
            let l = g.link(a, b);
            l.rtt.is_some() && l.dns_forward == "ok" && l.dns_reverse == "ok"
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_takes_down_both_cells_and_no_other() {
    let (test, grid) = lab(4).await;
    test.fault("cut lab1 lab3").await;
    grid.until("both down", |g| g.is_down(1, 3, Cause::Timeout) && g.is_down(3, 1, Cause::Timeout)).await;
    grid.until("silent both ways", |g| g.link(1, 3).probe == "silent" && g.link(3, 1).probe == "silent").await;
    assert!(grid.all_up(&[1, 2, 4]) && grid.all_up(&[2, 3, 4]));
    heal(&test, &grid).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_one_way_cut_takes_down_both_cells_and_datagrams_tell_the_direction() {
    let (test, grid) = lab(3).await;
    test.fault("cut-one-way lab1 lab3").await;
    grid.until("both down", |g| g.is_down(1, 3, Cause::Timeout) && g.is_down(3, 1, Cause::Timeout)).await;
    grid.until("lab1 hears lab3, lab3 does not hear lab1", |g| {
        g.link(1, 3).probe == "heard" && g.link(3, 1).probe == "silent"
    })
    .await;
    heal(&test, &grid).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_peer_is_down_for_all_others_and_can_be_started() {
    let (test, grid) = lab(4).await;
    test.fault("kill lab2").await;
    grid.until("down for all, nothing listens", |g| [1, 3, 4].iter().all(|i| g.is_down(*i, 2, Cause::Refused))).await;
    assert!(grid.all_up(&[1, 3, 4]));
    grid.until("observers are refused", |g| g.error(2).starts_with("refused")).await;
    let twice = test.lab.apply_words(&["kill".to_owned(), "lab2".to_owned()]).await;
    assert_eq!(twice.unwrap_err().to_string(), "lab2 does not run");
    test.fault("start lab2").await;
    grid.until("all up after the start", |g| g.all_up(&[1, 2, 3, 4])).await;
    test.fault("kill lab1").await;
    heal(&test, &grid).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_peer_is_down_with_timeouts_and_goes_on_when_thawed() {
    let (test, grid) = lab(4).await;
    test.fault("freeze lab2").await;
    grid.until("down for all, no answer", |g| [1, 3, 4].iter().all(|i| g.is_down(*i, 2, Cause::Timeout))).await;
    assert!(grid.all_up(&[1, 3, 4]));
    let before = grid.reports(2);
    test.fault("thaw lab2").await;
    grid.until("all up after the thaw", |g| g.all_up(&[1, 2, 3, 4]) && g.reports(2) > before).await;
    test.fault("freeze lab1").await;
    grid.until("down again", |g| g.is_down(2, 1, Cause::Timeout)).await;
    heal(&test, &grid).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_isolated_peer_is_cut_from_all_others_and_still_reached_by_a_console() {
    let (test, grid) = lab(4).await;
    test.fault("isolate lab4").await;
    grid.until("lab4 sees nobody, nobody sees lab4", |g| {
        (1..4).all(|i| g.is_down(4, i, Cause::Timeout) && g.is_down(i, 4, Cause::Timeout))
    })
    .await;
    assert!(grid.all_up(&[1, 2, 3]));
    heal(&test, &grid).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_isolated_group_is_a_rectangle() {
    let (test, grid) = lab(6).await;
    test.fault("isolate group:Paris").await;
    grid.until("each of Paris is cut from each of the others", |g| {
        [3, 4].iter().all(|a| {
            [1, 2, 5, 6].iter().all(|b| g.is_down(*a, *b, Cause::Timeout) && g.is_down(*b, *a, Cause::Timeout))
        })
    })
    .await;
    assert!(grid.all_up(&[3, 4]) && grid.all_up(&[1, 2, 5, 6]));
    heal(&test, &grid).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_isolated_console_sees_nothing_while_the_mesh_is_whole() {
    let (test, grid) = lab(3).await;
    test.fault("isolate console").await;
    grid.until("logins get no answer", |g| (1..=3).all(|i| g.error(i).is_empty() || g.error(i).contains("timeout")))
        .await;
    let refused = log_in(&test.lab, 0).await.err().unwrap();
    assert_eq!(refused.cause, Cause::Timeout, "{refused}");
    assert_eq!(test.lab.wait_links_up(Duration::from_secs(1)).await.unwrap(), 6);
    let before: Vec<u64> = (1..=3).map(|i| grid.reports(i)).collect();
    test.fault("heal").await;
    grid.until("reports come again", |g| (1..=3).all(|i| g.reports(i) > before[i - 1])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flapping_link_changes_by_itself() {
    let (test, grid) = lab(3).await;
    // Each half cycle is longer than the ping limits.
    test.fault("flap lab1 lab2 0.3").await;
    grid.until("three changes", |g| g.link(1, 2).changes >= 3 && g.link(2, 1).changes >= 3).await;
    assert!(grid.is_up(1, 3) && grid.is_up(2, 3));
    heal(&test, &grid).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_and_lossy_links_stay_up_and_show_it() {
    let (test, grid) = lab(3).await;
    test.fault("slow lab1 lab2 60").await;
    grid.until("round trips of both ways", |g| {
        [(1, 2), (2, 1)].iter().all(|(a, b)| g.link(*a, *b).rtt.is_some_and(|us| us >= 120_000))
    })
    .await;
    assert!(grid.all_up(&[1, 2, 3]));
    test.fault("slow lab1 lab2 0").await;
    test.fault("loss lab1 lab2 20").await;
    grid.until("quick again", |g| g.link(1, 2).rtt.is_some_and(|us| us < 120_000)).await;
    heal(&test, &grid).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c19_dns_faults_are_told_on_a_live_link_and_are_the_cause_at_the_next_dial() {
    let (test, grid) = lab(3).await;
    for (word, result) in [("nxdomain", "missing"), ("wrong", "wrong"), ("timeout", "timeout")] {
        // Of both, because each side dials and one good look-up is enough for a link.
        test.fault(&format!("dns lab1 {word}")).await;
        test.fault(&format!("dns lab2 {word}")).await;
        let told =
            |g: &Grid, from, to| g.link(from, to).dns_forward == result && g.link(from, to).dns_reverse == result;
        grid.until(word, |g| told(g, 1, 2) && told(g, 3, 2) && told(g, 2, 1) && told(g, 3, 1)).await;
        assert!(grid.all_up(&[1, 2, 3]), "live links stay up");
        test.fault("restart lab2").await;
        let is_dns = |g: &Grid, from, to| {
            // Whoever never knew the right address finds that nothing listens at the wrong one.
            let misled = word == "wrong" && g.link(from, to).detail.contains(".254:");
            let is_cause = g.is_down(from, to, Cause::DnsForward) || g.is_down(from, to, Cause::DnsReverse);
            is_cause || (misled && g.is_down(from, to, Cause::Refused))
        };
        grid.until("no connection, because of DNS", |g| is_dns(g, 1, 2) && is_dns(g, 2, 1)).await;
        heal(&test, &grid).await;
        grid.until("told as healed", |g| g.link(1, 2).dns_forward == "ok" && g.link(1, 2).dns_reverse == "ok").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c15_different_levels_are_both_named() {
    let (test, grid) = lab(3).await;
    test.fault("level lab2 7").await;
    grid.until("the cause on both sides", |g| {
        [(1, 2), (3, 2), (2, 1), (2, 3)].iter().all(|(a, b)| {
            let l = g.link(*a, *b);
            l.cause.as_deref() == Some("version") && l.detail.contains('7') && l.detail.contains('1')
        })
    })
    .await;
    grid.until("its own level", |g| g.level(2) == 7).await;
    assert!(grid.all_up(&[1, 3]));
    heal(&test, &grid).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_host_key_is_refused_by_fellows_and_observers() {
    let (test, grid) = lab(3).await;
    test.fault("hostkey lab2").await;
    grid.until("refused by the fellows", |g| [1, 3].iter().all(|i| g.is_down(*i, 2, Cause::HostKey))).await;
    let refused = log_in(&test.lab, 1).await.err().unwrap();
    assert_eq!(refused.cause, Cause::HostKey, "{refused}");
    test.fault("hostkey lab2").await; // Twice: the right key must survive that.
    heal(&test, &grid).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_skewed_clock_is_in_the_reports_and_changes_no_link() {
    let (test, grid) = lab(2).await;
    test.fault("skew lab2 -120").await;
    grid.until("two minutes behind", |g| (-122..=-118).contains(&g.clock_off(2))).await;
    assert!((-2..=2).contains(&grid.clock_off(1)));
    assert!(grid.all_up(&[1, 2]));
    heal(&test, &grid).await;
    grid.until("right again", |g| (-2..=2).contains(&g.clock_off(2))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_faults_at_once_are_healed() {
    let (test, grid) = lab(5).await;
    for words in [
        "cut lab1 lab2",
        "cut-one-way lab2 lab3",
        "isolate group:Rome",
        "flap lab1 lab4 3",
        "slow lab3 lab4 300",
        "loss lab1 lab3 50",
        "kill lab5",
        "freeze lab4",
        "dns lab1 timeout",
        "skew lab3 100",
        "level lab2 3",
        "hostkey lab1",
        "disk lab2 full",
        "isolate console",
    ] {
        test.fault(words).await;
    }
    heal(&test, &grid).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lab_that_does_not_get_all_links_says_which() {
    let test = TestLab::start_with(peerdeck::lab::Options { peers: 3, ..quick() }).await;
    test.lab.wait_links_up(crate::support::PATIENCE).await.unwrap();
    test.fault("kill lab3").await;
    let error = test.lab.wait_links_up(Duration::from_millis(100)).await.unwrap_err().to_string();
    assert!(error.contains("lab3 does not run"), "{error}");
}
