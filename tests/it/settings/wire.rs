use std::sync::Arc;

use peerdeck::domain::settings::{Content, Edit, Entry, Key, Value, VersionId};
use peerdeck::proto::settings::{Parsed, WireEdit, WireRegister, from_json, to_json};
use proptest::prelude::*;

use super::made::*;

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        proptest::num::f64::NORMAL.prop_map(Value::Float),
        any::<String>().prop_map(|t| Value::text(&t)),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::List),
            proptest::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|fields| Value::Table(fields.into_iter().map(|(k, v)| (Arc::from(k.as_str()), v)).collect())),
        ]
    })
}

/// Texts that may be values and may be none.
fn odd_json() -> impl Strategy<Value = String> {
    let number = "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,4})?(e[+-]?[0-9]{1,3})?";
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("-0".to_owned()),
        Just(u64::MAX.to_string()),
        Just(r#"{"a":1,"a":"the last one counts"}"#.to_owned()),
        number,
        r#""[a-z\\\\]{0,3}""#,
        (28_usize..36).prop_map(|n| "[".repeat(n) + &"]".repeat(n)),
        (28_usize..36).prop_map(|n| r#"{"a":"#.repeat(n) + "1" + &"}".repeat(n)),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            proptest::collection::vec(inner, 0..4).prop_map(|fields| {
                let fields: Vec<String> = fields.iter().enumerate().map(|(i, v)| format!("\"{i}\":{v}")).collect();
                format!("{{{}}}", fields.join(","))
            }),
        ]
    })
}

fn any_key() -> impl Strategy<Value = Key> {
    let id = "[a-z0-9-]{1,12}";
    prop_oneof![
        Just(Key::ClusterName),
        Just(Key::Addressing),
        id.prop_map(|i| Key::GroupName(i.as_str().into())),
        id.prop_map(|i| Key::GroupDeleted(i.as_str().into())),
        id.prop_map(|i| Key::MachineIdentity(i.as_str().into())),
        id.prop_map(|i| Key::MachineGroup(i.as_str().into())),
        id.prop_map(|i| Key::MachineRemoved(i.as_str().into())),
        (mode(), id).prop_map(|(mode, i)| Key::Feature(mode, i.as_str().into())),
    ]
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn values_come_back_as_they_went(value in any_value()) {
        let text = serde_json::to_string(&to_json(&value)).unwrap();
        prop_assert_eq!(from_json(&serde_json::from_str(&text).unwrap()).unwrap(), value.clone());
        // What people read is JSON too, and means the same.
        let shown = value.to_string();
        prop_assert_eq!(from_json(&serde_json::from_str(&shown).unwrap()).unwrap(), value);
        prop_assert!(!shown.chars().any(char::is_control), "{shown:?}");
    }

    /// A store is read by the short way, a wire by the long one: both read the same and refuse the same.
    #[test]
    fn values_read_straight_from_text_are_the_same(value in any_value(), text in odd_json()) {
        let written = serde_json::to_string(&to_json(&value)).unwrap();
        prop_assert_eq!(serde_json::from_str::<Parsed>(&written).unwrap().0, value);
        let long = serde_json::from_str(&text).ok().and_then(|json| from_json(&json).ok());
        prop_assert_eq!(serde_json::from_str::<Parsed>(&text).ok().map(|p| p.0), long, "{}", text);
    }

    #[test]
    fn keys_come_back_as_they_went(key in any_key()) {
        prop_assert_eq!(key.to_string().parse::<Key>(), Ok(key));
    }

    /// A text is the name of one register or of none.
    #[test]
    fn no_text_is_another_name_of_a_register(text in "\\PC*|(cluster|group|machine|c|g|m|.{0,4})(/.{0,6}){0,3}") {
        if let Ok(key) = text.parse::<Key>() {
            prop_assert_eq!(key.to_string(), text);
        }
    }

    #[test]
    fn registers_come_back_as_they_went(registers in registers()) {
        for (key, versions) in registers {
            let entry = Entry::new(versions);
            let text = serde_json::to_string(&WireRegister::new(&key, entry.as_ref())).unwrap();
            let read: WireRegister = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(read.into_domain().unwrap(), Some((key, entry)));
        }
    }

    #[test]
    fn edits_come_back_as_they_went(edit in any_edit(), key in any_key()) {
        let resolve = Edit::Resolve { key, version: VersionId::new("abc") };
        for edit in [edit, resolve] {
            let text = serde_json::to_string(&WireEdit::from(&edit)).unwrap();
            let read: WireEdit = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(Edit::try_from(&read).unwrap(), edit);
        }
    }
}

#[test]
fn c2_empty_and_absent_look_different() {
    let empty = WireRegister::new(&Key::ClusterName, Some(&entry(1, says(Value::text("")))));
    let absent = WireRegister::new(&Key::ClusterName, Some(&entry(1, Content::Inherits)));
    assert!(serde_json::to_string(&empty).unwrap().contains(r#""value":"""#));
    assert!(!serde_json::to_string(&absent).unwrap().contains("value"));
    assert!(from_json(&serde_json::Value::Null).is_err());
}
