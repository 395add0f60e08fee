//! Texts within values that only the peers of the cluster may read: passwords, communities, private keys.
//!
//! Which they are says the table of features. Such a text has one of three forms. *Typed*: as somebody wrote it, on its
//! way to a peer. *Sealed*: as the store has it, under a key that only members have. And the *mark*, which is all that
//! is ever shown; written back it means that the secret stays as it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::catalogue::{Catalogue, Feature, Path, Step};
use super::{Key, ModeId, Tree, Value};
use crate::domain::ids::{FeatureName, KeyId, MemberId};
use crate::domain::text::Line;

/// Shown in place of a secret; written in its place: leave it as it is.
pub const MARK: &str = "(secret)";

/// A sealed secret begins so; the id of its key and the sealed bytes follow, with `:` between.
pub const SEALED: &str = "secret:v1:";

/// A secret that is not sealed yet begins so, to be hidden wherever it is shown.
pub const TYPED: &str = "secret:new:";

/// A wrapped cluster key begins so.
pub const WRAPPED: &str = "secret:key:";

/// Most secrets that a notice names.
const NAMED_MAX: usize = 50;

/// Whether this text must not be shown.
#[must_use]
pub fn is_hidden(text: &str) -> bool {
    [SEALED, TYPED, WRAPPED].iter().any(|form| text.starts_with(form))
}

/// The text as people may see it.
#[must_use]
pub fn shown(text: &str) -> &str {
    if is_hidden(text) { MARK } else { text }
}

/// The key that a sealed text was sealed under, and the sealed bytes; `None` for any other text.
#[must_use]
pub fn sealed(text: &str) -> Option<(KeyId, &str)> {
    let (key, data) = text.strip_prefix(SEALED)?.split_once(':')?;
    Some((KeyId::new(key), data))
}

/// The sealed texts of a value, one after the other: what tells apart values that are shown alike.
#[must_use]
pub fn sealed_texts(value: &Value) -> String {
    match value {
        Value::Text(text) if sealed(text).is_some() => text.to_string(),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => String::new(),
        Value::List(items) => items.iter().map(sealed_texts).collect(),
        Value::Table(fields) => fields.values().map(sealed_texts).collect(),
    }
}

/// What is done with each secret text, and where it stands.
pub type See<'s, E> = dyn FnMut(&Path, &mut Arc<str>) -> Result<(), E> + 's;

/// Calls `see` with each secret text of `value`; empty ones are no secrets.
///
/// # Errors
/// The first that `see` returns.
pub fn each<E>(paths: &[Path], value: &mut Value, see: &mut See<'_, E>) -> Result<(), E> {
    for path in paths {
        lead(value, &path.0, &mut |found| match found {
            Value::Text(text) if !text.is_empty() => see(path, text),
            Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::List(_) | Value::Table(_) => {
                Ok(())
            }
        })?;
    }
    Ok(())
}

/// Calls `see` with each part of `value` that `steps` lead to.
fn lead<E>(value: &mut Value, steps: &[Step], see: &mut dyn FnMut(&mut Value) -> Result<(), E>) -> Result<(), E> {
    let Some((step, rest)) = steps.split_first() else { return see(value) };
    match (step, value) {
        (Step::Field(name), Value::Table(fields)) => match fields.get_mut(name) {
            Some(field) => lead(field, rest, see),
            None => Ok(()),
        },
        (Step::Every, Value::Table(fields)) => fields.values_mut().try_for_each(|field| lead(field, rest, see)),
        (Step::Every, Value::List(items)) => items.iter_mut().try_for_each(|item| lead(item, rest, see)),
        (Step::Every | Step::Field(_), _) => Ok(()),
    }
}

/// `value` as it may be staged, planned and sent: each mark is again the secret that stands in its place in `old`,
/// each other secret is marked as typed, so that it is shown nowhere.
///
/// # Errors
/// A mark where `old` has no secret; a secret that is no text.
pub fn hide(known: &Feature, value: &Arc<Value>, old: Option<&Value>) -> Result<Arc<Value>, Line> {
    if known.secrets.is_empty() && !has_mark(value) {
        return Ok(value.clone());
    }
    let mut hidden = (**value).clone();
    restore(&mut hidden, old);
    let refuse = |path: &Path, why: &str| Err(Line::new(&format!("{} {path}: {why}", known.name)));
    for path in &known.secrets {
        lead(&mut hidden, &path.0, &mut |found| match found {
            Value::Text(text) if &**text == MARK => {
                refuse(path, "there is no secret to keep in this place, write the secret itself instead of the mark")
            }
            Value::Text(text) => {
                if !text.is_empty() && !is_hidden(text) {
                    *text = format!("{TYPED}{text}").into();
                }
                Ok(())
            }
            Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::List(_) | Value::Table(_) => {
                refuse(path, "a secret is a text: write it in quotes")
            }
        })?;
    }
    Ok(if hidden == **value { value.clone() } else { Arc::new(hidden) })
}

/// As [`hide`] does it for what is set at `mode`, where a mark stands for what applies there now.
///
/// # Errors
/// See [`hide`].
pub fn hide_at(
    tree: &Tree,
    catalogue: &Catalogue,
    mode: &ModeId,
    feature: &FeatureName,
    value: &Arc<Value>,
) -> Result<Arc<Value>, Line> {
    let old = super::effects::at(tree, catalogue, mode, feature).value;
    hide_in(catalogue, feature, value, old.as_deref())
}

/// As [`hide`] does it for a feature of `catalogue`; of one that is not known there nothing is secret.
///
/// # Errors
/// See [`hide`].
pub fn hide_in(
    catalogue: &Catalogue,
    feature: &FeatureName,
    value: &Arc<Value>,
    old: Option<&Value>,
) -> Result<Arc<Value>, Line> {
    catalogue.feature(feature).map_or_else(|| Ok(value.clone()), |known| hide(known, value, old))
}

fn has_mark(value: &Value) -> bool {
    match value {
        Value::Text(text) => &**text == MARK,
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => false,
        Value::List(items) => items.iter().any(has_mark),
        Value::Table(fields) => fields.values().any(has_mark),
    }
}

/// Marks become what they stand for, also where a table that says less does not know that it is secret.
fn restore(value: &mut Value, old: Option<&Value>) {
    match (value, old) {
        (Value::Text(text), Some(Value::Text(old))) if &**text == MARK && is_hidden(old) => *text = old.clone(),
        (Value::Table(fields), Some(Value::Table(old))) => {
            for (name, field) in fields {
                restore(field, old.get(name));
            }
        }
        (Value::List(items), Some(Value::List(old))) => {
            let same = items.len() == old.len();
            for (n, item) in items.iter_mut().enumerate() {
                // By name where there is one; by place only if none can have moved: no item may get another's secret.
                let before = match item.field("name").cloned() {
                    Some(name) => old.iter().find(|o| o.field("name") == Some(&name)),
                    None => old.get(n).filter(|o| same && o.field("name").is_none()),
                };
                restore(item, before);
            }
        }
        (_, _) => {}
    }
}

/// The secrets that `machine` could read, as sentences: they must be changed when it is removed.
#[must_use]
pub fn known_to(tree: &Tree, catalogue: &Catalogue, machine: &MemberId) -> Vec<Line> {
    let mut found: BTreeMap<(ModeId, FeatureName), Vec<String>> = BTreeMap::new();
    let mut count = 0;
    for (mode, feature, value) in tree.modes().into_iter().flat_map(|mode| {
        let at: Vec<_> = tree.at(&mode.id).flat_map(|(f, e)| e.versions().iter().map(move |v| (f, v))).collect();
        at.into_iter().filter_map(move |(f, v)| Some((mode.id.clone(), f.clone(), v.content.value()?.clone())))
    }) {
        let Some(known) = catalogue.feature(&feature).filter(|f| !f.secrets.is_empty()) else { continue };
        let mut value = (*value).clone();
        let mut here = Vec::new();
        let _: Result<(), ()> = each(&known.secrets, &mut value, &mut |path, text| {
            // What was never sealed everybody knows.
            let read = sealed(text).is_none_or(|(id, _)| tree.entry(&Key::SecretKey(id, machine.clone())).is_some());
            if read {
                here.push(path.to_string());
            }
            Ok(())
        });
        let paths = found.entry((mode, feature)).or_default();
        // Of concurrent versions the one with the most.
        if here.len() > paths.len() {
            count += here.len() - paths.len();
            *paths = here;
        }
    }
    found.retain(|_, paths| !paths.is_empty());
    if count == 0 {
        return Vec::new();
    }
    let host = tree.host(machine);
    let what = if count == 1 { "1 secret".to_owned() } else { format!("{count} secrets") };
    let mut lines = vec![Line::new(&format!("{host} knew {what}: change what follows when it is removed"))];
    let more = found.len().saturating_sub(NAMED_MAX);
    lines.extend(found.into_iter().take(NAMED_MAX).map(|((mode, feature), paths)| {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for path in paths {
            *counts.entry(path).or_default() += 1;
        }
        let named = counts.into_iter().map(|(path, n)| if n == 1 { path } else { format!("{path} ({n})") });
        let named = named.collect::<Vec<_>>().join(", ");
        Line::new(&format!("{host} knew {feature} at {}: change {named}", tree.mode_name(&mode)))
    }));
    if more > 0 {
        lines.push(Line::new(&format!("{host} knew secrets of {more} more settings: change them too")));
    }
    lines
}
