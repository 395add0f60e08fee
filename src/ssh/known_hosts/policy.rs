//! The two judges of host keys: what a membership pins, and what `known_hosts` says.

use russh::keys::PublicKey;
use russh::keys::ssh_key::{Algorithm, Certificate};

use super::KnownHosts;
use crate::ssh::client::{HostKeyPolicy, HostKeyVerdict, fingerprint};

/// Exactly one key is right: mesh links, with the key that the membership carries.
#[derive(Clone, Debug)]
pub struct Pinned(pub PublicKey);

impl HostKeyPolicy for Pinned {
    fn judge(&self, _: &str, _: u16, key: &PublicKey) -> HostKeyVerdict {
        if key.key_data() == self.0.key_data() {
            HostKeyVerdict::Accepted
        } else {
            HostKeyVerdict::Refused(format!("the membership pins {}", fingerprint(&self.0)))
        }
    }

    fn recorded(&self, _: &str, _: u16) -> Vec<Algorithm> {
        vec![self.0.algorithm()]
    }
}

/// Observers: `known_hosts` first; where it says nothing, what a verified fellow vouches for.
#[derive(Clone, Debug)]
pub struct KnownHostsPolicy {
    /// The files.
    pub files: KnownHosts,
    /// Further names of the host (its address, the `HostName` of an `ssh_config`).
    pub also: Vec<String>,
    /// The key that a fellow vouches for.
    pub vouched: Option<PublicKey>,
    /// Seconds since 1970: certificates are dated by the wall clock.
    pub now: u64,
}

impl KnownHostsPolicy {
    fn names<'a>(&'a self, host: &'a str) -> Vec<&'a str> {
        std::iter::once(host).chain(self.also.iter().map(String::as_str)).collect()
    }

    /// What is left to say when the files say nothing.
    fn vouched(&self, verdict: HostKeyVerdict, key: &PublicKey) -> HostKeyVerdict {
        match (verdict, &self.vouched) {
            (HostKeyVerdict::Unknown, Some(vouched)) if vouched.key_data() == key.key_data() => {
                HostKeyVerdict::Accepted
            }
            (HostKeyVerdict::Unknown, Some(vouched)) => {
                HostKeyVerdict::Refused(format!("its fellows vouch for {}", fingerprint(vouched)))
            }
            (said, _) => said,
        }
    }
}

impl HostKeyPolicy for KnownHostsPolicy {
    fn judge(&self, host: &str, port: u16, key: &PublicKey) -> HostKeyVerdict {
        self.vouched(self.files.judge(&self.names(host), port, key), key)
    }

    fn judge_certificate(&self, host: &str, port: u16, certificate: &Certificate) -> HostKeyVerdict {
        let key = PublicKey::from(certificate.public_key().clone());
        self.vouched(self.files.judge_certificate(&self.names(host), port, certificate, self.now), &key)
    }

    fn recorded(&self, host: &str, port: u16) -> Vec<Algorithm> {
        let mut all = self.files.recorded(&self.names(host), port);
        all.extend(self.vouched.as_ref().map(PublicKey::algorithm));
        all
    }

    fn takes_certificates(&self, host: &str, port: u16) -> bool {
        self.files.has_authority(&self.names(host), port)
    }
}
