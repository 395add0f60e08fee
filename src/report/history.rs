//! What settings were, and who has the newest commit already: `settings --history` (blame) and `commitdetail` (C16).

use std::fmt::Write;

use serde::Serialize;
use serde_json::Value as Json;

use super::rfc3339;
use super::settings::{ModeDoc, Told, json, moment, short};
use super::table::{Style, Table, Tone, cell, paint};
use crate::domain::settings::words::called;
use crate::domain::settings::{CommitId, Content, Key, Past, Tree};
use crate::domain::snapshot::{Peer, Snapshot};
use crate::domain::text::clean;
use crate::domain::time::Time;

/// Longest value in a table, in characters.
const VALUE_MAX: usize = 120;

/// `peerdeck.history/1`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct HistoryDoc {
    schema: &'static str,
    at: String,
    versions: Vec<PastDoc>,
}

/// A version that was, or is.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct PastDoc {
    cluster: String,
    /// Null for what is no setting.
    feature: Option<String>,
    mode: ModeDoc,
    register: String,
    /// False: it takes the setting back.
    defined: bool,
    empty: Option<bool>,
    value: Option<Json>,
    updated_at: String,
    updated_by: String,
    updated_on: String,
    comment: Option<String>,
    commit: CommitDoc,
    /// Nothing has superseded it.
    stands: bool,
    /// It applies.
    effective: bool,
    version: String,
}

/// A commit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct CommitDoc {
    actor: String,
    seq: u64,
}

impl From<&CommitId> for CommitDoc {
    fn from(id: &CommitId) -> Self {
        Self { actor: id.actor.to_string(), seq: id.seq }
    }
}

impl PastDoc {
    fn new(told: Told<'_>, past: &Past) -> Self {
        let tree = told.tree();
        let value = past.version.content.value();
        let applies = tree.entry(&past.key).is_some_and(|e| e.effective().id == past.version.id);
        Self {
            cluster: told.cluster.name.to_string(),
            feature: match &past.key {
                Key::Feature(_, feature) => Some(feature.to_string()),
                Key::ClusterName
                | Key::Addressing
                | Key::GroupName(_)
                | Key::GroupDeleted(_)
                | Key::MachineIdentity(_)
                | Key::MachineGroup(_)
                | Key::MachineRemoved(_)
                | Key::SecretKey(..) => None,
            },
            mode: ModeDoc::of_key(tree, &past.key),
            register: past.key.to_string(),
            defined: value.is_some(),
            empty: value.map(|v| v.is_empty()),
            value: value.map(|v| json(v)),
            updated_at: rfc3339(past.version.stamp.at),
            updated_by: past.version.by.to_string(),
            updated_on: tree.host(&past.version.stamp.on),
            comment: Some(past.comment.to_string()).filter(|c| !c.is_empty()),
            commit: CommitDoc::from(&past.commit),
            stands: past.stands,
            effective: past.stands && applies,
            version: past.version.id.as_str().to_owned(),
        }
    }
}

/// The document about a register's past, newest first.
#[must_use]
pub fn document(told: Told<'_>, past: &[Past], now: Time) -> HistoryDoc {
    HistoryDoc {
        schema: "peerdeck.history/1",
        at: rfc3339(now),
        versions: past.iter().map(|p| PastDoc::new(told, p)).collect(),
    }
}

/// A table, newest first.
#[must_use]
pub fn text(told: Told<'_>, past: &[Past], style: Style) -> String {
    let tree = told.tree();
    let mut table = Table::new(&["WHEN", "WHO", "ON", "VALUE", "NOW", "COMMENT"]);
    for p in past {
        let doc = PastDoc::new(told, p);
        let (now, tone) = match (doc.effective, doc.stands) {
            (true, _) => ("applies", Tone::Good),
            (false, true) => ("in conflict", Tone::Bad),
            (false, false) => ("superseded", Tone::Dim),
        };
        table.row([
            moment(p.version.stamp.at).into(),
            p.version.by.as_str().into(),
            tree.host(&p.version.stamp.on).into(),
            cell(said(&p.version.content), tone),
            cell(now, tone),
            p.comment.as_str().into(),
        ]);
    }
    if table.is_empty() { "nothing was ever set there\n".to_owned() } else { table.render(style) }
}

fn said(content: &Content) -> String {
    match content {
        Content::Inherits => "(taken back: inherits)".to_owned(),
        Content::Value(value) => clean(&short(Some(value)), VALUE_MAX),
    }
}

/// The newest commit of a cluster, and who has it.
#[derive(Clone, Copy)]
pub struct Spread<'a> {
    /// Whose settings.
    pub told: Told<'a>,
    /// The newest versions, newest first; those of the newest commit are at the begin.
    pub past: &'a [Past],
}

/// `peerdeck.commitdetail/1`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CommitDetailDoc {
    schema: &'static str,
    at: String,
    commits: Vec<SpreadDoc>,
}

/// A commit, and who has it already.
#[derive(Clone, PartialEq, Debug, Serialize)]
struct SpreadDoc {
    cluster: String,
    commit: Option<CommitDoc>,
    updated_at: Option<String>,
    updated_by: Option<String>,
    updated_on: Option<String>,
    comment: Option<String>,
    changes: Vec<PastDoc>,
    peers: Vec<HasDoc>,
}

/// Whether a peer has it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct HasDoc {
    cluster: String,
    peer: String,
    /// Null when it has not told.
    has: Option<bool>,
    detached: Option<bool>,
    reachable: Option<bool>,
}

impl<'a> Spread<'a> {
    /// The newest commit: of all versions the one with the latest stamp.
    fn newest(&self) -> Option<&'a Past> {
        self.past.iter().max_by(|a, b| a.version.stamp.cmp(&b.version.stamp))
    }

    fn changes(&self) -> Vec<&'a Past> {
        let newest = self.newest().map(|p| &p.commit);
        self.past.iter().filter(|p| Some(&p.commit) == newest).collect()
    }

    fn peers(&self, now: Time) -> Vec<HasDoc> {
        let cluster = self.told.cluster;
        let commit = self.newest().map(|p| &p.commit);
        let of = |peer: &Peer| HasDoc {
            cluster: cluster.name.to_string(),
            peer: peer.host.to_string(),
            has: commit.and_then(|c| has(peer, c)),
            detached: super::detached(cluster, peer, now),
            reachable: super::reachable(cluster, peer, now),
        };
        cluster.peers.iter().map(|p| of(p)).collect()
    }
}

/// Whether a peer has a commit. What it had once it has for ever, reached or not.
fn has(peer: &Peer, commit: &CommitId) -> Option<bool> {
    let has = peer.holding.as_deref()?.has(commit);
    (has || peer.is_reached()).then_some(has)
}

/// The document.
#[must_use]
pub fn commit_document(spreads: &[Spread<'_>], snapshot: &Snapshot) -> CommitDetailDoc {
    let of = |s: &Spread<'_>| {
        let newest = s.newest();
        SpreadDoc {
            cluster: s.told.cluster.name.to_string(),
            commit: newest.map(|p| CommitDoc::from(&p.commit)),
            updated_at: newest.map(|p| rfc3339(p.version.stamp.at)),
            updated_by: newest.map(|p| p.version.by.to_string()),
            updated_on: newest.map(|p| s.told.tree().host(&p.version.stamp.on)),
            comment: newest.map(|p| p.comment.to_string()).filter(|c| !c.is_empty()),
            changes: s.changes().into_iter().map(|p| PastDoc::new(s.told, p)).collect(),
            peers: s.peers(snapshot.at),
        }
    };
    CommitDetailDoc {
        schema: "peerdeck.commitdetail/1",
        at: rfc3339(snapshot.at),
        commits: spreads.iter().map(of).collect(),
    }
}

/// The commit, and a line for each peer.
#[must_use]
pub fn commit_text(spreads: &[Spread<'_>], snapshot: &Snapshot, style: Style) -> String {
    let mut out = String::new();
    for s in spreads {
        let tree: &Tree = s.told.tree();
        let Some(newest) = s.newest() else {
            let _ = writeln!(out, "{}: nothing was ever committed", s.told.cluster.name);
            continue;
        };
        let (v, on) = (&newest.version, tree.host(&newest.version.stamp.on));
        let title = format!("{}: commit by {}, {}, on {on}", s.told.cluster.name, v.by, moment(v.stamp.at));
        let _ = writeln!(out, "{}", paint(&title, Tone::Head, style));
        if !newest.comment.is_empty() {
            let _ = writeln!(out, "  \"{}\"", newest.comment);
        }
        for change in s.changes() {
            let _ = writeln!(out, "  {} = {}", called(tree, &change.key), said(&change.version.content));
        }
        let mut table = Table::new(&["MACHINE", "HAS IT", "DETACHED"]);
        let yes_no = |b: Option<bool>| match b {
            Some(true) => "yes",
            Some(false) => "no",
            None => "unknown",
        };
        for p in s.peers(snapshot.at) {
            let tone = match p.has {
                Some(true) => Tone::Good,
                Some(false) => Tone::Warn,
                None => Tone::Dim,
            };
            table.row([p.peer.into(), cell(yes_no(p.has), tone), yes_no(p.detached).into()]);
        }
        out.push_str(&table.render(style));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::settings::{ModeId, Value};
    use crate::domain::text::Line;
    use crate::report::hand_made::{self, feature, of, version};

    fn past(id: &str, seconds: u64, on: &str, seq: u64, stands: bool) -> Past {
        Past {
            key: Key::Feature(ModeId::Cluster, feature("dnsconfig")),
            version: version(id, of(Value::text(id)), seconds, on),
            commit: CommitId { actor: Line::new("actor-1"), seq },
            comment: Line::new("move"),
            stands,
        }
    }

    #[test]
    fn c24_the_loser_stays_in_the_history() {
        let snapshot = hand_made::snapshot(hand_made::tree());
        let told = Told::all(snapshot.clusters.iter().map(AsRef::as_ref))[0];
        let all = [past("d4", 60, "m4", 3, true), past("d2", 120, "m2", 2, true), past("d0", 500, "m1", 1, false)];
        let doc = serde_json::to_value(document(told, &all, snapshot.at)).unwrap();
        let is = |name: &str| {
            doc["versions"].as_array().unwrap().iter().map(|v| v[name].as_bool().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!((is("effective"), is("stands")), (vec![true, false, false], vec![true, true, false]), "{doc:#}");
        assert_eq!(
            (&doc["versions"][1]["updated_on"], &doc["versions"][1]["commit"]["seq"]),
            (&"lab2.example.com".into(), &2.into())
        );
        let shown = text(told, &all, Style::default());
        assert!(["applies", "in conflict", "superseded", "\"d0\""].iter().all(|w| shown.contains(w)), "{shown}");
        assert!(text(told, &[], Style::default()).contains("nothing was ever set"));
    }

    #[test]
    fn c16_commitdetail_says_peer_by_peer_who_has_it() {
        let snapshot = hand_made::snapshot(hand_made::tree());
        let told = Told::all(snapshot.clusters.iter().map(AsRef::as_ref))[0];
        let all = [past("d4", 60, "m4", 3, true), past("e4", 60, "m4", 3, true), past("d2", 120, "m2", 2, true)];
        let spreads = [Spread { told, past: &all }];
        let doc = serde_json::to_value(commit_document(&spreads, &snapshot)).unwrap();
        let commit = &doc["commits"][0];
        assert_eq!((&commit["commit"]["seq"], commit["changes"].as_array().unwrap().len()), (&3.into(), 2), "{doc:#}");
        let has: Vec<Option<bool>> = commit["peers"].as_array().unwrap().iter().map(|p| p["has"].as_bool()).collect();
        let expected = [Some(true), Some(true), Some(true), Some(false), Some(true), None];
        assert_eq!(has, expected, "lab4 lacks it, lab6 has not told");
        insta::assert_snapshot!(commit_text(&spreads, &snapshot, Style::default()));
    }
}
