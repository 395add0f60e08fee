//! Explanations that are about one peer, or about this console.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Verdict;
use super::view::{Class, Mark, Own, View, in_brackets};
use crate::domain::finding::{FindingKind, Subject};
use crate::domain::mesh::link::Cause;
use crate::domain::text::Line;

/// Peers of one group that went away within this time may share one cause.
const TOGETHER: Duration = Duration::from_secs(10);

/// This console reaches nobody: then nothing else can be said.
pub(super) fn blind(view: &mut View<'_>) -> Option<Verdict> {
    let limits = &view.cluster.limits;
    let mut lost = Vec::new();
    for (p, own) in view.own.iter().enumerate() {
        let reach = &view.cluster.peers[p].reach;
        match own {
            Own::NotObserved => {}
            Own::Lost(Class::Hard | Class::Dns) => lost.push(p),
            // A refusal shows that the way is free.
            Own::Fresh | Own::AskHostKey | Own::Lost(Class::Refusal | Class::HostKey | Class::Level) => return None,
            Own::Silent => {
                let quiet = reach.heard.map_or(Duration::MAX, |h| view.now.since(h));
                if quiet < limits.stale + limits.unreachable {
                    return None;
                }
            }
            Own::Connecting => {
                if view.now.since(reach.since) < limits.unreachable {
                    return None;
                }
            }
        }
    }
    let mut causes: BTreeMap<Cause, usize> = BTreeMap::new();
    for cause in lost.iter().filter_map(|p| view.cluster.peers[*p].reach.cause) {
        *causes.entry(cause).or_default() += 1;
    }
    let cause = causes.into_iter().max_by_key(|(cause, n)| (*n, std::cmp::Reverse(*cause))).map(|(c, _)| c);
    let since = lost.iter().map(|p| view.cluster.peers[*p].reach.since).max()?;
    let why = in_brackets(cause);
    let text = match lost[..] {
        [only] => format!("this console does not reach {}, and no other peer either{why}", view.labels[only]),
        _ => format!("this console reaches none of the {} peers{why}; it may be cut off itself", view.n),
    };
    let evidence = lost.iter().take(8).filter_map(|p| view.own_evidence(*p)).collect();
    Some(Verdict {
        kind: FindingKind::WatcherBlind,
        subject: Subject::Watcher,
        since,
        first_seen_by: None,
        text: Line::new(&text),
        evidence,
        cells: Vec::new(),
    })
}

/// Whether there is a sign of life: it talks to us or to a fellow, or refuses somebody.
fn lives(view: &View<'_>, p: usize) -> bool {
    let own = match view.own[p] {
        Own::Fresh | Own::AskHostKey | Own::Lost(Class::Refusal | Class::HostKey | Class::Level) => true,
        Own::Lost(Class::Hard | Class::Dns) => view.is_witness(p),
        Own::Silent | Own::Connecting | Own::NotObserved => view.fresh[p],
    };
    let mut witnesses = view.fellows(p).filter(|i| view.is_witness(*i));
    own || witnesses.any(|i| match view.mark(i, p) {
        Mark::Up | Mark::Down(Class::Refusal | Class::HostKey | Class::Level) => true,
        Mark::Down(Class::Hard | Class::Dns) | Mark::Neutral | Mark::Unknown => false,
    })
}

/// Peers that nobody reaches; whole groups that went away at once are one.
pub(super) fn dead(view: &mut View<'_>) -> Vec<Verdict> {
    let dead: Vec<usize> = (0..view.n)
        .filter(|p| !lives(view, *p))
        .filter(|p| view.own[*p] == Own::Lost(Class::Hard) || view.fellows(*p).any(|i| view.is_hard(i, *p)))
        .collect();
    let mut found = Vec::new();
    let groups = view.cluster.groups.clone();
    for group in &groups {
        let members: Vec<usize> =
            (0..view.n).filter(|p| view.cluster.peers[*p].group.as_ref() == Some(group)).collect();
        if members.len() < 2
            || members.len() == view.n
            || !members.iter().all(|p| dead.contains(p))
            || !went_together(view, &members)
        {
            continue;
        }
        let mut cells = Vec::new();
        for p in &members {
            view.gone[*p] = true;
            cells.extend(view.take_cross(*p));
        }
        let text = format!(
            "nobody outside reaches group {group} ({}){}: it is cut off, or all of it is down",
            view.names(&members),
            in_brackets(view.main_cause(&cells)),
        );
        let mut verdict =
            view.verdict(FindingKind::GroupsCut, Subject::Group(group.clone()), &text, members.first().copied(), cells);
        let own = members.iter().skip(1).filter_map(|p| view.own_evidence(*p));
        verdict.evidence.splice(1.min(verdict.evidence.len()).., own.collect::<Vec<_>>());
        found.push(verdict);
    }
    for p in dead {
        if view.gone[p] {
            continue;
        }
        view.gone[p] = true;
        let cells = view.take_cross(p);
        let cause = view.main_cause(&cells).or(view.cluster.peers[p].reach.cause);
        let text = format!("nobody reaches {}{}", view.labels[p], in_brackets(cause));
        let subject = Subject::Peer(view.id(p).clone());
        found.push(view.verdict(FindingKind::PeerUnreachable, subject, &text, Some(p), cells));
    }
    found
}

/// Whether the members of a group may have gone by one cause: at one time, and without a sign that a machine
/// answers while nothing listens on it.
fn went_together(view: &View<'_>, members: &[usize]) -> bool {
    let mut since = Vec::new();
    for p in members {
        let mut cells: Vec<_> = view.fellows(*p).map(|i| (i, *p)).collect();
        cells.retain(|(i, _)| !members.contains(i));
        let own = view.cluster.peers[*p].reach.cause.filter(|_| view.own_since(*p).is_some());
        let refused = cells
            .iter()
            .any(|(i, j)| view.is_down(*i, *j) && view.link(*i, *j).is_some_and(|l| l.cause == Some(Cause::Refused)));
        if refused || own == Some(Cause::Refused) {
            return false;
        }
        since.push(view.onset(&cells, view.own_since(*p)).0);
    }
    match (since.iter().min(), since.iter().max()) {
        (Some(first), Some(last)) => last.since(*first) <= TOGETHER,
        (None, _) | (_, None) => false,
    }
}

/// Peers that live, see nobody and are seen by nobody.
pub(super) fn isolated(view: &mut View<'_>) -> Vec<Verdict> {
    let shut = |m: Mark| matches!(m, Mark::Down(Class::Hard | Class::Refusal));
    let alone: Vec<usize> = (0..view.n)
        .filter(|p| !view.gone[*p] && lives(view, *p))
        .filter(|p| {
            let no_link = view.fellows(*p).all(|i| {
                let (there, back) = (view.mark(*p, i), view.mark(i, *p));
                let open = |m: Mark| match m {
                    Mark::Up | Mark::Down(Class::HostKey | Class::Level | Class::Dns) => true,
                    Mark::Down(Class::Hard | Class::Refusal) | Mark::Neutral | Mark::Unknown => false,
                };
                !open(there) && !open(back)
            });
            let shut_off = view.fellows(*p).filter(|i| shut(view.mark(*p, *i)) || shut(view.mark(*i, *p))).count();
            let fellows = view.fellows(*p).filter(|i| lives(view, *i)).count();
            no_link && fellows >= 2 && shut_off >= 2 && shut_off * 2 > fellows
        })
        .collect();
    for p in &alone {
        view.gone[*p] = true;
    }
    let mut found = Vec::new();
    for p in alone {
        let cells = view.take_cross(p);
        let why = in_brackets(view.main_cause(&cells));
        let name = view.labels[p];
        let text = if view.own[p] == Own::Fresh {
            format!("{name} is cut off from all its fellows{why}; this console reaches it")
        } else {
            format!("{name} is cut off from all its fellows{why}")
        };
        let subject = Subject::Peer(view.id(p).clone());
        found.push(view.verdict(FindingKind::PeerIsolated, subject, &text, Some(p), cells));
    }
    found
}

/// Peers whose host key is not the known one, by the word of their fellows or by what this console saw.
pub(super) fn host_key(view: &mut View<'_>) -> Vec<Verdict> {
    let mut found = Vec::new();
    for p in 0..view.n {
        let by: Vec<usize> = view.fellows(p).filter(|i| view.mark(*i, p) == Mark::Down(Class::HostKey)).collect();
        let ours = view.own[p] == Own::Lost(Class::HostKey);
        if by.is_empty() && !ours {
            continue;
        }
        let cells = if view.gone[p] { Vec::new() } else { view.take_cross(p) };
        // Who says so stands in the evidence: a text that grows with each witness would be news each time.
        let text = format!("the host key of {} is not the known one: no connection is made", view.labels[p]);
        let subject = Subject::Peer(view.id(p).clone());
        found.push(view.verdict(FindingKind::HostKeyChanged, subject, &text, Some(p), cells));
    }
    found
}

/// Peers that speak another level than most.
pub(super) fn level(view: &mut View<'_>) -> Vec<Verdict> {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    for level in (0..view.n).filter_map(|p| view.level(p)) {
        *counts.entry(level).or_default() += 1;
    }
    // Of equally many the lower level is the one that stood before.
    let usual = counts.iter().min_by_key(|(level, n)| (std::cmp::Reverse(**n), **level)).map(|(level, _)| *level);
    let mut odd: Vec<(usize, Option<u32>)> =
        (0..view.n).filter_map(|p| view.level(p).filter(|l| Some(*l) != usual).map(|l| (p, Some(l)))).collect();
    let mut found = Vec::new();
    loop {
        for (p, level) in std::mem::take(&mut odd) {
            found.push(odd_level(view, p, level, usual));
        }
        if !view.has(Class::Level) {
            return found;
        }
        // Where nobody told the levels, the peer with the most such cells is the odd one.
        let count = |p: usize| (0..view.n).filter(|i| is_level_open(view, *i, p)).count();
        match (0..view.n).map(|p| (count(p), std::cmp::Reverse(p))).max() {
            Some((n, std::cmp::Reverse(p))) if n > 0 => odd.push((p, view.level(p))),
            Some(_) | None => return found,
        }
    }
}

fn is_level_open(view: &View<'_>, i: usize, p: usize) -> bool {
    let open = |a: usize, b: usize| view.mark(a, b) == Mark::Down(Class::Level) && view.is_open(a, b);
    open(i, p) || open(p, i)
}

fn odd_level(view: &mut View<'_>, p: usize, level: Option<u32>, usual: Option<u32>) -> Verdict {
    let mut cells = Vec::new();
    for i in 0..view.n {
        if is_level_open(view, i, p) {
            view.take_pair(i, p, &mut cells);
        }
    }
    let others: Vec<usize> = view.fellows(p).filter(|i| view.level(*i).is_some() && view.level(*i) == usual).collect();
    let usual = usual.filter(|u| Some(*u) != level);
    let name = view.labels[p];
    let text = match (level, usual, &others[..]) {
        (Some(l), Some(u), [one]) => {
            format!("{name} is at level {l}, {} at {u}: no synchronisation", view.labels[*one])
        }
        (Some(l), Some(u), _) => format!("{name} is at level {l}, the others at {u}: no synchronisation"),
        (Some(l), None, _) => format!("{name} is at level {l}, its fellows at another: no synchronisation"),
        (None, _, _) => format!("{name} is at another level than its fellows: no synchronisation"),
    };
    let subject = Subject::Peer(view.id(p).clone());
    let mut verdict = view.verdict(FindingKind::LevelMismatch, subject, &text, None, cells);
    if let Some(vouched) = view.cluster.peers[p].vouched().filter(|_| verdict.cells.is_empty()) {
        verdict.since = vouched;
    }
    verdict
}

/// Links that are down because a look-up fails.
pub(super) fn dns(view: &mut View<'_>) -> Vec<Verdict> {
    let mut found = Vec::new();
    if !view.has(Class::Dns) {
        return found;
    }
    for (kind, cause) in [(FindingKind::DnsForward, Cause::DnsForward), (FindingKind::DnsReverse, Cause::DnsReverse)] {
        found.extend(dns_of(view, kind, cause));
    }
    found
}

fn dns_of(view: &mut View<'_>, kind: FindingKind, cause: Cause) -> Vec<Verdict> {
    let says = |view: &View<'_>, i: usize, p: usize| {
        view.is_open(i, p) && view.link(i, p).is_some_and(|l| l.cause == Some(cause))
    };
    let what = if kind == FindingKind::DnsForward { "host name" } else { "address" };
    let mut found = Vec::new();
    let accused: Vec<usize> = (0..view.n).filter(|p| (0..view.n).filter(|i| says(view, *i, *p)).count() >= 2).collect();
    if accused.len() >= 3 && accused.len() * 2 > view.n {
        let mut cells = Vec::new();
        for (i, p) in pairs(view.n) {
            if says(view, i, p) {
                view.take_pair(i, p, &mut cells);
            }
        }
        let text = format!("look-ups fail across the cluster: the {what} of most peers ({})", cause.as_str());
        return vec![view.verdict(kind, Subject::Cluster, &text, None, cells)];
    }
    // Those whom most accuse come first: the accusations that they return are explained with them.
    let mut order = accused;
    order.sort_by_key(|p| (std::cmp::Reverse((0..view.n).filter(|i| says(view, *i, *p)).count()), *p));
    for p in order {
        let by: Vec<usize> = (0..view.n).filter(|i| says(view, *i, p)).collect();
        let ours = view.own[p] == Own::Lost(Class::Dns) && view.cluster.peers[p].reach.cause == Some(cause);
        if by.len() < 2 {
            continue;
        }
        let mut cells = Vec::new();
        for i in &by {
            view.take_pair(*i, p, &mut cells);
        }
        let text = format!("the look-up of {}'s {what} fails ({})", view.labels[p], cause.as_str());
        let subject = Subject::Peer(view.id(p).clone());
        found.push(view.verdict(kind, subject, &text, Some(p).filter(|_| ours), cells));
    }
    // What is left are single accusations: of one peer against several, or of one against one.
    for i in 0..view.n {
        let left: Vec<usize> = (0..view.n).filter(|p| says(view, i, *p)).collect();
        if left.is_empty() {
            continue;
        }
        let mut cells = Vec::new();
        for p in &left {
            view.take_pair(i, *p, &mut cells);
        }
        let (name, word) = (view.labels[i], cause.as_str());
        let (kind, subject, text) = if let [p] = left[..] {
            let subject = Subject::Link { from: view.id(i).clone(), to: view.id(p).clone() };
            (kind, subject, format!("on {name} the look-up of {}'s {what} fails ({word})", view.labels[p]))
        } else {
            let text = format!("look-ups of its fellows fail on {name} alone ({word})");
            (FindingKind::ObserverSick, Subject::Peer(view.id(i).clone()), text)
        };
        found.push(view.verdict(kind, subject, &text, None, cells));
    }
    found
}

/// Peers that this console does not reach although they live.
pub(super) fn unobserved(view: &View<'_>, explained: &[Verdict]) -> Vec<Verdict> {
    // A look-up that fails for its fellows too is said already.
    let said: BTreeSet<&Subject> = explained
        .iter()
        .filter(|v| matches!(v.kind, FindingKind::DnsForward | FindingKind::DnsReverse | FindingKind::LevelMismatch))
        .map(|v| &v.subject)
        .collect();
    let lost = |p: &usize| match view.own[*p] {
        Own::Lost(Class::Hard | Class::Level | Class::Dns | Class::Refusal) => !view.gone[*p],
        Own::Lost(Class::HostKey) | Own::Fresh | Own::Silent | Own::Connecting | Own::AskHostKey | Own::NotObserved => {
            false
        }
    };
    let is_said = |p: &usize| said.contains(&Subject::Peer(view.id(*p).clone()));
    let lost: Vec<usize> = (0..view.n).filter(lost).filter(|p| !is_said(p)).collect();
    let refused: BTreeSet<usize> =
        lost.iter().copied().filter(|p| view.cluster.peers[*p].reach.cause == Some(Cause::Auth)).collect();
    let observed = view.own.iter().filter(|o| **o != Own::NotObserved).count();
    let mut found = Vec::new();
    if refused.len() >= 2 && refused.len() == observed {
        let text = format!("all {observed} peers refuse the login of this console");
        let first = refused.first().copied();
        found.push(view.verdict(FindingKind::LoginRefused, Subject::Cluster, &text, first, Vec::new()));
        return found;
    }
    for p in lost {
        let reach = &view.cluster.peers[p].reach;
        let by: Vec<usize> = view.fellows(p).filter(|i| view.mark(*i, p) == Mark::Up).collect();
        let (name, why) = (view.labels[p], in_brackets(reach.cause));
        let (kind, text) = match reach.cause {
            Some(Cause::Auth) => (FindingKind::LoginRefused, format!("{name} refuses the login of this console")),
            Some(Cause::DnsForward) if by.is_empty() => {
                (FindingKind::DnsForward, format!("the look-up of {name}'s host name fails (dns-forward)"))
            }
            _ if by.is_empty() => {
                (FindingKind::PeerUnobserved, format!("this console does not reach {name}{why}, which lives"))
            }
            _ => (FindingKind::PeerUnobserved, format!("this console does not reach {name}{why}; its fellows do")),
        };
        let mut verdict = view.verdict(kind, Subject::Peer(view.id(p).clone()), &text, Some(p), Vec::new());
        verdict
            .evidence
            .extend(by.iter().take(3).map(|i| Line::new(&format!("{} says {name} is connected", view.labels[*i]))));
        found.push(verdict);
    }
    found
}

fn pairs(n: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n).flat_map(move |i| (0..n).map(move |j| (i, j)))
}
