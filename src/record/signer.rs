//! The key with which this machine signs what it exports.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};

use super::RecordError;
use super::tables::own_folder;

/// The file in peerdeck's own folder.
const FILE: &str = "bundle.key";

/// No key is larger.
const KEY_MAX: u64 = 1024;

/// Signs bundles.
pub struct Signer(Ed25519KeyPair);

impl Signer {
    /// The key of this machine; drawn and kept (0600) when it is needed for the first time.
    ///
    /// # Errors
    /// When it can't be read or written, or others may read it.
    pub fn of_machine(state: &Path) -> Result<Self, RecordError> {
        let path = state.join(FILE);
        let io = |e| RecordError::io(&path, e);
        let refused = |why: &str| RecordError::refused(&path, why);
        let mut bytes = Vec::new();
        match File::open(&path) {
            Ok(file) => {
                let mode = file.metadata().map_err(io)?.permissions().mode();
                if mode & 0o077 != 0 {
                    return Err(refused("other users may read this key: move it away, and a new one is drawn"));
                }
                file.take(KEY_MAX).read_to_end(&mut bytes).map_err(io)?;
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if !state.exists() {
                    own_folder(state)?;
                }
                let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
                bytes = key.map_err(|_| refused("the system gives no random bytes for a key"))?.as_ref().to_vec();
                let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(io)?;
                file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(io)?;
            }
            Err(error) => return Err(io(error)),
        }
        let pair = Ed25519KeyPair::from_pkcs8(&bytes);
        pair.map(Self).map_err(|_| refused("it is no key: move it away, and a new one is drawn"))
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    /// The fingerprint of the public half.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        fingerprint(self.public())
    }

    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.0.sign(message).as_ref());
        signature
    }
}

/// `SHA256:...`, as host keys have it.
#[must_use]
pub fn fingerprint(public: &[u8]) -> String {
    let sum = ring::digest::digest(&ring::digest::SHA256, public);
    format!("SHA256:{}", data_encoding::BASE64_NOPAD.encode(sum.as_ref()))
}
