//! What is held back: conditions about peers that somebody works on, and about links of peers that are detached on
//! purpose. They are not lost: the finding that tells of the maintenance lists them, and they are raised when it ends.

use super::cluster::ClusterState;
use super::findings::Candidate;
use crate::domain::finding::{FindingKind, Severity, Subject};
use crate::domain::ids::PeerId;
use crate::domain::snapshot::Peer;
use crate::domain::text::Line;
use crate::domain::time::{Time, human};

/// So many of the conditions that are held back are listed.
const LISTED: usize = 12;

/// `all` without what is held back, and with one condition for each maintenance.
pub(super) fn hold(state: &ClusterState, all: Vec<Candidate>, now: Time) -> Vec<Candidate> {
    let peers = &state.cluster.peers;
    let mut announced: Vec<Candidate> = peers.iter().filter_map(|p| announcement(state, p, now)).collect();
    if announced.is_empty() && peers.iter().all(|p| p.detached().is_none()) {
        return all;
    }
    let mut left = Vec::with_capacity(all.len());
    for candidate in all {
        let why = reason(state, &candidate, now);
        match why {
            Why::Not => left.push(candidate),
            Why::Detached => {}
            Why::Maintenance(of) => {
                let subject = Subject::Peer(of);
                let held = announced.iter_mut().find(|a| a.subject == subject).map(|a| &mut a.evidence);
                if let Some(held) = held.filter(|h| h.len() < LISTED) {
                    held.push(Line::new(&format!("held back: {}", candidate.text)));
                }
            }
        }
    }
    left.extend(announced);
    left
}

/// Why a condition is held back.
enum Why {
    Not,
    Detached,
    /// Of this peer.
    Maintenance(PeerId),
}

fn reason(state: &ClusterState, candidate: &Candidate, now: Time) -> Why {
    let cluster = &state.cluster;
    let worked_on = |id: &PeerId| cluster.peer(id).is_some_and(|p| p.maintenance(now).is_some());
    let detached = |id: &PeerId| cluster.peer(id).is_some_and(|p| p.detached().is_some());
    match &candidate.subject {
        Subject::Watcher => Why::Not,
        subject @ (Subject::Peer(_) | Subject::Link { .. } | Subject::Pair { .. }) => {
            let is_link = !matches!(subject, Subject::Peer(_));
            match subject.peers().find(|id| worked_on(id)) {
                Some(id) => Why::Maintenance(id.clone()),
                None if is_link && subject.peers().any(detached) => Why::Detached,
                None => Why::Not,
            }
        }
        Subject::Ha(group) => {
            let units = || cluster.peers.iter().filter(|p| p.ha.as_ref().is_some_and(|(s, _)| s.group == *group));
            // That nobody serves, or two do, matters to people outside whoever is worked on.
            let outside = candidate.kind.severity() == Severity::Critical;
            let held = if outside { units().all(|p| worked_on(&p.id)) } else { units().any(|p| worked_on(&p.id)) };
            units().find(|p| held && worked_on(&p.id)).map_or(Why::Not, |p| Why::Maintenance(p.id.clone()))
        }
        // What touches no other peer, whatever it is called.
        Subject::Cluster | Subject::Group(_) | Subject::Groups { .. } => {
            let of = |(i, j): &(usize, usize)| {
                let ends = [*i, *j].into_iter().filter_map(|k| cluster.peers.get(k));
                ends.map(|p| &p.id).find(|id| worked_on(id))
            };
            match candidate.cells.first().and_then(of) {
                Some(id) if candidate.cells.iter().all(|cell| of(cell).is_some()) => Why::Maintenance(id.clone()),
                Some(_) | None => Why::Not,
            }
        }
    }
}

/// That it is in maintenance: by whom, why, until when.
fn announcement(state: &ClusterState, peer: &Peer, now: Time) -> Option<Candidate> {
    let m = peer.maintenance(now)?;
    let name = state.cluster.label(&peer.id);
    let because = if m.reason.is_empty() { String::new() } else { format!(": {}", m.reason) };
    let text = format!("{name} is in maintenance until {}, announced by {}{because}", utc(m.until), m.by);
    let mut c = Candidate::new(FindingKind::Maintenance, Subject::Peer(peer.id.clone()), m.since, &text);
    c.evidence.push(Line::new(&format!("{name} itself says so, for {}", human(m.until.since(m.since)))));
    // What is raised about its links is part of it.
    if let Some(at) = state.cluster.index.get(&peer.id) {
        c.cells = (0..state.cluster.peers.len()).filter(|j| j != at).map(|j| (*at, j)).collect();
    }
    Some(c)
}

/// A moment as `2026-11-21 14:05 UTC`: the engine knows neither zones nor calendars.
pub(super) fn utc(at: Time) -> String {
    let minutes = at.as_millis() / 60_000;
    let (days, minute) = (minutes / 1440, minutes % 1440);
    // Days since 1970 as a date: years are counted from 1 March, in cycles of 400 years.
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year + next;
    format!("{year}-{month:02}-{day:02} {:02}:{:02} UTC", minute / 60, minute % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_told_as_dates() {
        let at = |seconds: u64| utc(Time::from_millis(seconds * 1000));
        assert_eq!(at(0), "1970-01-01 00:00 UTC");
        assert_eq!(at(951_782_399), "2000-02-28 23:59 UTC");
        assert_eq!(at(951_782_400), "2000-02-29 00:00 UTC");
        assert_eq!(at(951_868_800), "2000-03-01 00:00 UTC");
        assert_eq!(at(1_795_272_317), "2026-11-21 14:45 UTC");
    }
}
