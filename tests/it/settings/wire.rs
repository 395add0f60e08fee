use std::sync::Arc;

use peerdeck::domain::settings::{Content, Edit, Entry, Key, Value, VersionId};
use peerdeck::proto::settings::{WireEdit, WireRegister, from_json, to_json};
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
