//! Secrets out: nothing that only peers may read ever comes into a recording, sealed or not.

use std::convert::Infallible;
use std::sync::Arc;

use ring::hmac;

use crate::domain::settings::secrets::{self, MARK, SEALED, is_hidden};
use crate::domain::settings::{Catalogue, Content, Entry, Feature, Key, Value, Version};

/// Letters of what stands in the place of a secret.
const LETTERS: usize = 16;

/// Puts something in the place of each secret: it is shown like one, and two of them are equal if the secrets are.
///
/// It is a keyed sum, and the key is never written: not even a weak password can be guessed from it.
pub struct Mask(hmac::Key);

impl Mask {
    /// With random bytes that are kept nowhere.
    #[must_use]
    pub fn new(random: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, random))
    }

    fn text(&self, secret: &str) -> Arc<str> {
        let tag = super::hex(hmac::sign(&self.0, secret.as_bytes()).as_ref());
        format!("{SEALED}recorded:{}", tag.get(..LETTERS).unwrap_or_default()).into()
    }

    /// The register without its secrets.
    #[must_use]
    pub fn entry(&self, catalogue: &Catalogue, key: &Key, entry: &Entry) -> Option<Entry> {
        let version = |v: &Version| {
            let content = match &v.content {
                Content::Inherits => Content::Inherits,
                Content::Value(value) => Content::Value(self.value(catalogue, key, value)),
            };
            Version { content, ..v.clone() }
        };
        Entry::new(entry.versions().iter().map(version).collect())
    }

    fn value(&self, catalogue: &Catalogue, key: &Key, value: &Arc<Value>) -> Arc<Value> {
        let mut masked = (**value).clone();
        match key {
            Key::SecretKey(..) => self.every(&mut masked, true),
            Key::Feature(_, name) => {
                if let Some(known) = catalogue.feature(name) {
                    self.known(known, &mut masked);
                }
                self.every(&mut masked, false);
            }
            Key::ClusterName
            | Key::Addressing
            | Key::GroupName(_)
            | Key::GroupDeleted(_)
            | Key::MachineIdentity(_)
            | Key::MachineGroup(_)
            | Key::MachineRemoved(_) => self.every(&mut masked, false),
        }
        Arc::new(masked)
    }

    /// The feature of a site without the secrets of its factory default.
    #[must_use]
    pub fn feature(&self, feature: &Feature) -> Feature {
        let mut feature = feature.clone();
        if let Some(factory) = feature.factory.take() {
            let mut factory = (*factory).clone();
            self.known(&feature, &mut factory);
            self.every(&mut factory, false);
            feature.factory = Some(Arc::new(factory));
        }
        feature
    }

    /// What the table of features calls a secret, typed in plain letters too.
    fn known(&self, feature: &Feature, value: &mut Value) {
        let Ok(()) = secrets::each::<Infallible>(&feature.secrets, value, &mut |_, text| {
            if &**text != MARK {
                *text = self.text(text);
            }
            Ok(())
        });
    }

    /// What looks like a secret, wherever it stands; all texts if `all`.
    fn every(&self, value: &mut Value, all: bool) {
        match value {
            Value::Text(text) if all || is_hidden(text) => {
                // What is masked already stays: it would no longer be equal to its like elsewhere.
                if !text.starts_with(&format!("{SEALED}recorded:")) {
                    *text = self.text(text);
                }
            }
            Value::Text(_) | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {}
            Value::List(items) => items.iter_mut().for_each(|v| self.every(v, all)),
            Value::Table(fields) => fields.values_mut().for_each(|v| self.every(v, all)),
        }
    }
}
