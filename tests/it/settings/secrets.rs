//! Secrets in values: what is hidden, what a mark stands for, and that nothing else is touched.

use std::sync::Arc;

use peerdeck::domain::settings::catalogue::{Feature, Path};
use peerdeck::domain::settings::{Value, secrets};
use proptest::prelude::*;

use super::made::{catalogue, feature};

fn known(paths: &[&str]) -> Feature {
    let base = catalogue().feature(&feature("smtpauthconfig")).unwrap().clone();
    Feature { secrets: paths.iter().map(|p| Path::new(p)).collect(), ..base }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        "[a-z]{0,6}".prop_map(|t| Value::text(&t)),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            prop::collection::btree_map("(password|key|a|b)", inner, 0..4)
                .prop_map(|m| Value::Table(m.into_iter().map(|(k, v)| (k.into(), v)).collect())),
        ]
    })
}

/// Each text with how it was reached, to say which are secret without the code under test.
fn texts(value: &Value, at: &mut Vec<String>, out: &mut Vec<(Vec<String>, Value)>) {
    match value {
        Value::Table(fields) if !fields.is_empty() => {
            for (name, field) in fields {
                at.push(name.to_string());
                texts(field, at, out);
                at.pop();
            }
        }
        Value::List(items) if !items.is_empty() => {
            for (n, item) in items.iter().enumerate() {
                at.push(n.to_string());
                texts(item, at, out);
                at.pop();
            }
        }
        other => out.push((at.clone(), other.clone())),
    }
}

fn leaves(value: &Value) -> Vec<(Vec<String>, Value)> {
    let mut out = Vec::new();
    texts(value, &mut Vec::new(), &mut out);
    out
}

proptest! {
    #[test]
    fn all_but_the_secrets_stays_as_it_is(value in any_value()) {
        let known = known(&["*.password", "key"]);
        let Ok(hidden) = secrets::hide(&known, &Arc::new(value.clone()), None) else { return Ok(()) };
        let (before, after) = (leaves(&value), leaves(&hidden));
        prop_assert_eq!(before.len(), after.len());
        for ((at, was), (place, is)) in before.into_iter().zip(after) {
            prop_assert_eq!(&at, &place);
            let secret = matches!(&at[..], [_, name] if name == "password") || matches!(&at[..], [name] if name == "key");
            if let Some(plain) = was.as_text().filter(|t| secret && !t.is_empty()) {
                    prop_assert_eq!(is.as_text(), Some(&*format!("{}{plain}", secrets::TYPED)));
                    prop_assert!(is.to_string() == "\"(secret)\"");
            } else {
                prop_assert_eq!(was, is);
            }
        }
        // Hidden again, and shown and typed back, it is the same.
        prop_assert_eq!(&secrets::hide(&known, &hidden, None).unwrap(), &hidden);
        let typed = peerdeck::app::settings::json::parse(&hidden.to_string()).unwrap();
        prop_assert_eq!(&secrets::hide(&known, &Arc::new(typed), Some(&hidden)).unwrap(), &hidden);
    }
}

#[test]
fn marks_in_lists_follow_names_and_never_slip_to_another_item() {
    let known = known(&["*.password"]);
    let item =
        |name: &str, password: &str| Value::table([("name", Value::text(name)), ("password", Value::text(password))]);
    let old = Value::List(vec![item("a", "secret:v1:k:AA"), item("b", "secret:v1:k:BB")]);
    let typed = Arc::new(Value::List(vec![item("b", secrets::MARK)]));
    let hidden = secrets::hide(&known, &typed, Some(&old)).unwrap();
    assert_eq!(*hidden, Value::List(vec![item("b", "secret:v1:k:BB")]));
    let renamed = Arc::new(Value::List(vec![item("c", secrets::MARK), item("b", secrets::MARK)]));
    let why = secrets::hide(&known, &renamed, Some(&old)).unwrap_err();
    assert!(why.as_str().contains("no secret to keep"), "{why}");
    // Without names only where none can have moved.
    let plain = |password: &str| Value::table([("password", Value::text(password))]);
    let old = Value::List(vec![plain("secret:v1:k:AA"), plain("secret:v1:k:BB")]);
    assert!(secrets::hide(&known, &Arc::new(Value::List(vec![plain(secrets::MARK)])), Some(&old)).is_err());
    let both = Arc::new(Value::List(vec![plain(secrets::MARK), plain("new")]));
    let hidden = secrets::hide(&known, &both, Some(&old)).unwrap();
    assert_eq!(*hidden, Value::List(vec![plain("secret:v1:k:AA"), plain("secret:new:new")]));
}

#[test]
fn the_table_names_the_secrets_that_there_are() {
    for (name, path) in [
        ("smtpauthconfig", "*.password"),
        ("ldapconfig", "*.bind-password"),
        ("userconfig", "*.passphrase"),
        ("snmpconfig", "community"),
        ("certconfig", "certificates.*.private-key"),
        ("domainkeysconfig", "keys.*.private-key"),
    ] {
        let known = catalogue().feature(&feature(name)).unwrap().clone();
        assert!(known.secrets.contains(&Path::new(path)), "{name} {path}");
    }
    let wrong = peerdeck::proto::features::catalogue(&[("site", "[x]\ntitle = \"X\"\nsecrets = \"*.password\"\n")]);
    let wrong = wrong.unwrap_err()[0].to_string();
    assert_eq!(wrong, "site:3: `secrets` must be a list of texts, not string");
}
