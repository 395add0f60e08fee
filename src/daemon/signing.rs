//! Signatures with the machine key: of datagrams and of changes of the settings.

use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{PrivateKey, PublicKey};

use super::replica::Signing;

/// Length of a signature, in bytes.
pub(super) const SIGNATURE: usize = 64;

/// The machine key.
pub(super) struct MachineKey(Ed25519KeyPair);

impl MachineKey {
    /// `None` for a key that is not ed25519, which the store refuses anyway.
    pub fn new(key: &PrivateKey) -> Option<Self> {
        let pair = key.key_data().ed25519()?;
        Ed25519KeyPair::from_seed_and_public_key(pair.private.as_ref(), pair.public.as_ref()).ok().map(Self)
    }

    /// The signature of `message`.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }
}

/// Whether `signature` is that of `message` by the owner of `key`.
pub(super) fn is_signed_by(key: &KeyData, message: &[u8], signature: &[u8]) -> bool {
    let KeyData::Ed25519(key) = key else { return false };
    UnparsedPublicKey::new(&ED25519, key.as_ref()).verify(message, signature).is_ok()
}

impl Signing for MachineKey {
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        Self::sign(self, message)
    }

    fn verify(&self, public_key: &str, message: &[u8], signature: &[u8]) -> bool {
        PublicKey::from_openssh(public_key).is_ok_and(|key| is_signed_by(key.key_data(), message, signature))
    }
}
