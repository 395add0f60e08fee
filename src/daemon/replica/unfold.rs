//! The writes of a change, read straight from its columns, without a copy of any text: at a start all of them are read.
//! Knows only what changes of ours look like; whatever else it meets is left to Automerge.

use super::columns::{parts, prefixed, signed};
use super::log::{number, take};

/// One write.
pub(super) struct Op<'a> {
    /// Text of the key.
    pub key: &'a str,
    /// Text of the version.
    pub text: &'a str,
    /// Names the version, with the change's actor.
    pub counter: u64,
}

/// What a change says.
pub(super) struct Unfolded<'a> {
    pub writes: Vec<Op<'a>>,
    /// The versions that the writes supersede.
    pub over: Vec<(u64, &'a [u8])>,
}

const KEY_TEXT: u64 = 1 << 4 | 5;
const INSERT: u64 = 3 << 4 | 4;
const ACTION: u64 = 4 << 4 | 2;
const VALUE_KIND: u64 = 5 << 4 | 6;
const VALUE: u64 = 5 << 4 | 7;
const OVER_COUNT: u64 = 7 << 4;
const OVER_ACTOR: u64 = 7 << 4 | 1;
const OVER_COUNTER: u64 = 7 << 4 | 3;

/// The action of writing a value.
const PUT: u64 = 1;
/// The kind of a text, in the lower four bits; its length in bytes stands above them.
const TEXT: u64 = 6;

/// The writes of an uncompressed, checked chunk; `None` for anything but `count` writes of texts to keys of the root.
pub(super) fn unfold(chunk: &[u8], count: usize) -> Option<Unfolded<'_>> {
    let parts = parts(chunk)?;
    let column = |kind: u64| parts.columns.iter().find(|(k, _)| *k == kind).map(|(_, data)| *data).unwrap_or_default();
    // Operations on other objects and lists, marks, and what this version does not know have columns of their own.
    let known = [KEY_TEXT, INSERT, ACTION, VALUE_KIND, VALUE, OVER_COUNT, OVER_ACTOR, OVER_COUNTER];
    if parts.columns.iter().any(|(kind, data)| !known.contains(kind) && !data.is_empty()) {
        return None;
    }
    // One run, of writes that insert nothing.
    let mut insert = column(INSERT);
    if !insert.is_empty() && (number(&mut insert)? != count as u64 || !insert.is_empty()) {
        return None;
    }
    let mut keys = Runs::new(column(KEY_TEXT), text);
    let mut actions = Runs::new(column(ACTION), number);
    let mut kinds = Runs::new(column(VALUE_KIND), number);
    let mut counts = Runs::new(column(OVER_COUNT), number);
    let mut actors = Runs::new(column(OVER_ACTOR), number);
    let mut deltas = Runs::new(column(OVER_COUNTER), signed);
    let mut values = column(VALUE);
    let (mut writes, mut over, mut at) = (Vec::with_capacity(count.min(chunk.len())), Vec::new(), 0_i64);
    for counter in (parts.start..).take(count) {
        let (key, action, kind) = (keys.next()?, actions.next()?, kinds.next()?);
        if action != PUT || kind & 0b1111 != TEXT {
            return None;
        }
        let text = std::str::from_utf8(take(&mut values, usize::try_from(kind >> 4).ok()?)?).ok()?;
        writes.push(Op { key, text, counter });
        for _ in 0..counts.next()? {
            let actor = parts.actors.get(usize::try_from(actors.next()?).ok()?)?;
            at = at.checked_add(deltas.next()?)?;
            over.push((u64::try_from(at).ok()?, *actor));
        }
    }
    let done = keys.is_done() && actions.is_done() && kinds.is_done() && counts.is_done();
    (done && actors.is_done() && deltas.is_done() && values.is_empty()).then_some(Unfolded { writes, over })
}

fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    std::str::from_utf8(prefixed(rest)?).ok()
}

/// The entries of a run-length encoded column; nulls end it, for no column that is read has any.
struct Runs<'a, T> {
    rest: &'a [u8],
    /// How often `same` comes again.
    again: u64,
    same: Option<T>,
    /// How many single entries follow.
    single: u64,
    read: fn(&mut &'a [u8]) -> Option<T>,
}

impl<'a, T: Copy> Runs<'a, T> {
    fn new(rest: &'a [u8], read: fn(&mut &'a [u8]) -> Option<T>) -> Self {
        Self { rest, again: 0, same: None, single: 0, read }
    }

    fn next(&mut self) -> Option<T> {
        if self.again == 0 && self.single == 0 {
            match signed(&mut self.rest)? {
                0 => return None,
                n @ 1.. => {
                    self.same = Some((self.read)(&mut self.rest)?);
                    self.again = n.unsigned_abs();
                }
                n => self.single = n.unsigned_abs(),
            }
        }
        if self.again > 0 {
            self.again -= 1;
            return self.same;
        }
        self.single -= 1;
        (self.read)(&mut self.rest)
    }

    fn is_done(&self) -> bool {
        self.again == 0 && self.single == 0 && self.rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use automerge::transaction::{CommitOptions, Transactable};
    use automerge::{Automerge, ROOT, ReadDoc};

    use super::*;
    use crate::daemon::replica::register;

    /// Of its last change, by Automerge and by us.
    fn both(doc: &Automerge) -> (Option<usize>, usize) {
        let change = doc.get_change_by_hash(&doc.get_heads()[0]).unwrap();
        let ours = unfold(change.raw_bytes(), change.len());
        let Ok(theirs) = register::writes(change.decode()) else {
            assert!(ours.is_none(), "what is no write is left to Automerge");
            return (None, 0);
        };
        let Some(ours) = ours else { return (None, theirs.len()) };
        for (ours, theirs) in ours.writes.iter().zip(&theirs) {
            assert_eq!((ours.key, ours.text, ours.counter), (&*theirs.key, &*theirs.text, theirs.counter));
        }
        let over: Vec<(u64, Vec<u8>)> = theirs.iter().flat_map(|w| w.over.clone()).collect();
        assert_eq!(ours.over.iter().map(|(n, a)| (*n, a.to_vec())).collect::<Vec<_>>(), over);
        (Some(ours.writes.len()), theirs.len())
    }

    fn put(doc: &mut Automerge, writes: &[(&str, &str)]) {
        let mut tx = doc.transaction();
        for (key, text) in writes {
            tx.put(ROOT, *key, *text).unwrap();
        }
        tx.commit_with(CommitOptions::default().with_message("{}").with_time(5));
    }

    #[test]
    fn c22_writes_are_read_as_automerge_reads_them() {
        let mut a = Automerge::new();
        put(&mut a, &[("c/a", "1"), ("c/b", "1"), ("c/c", "text with \u{1f600}"), ("c/d", "")]);
        assert_eq!(both(&a), (Some(4), 4));
        let mut b = a.fork();
        put(&mut a, &[("c/b", "2"), ("c/a", "2")]);
        put(&mut b, &[("c/a", "3"), ("c/e", "3"), ("c/c", "3")]);
        assert_eq!(both(&b), (Some(3), 3));
        a.merge(&mut b).unwrap();
        put(&mut a, &[("c/z", "4"), ("c/a", "4"), ("c/b", "4"), ("c/e", "4")]);
        assert_eq!(both(&a), (Some(4), 4), "over two versions of one register");
    }

    #[test]
    fn c22_what_is_no_write_of_a_text_is_left_to_automerge() {
        let mut doc = Automerge::new();
        put(&mut doc, &[("c/a", "1")]);
        let mut tx = doc.transaction();
        tx.put(ROOT, "c/a", 5).unwrap();
        tx.commit();
        assert_eq!(both(&doc).0, None);
        let mut tx = doc.transaction();
        tx.delete(ROOT, "c/a").unwrap();
        tx.commit();
        assert_eq!(both(&doc).0, None);
        let mut tx = doc.transaction();
        let list = tx.put_object(ROOT, "list", automerge::ObjType::List).unwrap();
        tx.insert(&list, 0, "x").unwrap();
        tx.commit();
        assert_eq!(both(&doc).0, None);
    }

    #[test]
    fn damaged_columns_are_no_writes() {
        let mut doc = Automerge::new();
        put(&mut doc, &[("c/a", "1"), ("c/b", "1")]);
        let change = doc.get_change_by_hash(&doc.get_heads()[0]).unwrap();
        for cut in 0..change.raw_bytes().len() {
            assert!(unfold(&change.raw_bytes()[..cut], change.len()).is_none(), "cut at {cut}");
        }
        assert!(unfold(change.raw_bytes(), 1).is_none() && unfold(change.raw_bytes(), 3).is_none());
    }
}
