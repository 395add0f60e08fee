//! Conflicts that wait for a person: `check` (C24), and both sides of a commit whose basis has moved (C23).

use std::fmt::Write;

use serde::Serialize;
use serde_json::Value as Json;

use super::check::{Value, plugin_line};
use super::settings::{ModeDoc, Told, json, moment, short};
use super::table::{Style, Tone, paint};
use super::{Check, count, rfc3339};
use crate::domain::settings::secrets::sealed_texts;
use crate::domain::settings::words::called;
use crate::domain::settings::{Content, Key, Tree, Version, rules};
use crate::domain::snapshot::{Cluster, Snapshot};
use crate::domain::text::clean;

/// `peerdeck.check/1`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CheckDoc {
    schema: &'static str,
    at: String,
    /// Whether every peer that could be asked has answered.
    complete: bool,
    /// Whether nothing is in conflict; null when a cluster's settings are not known.
    consistent: Option<bool>,
    inconsistencies: Vec<InconsistencyDoc>,
    /// Who holds which document.
    peers: Vec<HolderDoc>,
}

/// One register whose versions say different things.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct InconsistencyDoc {
    cluster: String,
    /// Null for what is no setting: names and members of groups.
    feature: Option<String>,
    mode: ModeDoc,
    /// Its name in the store, for `resolve --register`.
    register: String,
    /// The one that applies comes first.
    versions: Vec<VersionDoc>,
}

/// One of several versions.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct VersionDoc {
    /// Where it was written: the same as `updated_on`.
    peer: String,
    updated_at: String,
    updated_by: String,
    updated_on: String,
    digest: String,
    /// Whether it applies.
    effective: bool,
    /// False: it takes the setting back.
    defined: bool,
    value: Option<Json>,
    version: String,
}

/// A peer and the document that it holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct HolderDoc {
    cluster: String,
    peer: String,
    digest: Option<String>,
    /// Whether it holds what is judged here; null when it has not told.
    same: Option<bool>,
    detached: Option<bool>,
    /// Why it can't keep changes now.
    trouble: Option<String>,
}

impl VersionDoc {
    /// Of a version in `tree`.
    #[must_use]
    pub fn new(tree: &Tree, version: &Version, effective: bool) -> Self {
        let on = tree.host(&version.stamp.on);
        Self {
            peer: on.clone(),
            updated_at: rfc3339(version.stamp.at),
            updated_by: version.by.to_string(),
            updated_on: on,
            digest: digest(&version.content),
            effective,
            defined: matches!(version.content, Content::Value(_)),
            value: version.content.value().map(|v| json(v)),
            version: version.id.as_str().to_owned(),
        }
    }
}

/// The first half of the FNV-1a hash of what a version says, as hex: equal for equal contents, on every peer. It tells
/// versions apart and protects nothing.
#[must_use]
pub fn digest(content: &Content) -> String {
    let text = content.value().map_or_else(|| "inherits".to_owned(), |v| format!("={v}{}", sealed_texts(v)));
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

/// All versions of one register that stand beside each other.
#[must_use]
pub fn of_register(cluster: &str, tree: &Tree, key: &Key) -> InconsistencyDoc {
    let versions = tree.entry(key).map_or(&[][..], |e| e.versions());
    InconsistencyDoc {
        cluster: cluster.to_owned(),
        feature: match key {
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
        mode: ModeDoc::of_key(tree, key),
        register: key.to_string(),
        versions: versions.iter().enumerate().map(|(n, v)| VersionDoc::new(tree, v, n == 0)).collect(),
    }
}

/// The document.
#[must_use]
pub fn document(snapshot: &Snapshot, complete: bool) -> CheckDoc {
    let clusters = || snapshot.clusters.iter().map(AsRef::as_ref);
    let inconsistencies: Vec<InconsistencyDoc> = Told::all(clusters())
        .iter()
        .flat_map(|t| {
            let of = |(key, _): &(Key, _)| of_register(t.cluster.name.as_str(), t.tree(), key);
            rules::conflicts(t.tree()).iter().map(of).collect::<Vec<_>>()
        })
        .collect();
    let known = clusters().all(|c| c.settings.is_some());
    CheckDoc {
        schema: "peerdeck.check/1",
        at: rfc3339(snapshot.at),
        complete,
        consistent: (known || !inconsistencies.is_empty()).then_some(inconsistencies.is_empty()),
        inconsistencies,
        peers: clusters().flat_map(|c| holders(c, snapshot)).collect(),
    }
}

fn holders(cluster: &Cluster, snapshot: &Snapshot) -> Vec<HolderDoc> {
    let judged = cluster.settings.as_ref().map(|s| &s.digest);
    let of = |peer: &crate::domain::snapshot::Peer| {
        let holding = peer.holding.as_deref().filter(|_| peer.is_reached());
        HolderDoc {
            cluster: cluster.name.to_string(),
            peer: peer.host.to_string(),
            digest: holding.map(|h| h.digest.to_string()),
            same: holding.zip(judged).map(|(h, judged)| h.digest == *judged),
            detached: super::detached(cluster, peer, snapshot.at),
            trouble: holding.map(|h| h.trouble.to_string()).filter(|t| !t.is_empty()),
        }
    };
    cluster.peers.iter().map(|p| of(p)).collect()
}

/// The answer: a warning while anything is in conflict, unknown while a cluster's settings are not known.
#[must_use]
pub fn check(snapshot: &Snapshot) -> Check {
    let doc = document(snapshot, true);
    match doc.consistent {
        Some(false) => Check::Warning,
        Some(true) => Check::Ok,
        None => Check::Unknown,
    }
}

/// A block for each conflict.
#[must_use]
pub fn text(snapshot: &Snapshot, style: Style) -> String {
    let mut out = String::new();
    for cluster in &snapshot.clusters {
        let Some(settings) = cluster.settings.as_deref() else {
            let _ = writeln!(out, "{}: no peer has told its settings", cluster.name);
            continue;
        };
        let tree = &*settings.tree;
        let conflicts = rules::conflicts(tree);
        for (key, entry) in &conflicts {
            let title = format!("{}: {}", cluster.name, called(tree, key));
            let _ = writeln!(out, "{}", paint(&title, Tone::Bad, style));
            out.push_str(&versions_text(tree, entry.versions(), style));
        }
        let (tone, sum) = match conflicts.len() {
            0 => (Tone::Good, format!("{}: consistent", cluster.name)),
            n => {
                let what = if n == 1 { "1 inconsistency".to_owned() } else { format!("{n} inconsistencies") };
                (
                    Tone::Warn,
                    format!("{}: {what}; `peerdeck resolve MODE FEATURE --use PEER` settles one", cluster.name),
                )
            }
        };
        let _ = writeln!(out, "{}", paint(&sum, tone, style));
        let held = holders(cluster, snapshot);
        let label = |h: &&HolderDoc| h.peer.clone();
        let other: Vec<String> = held.iter().filter(|h| h.same == Some(false)).map(|h| label(&h)).collect();
        let silent: Vec<String> = held.iter().filter(|h| h.same.is_none()).map(|h| label(&h)).collect();
        for (what, peers) in [("hold another version of the whole", other), ("have not told what they hold", silent)] {
            if !peers.is_empty() {
                let line = format!("{}: {what}: {}", cluster.name, peers.join(", "));
                let _ = writeln!(out, "{}", paint(&line, Tone::Dim, style));
            }
        }
    }
    out
}

/// A line for each version, the one that applies first.
#[must_use]
pub fn versions_text(tree: &Tree, versions: &[Version], style: Style) -> String {
    let mut out = String::new();
    for (n, version) in versions.iter().enumerate() {
        let mark = if n == 0 { "applies" } else { "stands beside it" };
        let what = match &version.content {
            Content::Inherits => "(taken back: inherits)".to_owned(),
            Content::Value(value) => short(Some(value)),
        };
        let by = if version.by.is_empty() { "somebody" } else { version.by.as_str() };
        let (on, at) = (tree.host(&version.stamp.on), moment(version.stamp.at));
        let tone = if n == 0 { Tone::Plain } else { Tone::Dim };
        let line = format!("  {on:<24} {at}  {by}  {mark}");
        let _ = writeln!(out, "{}", paint(&line, tone, style));
        // Whole in the document; here as much as a person can take in.
        let _ = writeln!(out, "    {}", clean(&what, style.width.map_or(400, |w| w.saturating_sub(5).max(20))));
    }
    out
}

/// The one line of a monitoring plugin.
#[must_use]
pub fn plugin(snapshot: &Snapshot) -> String {
    let told = Told::all(snapshot.clusters.iter().map(AsRef::as_ref));
    let names: Vec<String> = told
        .iter()
        .flat_map(|t| rules::conflicts(t.tree()).into_iter().map(|(key, _)| called(t.tree(), &key)))
        .collect();
    let check = check(snapshot);
    let text = match (check, names.as_slice()) {
        (_, [_, ..]) => format!("{} in conflict: {}", count(names.len(), "setting"), names.join(", ")),
        (Check::Unknown, []) => "no peer has told the settings of every cluster".to_owned(),
        (_, []) => "consistent".to_owned(),
    };
    plugin_line(check, &text, &[Value::count("inconsistencies", names.len(), None).warn_above(0)])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::settings::ModeId;
    use crate::domain::settings::Value;
    use crate::domain::settings::rules::after;
    use crate::report::hand_made::{self, feature};

    #[test]
    fn c24_each_version_names_who_when_and_where_and_the_newest_applies() {
        let snapshot = hand_made::snapshot(hand_made::tree());
        let doc = serde_json::to_value(document(&snapshot, true)).unwrap();
        assert_eq!((&doc["schema"], &doc["consistent"]), (&"peerdeck.check/1".into(), &false.into()));
        let [one] = doc["inconsistencies"].as_array().unwrap().as_slice() else { panic!("{doc:#}") };
        assert_eq!(
            (&one["cluster"], &one["feature"], &one["register"]),
            (&"americas".into(), &"dnsconfig".into(), &"c/dnsconfig".into())
        );
        assert_eq!(one["mode"], serde_json::json!({"level": "cluster", "name": "americas"}));
        let on: Vec<&str> =
            one["versions"].as_array().unwrap().iter().map(|v| v["updated_on"].as_str().unwrap()).collect();
        assert_eq!(on, ["lab4.example.com", "lab2.example.com"], "the newest first");
        let (new, old) = (&one["versions"][0], &one["versions"][1]);
        assert_eq!((&new["effective"], &old["effective"]), (&true.into(), &false.into()));
        assert_eq!(
            (&new["peer"], &new["updated_by"], &new["updated_at"]),
            (&"lab4.example.com".into(), &"admin from m4".into(), &"2026-11-17T21:12:20.500Z".into()),
            "{new:#}"
        );
        assert_ne!(new["digest"], old["digest"]);
        let peer = |n: usize| &doc["peers"][n];
        assert_eq!((&peer(0)["same"], &peer(3)["same"], &peer(5)["same"]), (&true.into(), &false.into(), &Json::Null));
        assert_eq!(check(&snapshot), Check::Warning);
        let plugin = plugin(&snapshot);
        assert!(
            plugin.starts_with(
                "PEERDECK WARNING - 1 setting in conflict: dnsconfig at Cluster americas | inconsistencies=1"
            ),
            "{plugin}"
        );
        insta::assert_snapshot!(text(&snapshot, Style::default()));
    }

    #[test]
    fn without_a_conflict_it_is_consistent_and_without_settings_nobody_knows() {
        let tree = hand_made::tree();
        let key = Key::Feature(ModeId::Cluster, feature("dnsconfig"));
        let settled = after(&tree, &[(key, Content::Value(Arc::new(Value::table([]))))]);
        let mut snapshot = hand_made::snapshot(settled);
        assert_eq!((check(&snapshot), document(&snapshot, true).consistent), (Check::Ok, Some(true)));
        assert!(plugin(&snapshot).contains("OK - consistent"));
        Arc::make_mut(&mut snapshot.clusters[0]).settings = None;
        assert_eq!((check(&snapshot), document(&snapshot, true).consistent), (Check::Unknown, None));
        assert!(text(&snapshot, Style::default()).contains("no peer has told"));
    }

    #[test]
    fn equal_contents_have_equal_digests_and_taking_back_is_none_of_them() {
        let of = |v: Value| digest(&Content::Value(Arc::new(v)));
        assert_eq!(of(Value::table([])), of(Value::table([])));
        // Two sealed secrets are shown alike and are not the same; of what is typed nothing can be guessed from it.
        assert_ne!(of(Value::text("secret:v1:k:AA")), of(Value::text("secret:v1:k:BB")));
        assert_eq!(of(Value::text("secret:new:a")), of(Value::text("secret:new:b")));
        let all = [
            of(Value::table([])),
            of(Value::List(vec![])),
            of(Value::text("")),
            of(Value::text("inherits")),
            digest(&Content::Inherits),
        ];
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), all.len());
    }

    #[test]
    fn conflicts_of_structure_are_named_too() {
        let tree = hand_made::tree();
        let doc = serde_json::to_value(of_register("x", &tree, &Key::MachineGroup(hand_made::mid("m3")))).unwrap();
        assert!(doc["feature"].is_null() && doc["mode"]["name"] == "lab3.example.com", "{doc:#}");
    }
}
