//! MODE on the command line: `cluster`, `group:NAME`, `machine:HOST`, or a name where it is unambiguous.

use crate::config::problem::did_you_mean;
use crate::domain::ids::{GroupId, MemberId};
use crate::domain::settings::{Key, Member, ModeId, Tree};

/// Finds the mode that `word` names; exact matches only, so that a script keeps its meaning when a peer joins.
///
/// # Errors
/// When none or several fit, in words.
pub fn find(tree: &Tree, word: &str) -> Result<ModeId, String> {
    if word == "cluster" {
        return Ok(ModeId::Cluster);
    }
    if let Some(name) = word.strip_prefix("group:") {
        return group(tree, name).map(ModeId::Group);
    }
    if let Some(name) = word.strip_prefix("machine:") {
        return machine(tree, name).map(ModeId::Machine);
    }
    let group = tree.structure().group_named(word);
    let machines = machines(tree, word);
    match (group, machines.as_slice()) {
        (Some(id), []) => Ok(ModeId::Group(id.clone())),
        (None, [one]) => Ok(ModeId::Machine(one.id.clone())),
        (Some(_), [_, ..]) => Err(format!("\"{word}\" is a group and a machine: write group:{word} or machine:{word}")),
        (None, [_, _, ..]) => Err(several(word, &machines)),
        (None, []) => {
            let names: Vec<String> = group_names(tree).into_iter().chain(machine_names(tree)).collect();
            let hint = did_you_mean(word, names.iter().map(String::as_str).chain(["cluster"]));
            let also =
                if tree.structure().name.as_str() == word { "; of the cluster itself it is `cluster`" } else { "" };
            Err(format!(
                "no mode is named \"{word}\"{hint}: cluster, group:NAME, machine:HOST, or the name of a group or \
                 machine{also}"
            ))
        }
    }
}

/// The group of this name; `group:NAME` is understood too.
///
/// # Errors
/// When there is none, in words.
pub fn group(tree: &Tree, name: &str) -> Result<GroupId, String> {
    let name = name.strip_prefix("group:").unwrap_or(name);
    tree.structure().group_named(name).cloned().ok_or_else(|| {
        let names = group_names(tree);
        let hint = did_you_mean(name, names.iter().map(String::as_str));
        format!("no group is named \"{name}\"{hint}")
    })
}

/// The machine of this host name, first label or serial number; `machine:HOST` is understood too.
///
/// # Errors
/// When none or several fit, in words.
pub fn machine(tree: &Tree, name: &str) -> Result<MemberId, String> {
    let name = name.strip_prefix("machine:").unwrap_or(name);
    match machines(tree, name).as_slice() {
        [one] => Ok(one.id.clone()),
        [] => {
            let names = machine_names(tree);
            let hint = did_you_mean(name, names.iter().map(String::as_str));
            Err(format!("no machine of cluster {} is named \"{name}\"{hint}", tree.structure().name))
        }
        some => Err(several(name, some)),
    }
}

/// As [`machine`], and those that were removed as well: their word may still stand in a conflict.
///
/// # Errors
/// When none or several fit, in words.
pub fn machine_ever(tree: &Tree, name: &str) -> Result<Vec<MemberId>, String> {
    let present = machine(tree, name);
    let wanted = name.to_lowercase();
    let named = |id: &MemberId| {
        let host = tree.host(id);
        let host = host.strip_suffix(" (removed)")?;
        (host == wanted || host.split('.').next() == Some(wanted.as_str())).then(|| id.clone())
    };
    let gone: Vec<MemberId> = tree
        .registers()
        .filter_map(|(key, _)| match key {
            Key::MachineIdentity(id) => named(id),
            Key::ClusterName
            | Key::Addressing
            | Key::GroupName(_)
            | Key::GroupDeleted(_)
            | Key::MachineGroup(_)
            | Key::MachineRemoved(_)
            | Key::SecretKey(..)
            | Key::Feature(..) => None,
        })
        .collect();
    match present {
        Ok(one) => Ok(std::iter::once(one).chain(gone).collect()),
        Err(why) if gone.is_empty() => Err(why),
        Err(_) => Ok(gone),
    }
}

fn machines<'a>(tree: &'a Tree, name: &str) -> Vec<&'a Member> {
    let wanted = name.trim_end_matches('.').to_lowercase();
    let all = || tree.structure().members.iter();
    let exact: Vec<&Member> =
        all().filter(|m| m.machine.host.as_str() == wanted || m.machine.id.as_str() == name).collect();
    if exact.is_empty() { all().filter(|m| m.machine.host.short() == wanted).collect() } else { exact }
}

fn several(name: &str, some: &[&Member]) -> String {
    let names: Vec<&str> = some.iter().map(|m| m.machine.host.as_str()).collect();
    format!("\"{name}\" fits several machines: {}. Use the full name or the serial number", names.join(", "))
}

fn group_names(tree: &Tree) -> Vec<String> {
    tree.structure().groups.iter().map(|(_, name)| name.to_string()).collect()
}

fn machine_names(tree: &Tree) -> Vec<String> {
    let members = &tree.structure().members;
    members.iter().flat_map(|m| [m.machine.host.short().to_owned(), m.machine.host.to_string()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::hand_made::{self, gid, mid};

    #[test]
    fn c9_a_mode_is_named_exactly_or_not_at_all() {
        let tree = hand_made::tree();
        assert_eq!(find(&tree, "cluster"), Ok(ModeId::Cluster));
        for word in ["group:Paris", "Paris"] {
            assert_eq!(find(&tree, word), Ok(ModeId::Group(gid("paris"))), "{word}");
        }
        for word in ["machine:lab3", "lab3", "lab3.example.com", "LAB3.example.com.", "SERIAL-3"] {
            assert_eq!(find(&tree, word), Ok(ModeId::Machine(mid("m3"))), "{word}");
        }
        for (word, says) in [
            ("lab", "did you mean"),
            ("pari", "did you mean \"Paris\""),
            ("group:lab3", "no group is named \"lab3\""),
            ("machine:Paris", "no machine of cluster americas"),
            ("americas", "of the cluster itself it is `cluster`"),
            ("", "no mode"),
        ] {
            let why = find(&tree, word).unwrap_err();
            assert!(why.contains(says), "{word}: {why}");
        }
    }

    #[test]
    fn a_name_that_a_group_shares_with_a_machine_must_say_which() {
        let tree = hand_made::with_group("g-twin", "lab3");
        assert!(find(&tree, "lab3").unwrap_err().contains("write group:lab3 or machine:lab3"));
        assert_eq!(find(&tree, "group:lab3"), Ok(ModeId::Group(gid("g-twin"))));
        assert_eq!(find(&tree, "machine:lab3"), Ok(ModeId::Machine(mid("m3"))));
    }
}
