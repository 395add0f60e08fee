//! Sums over what is kept: SQLite checks its own structure, but not what stands in it.

use ring::digest::{Context, SHA256};

use crate::daemon::replica::StoredChange;

/// How many changes there are, and the sum over all of them in their order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Head {
    /// Number of changes.
    pub n: u64,
    /// Over the sum before and the last change; zeros before the first.
    pub sum: [u8; 32],
}

impl Head {
    /// With one change more.
    #[must_use]
    pub fn after(&self, change: &StoredChange) -> Self {
        let n = self.n + 1;
        let sum = digest(&[
            &self.sum,
            &n.to_be_bytes(),
            &change.hash,
            &change.bytes,
            change.signer.as_str().as_bytes(),
            &change.signature,
        ]);
        Self { n, sum }
    }
}

/// Over a row of `meta`.
#[must_use]
pub fn meta(key: &str, value: &[u8]) -> [u8; 32] {
    digest(&[key.as_bytes(), value])
}

/// SHA-256 over all parts, each with its length before it.
#[must_use]
pub fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut sum = [0; 32];
    sum.copy_from_slice(context.finish().as_ref());
    sum
}
