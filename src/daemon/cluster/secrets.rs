//! Secrets in what is committed: sealed before it is written, under a key that exactly the members have.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::daemon::vault::{ClusterKey, Vault, VaultError};
use crate::domain::ids::{FeatureName, KeyId, MemberId};
use crate::domain::settings::catalogue::{Feature, Path};
use crate::domain::settings::secrets::{SEALED, TYPED, each, sealed};
use crate::domain::settings::{Catalogue, Content, Entry, Key, Member, Tree, Value};

/// Most cluster keys that are looked at: a member could write any number.
const KEYS_MAX: usize = 256;

/// The keys of secrets at one peer.
#[derive(Debug)]
pub(super) struct Secrets {
    vault: Arc<dyn Vault>,
    /// Those that were unwrapped before.
    opened: BTreeMap<KeyId, ClusterKey>,
}

/// A cluster key as the store has it: by member, what was wrapped for it.
type Wrapped<'t> = BTreeMap<&'t MemberId, &'t Entry>;

/// Keys for a commit.
struct Ring<'s> {
    vault: &'s Arc<dyn Vault>,
    opened: BTreeMap<KeyId, ClusterKey>,
    /// The newest that nobody but members has.
    current: Option<KeyId>,
    /// Number of the next key.
    next: u32,
}

impl Secrets {
    pub fn new(vault: Arc<dyn Vault>) -> Self {
        Self { vault, opened: BTreeMap::new() }
    }

    /// Seals the secrets in `writes`, and adds the keys that members lack. Says so when there is a new key because a
    /// member goes.
    ///
    /// # Errors
    /// A secret that is sealed already and can't be read here; no random bytes; an own key that can't be used.
    pub fn seal(
        &mut self,
        tree: &Tree,
        catalogue: &Catalogue,
        me: &MemberId,
        writes: &mut Vec<(Key, Content)>,
    ) -> Result<bool, String> {
        let removed: BTreeSet<&MemberId> = writes
            .iter()
            .filter_map(|(key, content)| match key {
                Key::MachineRemoved(id) if content.value().is_some() => Some(id),
                _ => None,
            })
            .collect();
        let members: Vec<Member> =
            tree.structure().members.iter().filter(|m| !removed.contains(&m.id)).cloned().collect();
        let is_removal = !removed.is_empty();
        let stored = stored(tree);
        self.unwrap(tree, me, &stored);
        let is_member = |id: &MemberId| members.iter().any(|m| m.id == *id);
        // A key that somebody else has seen is used no more, however that came about.
        let current =
            self.opened.keys().rev().find(|id| stored.get(*id).is_some_and(|w| w.keys().all(|m| is_member(m))));
        let next = stored.keys().filter_map(number).max().map_or(1, |n| n.saturating_add(1));
        let mut ring = Ring { vault: &self.vault, opened: self.opened.clone(), current: current.cloned(), next };
        let mut is_new = false;
        if is_removal && ring.current.is_none() && !stored.is_empty() {
            ring.current().map_err(|e| format!("no new key for the secrets: {e}"))?;
            is_new = true;
        }
        for (key, content) in writes.iter_mut() {
            let (Key::Feature(_, feature), Content::Value(value)) = (&*key, &mut *content) else { continue };
            let Some(known) = catalogue.feature(feature).filter(|f| !f.secrets.is_empty()) else { continue };
            let mut changed = (**value).clone();
            each(&known.secrets, &mut changed, &mut |path, text| {
                *text = ring.sealed(tree, known, path, text)?.into();
                Ok::<(), String>(())
            })?;
            if changed != **value {
                *value = Arc::new(changed);
            }
        }
        let cluster = tree.cluster_id.as_str();
        for (id, key) in &ring.opened {
            let wrapped = stored.get(id);
            for member in members.iter().filter(|m| wrapped.is_none_or(|w| !w.contains_key(&m.id))) {
                let public = member.machine.machine_key.as_str();
                match self.vault.wrap(key, public, &key_context(cluster, id, &member.id)) {
                    Ok(text) => {
                        let content = Content::Value(Arc::new(Value::text(&text)));
                        writes.push((Key::SecretKey(id.clone(), member.id.clone()), content));
                    }
                    // One whose key is unusable can't read secrets; the others go on.
                    Err(_) if member.id != *me => {}
                    Err(why) => return Err(format!("secrets can't be sealed on {}: {why}", member.machine.host)),
                }
            }
        }
        Ok(is_new)
    }

    /// A value with its secrets in plain text, for the machine itself. Nothing of it may be shown or kept.
    pub fn reveal(&mut self, tree: &Tree, known: &Feature, me: &MemberId, value: &Value) -> Result<Value, String> {
        self.unwrap(tree, me, &stored(tree));
        let mut plain = value.clone();
        each(&known.secrets, &mut plain, &mut |path, text| {
            let Some((id, data)) = sealed(text) else { return Ok(()) };
            let wrong = |why: VaultError| format!("{} {path}: {why}", known.name);
            let key = self.opened.get(&id).ok_or_else(|| format!("{} {path}: no key to read it", known.name))?;
            *text = self.vault.open(key, data, &context(&known.name, path, &id)).map_err(wrong)?.into();
            Ok::<(), String>(())
        })?;
        Ok(plain)
    }

    /// Opens what was wrapped for this machine, once.
    fn unwrap(&mut self, tree: &Tree, me: &MemberId, stored: &BTreeMap<KeyId, Wrapped<'_>>) {
        self.opened.retain(|id, _| stored.contains_key(id));
        for (id, wrapped) in stored {
            let (false, Some(entry)) = (self.opened.contains_key(id), wrapped.get(me)) else { continue };
            let context = key_context(tree.cluster_id.as_str(), id, me);
            let texts = entry.versions().iter().filter_map(|v| v.content.value()?.as_text());
            let key = texts.filter_map(|text| self.vault.unwrap(text, &context).ok()).find(|key| {
                // Not one that somebody calls like another.
                key.tag().is_ok_and(|tag| id.as_str().split_once('-').is_some_and(|(_, t)| t == tag))
            });
            self.opened.extend(key.map(|key| (id.clone(), key)));
        }
    }
}

impl Ring<'_> {
    /// The key for what is sealed now.
    fn current(&mut self) -> Result<(KeyId, ClusterKey), VaultError> {
        if let Some(id) = &self.current
            && let Some(key) = self.opened.get(id)
        {
            return Ok((id.clone(), key.clone()));
        }
        let key = self.vault.new_key()?;
        let id = KeyId::new(&format!("{:08x}-{}", self.next, key.tag()?));
        self.opened.insert(id.clone(), key.clone());
        self.current = Some(id.clone());
        Ok((id, key))
    }

    /// What is written in place of `text`.
    fn sealed(&mut self, tree: &Tree, known: &Feature, path: &Path, text: &str) -> Result<String, String> {
        if let Some((id, data)) = sealed(text) {
            let opens = |key| self.vault.open(key, data, &context(&known.name, path, &id)).is_ok();
            // What stands there may be copied by one that can't read it yet.
            if self.opened.get(&id).is_some_and(opens) || stands(tree, known, path, text) {
                return Ok(text.to_owned());
            }
            return Err(format!(
                "{} {path}: this secret was sealed for something else, or in another cluster: write the secret itself",
                known.name
            ));
        }
        let plain = text.strip_prefix(TYPED).unwrap_or(text);
        let wrong = |why: VaultError| format!("{} {path} can't be sealed: {why}; nothing was changed", known.name);
        let (id, key) = self.current().map_err(wrong)?;
        let data = self.vault.seal(&key, plain, &context(&known.name, path, &id)).map_err(wrong)?;
        Ok(format!("{SEALED}{id}:{data}"))
    }
}

/// What a secret is bound to. Not to a mode or an item: settings are copied and moved between modes, items renamed and
/// put into another order, by people who can't read them. A secret of one kind never passes for one of another.
fn context(feature: &FeatureName, path: &Path, key: &KeyId) -> String {
    format!("{feature}\0{path}\0{key}")
}

/// What a wrapped key is bound to.
fn key_context(cluster: &str, id: &KeyId, member: &MemberId) -> String {
    format!("{cluster}\0{id}\0{member}")
}

/// The number of a key: one that was made later, by somebody who knew this one, has a higher one.
fn number(id: &KeyId) -> Option<u32> {
    u32::from_str_radix(id.as_str().get(..8)?, 16).ok()
}

fn stored(tree: &Tree) -> BTreeMap<KeyId, Wrapped<'_>> {
    let mut keys: BTreeMap<KeyId, Wrapped<'_>> = BTreeMap::new();
    for (id, member, entry) in tree.secret_keys() {
        if keys.len() < KEYS_MAX || keys.contains_key(id) {
            keys.entry(id.clone()).or_default().insert(member, entry);
        }
    }
    keys
}

/// Whether this sealed text stands in the same place of the same feature, at any mode.
fn stands(tree: &Tree, known: &Feature, path: &Path, text: &str) -> bool {
    let of_feature = tree.registers().filter(|(key, _)| matches!(key, Key::Feature(_, f) if *f == known.name));
    of_feature.flat_map(|(_, entry)| entry.versions()).filter_map(|v| v.content.value()).any(|value| {
        let mut found = false;
        let _: Result<(), ()> = each(std::slice::from_ref(path), &mut (**value).clone(), &mut |_, t| {
            found |= **t == *text;
            Ok(())
        });
        found
    })
}

#[cfg(test)]
mod tests {
    use russh::keys::{Algorithm, PrivateKey};

    use super::*;
    use crate::daemon::vault::MachineVault;
    use crate::domain::ids::GroupId;
    use crate::domain::settings::{ModeId, Stamp, Version, VersionId, rules};
    use crate::domain::text::Line;
    use crate::domain::time::Time;

    fn says(value: Value) -> Content {
        Content::Value(Arc::new(value))
    }

    fn entry(content: Content) -> Entry {
        let stamp = Stamp { at: Time::ZERO, count: 0, on: MemberId::new("m1") };
        let version = Version { id: VersionId::new("v"), content, stamp, by: Line::default() };
        Entry::new(vec![version]).unwrap()
    }

    /// A machine and its registers.
    fn joined(n: u32) -> (Secrets, [(Key, Content); 2]) {
        let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
        let identity = Value::table([
            ("serial", Value::text(&format!("S{n}"))),
            ("host", Value::text(&format!("lab{n}.example.com"))),
            ("address", Value::text(&format!("lab{n}.example.com"))),
            ("port", Value::Int(22)),
            ("machine-key", Value::text(&key.public_key().to_openssh().unwrap())),
        ]);
        let id = MemberId::new(&format!("m{n}"));
        let registers =
            [(Key::MachineIdentity(id.clone()), says(identity)), (Key::MachineGroup(id), says(Value::text("g1")))];
        (Secrets::new(Arc::new(MachineVault::new(&key).unwrap())), registers)
    }

    fn set(password: &str) -> Vec<(Key, Content)> {
        let key = Key::Feature(ModeId::Cluster, FeatureName::new("smtpauthconfig"));
        vec![(key, says(Value::table([("relay", Value::table([("password", Value::text(password))]))])))]
    }

    fn password(tree: &Tree) -> Value {
        let key = set("").remove(0).0;
        (**tree.entry(&key).unwrap().effective().content.value().unwrap()).clone()
    }

    #[test]
    fn a_member_that_comes_later_gets_the_keys_by_whoever_commits_next_and_may_begin_before() {
        let table = crate::proto::features::built_in();
        let known = table.feature(&FeatureName::new("smtpauthconfig")).unwrap();
        let ((mut one, first), (mut two, second)) = (joined(1), joined(2));
        let (m1, m2) = (MemberId::new("m1"), MemberId::new("m2"));
        let name = (Key::GroupName(GroupId::new("g1")), says(Value::text("Main_Group")));
        let registers = first.into_iter().chain([name]).map(|(key, content)| (key, entry(content)));
        let mut tree = Tree::new(Line::new("c1"), registers);
        let mut writes = set("old");
        assert_eq!(one.seal(&tree, &table, &m1, &mut writes), Ok(false));
        assert_eq!(writes.len(), 2, "the secret and one wrapped key");
        tree = rules::after(&rules::after(&tree, &writes), &second);

        assert!(two.reveal(&tree, known, &m2, &password(&tree)).is_err(), "nobody has wrapped it yet");
        // It can't read the old one, but may copy it and write new ones, which all read.
        let mut copy = vec![(Key::Feature(ModeId::Machine(m2.clone()), known.name.clone()), says(password(&tree)))];
        let as_it_is = copy.clone();
        assert_eq!(two.seal(&tree, &table, &m2, &mut copy), Ok(false));
        assert_eq!(copy, as_it_is);
        let mut own = set("new");
        assert_eq!(two.seal(&tree, &table, &m2, &mut own), Ok(false));
        let theirs = rules::after(&tree, &own);
        let plain = |v: Value| v.field("relay").unwrap().field("password").unwrap().clone();
        for (secrets, me) in [(&mut one, &m1), (&mut two, &m2)] {
            let read = secrets.reveal(&theirs, known, me, &password(&theirs)).unwrap();
            assert_eq!(plain(read), Value::text("new"));
        }
        // Any commit of one that has the key.
        let mut any = vec![(Key::ClusterName, says(Value::text("x")))];
        assert_eq!(one.seal(&tree, &table, &m1, &mut any), Ok(false));
        assert_eq!(any.len(), 2);
        tree = rules::after(&tree, &any);
        assert_eq!(plain(two.reveal(&tree, known, &m2, &password(&tree)).unwrap()), Value::text("old"));
        let mut again = vec![(Key::ClusterName, says(Value::text("y")))];
        assert_eq!(two.seal(&tree, &table, &m2, &mut again), Ok(false));
        assert_eq!(again.len(), 1, "nothing is missing any more");
    }

    #[test]
    fn a_key_that_a_stranger_has_is_used_no_more_and_none_passes_for_another() {
        let table = crate::proto::features::built_in();
        let (mut one, first) = joined(1);
        let m1 = MemberId::new("m1");
        let name = (Key::GroupName(GroupId::new("g1")), says(Value::text("Main_Group")));
        let registers = first.into_iter().chain([name]).map(|(key, content)| (key, entry(content)));
        let mut tree = Tree::new(Line::new("c1"), registers);
        let mut writes = set("old");
        one.seal(&tree, &table, &m1, &mut writes).unwrap();
        tree = rules::after(&tree, &writes);
        let id = tree.secret_keys().next().unwrap().0.clone();
        // Somebody wrapped it for one that had been removed meanwhile.
        let stray = [(Key::SecretKey(id.clone(), MemberId::new("m9")), says(Value::text("secret:key:")))];
        let mut later = set("new");
        one.seal(&rules::after(&tree, &stray), &table, &m1, &mut later).unwrap();
        let fresh = later.iter().find_map(|(key, _)| match key {
            Key::SecretKey(id, _) => Some(id.clone()),
            _ => None,
        });
        assert!(fresh.is_some_and(|fresh| fresh > id));
        // A known key under the id of another is not taken.
        let key = one.vault.new_key().unwrap();
        let member = tree.structure().member(&m1).unwrap().clone();
        let public = member.machine.machine_key.as_str();
        let false_id = KeyId::new("00000009-0123456789abcdef");
        let text = one.vault.wrap(&key, public, &key_context("c1", &false_id, &m1)).unwrap();
        let forged = rules::after(&tree, &[(Key::SecretKey(false_id.clone(), m1.clone()), says(Value::text(&text)))]);
        one.unwrap(&forged, &m1, &stored(&forged));
        assert!(one.opened.contains_key(&id) && !one.opened.contains_key(&false_id));
    }
}
