//! A change as peers keep it and send it on.

use crate::domain::ids::MemberId;

/// One change of the replicated document, signed by the machine that made it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredChange {
    /// Names the change.
    pub hash: [u8; 32],
    /// The change itself.
    pub bytes: Vec<u8>,
    /// Whose key signed it.
    pub signer: MemberId,
    /// Of the hash, by the signer's machine key.
    pub signature: Vec<u8>,
}
