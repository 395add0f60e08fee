//! The settings tree for one observer: whole first, in pages, then what has changed since.

use std::sync::Arc;

use tracing::warn;

use crate::daemon::cluster::View;
use crate::domain::settings::{Entry, Key, Tree};
use crate::domain::text::Line;
use crate::proto::PARTS_MAX;
use crate::proto::settings::{PAGE_MAX, WireRegister, WireTree};

/// Bytes of registers on one page; one register alone may be larger.
const PAGE_BYTES: usize = 1024 * 1024;

/// Objects and lists on one page: the rest of the report needs some of [`PARTS_MAX`] too.
const PAGE_PARTS: usize = PARTS_MAX / 2;

/// A register that is larger than this fits into no document and is left out.
const REGISTER_BYTES: usize = 3 * PAGE_BYTES;

/// What an observer of the tree knows, and what is on its way to it.
#[derive(Default)]
pub(super) struct TreePages {
    wanted: bool,
    /// What it has completely, and the digest that it was told with it.
    told: Option<(Arc<Tree>, Line)>,
    telling: Option<Telling>,
}

/// A tree on its way: it is finished before a newer one is begun, so that an observer never waits for ever.
struct Telling {
    target: Arc<Tree>,
    digest: Line,
    /// What still has to be told, the next one last.
    keys: Vec<Key>,
    /// The next page is the first of a whole tree.
    first: bool,
}

impl TreePages {
    /// The observer wants the tree from now on, whole first; or not any more.
    pub fn want(&mut self, wanted: bool) {
        *self = Self { wanted, ..Self::default() };
    }

    /// Whether another page is to follow at once.
    pub fn has_more(&self) -> bool {
        self.telling.is_some()
    }

    /// The next page, if there is anything to tell.
    pub fn page(&mut self, view: &View) -> Option<WireTree> {
        if !self.wanted {
            return None;
        }
        if self.telling.is_none() {
            self.telling = self.begin(view);
        }
        let mut telling = self.telling.take()?;
        let mut page = WireTree {
            cluster_id: telling.target.cluster_id.to_string(),
            first: std::mem::take(&mut telling.first),
            digest: telling.digest.to_string(),
            ..WireTree::default()
        };
        let (mut bytes, mut parts) = (0, 0);
        while let Some(key) = telling.keys.last() {
            let register = WireRegister::new(key, telling.target.entry(key));
            let text = crate::proto::write(&register);
            let inner = text.iter().filter(|b| matches!(b, b'{' | b'[')).count();
            if text.len() > REGISTER_BYTES || inner > PAGE_PARTS {
                warn!(register = %key, bytes = text.len(), "too large to be told to observers");
                telling.keys.pop();
                continue;
            }
            let full = bytes + text.len() > PAGE_BYTES || parts + inner > PAGE_PARTS;
            if page.registers.len() == PAGE_MAX || (full && !page.registers.is_empty()) {
                break;
            }
            (bytes, parts) = (bytes + text.len(), parts + inner);
            page.registers.push(register);
            telling.keys.pop();
        }
        page.last = telling.keys.is_empty();
        if page.last {
            self.told = Some((telling.target, telling.digest));
        } else {
            self.telling = Some(telling);
        }
        Some(page)
    }

    /// What the observer lacks of `view`; `None` when it has everything.
    fn begin(&self, view: &View) -> Option<Telling> {
        let (target, digest) = (Arc::clone(&view.tree), view.holding.digest.clone());
        let (mut keys, first): (Vec<Key>, bool) = match &self.told {
            Some((told, known)) if Arc::ptr_eq(told, &target) && *known == digest => return None,
            Some((told, _)) if told.cluster_id == target.cluster_id => (differing(told, &target), false),
            Some(_) | None => (target.registers().map(|(key, _)| key.clone()).collect(), true),
        };
        keys.reverse();
        Some(Telling { target, digest, keys, first })
    }
}

/// The registers that are not the same in both, in the order of their keys.
fn differing(before: &Tree, after: &Tree) -> Vec<Key> {
    let mut keys = Vec::new();
    let mut old = before.registers().peekable();
    for (key, entry) in after.registers() {
        while let Some((gone, _)) = old.next_if(|(k, _)| *k < key) {
            keys.push(gone.clone());
        }
        let was = old.next_if(|(k, _)| *k == key);
        if was.is_none_or(|(_, was)| !is_same(was, entry)) {
            keys.push(key.clone());
        }
    }
    keys.extend(old.map(|(key, _)| key.clone()));
    keys
}

/// Versions never change: those of one name are one.
fn is_same(a: &Entry, b: &Entry) -> bool {
    a.versions().len() == b.versions().len() && a.versions().iter().zip(b.versions()).all(|(a, b)| a.id == b.id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::ids::{BootId, FeatureName, HostName, MemberId, PeerId};
    use crate::domain::mesh::Row;
    use crate::domain::settings::{Content, Holding, ModeId, Stamp, Value, Version, VersionId};
    use crate::domain::time::Time;

    fn entry(id: &str, size: usize) -> Entry {
        let stamp = Stamp { at: Time::from_millis(1), count: 0, on: MemberId::new("m1") };
        let content = Content::Value(Arc::new(Value::text(&"x".repeat(size))));
        Entry::new(vec![Version { id: VersionId::new(id), content, stamp, by: "admin".into() }]).unwrap()
    }

    fn key(n: usize) -> Key {
        Key::Feature(ModeId::Machine(MemberId::new(&format!("m{n:06}"))), FeatureName::new("smtproutes"))
    }

    fn view(tree: &Arc<Tree>, digest: &str) -> View {
        View {
            at: Time::ZERO,
            host: HostName::new("lab1"),
            membership: Arc::new(crate::daemon::cluster::alone()),
            row: Arc::new(Row {
                origin: PeerId::new("A"),
                boot: BootId(1),
                seq: 1,
                vouched: Time::ZERO,
                via: None,
                detached: None,
                maintenance: None,
                level: 1,
                links: Vec::new(),
            }),
            pings: Vec::new(),
            rows: BTreeMap::new(),
            log: Vec::new(),
            late: Vec::new(),
            dropped: 0,
            tree: Arc::clone(tree),
            holding: Arc::new(Holding { digest: digest.into(), ..Holding::default() }),
        }
    }

    /// All pages that come one after the other.
    fn pages(telling: &mut TreePages, view: &View) -> Vec<WireTree> {
        let mut pages = Vec::new();
        while let Some(page) = telling.page(view) {
            let last = page.last;
            assert_eq!(last, !telling.has_more());
            pages.push(page);
            if last {
                break;
            }
        }
        pages
    }

    #[test]
    fn a_large_tree_comes_in_bounded_pages_and_nothing_follows_until_it_changes() {
        let tree = Arc::new(Tree::new("c1".into(), (0..4_500).map(|n| (key(n), entry("v1", 10)))));
        let mut telling = TreePages::default();
        assert!(telling.page(&view(&tree, "d1")).is_none(), "nobody asked");
        telling.want(true);
        let told = pages(&mut telling, &view(&tree, "d1"));
        let sizes: Vec<usize> = told.iter().map(|p| p.registers.len()).collect();
        assert_eq!(sizes, [PAGE_MAX, PAGE_MAX, 500]);
        assert_eq!(
            told.iter().map(|p| (p.first, p.last)).collect::<Vec<_>>(),
            [(true, false), (false, false), (false, true)]
        );
        assert!(telling.page(&view(&tree, "d1")).is_none());
        let empty = telling.page(&view(&tree, "d2")).unwrap();
        assert_eq!((empty.first, empty.last, empty.registers.len()), (false, true, 0), "only the digest is news");
    }

    #[test]
    fn only_what_changed_or_is_gone_follows() {
        let before = Arc::new(Tree::new("c1".into(), (0..10).map(|n| (key(n), entry("v1", 10)))));
        let mut after = Tree::clone(&before);
        after.update([(key(3), Some(entry("v2", 10))), (key(5), None), (key(20), Some(entry("v1", 10)))]);
        let mut telling = TreePages::default();
        telling.want(true);
        pages(&mut telling, &view(&before, "d1"));
        let told = pages(&mut telling, &view(&Arc::new(after), "d2"));
        assert_eq!(told.len(), 1);
        let changes: Vec<(String, usize)> =
            told[0].registers.iter().map(|r| (r.key.clone(), r.versions.len())).collect();
        let expected = [(key(3), 1), (key(5), 0), (key(20), 1)].map(|(k, n)| (k.to_string(), n));
        assert_eq!(changes, expected);
        let other = Arc::new(Tree::new("c2".into(), [(key(1), entry("v1", 10))]));
        assert!(pages(&mut telling, &view(&other, "d3"))[0].first, "another cluster is told whole");
    }

    #[test]
    fn pages_are_bounded_by_bytes_too_and_a_change_in_between_is_told_afterwards() {
        let tree = Arc::new(Tree::new("c1".into(), (0..6).map(|n| (key(n), entry("v1", 400_000)))));
        let mut telling = TreePages::default();
        telling.want(true);
        let first = telling.page(&view(&tree, "d1")).unwrap();
        assert_eq!((first.registers.len(), first.last), (2, false));
        let mut changed = Tree::clone(&tree);
        changed.update([(key(0), Some(entry("v2", 10))), (key(9), Some(entry("v1", 4_000_000)))]);
        let changed = view(&Arc::new(changed), "d2");
        let rest = pages(&mut telling, &changed);
        assert_eq!(rest.last().map(|p| (p.digest.as_str(), p.last)), Some(("d1", true)), "what was begun is finished");
        let news = pages(&mut telling, &changed);
        let keys: Vec<&str> = news[0].registers.iter().map(|r| r.key.as_str()).collect();
        assert_eq!(keys, [key(0).to_string()], "what fits into no document is left out");
        assert_eq!((news[0].digest.as_str(), news[0].last), ("d2", true));
        telling.want(false);
        assert!(telling.page(&view(&tree, "d4")).is_none());
    }
}
