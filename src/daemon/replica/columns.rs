//! How much the columns of a change say. A few bytes of a run length can name a billion operations: they are counted
//! before Automerge unfolds them.

use super::WRITES_MAX;
use super::log::{number, take};

/// Most entries of one column: several versions superseded by each write.
const ENTRIES_MAX: u64 = 8 * WRITES_MAX as u64;

/// Most columns.
const COLUMNS_MAX: u64 = 64;

/// Whether no column of this change has more entries than a change of ours could. The header was read already.
pub(super) fn are_bounded(chunk: &[u8]) -> bool {
    bounded(chunk).is_some()
}

/// What a chunk holds beside its header.
pub(super) struct Parts<'a> {
    /// The author's actor, then others that it refers to.
    pub actors: Vec<&'a [u8]>,
    /// Counter of the first operation.
    pub start: u64,
    /// By kind.
    pub columns: Vec<(u64, &'a [u8])>,
}

/// Takes an uncompressed chunk apart; the columns stay as they are.
pub(super) fn parts(chunk: &[u8]) -> Option<Parts<'_>> {
    let mut rest = chunk.get(9..)?;
    number(&mut rest)?;
    for _ in 0..number(&mut rest)? {
        take(&mut rest, 32)?;
    }
    let mut actors = vec![prefixed(&mut rest)?];
    number(&mut rest)?; // Sequence.
    let start = number(&mut rest)?;
    skip(&mut rest)?; // Time.
    prefixed(&mut rest)?; // Message.
    for _ in 0..number(&mut rest)? {
        actors.push(prefixed(&mut rest)?);
    }
    let count = number(&mut rest).filter(|n| *n <= COLUMNS_MAX)?;
    let mut lengths = Vec::new();
    for _ in 0..count {
        lengths.push((number(&mut rest)?, usize::try_from(number(&mut rest)?).ok()?));
    }
    let columns = lengths.into_iter().map(|(kind, length)| Some((kind, take(&mut rest, length)?)));
    Some(Parts { actors, start, columns: columns.collect::<Option<_>>()? })
}

fn bounded(chunk: &[u8]) -> Option<()> {
    for (kind, data) in parts(chunk)?.columns {
        let entries = match kind & 0b1111 {
            // Raw bytes of values: their lengths stand in another column.
            7 => Some(0),
            4 => booleans(data),
            5 => runs(data, |rest| prefixed(rest).map(drop)),
            0..=3 | 6 => runs(data, skip),
            // Compressed, which a change may not be.
            _ => None,
        }?;
        if entries > ENTRIES_MAX {
            return None;
        }
    }
    Some(())
}

/// Entries of a run-length encoded column.
fn runs(mut rest: &[u8], value: impl Fn(&mut &[u8]) -> Option<()>) -> Option<u64> {
    let mut entries = 0_u64;
    while !rest.is_empty() {
        let n = signed(&mut rest)?;
        entries = entries.checked_add(match n {
            0 => number(&mut rest)?,
            1.. => {
                value(&mut rest)?;
                n.unsigned_abs()
            }
            _ => {
                for _ in 0..n.unsigned_abs() {
                    value(&mut rest)?;
                }
                n.unsigned_abs()
            }
        })?;
    }
    Some(entries)
}

/// Entries of a column of alternating runs.
fn booleans(mut rest: &[u8]) -> Option<u64> {
    let mut entries = 0_u64;
    while !rest.is_empty() {
        entries = entries.checked_add(number(&mut rest)?)?;
    }
    Some(entries)
}

pub(super) fn prefixed<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(number(rest)?).ok()?;
    take(rest, length)
}

fn skip(rest: &mut &[u8]) -> Option<()> {
    while take(rest, 1)?[0] & 0x80 != 0 {}
    Some(())
}

/// A signed LEB128 number.
pub(super) fn signed(rest: &mut &[u8]) -> Option<i64> {
    let mut n = 0_i64;
    for shift in (0..63).step_by(7) {
        let byte = take(rest, 1)?[0];
        n |= i64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(if byte & 0x40 == 0 { n } else { n | (-1_i64).checked_shl(shift + 7)? });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_counted_without_being_unfolded() {
        assert_eq!(runs(&[], skip), Some(0));
        assert_eq!(runs(&[3, 1], skip), Some(3), "three times 1");
        assert_eq!(runs(&[0x7e, 1, 2], skip), Some(2), "two literals");
        assert_eq!(runs(&[0, 9], skip), Some(9), "nine nulls");
        assert_eq!(runs(&[0x7f, 2, b'a', b'b'], |r| prefixed(r).map(drop)), Some(1), "a text");
        assert_eq!(runs(&[0x80, 0x80, 0x80, 0x80, 0x20, 1], skip), Some(1 << 33), "a bomb");
        assert_eq!(runs(&[0x7e, 1], skip), None, "cut off");
        assert_eq!(booleans(&[0, 5, 2]), Some(7));
        assert_eq!(signed(&mut &[0x80_u8, 0x7f][..]), Some(-128));
        assert_eq!(signed(&mut &[0xc0_u8, 0x00][..]), Some(64));
    }
}
