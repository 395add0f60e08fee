//! Keys of an HA group: from its passwords to what authenticates a datagram (F17).
//!
//! `key = argon2id(password, salt = label and group name, 19 MiB, 2 passes, 1 lane)`; its id is the first eight hexadecimal
//! digits of its SHA-256. Units that are given the same password and group name come to the same key, without a word
//! between them. The first key signs, all are accepted: that is how a password is changed without an alarm.

use std::path::Path;

use argon2::{Algorithm, Argon2, Params, Version};
use data_encoding::HEXLOWER;
use ring::{digest, hmac};

use super::{Secret, Secrets};
use crate::daemon::store;
use crate::domain::ids::HaName;

/// Memory of argon2id, KiB; passes; lanes: what guessing costs per guess.
const COST: (u32, u32, u32) = (19 * 1024, 2, 1);

/// In front of the group's name in the salt.
const LABEL: &str = "peerdeck heartbeat 1: ";

/// Shortest password: datagrams can be recorded and guessed at for as long as somebody likes.
const LEAST: usize = 8;

/// Most passwords of a group: while one replaces another there are two.
const MOST: usize = 4;

/// Why there are no keys. Says where, never what.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// None is named.
    #[error(
        "group {0} has no password: name a file with `password-file` (or a variable with `password-env`); all units and \
         the witness need the same one"
    )]
    None(String),
    /// More than four.
    #[error(
        "group {0} has {1} passwords, {MOST} are taken: the first signs, the others are only for the time of a change"
    )]
    TooMany(String, usize),
    /// One can't be read.
    #[error("the password of group {group} can't be read from {from}: {why}")]
    Unread {
        /// Whose.
        group: String,
        /// File or variable.
        from: String,
        /// Why not, and what to do.
        why: String,
    },
    /// One is too short.
    #[error(
        "the password of group {group} in {from} is shorter than {LEAST} characters: datagrams can be recorded and guessed at"
    )]
    Short {
        /// Whose.
        group: String,
        /// File or variable.
        from: String,
    },
    /// A bug.
    #[error("no key could be made for group {0}: {1}")]
    Derive(String, String),
}

/// One key.
struct GroupKey {
    id: String,
    key: hmac::Key,
}

/// The keys of a group: the first signs, all are accepted.
pub struct Keys(Vec<GroupKey>);

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|k| &k.id)).finish()
    }
}

impl Keys {
    /// Reads the passwords and derives the keys: tens of milliseconds each, so not on a thread that has to be punctual.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn derive(group: &HaName, secrets: &Secrets) -> Result<Self, KeyError> {
        let named = || group.to_string();
        if secrets.0.is_empty() {
            return Err(KeyError::None(named()));
        }
        if secrets.0.len() > MOST {
            return Err(KeyError::TooMany(named(), secrets.0.len()));
        }
        secrets.0.iter().map(|secret| GroupKey::derive(group, secret)).collect::<Result<_, _>>().map(Self)
    }

    /// Which key signs.
    #[must_use]
    pub fn id(&self) -> &str {
        self.0.first().map_or("", |k| &k.id)
    }

    /// The authenticator of `bytes`, by the first key.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        self.0.first().map(|k| hmac::sign(&k.key, bytes).as_ref().to_vec()).unwrap_or_default()
    }

    /// Whether there is a key of this name.
    #[must_use]
    pub fn has(&self, id: &str) -> bool {
        self.0.iter().any(|k| k.id == id)
    }

    /// Whether `mac` is that of `bytes` by the key of this name; takes as long for a wrong one as for a right one.
    #[must_use]
    pub fn verify(&self, id: &str, bytes: &[u8], mac: &[u8]) -> bool {
        self.0.iter().any(|k| k.id == id && hmac::verify(&k.key, bytes, mac).is_ok())
    }
}

impl GroupKey {
    fn derive(group: &HaName, secret: &Secret) -> Result<Self, KeyError> {
        let password = read(group, secret)?;
        let failed = |e: argon2::Error| KeyError::Derive(group.to_string(), e.to_string());
        let (memory, passes, lanes) = COST;
        let params = Params::new(memory, passes, lanes, Some(digest::SHA256_OUTPUT_LEN)).map_err(failed)?;
        let salt = format!("{LABEL}{group}");
        let mut key = [0; digest::SHA256_OUTPUT_LEN];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(password.as_bytes(), salt.as_bytes(), &mut key)
            .map_err(failed)?;
        let sum = digest::digest(&digest::SHA256, &key);
        let id = HEXLOWER.encode(sum.as_ref().get(..4).unwrap_or_default());
        Ok(Self { id, key: hmac::Key::new(hmac::HMAC_SHA256, &key) })
    }
}

fn read(group: &HaName, secret: &Secret) -> Result<String, KeyError> {
    // `Debug` of a secret says where it is, never what.
    let (group, from) = (group.to_string(), format!("{secret:?}"));
    let unread = |why: String| KeyError::Unread { group: group.clone(), from: from.clone(), why };
    let text = match secret {
        Secret::File(path) => read_file(path).map_err(unread)?,
        Secret::Env(name) => std::env::var(name).map_err(|_| unread("it is not set, or not text".to_owned()))?,
        Secret::MadeUp(text) => text.clone(),
    };
    let text = text.trim_end_matches(['\r', '\n']).to_owned();
    if text.chars().count() < LEAST { Err(KeyError::Short { group, from }) } else { Ok(text) }
}

fn read_file(path: &Path) -> Result<String, String> {
    store::refuse_open(path).map_err(|e| e.to_string())?;
    let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
    // The decoder's words could quote it.
    String::from_utf8(bytes).map_err(|_| "it is not text (UTF-8)".to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn made_up(words: &[&str]) -> Secrets {
        Secrets(words.iter().map(|w| Secret::MadeUp((*w).to_owned())).collect())
    }

    fn keys(group: &str, words: &[&str]) -> Keys {
        Keys::derive(&HaName::new(group), &made_up(words)).unwrap()
    }

    #[test]
    fn f17_group_and_password_make_the_key() {
        let one = keys("gw", &["correct horse"]);
        assert_eq!(one.id(), keys("gw", &["correct horse\n"]).id(), "a line end in a file is none of the password");
        assert_ne!(one.id(), keys("gw", &["correct hors"]).id());
        assert_ne!(one.id(), keys("edge", &["correct horse"]).id(), "the group is part of the salt");
        assert_eq!(one.id().len(), 8);
        let mac = one.sign(b"text");
        assert!(one.verify(one.id(), b"text", &mac));
        assert!(!one.verify(one.id(), b"texT", &mac));
        assert!(!one.verify("00000000", b"text", &mac));
    }

    #[test]
    fn f17_a_password_is_changed_with_two_of_them() {
        let (old, both, new) = (
            keys("gw", &["old password"]),
            keys("gw", &["new password", "old password"]),
            keys("gw", &["new password"]),
        );
        assert_eq!(both.id(), new.id(), "the first one signs");
        assert!(both.verify(old.id(), b"x", &old.sign(b"x")));
        assert!(both.verify(new.id(), b"x", &new.sign(b"x")));
        assert!(!old.verify(both.id(), b"x", &both.sign(b"x")));
    }

    #[test]
    fn f17_secrets_come_from_safe_places_and_are_never_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        std::fs::write(&path, "hunter2hunter2\n").unwrap();
        let derive = |secret: Secret| Keys::derive(&HaName::new("gw"), &Secrets(vec![secret]));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let error = derive(Secret::File(path.clone())).unwrap_err();
        assert!(error.to_string().contains("chmod go-rwx"), "{error}");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let keys = derive(Secret::File(path.clone())).unwrap();
        assert!(!format!("{keys:?} {:?}", Secret::MadeUp("hunter2hunter2".into())).contains("hunter2"));
        std::fs::write(&path, "hunter2\n").unwrap();
        let error = derive(Secret::File(path)).unwrap_err();
        assert!(matches!(error, KeyError::Short { .. }) && !format!("{error} {error:?}").contains("hunter2"));
        assert!(matches!(derive(Secret::Env("PEERDECK_NO_SUCH".into())).unwrap_err(), KeyError::Unread { .. }));
        assert!(matches!(Keys::derive(&HaName::new("gw"), &Secrets::default()).unwrap_err(), KeyError::None(_)));
    }
}
