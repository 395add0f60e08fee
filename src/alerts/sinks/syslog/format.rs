//! One message in the form of RFC 5424.

use std::sync::Arc;

use crate::alerts::sinks::Telling;
use crate::alerts::sinks::fields::{cut, fields, level, rfc3339};

/// The name of our structured data: 32473 is the enterprise number for documentation (RFC 5612).
const DATA: &str = "peerdeck@32473";

/// Longest value in the structured data, in bytes.
const VALUE_MAX: usize = 1_000;

/// `telling` as a message of at most `max` bytes: the text at its end is cut.
pub(super) fn message(telling: &Telling, watcher: &Arc<str>, facility: u8, max: usize) -> Vec<u8> {
    let notice = &telling.notice;
    let finding = &notice.alert.seen.finding;
    let mut out = format!(
        "<{}>1 {} {} peerdeck {} {} ",
        u16::from(facility) * 8 + u16::from(level(notice)),
        rfc3339(notice.at),
        name(watcher, 255),
        std::process::id(),
        name(finding.kind.as_str(), 32),
    );
    let mut data = format!("[{DATA}");
    let advice = ("advice", finding.advice.to_string());
    for (name, value) in fields(telling, watcher).into_iter().chain([advice]) {
        if !value.is_empty() {
            data.push_str(&param(name, cut(&value, VALUE_MAX)));
        }
    }
    data.push_str("] ");
    // Never so with what a finding may hold; half of it would be no message at all.
    out.push_str(if out.len() + data.len() <= max { &data } else { "- " });
    let room = max.saturating_sub(out.len());
    out.push_str(cut(&telling.text, room));
    out.into_bytes()
}

/// ` name="value"`, with what would end the value escaped.
fn param(name: &str, value: &str) -> String {
    let mut out = format!(" {name}=\"");
    for c in value.chars() {
        if matches!(c, '"' | '\\' | ']') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

/// What may stand in a field of the head: printable ASCII without spaces; `-` where nothing is left.
fn name(text: &str, max: usize) -> String {
    let name: String = text.chars().filter(char::is_ascii_graphic).take(max).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{name, param};

    /// Reads ` name="value"...]` as the RFC says.
    fn read(text: &str) -> (Vec<(String, String)>, String) {
        let mut out = Vec::new();
        let mut rest = text;
        while let Some(after) = rest.strip_prefix(' ') {
            let (name, after) = after.split_once("=\"").unwrap();
            let mut value = String::new();
            let mut chars = after.char_indices();
            let end = loop {
                match chars.next().unwrap() {
                    (i, '"') => break i + 1,
                    (_, '\\') => value.push(chars.next().unwrap().1),
                    (_, ']') => panic!("the element ends within a value"),
                    (_, c) => value.push(c),
                }
            };
            out.push((name.to_owned(), value));
            rest = &after[end..];
        }
        (out, rest.to_owned())
    }

    proptest! {
        #[test]
        fn b5_no_value_can_end_its_element(values in prop::collection::vec("[\"\\\\\\] =a-zé]{0,30}|\\PC{0,30}", 0..5)) {
            let mut text = String::new();
            for value in &values {
                text.push_str(&param("n", value));
            }
            text.push_str("] end");
            let (read, rest) = read(&text);
            prop_assert_eq!(read.into_iter().map(|(_, v)| v).collect::<Vec<_>>(), values);
            prop_assert_eq!(rest, "] end");
        }

        #[test]
        fn b5_a_name_in_the_head_is_one_word(text in "\\PC{0,300}|[ -~]{0,300}") {
            let name = name(&text, 255);
            prop_assert!(!name.is_empty() && name.len() <= 255 && name.bytes().all(|b| b.is_ascii_graphic()));
        }
    }
}
