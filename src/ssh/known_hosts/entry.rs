//! One line of a `known_hosts` file.

use std::sync::Arc;

use data_encoding::BASE64;
use ring::hmac;
use russh::keys::PublicKey;

/// A line that could be read.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) marker: Marker,
    pub(super) hosts: Hosts,
    pub(super) key: PublicKey,
    /// `FILE:LINE`, for messages.
    pub(super) place: Arc<str>,
}

/// What the key stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marker {
    /// The host's own key.
    Plain,
    /// Never to be taken again.
    Revoked,
    /// May certify host keys.
    Authority,
}

/// Which hosts a line is about.
#[derive(Clone, Debug)]
pub(super) enum Hosts {
    /// Plain names: looked up in a map.
    Names(Vec<String>),
    /// At least one wildcard or negation.
    Patterns(Vec<String>),
    /// `|1|salt|HMAC-SHA1 of the name`.
    Hashed { salt: Vec<u8>, hash: Vec<u8> },
}

/// The name of `host` at `port` as `known_hosts` writes it.
pub(super) fn canonical(host: &str, port: u16) -> String {
    let host = host.to_ascii_lowercase();
    if port == 22 { host } else { format!("[{host}]:{port}") }
}

impl Entry {
    /// Reads one line. `None`: nothing there.
    ///
    /// # Errors
    /// What is wrong with the line.
    pub(super) fn parse(line: &str, place: &Arc<str>) -> Result<Option<Self>, String> {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return Ok(None);
        }
        let mut fields = line.split_ascii_whitespace().peekable();
        let marker = match fields.peek() {
            Some(&"@revoked") => Marker::Revoked,
            Some(&"@cert-authority") => Marker::Authority,
            Some(word) if word.starts_with('@') => return Err("an unknown marker".into()),
            Some(_) | None => Marker::Plain,
        };
        if marker != Marker::Plain {
            fields.next();
        }
        let (Some(hosts), Some(kind), Some(data)) = (fields.next(), fields.next(), fields.next()) else {
            return Err("hosts, key type and key are wanted".into());
        };
        let key = PublicKey::from_openssh(&format!("{kind} {data}")).map_err(|_| "the key can't be read".to_owned())?;
        Ok(Some(Self { marker, hosts: Hosts::parse(hosts)?, key, place: Arc::clone(place) }))
    }

    /// Whether the line is about the host of this [`canonical`] name.
    pub(super) fn is_about(&self, name: &str) -> bool {
        match &self.hosts {
            Hosts::Names(names) => names.iter().any(|n| n == name),
            Hosts::Patterns(patterns) => {
                let mut found = false;
                for pattern in patterns {
                    match pattern.strip_prefix('!') {
                        // A negation that matches outweighs all others of the line.
                        Some(negated) if glob(negated, name) => return false,
                        Some(_) => {}
                        None => found |= glob(pattern, name),
                    }
                }
                found
            }
            Hosts::Hashed { salt, hash } => {
                let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt);
                hmac::verify(&key, name.as_bytes(), hash).is_ok()
            }
        }
    }
}

impl Hosts {
    fn parse(field: &str) -> Result<Self, String> {
        if let Some(hashed) = field.strip_prefix("|1|") {
            let (salt, hash) = hashed.split_once('|').ok_or("a hashed name without salt")?;
            let decode = |text: &str| BASE64.decode(text.as_bytes()).map_err(|_| "a hashed name that can't be read");
            return Ok(Self::Hashed { salt: decode(salt)?, hash: decode(hash)? });
        }
        if field.starts_with('|') {
            return Err("a hash of an unknown kind".into());
        }
        let names: Vec<String> =
            field.split(',').filter(|n| !n.is_empty()).map(|n| plain(&n.to_ascii_lowercase())).collect();
        if names.iter().any(|n| n.contains(['*', '?']) || n.starts_with('!')) {
            Ok(Self::Patterns(names))
        } else {
            Ok(Self::Names(names))
        }
    }
}

/// `[host]:22` is the same as `host`.
fn plain(name: &str) -> String {
    match name.strip_prefix('[').and_then(|n| n.strip_suffix("]:22")) {
        Some(host) => host.to_owned(),
        None => name.to_owned(),
    }
}

/// Whether `text` fits `pattern` with `*` and `?`, whatever the case. Takes time in proportion to the product of both lengths at most.
pub(in crate::ssh) fn glob(pattern: &str, text: &str) -> bool {
    let (p, t) = (pattern.as_bytes(), text.as_bytes());
    let (mut i, mut j) = (0, 0);
    // Where to go on from after the last `*`: one more byte of the text belongs to it.
    let mut star: Option<(usize, usize)> = None;
    while j < t.len() {
        if i < p.len() && p[i] == b'*' {
            star = Some((i + 1, j));
            i += 1;
        } else if i < p.len() && (p[i] == b'?' || p[i].eq_ignore_ascii_case(&t[j])) {
            i += 1;
            j += 1;
        } else if let Some((after, taken)) = star {
            (i, j) = (after, taken + 1);
            star = Some((after, j));
        } else {
            return false;
        }
    }
    p[i..].iter().all(|c| *c == b'*')
}
