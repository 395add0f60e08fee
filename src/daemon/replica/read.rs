//! From the document to what is shown: the tree, the holding, the history.

use std::collections::BTreeSet;
use std::sync::Arc;

use automerge::{ObjId, ROOT, ReadDoc, ScalarValue, ScalarValueRef, Value, ValueRef};
use ring::digest::{Context, SHA256};

use super::log::key_hash;
use super::register::{self, Message};
use super::{Replica, hex};
use crate::domain::settings::{CommitId, Entry, Holding, Key, Past, Tree, Version, VersionId};
use crate::domain::text::Line;

impl Replica {
    /// Reads every register from the document.
    pub(super) fn read_all(&mut self) {
        let mut registers = Vec::new();
        for item in self.doc.map_range(ROOT, ..) {
            let Ok(Some(key)) = register::key(&item.key) else { continue };
            let entry = if item.conflict || self.ignored.touches(&item.key) {
                self.entry(&key)
            } else {
                let ValueRef::Scalar(ScalarValueRef::Str(text)) = &item.value else { continue };
                version(&item.id(), text).and_then(|v| Entry::new(vec![v]))
            };
            registers.extend(entry.map(|e| (key, e)));
        }
        self.show_all(registers);
    }

    /// Shows these registers, which are all.
    pub(super) fn show_all(&mut self, registers: Vec<(Key, Entry)>) {
        let mut last = None;
        for version in registers.iter().flat_map(|(_, e)| e.versions()) {
            let stamp = (version.stamp.at, version.stamp.count);
            if last.replace(stamp) != Some(stamp) {
                self.stamps.insert(stamp);
            }
        }
        self.tree = Arc::new(Tree::new(self.cluster_id.clone(), registers));
        self.refresh();
    }

    /// Reads these registers.
    pub(super) fn read_some(&mut self, keys: &BTreeSet<Key>) {
        let entries: Vec<(Key, Option<Entry>)> = keys.iter().map(|k| (k.clone(), self.entry(k))).collect();
        for entry in entries.iter().filter_map(|(_, e)| e.as_ref()) {
            self.stamps.extend(entry.versions().iter().map(|v| (v.stamp.at, v.stamp.count)));
        }
        if !entries.is_empty() {
            Arc::make_mut(&mut self.tree).update(entries);
        }
        self.refresh();
    }

    fn entry(&self, key: &Key) -> Option<Entry> {
        let text = key.to_string();
        if self.ignored.touches(&text) {
            return self.ignored.entry(&self.log, key);
        }
        let all = self.doc.get_all(ROOT, text.as_str()).ok()?;
        let versions = all.into_iter().filter_map(|(value, id)| match value {
            Value::Scalar(scalar) => match scalar.as_ref() {
                ScalarValue::Str(text) => version(&id, text),
                _ => None,
            },
            Value::Object(_) => None,
        });
        Entry::new(versions.collect())
    }

    /// What follows from the tree and the log.
    fn refresh(&mut self) {
        let member = self.tree.structure().member_of(&self.config.peer).map(|m| m.id.clone());
        if self.member != member {
            self.member = member;
            self.choose_actor();
        }
        // The first change is what was provisioned.
        self.revision = self.founded + self.log.structural().saturating_sub(1);
        let mut digest = Context::new(&SHA256);
        for head in self.log.heads() {
            digest.update(head);
        }
        self.holding = Arc::new(Holding {
            digest: Line::new(&hex(&digest.finish().as_ref()[..16])),
            have: self.log.actors().map(|(actor, seq)| (Line::new(&hex(actor)), seq)).collect(),
            changes: self.log.len() as u64,
            bytes: self.log.bytes(),
            trouble: Line::default(),
        });
    }

    /// The newest versions that registers had or have, or those of one register; at most `limit`. What is ignored
    /// stands there too, as superseded.
    #[must_use]
    pub fn history(&self, key: Option<&Key>, limit: usize) -> Vec<Past> {
        let wanted = key.map(|k| (k.to_string(), key_hash(&k.to_string())));
        let mut order: Vec<_> = self.log.all()[..self.on_disk].iter().collect();
        order.sort_by_key(|l| std::cmp::Reverse((l.at, l.start, l.stored.hash)));
        let mut found: Vec<Past> = Vec::new();
        for logged in order {
            if found.len() >= limit {
                break;
            }
            if wanted.as_ref().is_some_and(|(_, hash)| !logged.keys().contains(hash)) {
                continue;
            }
            let Some(change) = logged.change() else { continue };
            let comment = Line::new(&Message::read(change.message()).unwrap_or_default().c);
            let commit = CommitId { actor: Line::new(&hex(&logged.actor)), seq: logged.seq };
            for write in logged.writes() {
                let Ok(Some(key)) = register::key(&write.key) else { continue };
                if wanted.as_ref().is_some_and(|(text, _)| *text != write.key) {
                    continue;
                }
                let id = register::version_id(write.counter, &logged.actor);
                let Ok(version) = register::read(id.clone(), &write.text) else { continue };
                let entry = self.tree.entry(&key);
                let stands = entry.is_some_and(|e| e.versions().iter().any(|v| v.id == id));
                found.push(Past { key, version, commit: commit.clone(), comment: comment.clone(), stands });
                if found.len() >= limit {
                    break;
                }
            }
        }
        found
    }
}

fn version(id: &ObjId, text: &str) -> Option<Version> {
    let ObjId::Id(counter, actor, _) = id else { return None };
    let id: VersionId = register::version_id(*counter, actor.to_bytes());
    register::read(id, text).ok()
}
