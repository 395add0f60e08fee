//! Secrets under a cluster key, and that key wrapped for each member's machine key.
//!
//! A key is wrapped with X25519 to the member's Ed25519 key in its Montgomery form, HKDF-SHA256 and ChaCha20-Poly1305.
//! The ephemeral secret is derived from the wrapped key and whom it is for: whoever wraps a key for a member writes the
//! same text, so that two that do it at once are not in conflict. A secret is sealed with a key of its own, derived
//! from the cluster key and 32 random bytes, so that no nonce is ever used twice.

use std::fmt;

use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::montgomery::MontgomeryPoint;
use data_encoding::{BASE64, HEXLOWER};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hkdf};
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{PrivateKey, PublicKey};

use crate::domain::settings::secrets::WRAPPED;

/// Bytes of keys, points and salts.
const LEN: usize = 32;

/// Why something can't be wrapped, sealed or read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum VaultError {
    /// The system gave no random bytes.
    #[error("the system gives no random bytes")]
    Random,
    /// A public key is not Ed25519, or one that would give the secret away.
    #[error("the machine key is no usable Ed25519 key")]
    Key,
    /// It was made for another member, another place or another key, or it was tampered with.
    #[error("it was sealed for something else, or under another key")]
    Sealed,
}

/// A key under which secrets are sealed.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterKey([u8; LEN]);

impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterKey(..)")
    }
}

impl ClusterKey {
    /// Sixteen letters that tell keys apart: nobody can pass another key off under the same id.
    ///
    /// # Errors
    /// None that is known: that of the derivation.
    pub fn tag(&self) -> Result<String, VaultError> {
        Ok(HEXLOWER.encode(&derive(b"peerdeck name of a cluster key 1", &self.0, &[])?[..8]))
    }
}

/// What makes and reads secrets; the core itself has neither keys nor randomness.
pub trait Vault: Send + Sync + fmt::Debug {
    /// A new cluster key.
    ///
    /// # Errors
    /// [`VaultError::Random`].
    fn new_key(&self) -> Result<ClusterKey, VaultError>;

    /// `key` for the owner of `public_key` (`ssh-ed25519 AAAA..`) alone, and for `context` alone; the same each time.
    ///
    /// # Errors
    /// [`VaultError::Key`].
    fn wrap(&self, key: &ClusterKey, public_key: &str, context: &str) -> Result<String, VaultError>;

    /// A key that was wrapped for this machine.
    ///
    /// # Errors
    /// [`VaultError::Sealed`] when it was wrapped for another machine or context.
    fn unwrap(&self, wrapped: &str, context: &str) -> Result<ClusterKey, VaultError>;

    /// `plain`, to be read with `key` and the same `context` only; each time another text.
    ///
    /// # Errors
    /// [`VaultError::Random`].
    fn seal(&self, key: &ClusterKey, plain: &str, context: &str) -> Result<String, VaultError>;

    /// What was sealed.
    ///
    /// # Errors
    /// [`VaultError::Sealed`].
    fn open(&self, key: &ClusterKey, sealed: &str, context: &str) -> Result<String, VaultError>;
}

/// Fills with random bytes; whether it could.
pub type Random = dyn Fn(&mut [u8]) -> bool + Send + Sync;

/// The vault of a machine: its Ed25519 key opens what was wrapped for it.
pub struct MachineVault {
    /// The scalar of the machine key.
    secret: [u8; LEN],
    public: MontgomeryPoint,
    random: Box<Random>,
}

impl fmt::Debug for MachineVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MachineVault(..)")
    }
}

impl MachineVault {
    /// `None` for a key that is not Ed25519, which the store refuses anyway.
    #[must_use]
    pub fn new(key: &PrivateKey) -> Option<Self> {
        let system = SystemRandom::new();
        Self::with_random(key, Box::new(move |bytes| system.fill(bytes).is_ok()))
    }

    /// The same with another source of random bytes, so that a simulation replays exactly.
    #[must_use]
    pub fn with_random(key: &PrivateKey, random: Box<Random>) -> Option<Self> {
        let pair = key.key_data().ed25519()?;
        let hash = digest::digest(&digest::SHA512, pair.private.as_ref());
        let mut secret = [0; LEN];
        secret.copy_from_slice(hash.as_ref().get(..LEN)?);
        let public = MontgomeryPoint::mul_base_clamped(secret);
        Some(Self { secret, public, random })
    }

    fn random(&self) -> Result<[u8; LEN], VaultError> {
        let mut bytes = [0; LEN];
        if (self.random)(&mut bytes) { Ok(bytes) } else { Err(VaultError::Random) }
    }
}

impl Vault for MachineVault {
    fn new_key(&self) -> Result<ClusterKey, VaultError> {
        Ok(ClusterKey(self.random()?))
    }

    fn wrap(&self, key: &ClusterKey, public_key: &str, context: &str) -> Result<String, VaultError> {
        let public = montgomery(public_key).ok_or(VaultError::Key)?;
        let whom = [&public.0[..], context.as_bytes()];
        let ephemeral = derive(b"peerdeck ephemeral key 1", &key.0, &whom)?;
        let point = MontgomeryPoint::mul_base_clamped(ephemeral);
        let shared = public.mul_clamped(ephemeral);
        let mut bytes = key.0.to_vec();
        wrapping(&shared, &point, &public, context)?
            .seal_in_place_append_tag(nonce(), Aad::from(context.as_bytes()), &mut bytes)
            .map_err(|_| VaultError::Key)?;
        Ok(format!("{WRAPPED}{}", BASE64.encode(&[&point.0[..], &bytes].concat())))
    }

    fn unwrap(&self, wrapped: &str, context: &str) -> Result<ClusterKey, VaultError> {
        let data = wrapped.strip_prefix(WRAPPED).and_then(|text| BASE64.decode(text.as_bytes()).ok());
        let data = data.ok_or(VaultError::Sealed)?;
        let (point, sealed) = data.split_first_chunk::<LEN>().ok_or(VaultError::Sealed)?;
        let point = MontgomeryPoint(*point);
        let shared = point.mul_clamped(self.secret);
        let mut bytes = sealed.to_vec();
        let key = wrapping(&shared, &point, &self.public, context)?
            .open_in_place(nonce(), Aad::from(context.as_bytes()), &mut bytes)
            .map_err(|_| VaultError::Sealed)?;
        Ok(ClusterKey(<[u8; LEN]>::try_from(&*key).map_err(|_| VaultError::Sealed)?))
    }

    fn seal(&self, key: &ClusterKey, plain: &str, context: &str) -> Result<String, VaultError> {
        let salt = self.random()?;
        let mut bytes = plain.as_bytes().to_vec();
        sealing(key, &salt)?
            .seal_in_place_append_tag(nonce(), Aad::from(context.as_bytes()), &mut bytes)
            .map_err(|_| VaultError::Sealed)?;
        Ok(BASE64.encode(&[&salt[..], &bytes].concat()))
    }

    fn open(&self, key: &ClusterKey, sealed: &str, context: &str) -> Result<String, VaultError> {
        let data = BASE64.decode(sealed.as_bytes()).map_err(|_| VaultError::Sealed)?;
        let (salt, sealed) = data.split_first_chunk::<LEN>().ok_or(VaultError::Sealed)?;
        let mut bytes = sealed.to_vec();
        let plain = sealing(key, salt)?
            .open_in_place(nonce(), Aad::from(context.as_bytes()), &mut bytes)
            .map_err(|_| VaultError::Sealed)?;
        String::from_utf8(plain.to_vec()).map_err(|_| VaultError::Sealed)
    }
}

/// An Ed25519 key as a point for X25519; `None` for a key of a small group, whose shared secrets everybody knows.
fn montgomery(public_key: &str) -> Option<MontgomeryPoint> {
    let key = PublicKey::from_openssh(public_key).ok()?;
    let KeyData::Ed25519(key) = key.key_data() else { return None };
    let point = CompressedEdwardsY(key.0).decompress()?;
    (!point.is_small_order()).then(|| point.to_montgomery())
}

fn wrapping(
    shared: &MontgomeryPoint,
    point: &MontgomeryPoint,
    public: &MontgomeryPoint,
    context: &str,
) -> Result<LessSafeKey, VaultError> {
    if shared.0 == [0; LEN] {
        return Err(VaultError::Sealed);
    }
    let salt = [&point.0[..], &public.0].concat();
    cipher(&derive(&salt, &shared.0, &[b"peerdeck wrapped cluster key 1", context.as_bytes()])?)
}

fn sealing(key: &ClusterKey, salt: &[u8; LEN]) -> Result<LessSafeKey, VaultError> {
    cipher(&derive(salt, &key.0, &[b"peerdeck secret 1"])?)
}

fn cipher(key: &[u8; LEN]) -> Result<LessSafeKey, VaultError> {
    UnboundKey::new(&CHACHA20_POLY1305, key).map(LessSafeKey::new).map_err(|_| VaultError::Key)
}

/// Each key is used for one message only.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

fn derive(salt: &[u8], secret: &[u8], info: &[&[u8]]) -> Result<[u8; LEN], VaultError> {
    let mut out = [0; LEN];
    let key: hkdf::Prk = Salt::new(HKDF_SHA256, salt).extract(secret);
    key.expand(info, HKDF_SHA256).and_then(|okm| okm.fill(&mut out)).map_err(|_| VaultError::Key)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use russh::keys::Algorithm;

    use super::*;

    fn machine() -> (MachineVault, String) {
        let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
        (MachineVault::new(&key).unwrap(), key.public_key().to_openssh().unwrap())
    }

    #[test]
    fn a_key_is_for_its_member_and_its_context_alone() {
        let ((one, public), (other, _)) = (machine(), machine());
        let key = one.new_key().unwrap();
        assert_ne!(key, one.new_key().unwrap());
        let wrapped = other.wrap(&key, &public, "k1").unwrap();
        assert_eq!(one.unwrap(&wrapped, "k1"), Ok(key.clone()));
        assert_eq!(other.unwrap(&wrapped, "k1"), Err(VaultError::Sealed));
        assert_eq!(one.unwrap(&wrapped, "k2"), Err(VaultError::Sealed));
        // Whoever wraps it writes the same.
        assert_eq!(one.wrap(&key, &public, "k1").unwrap(), wrapped);
        assert_ne!(one.wrap(&key, &public, "k2").unwrap(), wrapped);
        assert_ne!(one.wrap(&one.new_key().unwrap(), &public, "k1").unwrap(), wrapped);
    }

    #[test]
    fn a_secret_is_for_its_key_and_its_place_alone_and_no_two_seals_are_alike() {
        let (vault, _) = machine();
        let (key, other) = (vault.new_key().unwrap(), vault.new_key().unwrap());
        for plain in ["", "hunter2", "p\u{e4}ss\n\u{1f511}"] {
            let sealed = vault.seal(&key, plain, "here").unwrap();
            assert_eq!(vault.open(&key, &sealed, "here").as_deref(), Ok(plain));
            assert_eq!(vault.open(&key, &sealed, "there"), Err(VaultError::Sealed));
            assert_eq!(vault.open(&other, &sealed, "here"), Err(VaultError::Sealed));
            assert_ne!(vault.seal(&key, plain, "here").unwrap(), sealed);
        }
    }

    #[test]
    fn not_one_bit_can_be_changed() {
        let (vault, public) = machine();
        let key = vault.new_key().unwrap();
        let sealed = BASE64.decode(vault.seal(&key, "hunter2", "x").unwrap().as_bytes()).unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut bad = sealed.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(vault.open(&key, &BASE64.encode(&bad), "x"), Err(VaultError::Sealed), "bit {bit}");
        }
        for cut in 0..sealed.len() {
            assert!(vault.open(&key, &BASE64.encode(&sealed[..cut]), "x").is_err(), "{cut} bytes");
        }
        let wrapped = vault.wrap(&key, &public, "x").unwrap();
        let wrapped = BASE64.decode(&wrapped.as_bytes()[WRAPPED.len()..]).unwrap();
        for bit in 0..wrapped.len() * 8 {
            let mut bad = wrapped.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(vault.unwrap(&format!("{WRAPPED}{}", BASE64.encode(&bad)), "x").is_err(), "bit {bit}");
        }
        assert!(vault.unwrap("secret:key:", "x").is_err() && vault.unwrap("?", "x").is_err());
    }

    #[test]
    fn public_keys_that_give_the_secret_away_are_refused() {
        let (vault, _) = machine();
        let key = vault.new_key().unwrap();
        // The neutral point, and one of order four.
        for weak in [[1].iter().chain(&[0; 31]).copied().collect::<Vec<u8>>(), vec![0; 32]] {
            let blob = [&11_u32.to_be_bytes()[..], b"ssh-ed25519", &32_u32.to_be_bytes(), &weak].concat();
            let text = format!("ssh-ed25519 {}", BASE64.encode(&blob));
            assert_eq!(vault.wrap(&key, &text, "x"), Err(VaultError::Key));
        }
        assert_eq!(vault.wrap(&key, "key 1", "x"), Err(VaultError::Key));
    }

    #[test]
    fn keys_and_vaults_are_not_printed() {
        let (vault, _) = machine();
        let key = vault.new_key().unwrap();
        assert_eq!(format!("{vault:?} {key:?}"), "MachineVault(..) ClusterKey(..)");
        assert_eq!(key.tag().unwrap().len(), 16);
    }
}
