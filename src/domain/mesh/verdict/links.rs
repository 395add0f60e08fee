//! Explanations that are about links: cuts, a sick observer, one direction, one pair.

use std::cmp::Reverse;

use super::Verdict;
use super::view::{Mark, View, in_brackets};
use crate::domain::finding::{FindingKind, Subject};
use crate::domain::ids::GroupName;

/// Borders between groups that no link crosses, though both sides live and are whole inside.
pub(super) fn groups_cut(view: &mut View<'_>) -> Vec<Verdict> {
    let mut groups: Vec<(GroupName, Vec<usize>)> = Vec::new();
    for group in &view.cluster.groups {
        let of: Vec<usize> =
            (0..view.n).filter(|p| !view.gone[*p] && view.cluster.peers[*p].group.as_ref() == Some(group)).collect();
        if !of.is_empty() {
            groups.push((group.clone(), of));
        }
    }
    let whole: Vec<bool> = groups.iter().map(|(_, of)| components(view, of).len() == 1).collect();
    let mut cut: Vec<(usize, usize)> = Vec::new();
    for g in 0..groups.len() {
        for h in g + 1..groups.len() {
            if whole[g] && whole[h] && is_border_cut(view, &groups[g].1, &groups[h].1) {
                cut.push((g, h));
            }
        }
    }
    let mut found = Vec::new();
    let mut left: Vec<usize> = (0..groups.len()).collect();
    // A group that is cut off from all others is one broken thing; those with the most cuts first.
    loop {
        let degree = |g: usize| cut.iter().filter(|(a, b)| *a == g || *b == g).count();
        let best = left.iter().copied().max_by_key(|g| (degree(*g), Reverse(*g)));
        let Some(g) = best.filter(|g| left.len() > 2 && degree(*g) == left.len() - 1) else { break };
        let mut cells = Vec::new();
        for h in left.iter().filter(|h| **h != g) {
            take_border(view, &groups[g].1, &groups[*h].1, &mut cells);
        }
        cut.retain(|(a, b)| *a != g && *b != g);
        left.retain(|x| *x != g);
        let (name, of) = &groups[g];
        let inside = if of.len() > 1 { "; it is fine inside" } else { "" };
        let text = format!(
            "group {name} ({}) is cut off from all other groups{}{inside}",
            view.names(of),
            in_brackets(view.main_cause(&cells))
        );
        found.push(view.verdict(FindingKind::GroupsCut, Subject::Group(name.clone()), &text, None, cells));
    }
    for (g, h) in cut {
        let mut cells = Vec::new();
        take_border(view, &groups[g].1, &groups[h].1, &mut cells);
        let (a, b) = (&groups[g].0, &groups[h].0);
        let text = format!(
            "groups {a} and {b} don't reach each other{}; both are fine inside",
            in_brackets(view.main_cause(&cells))
        );
        found.push(view.verdict(FindingKind::GroupsCut, Subject::groups(a, b), &text, None, cells));
    }
    found
}

/// Whether no link of at least two crosses, and one side at least says so of most of them.
fn is_border_cut(view: &View<'_>, left: &[usize], right: &[usize]) -> bool {
    let pairs = left.len() * right.len();
    let crossing = || left.iter().flat_map(|i| right.iter().map(move |j| (*i, *j)));
    if pairs < 2 || crossing().any(|(i, j)| view.is_pair_up(i, j)) {
        return false;
    }
    let down = crossing().filter(|(i, j)| view.is_pair_open(*i, *j)).count();
    down >= 2 && down * 2 > pairs
}

fn take_border(view: &mut View<'_>, left: &[usize], right: &[usize], cells: &mut Vec<(usize, usize)>) {
    for i in left {
        for j in right {
            view.take_pair(*i, *j, cells);
        }
    }
}

/// The parts of `of` that hang together by links that somebody says are up.
fn components(view: &View<'_>, of: &[usize]) -> Vec<Vec<usize>> {
    let mut left: Vec<usize> = of.to_vec();
    let mut parts = Vec::new();
    while let Some(start) = left.first().copied() {
        left.remove(0);
        let mut part = vec![start];
        let mut at = 0;
        while at < part.len() {
            let here = part[at];
            at += 1;
            left.retain(|p| {
                let joined = view.is_pair_up(here, *p);
                if joined {
                    part.push(*p);
                }
                !joined
            });
        }
        part.sort_unstable();
        parts.push(part);
    }
    parts
}

/// A cut that does not run along the groups: the living peers fall apart into parts that are whole inside.
pub(super) fn split(view: &mut View<'_>) -> Vec<Verdict> {
    let living: Vec<usize> = (0..view.n).filter(|p| !view.gone[*p]).collect();
    if !living.iter().any(|i| living.iter().any(|j| view.is_open(*i, *j))) {
        return Vec::new();
    }
    let parts: Vec<Vec<usize>> = components(view, &living).into_iter().filter(|p| p.len() > 1).collect();
    let mut cells = Vec::new();
    for (k, left) in parts.iter().enumerate() {
        for right in &parts[k + 1..] {
            if is_border_cut(view, left, right) {
                take_border(view, left, right, &mut cells);
            }
        }
    }
    if cells.is_empty() {
        return Vec::new();
    }
    let sides: Vec<String> = parts.iter().map(|p| view.names(p)).collect();
    let text =
        format!("the cluster has fallen into {} parts that don't reach each other: {}", parts.len(), sides.join(" | "));
    vec![view.verdict(FindingKind::GroupsCut, Subject::Cluster, &text, None, cells)]
}

/// Peers that accuse several fellows whom all others see well, and run late or are contradicted.
pub(super) fn sick(view: &mut View<'_>) -> Vec<Verdict> {
    let mut found = Vec::new();
    for p in 0..view.n {
        if view.gone[p] || !view.fresh[p] {
            continue;
        }
        let late = view.cluster.peers[p].health.is_late();
        let accused: Vec<usize> = view
            .fellows(p)
            .filter(|j| view.is_open(p, *j))
            .filter(|j| view.mark(*j, p) == Mark::Up || (late && view.mark(*j, p) != Mark::Neutral))
            .filter(|j| {
                let mut witnesses = view.fellows(*j).filter(|k| *k != p && view.fresh[*k]).peekable();
                witnesses.peek().is_some() && witnesses.all(|k| !view.is_down(k, *j))
            })
            .collect();
        if accused.len() < 2 {
            continue;
        }
        let mut cells = Vec::new();
        for j in &accused {
            view.take_pair(p, *j, &mut cells);
        }
        let why = if late { "its own loop runs late" } else { "they say that they are connected to it" };
        let text =
            format!("{} is the sick one: it alone does not see {}, and {why}", view.labels[p], view.names(&accused));
        let subject = Subject::Peer(view.id(p).clone());
        found.push(view.verdict(FindingKind::ObserverSick, subject, &text, None, cells));
    }
    found
}

/// What is left: pairs, in one direction or in both.
pub(super) fn single(view: &mut View<'_>) -> Vec<Verdict> {
    let (mut one_sided, mut down) = (Vec::new(), Vec::new());
    for i in 0..view.n {
        for j in i + 1..view.n {
            if !view.is_pair_open(i, j) {
                continue;
            }
            let there = view.cluster.arrives(i, j, view.now);
            let back = view.cluster.arrives(j, i, view.now);
            let mut cells = Vec::new();
            view.take_pair(i, j, &mut cells);
            match (there, back) {
                (Some(false), Some(true)) => one_sided.push(one_way(view, i, j, cells)),
                (Some(true), Some(false)) => one_sided.push(one_way(view, j, i, cells)),
                (Some(false) | None, Some(false) | None) | (Some(true), Some(true) | None) | (None, Some(true)) => {
                    down.push(pair(view, i, j, (there, back), cells));
                }
            }
        }
    }
    one_sided.append(&mut down);
    one_sided
}

fn one_way(view: &View<'_>, from: usize, to: usize, cells: Vec<(usize, usize)>) -> Verdict {
    let (a, b) = (view.labels[from], view.labels[to]);
    let text = format!("{a} does not reach {b}; the way back works (one-sided)");
    let subject = Subject::Link { from: view.id(from).clone(), to: view.id(to).clone() };
    let mut verdict = view.verdict(FindingKind::LinkOneSided, subject, &text, None, cells);
    verdict.evidence.push(format!("datagrams of {b} arrive at {a}; those of {a} don't arrive at {b}").into());
    verdict
}

fn pair(
    view: &View<'_>,
    i: usize,
    j: usize,
    arrives: (Option<bool>, Option<bool>),
    cells: Vec<(usize, usize)>,
) -> Verdict {
    let (a, b) = (view.labels[i], view.labels[j]);
    let why = in_brackets(view.main_cause(&cells));
    let text = match (view.mark(i, j), view.mark(j, i)) {
        (Mark::Down(_), Mark::Up) => format!("{a} says that it does not reach {b}{why}; {b} says it is connected"),
        (Mark::Up, Mark::Down(_)) => format!("{b} says that it does not reach {a}{why}; {a} says it is connected"),
        _ if arrives == (Some(true), Some(true)) => {
            format!("{a} and {b} have no connection{why}, though datagrams arrive both ways")
        }
        _ => format!("{a} and {b} don't reach each other{why}"),
    };
    view.verdict(FindingKind::LinkDown, Subject::pair(view.id(i), view.id(j)), &text, None, cells)
}
