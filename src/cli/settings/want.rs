//! What somebody wants, in the words that were typed or stand in a file; and the edits that these are for one cluster.

use std::sync::Arc;

use super::mode;
use crate::domain::ids::{FeatureName, GroupId, GroupName, HostName};
use crate::domain::settings::{Catalogue, Edit, Entry, Key, ModeId, Target, Tree, Value, rules, secrets};
use crate::domain::text::Line;

/// Where a copy or a move goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum To {
    /// One mode, in words.
    Mode(String),
    /// Every group.
    AllGroups,
}

impl To {
    /// From what was typed.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        if word == "all-groups" { Self::AllGroups } else { Self::Mode(word.to_owned()) }
    }
}

/// Which conflicts are settled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Which {
    /// One feature at one mode.
    Feature {
        /// Mode, in words.
        mode: String,
        /// Feature.
        feature: String,
    },
    /// One register by its own name: groups and machines conflict too.
    Register(String),
    /// All.
    All,
}

/// One thing that is wanted; names are as people write them.
#[derive(Clone, PartialEq, Debug)]
#[expect(missing_docs, reason = "the fields are the words of the command of the same name")]
pub enum Want {
    /// Define a feature.
    Set { mode: String, feature: String, value: Arc<Value> },
    /// Inherit it again.
    Unset { mode: String, feature: String },
    /// Define it elsewhere as it is defined here.
    Copy { feature: String, from: String, to: To },
    /// The same, and inherit it here.
    Move { feature: String, from: String, to: To },
    /// Put machines into a group.
    SetGroup { peers: Vec<String>, group: String },
    /// A new group.
    AddGroup { name: String },
    /// Another name for a group.
    RenameGroup { old: String, new: String },
    /// Take a group away.
    DeleteGroup { name: String, move_to: Option<String> },
    /// End a membership.
    RemoveMachine { peer: String },
    /// A cluster of a machine that is in none.
    Create { name: String },
    /// Another main host name for a machine.
    SetHost { peer: String, host: String, address: Option<String> },
    /// Rename the cluster.
    SetName { name: String },
    /// Settle conflicts with the word of one peer.
    Resolve { which: Which, with: String },
}

/// The edits for all of `wants`, in their order, on `tree`. Each sees what those before it have changed.
///
/// # Errors
/// When something that is named is not there, or the rules refuse it; the number of the want, from 0, and why.
pub fn edits(tree: &Tree, catalogue: &Catalogue, wants: &[Want]) -> Result<Vec<Edit>, (usize, String)> {
    let mut now = tree.clone();
    let mut all = Vec::new();
    for (n, want) in wants.iter().enumerate() {
        let mut some = want.edits(&now, catalogue).map_err(|why| (n, why))?;
        if n + 1 < wants.len() {
            // Only looked at: a peer draws the real id of a new group.
            let mut fresh = 0;
            let mut id = || {
                fresh += 1;
                GroupId::new(&format!("new-{n}-{fresh}"))
            };
            let writes = rules::writes(&now, catalogue, &some, &mut id).map_err(|why| (n, why.to_string()))?;
            now = rules::after(&now, &writes);
        }
        all.append(&mut some);
    }
    if let Some((n, name)) = unborn(tree, wants, &all) {
        return Err((n, format!("group {name} is made by the same commit: add it first, in one of its own")));
    }
    Ok(all)
}

/// The first want that needs a group that only this commit makes: nobody knows its id yet.
fn unborn(tree: &Tree, wants: &[Want], edits: &[Edit]) -> Option<(usize, String)> {
    let is_new = |id: &GroupId| tree.structure().group(id).is_none() && id.as_str().starts_with("new-");
    let needs = |edit: &Edit| match edit {
        Edit::Set { mode: ModeId::Group(id), .. } | Edit::Unset { mode: ModeId::Group(id), .. } => is_new(id),
        Edit::RenameGroup { group, .. } | Edit::SetGroup { group, .. } => is_new(group),
        Edit::DeleteGroup { group, into } => is_new(group) || is_new(into),
        Edit::Set { .. }
        | Edit::Unset { .. }
        | Edit::Resolve { .. }
        | Edit::Create { .. }
        | Edit::SetName { .. }
        | Edit::AddGroup { .. }
        | Edit::RemoveMachine { .. }
        | Edit::SetHost { .. } => false,
    };
    edits.iter().any(needs).then(|| {
        let made = wants.iter().enumerate().find_map(|(n, w)| match w {
            Want::AddGroup { name } => Some((n, name.clone())),
            _ => None,
        });
        made.unwrap_or_default()
    })
}

impl Want {
    /// The edits on `tree`.
    ///
    /// # Errors
    /// When something that is named is not there; in words.
    pub fn edits(&self, tree: &Tree, catalogue: &Catalogue) -> Result<Vec<Edit>, String> {
        Ok(match self {
            Self::Set { mode, feature, value } => {
                let mode = mode::find(tree, mode)?;
                let feature = FeatureName::new(feature);
                let value = secrets::hide_at(tree, catalogue, &mode, &feature, value).map_err(|w| w.to_string())?;
                vec![Edit::Set { mode, feature, value }]
            }
            Self::Unset { mode, feature } => {
                vec![Edit::Unset { mode: mode::find(tree, mode)?, feature: FeatureName::new(feature) }]
            }
            Self::Copy { feature, from, to } => {
                let (from, to) = (mode::find(tree, from)?, targets(tree, to)?);
                rules::copy(tree, catalogue, &FeatureName::new(feature), &from, &to).map_err(|w| w.to_string())?
            }
            Self::Move { feature, from, to } => {
                let (from, to) = (mode::find(tree, from)?, targets(tree, to)?);
                rules::shift(tree, catalogue, &FeatureName::new(feature), &from, &to).map_err(|w| w.to_string())?
            }
            Self::SetGroup { peers, group } => {
                let group = mode::group(tree, group)?;
                let mut edits = Vec::new();
                for peer in peers {
                    let edit = Edit::SetGroup { machine: mode::machine(tree, peer)?, group: group.clone() };
                    if !edits.contains(&edit) {
                        edits.push(edit);
                    }
                }
                edits
            }
            Self::AddGroup { name } => vec![Edit::AddGroup { name: group_name(name)? }],
            Self::RenameGroup { old, new } => {
                vec![Edit::RenameGroup { group: mode::group(tree, old)?, name: group_name(new)? }]
            }
            Self::DeleteGroup { name, move_to } => {
                let group = mode::group(tree, name)?;
                let into = heir(tree, &group, move_to.as_deref())?;
                vec![Edit::DeleteGroup { group, into }]
            }
            Self::RemoveMachine { peer } => vec![Edit::RemoveMachine { machine: mode::machine(tree, peer)? }],
            Self::SetHost { peer, host, address } => vec![set_host(tree, peer, host, address.as_deref())?],
            Self::Create { name } => vec![Edit::Create { name: cluster_name(name)? }],
            Self::SetName { name } => vec![Edit::SetName { name: cluster_name(name)? }],
            Self::Resolve { which, with } => resolve(tree, which, with)?,
        })
    }
}

/// Without an address: one that is a name is the new name, an IP address stays (C33).
fn set_host(tree: &Tree, peer: &str, host: &str, address: Option<&str>) -> Result<Edit, String> {
    let machine = mode::machine(tree, peer)?;
    let host = host_name(host)?;
    let old = tree.structure().member(&machine).map(|m| m.machine.address.clone());
    let address = match address {
        Some(address) => host_name(address)?,
        None => old.filter(|a| a.as_str().parse::<std::net::IpAddr>().is_ok()).unwrap_or_else(|| host.clone()),
    };
    Ok(Edit::SetHost { machine, host, address })
}

/// A host name in small letters, as DNS compares them; what cleaning would change is refused.
fn host_name(text: &str) -> Result<HostName, String> {
    let small = text.to_ascii_lowercase();
    let clean = HostName::new(&small);
    if clean.as_str() != small || small.is_empty() {
        return Err(format!("\"{clean}\" can't be a host name"));
    }
    Ok(clean)
}

fn targets(tree: &Tree, to: &To) -> Result<Target, String> {
    Ok(match to {
        To::AllGroups => Target::AllGroups,
        To::Mode(word) => Target::Mode(mode::find(tree, word)?),
    })
}

/// As [`group_name`].
fn cluster_name(name: &str) -> Result<Line, String> {
    let clean = Line::new(name);
    if clean.as_str() != name || name.is_empty() {
        return Err(format!("\"{}\" can't be the name of a cluster", clean.as_str()));
    }
    Ok(clean)
}

/// A name that is as it was typed, or none: what cleaning would change is refused rather than changed.
fn group_name(name: &str) -> Result<GroupName, String> {
    let clean = GroupName::new(name);
    if clean.as_str() != name || name.is_empty() {
        return Err(format!("\"{clean}\" can't be the name of a group"));
    }
    Ok(clean)
}

/// Where the machines of a deleted group go.
fn heir(tree: &Tree, group: &GroupId, named: Option<&str>) -> Result<GroupId, String> {
    if let Some(name) = named {
        return mode::group(tree, name);
    }
    let structure = tree.structure();
    let others: Vec<&GroupId> = structure.groups.iter().map(|(id, _)| id).filter(|id| *id != group).collect();
    let is_empty = !structure.members.iter().any(|m| m.group == *group);
    match others.as_slice() {
        // The rules say that the last group stays.
        [] => Ok(group.clone()),
        [one] => Ok((*one).clone()),
        [first, ..] if is_empty => Ok((*first).clone()),
        [_, ..] => {
            let name = |id: &&&GroupId| structure.group(id).map(ToString::to_string);
            let groups: Vec<String> = others.iter().filter_map(|id| name(&id)).collect();
            let n = structure.members.iter().filter(|m| m.group == *group).count();
            Err(format!("it has {n} machines: say with --move-to where they go ({})", groups.join(", ")))
        }
    }
}

/// The edits that put the word of the peer `with` over all others.
fn resolve(tree: &Tree, which: &Which, with: &str) -> Result<Vec<Edit>, String> {
    let writers = mode::machine_ever(tree, with)?;
    let keys = conflicts(tree, which)?;
    let mut edits = Vec::new();
    for key in &keys {
        let Some(entry) = tree.entry(key) else { continue };
        // The most recent first.
        if let Some(version) = entry.versions().iter().find(|v| writers.contains(&v.stamp.on)) {
            edits.push(Edit::Resolve { key: key.clone(), version: version.id.clone() });
        }
    }
    if edits.is_empty() {
        let on: Vec<String> = keys
            .iter()
            .filter_map(|key| tree.entry(key))
            .flat_map(Entry::versions)
            .map(|v| tree.host(&v.stamp.on))
            .collect();
        return Err(format!("{with} has written none of the versions: they are of {}", on.join(", ")));
    }
    Ok(edits)
}

/// The registers in conflict that are meant; never none.
///
/// # Errors
/// When there is no such conflict, in words.
pub fn conflicts(tree: &Tree, which: &Which) -> Result<Vec<Key>, String> {
    let all = rules::conflicts(tree);
    let one = |key: Key, what: String| {
        if all.iter().any(|(k, _)| *k == key) {
            Ok(vec![key])
        } else {
            Err(format!("{what} has no conflict to resolve"))
        }
    };
    match which {
        Which::All if all.is_empty() => Err("there is no conflict to resolve".into()),
        Which::All => Ok(all.into_iter().map(|(key, _)| key).collect()),
        Which::Feature { mode, feature } => {
            let mode = mode::find(tree, mode)?;
            let what = format!("{feature} at {}", tree.mode_name(&mode));
            one(Key::Feature(mode, FeatureName::new(feature)), what)
        }
        Which::Register(name) => {
            let key = name.parse().map_err(|e| format!("\"{name}\": {e} (`peerdeck check --json` names them)"))?;
            one(key, name.clone())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::settings::VersionId;
    use crate::report::hand_made::{self, feature, gid, known, mid, of, version};

    fn catalogue() -> Catalogue {
        Catalogue::new([known("smtproutes"), known("dnsconfig")])
    }

    fn one(tree: &Tree, want: Want) -> Result<Vec<Edit>, String> {
        edits(tree, &catalogue(), &[want]).map_err(|(_, why)| why)
    }

    fn set(mode: &str, value: Value) -> Want {
        Want::Set { mode: mode.into(), feature: "smtproutes".into(), value: Arc::new(value) }
    }

    #[test]
    fn c11_copy_and_move_are_expanded_into_sets_and_unsets() {
        let tree = hand_made::tree();
        let (feature, from) = ("smtproutes".to_owned(), "lab5".to_owned());
        let copied =
            one(&tree, Want::Copy { feature: feature.clone(), from: from.clone(), to: To::AllGroups }).unwrap();
        assert!(
            copied.len() == 3 && copied.iter().all(|e| matches!(e, Edit::Set { mode: ModeId::Group(_), .. })),
            "{copied:?}"
        );
        let moved = one(&tree, Want::Move { feature, from, to: To::parse("cluster") }).unwrap();
        assert!(
            matches!(&moved[..], [Edit::Set { mode: ModeId::Cluster, .. }, Edit::Unset { mode: ModeId::Machine(m), .. }] if *m == mid("m5")),
            "{moved:?}"
        );
        let none = one(&tree, Want::Copy { feature: "smtproutes".into(), from: "Rome".into(), to: To::parse("lab1") });
        assert!(none.is_err(), "Rome does not define it: {none:?}");
    }

    #[test]
    fn c7_groups_and_machines_by_their_names() {
        let tree = hand_made::tree();
        let peers = ["lab1", "lab2.example.com", "lab1"].map(str::to_owned).to_vec();
        let moved = one(&tree, Want::SetGroup { peers, group: "Rome".into() }).unwrap();
        let to = |m: &str| Edit::SetGroup { machine: mid(m), group: gid("rome") };
        assert_eq!(moved, [to("m1"), to("m2")], "named twice, moved once");
        let gone = |name: &str, to: Option<&str>| {
            one(&tree, Want::DeleteGroup { name: name.into(), move_to: to.map(str::to_owned) })
        };
        assert_eq!(gone("Paris", Some("Rome")), Ok(vec![Edit::DeleteGroup { group: gid("paris"), into: gid("rome") }]));
        assert!(gone("Paris", None).unwrap_err().contains("--move-to where they go (Main_Group, Rome)"));
        for name in ["", "a\u{1b}[31mb", " x"] {
            assert!(one(&tree, Want::AddGroup { name: name.into() }).is_err(), "{name:?}");
            assert!(one(&tree, Want::SetName { name: name.into() }).is_err(), "{name:?}");
        }
        assert!(one(&tree, Want::RemoveMachine { peer: "lab9".into() }).unwrap_err().contains("no machine"));
    }

    #[test]
    fn c33_an_address_that_is_a_name_follows_the_host_name_and_an_ip_stays() {
        let tree = hand_made::tree();
        let to = |peer: &str, host: &str, address: Option<&str>| {
            let want = Want::SetHost { peer: peer.into(), host: host.into(), address: address.map(str::to_owned) };
            one(&tree, want)
        };
        let edit = |host: &str, address: &str| {
            Ok(vec![Edit::SetHost { machine: mid("m2"), host: host.into(), address: address.into() }])
        };
        assert_eq!(to("lab2", "MX2.example.com", None), edit("mx2.example.com", "mx2.example.com"));
        assert_eq!(to("lab2", "mx2.example.com", Some("192.0.2.7")), edit("mx2.example.com", "192.0.2.7"));
        let moved = to("lab2", "mx2.example.com", Some("192.0.2.7")).unwrap();
        let writes = rules::writes(&tree, &catalogue(), &moved, &mut || gid("none")).unwrap();
        let tree = rules::after(&tree, &writes);
        let again = Want::SetHost { peer: "mx2".into(), host: "lab2.example.com".into(), address: None };
        assert_eq!(one(&tree, again), edit("lab2.example.com", "192.0.2.7"));
        for name in ["", "a\u{1b}[31mb"] {
            assert!(to("lab2", name, None).is_err() && to("lab2", "mx", Some(name)).is_err(), "{name:?}");
        }
    }

    #[test]
    fn c24_resolve_takes_the_word_of_one_peer() {
        let tree = hand_made::tree();
        let key = Key::Feature(ModeId::Cluster, feature("dnsconfig"));
        let which = Which::Feature { mode: "cluster".into(), feature: "dnsconfig".into() };
        let with = |which: &Which, with: &str| one(&tree, Want::Resolve { which: which.clone(), with: with.into() });
        let resolved = |id: &str| Ok(vec![Edit::Resolve { key: key.clone(), version: VersionId::new(id) }]);
        assert_eq!(with(&which, "lab2"), resolved("d2"), "the loser may win");
        assert_eq!(with(&Which::All, "lab4.example.com"), resolved("d4"));
        assert_eq!(with(&Which::Register("c/dnsconfig".into()), "lab4"), resolved("d4"));
        let why = with(&which, "lab1").unwrap_err();
        assert!(why.contains("lab4.example.com, lab2.example.com"), "{why}");
        let none = Which::Feature { mode: "cluster".into(), feature: "smtproutes".into() };
        assert!(with(&none, "lab2").unwrap_err().contains("smtproutes at Cluster americas has no conflict"));
        assert!(with(&Which::Register("x/y".into()), "lab2").unwrap_err().contains("check --json"));
        // Of a machine that was removed the word still counts.
        let mut all = hand_made::registers();
        let gone = Entry::new(vec![version("r", of(Value::Bool(true)), 1, "m1")]).unwrap();
        all.insert(Key::MachineRemoved(mid("m2")), gone);
        let tree = Tree::new(Line::new("c-1"), all);
        assert_eq!(one(&tree, Want::Resolve { which, with: "lab2".into() }), resolved("d2"));
    }

    #[test]
    fn c16_changes_of_one_commit_see_those_before_them() {
        let tree = hand_made::tree();
        let copy = Want::Copy { feature: "smtproutes".into(), from: "Rome".into(), to: To::parse("lab1") };
        let both = edits(&tree, &catalogue(), &[set("Rome", hand_made::routes("mx9")), copy]).unwrap();
        assert!(
            matches!(&both[1], Edit::Set { mode: ModeId::Machine(m), value, .. } if *m == mid("m1") && **value == hand_made::routes("mx9")),
            "{both:?}"
        );
        let (n, why) =
            edits(&tree, &catalogue(), &[set("Rome", Value::table([])), set("nowhere", Value::table([]))]).unwrap_err();
        assert!(n == 1 && why.contains("no mode is named"), "{n}: {why}");
        let new = Want::AddGroup { name: "Oslo".into() };
        let (n, why) = edits(&tree, &catalogue(), &[new, set("group:Oslo", Value::table([]))]).unwrap_err();
        assert!(n == 0 && why.contains("Oslo is made by the same commit"), "{n}: {why}");
    }
}
