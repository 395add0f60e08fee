//! VALUE on the command line: JSON, `-` for standard input, `@FILE` for a file.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::Path;
use std::sync::Arc;

use crate::domain::settings::Value;
use crate::proto::settings::from_json;

/// Largest value that is read, in bytes: more than any peer takes in one commit.
const SIZE_MAX: u64 = 16 << 20;

/// Reads a VALUE.
///
/// # Errors
/// When the file or standard input can't be read, or what stands there is no JSON value; in words, with what to type.
pub fn read(word: &str) -> Result<Arc<Value>, String> {
    let value = match word.strip_prefix('@') {
        _ if word == "-" => parse(&standard_input()?).map_err(|why| format!("standard input: {why}"))?,
        Some("") => return Err("@ without a file: write @FILE".into()),
        Some(file) => parse(&from_file(Path::new(file))?).map_err(|why| format!("{file}: {why}"))?,
        None => parse(word)?,
    };
    Ok(Arc::new(value))
}

/// A value from JSON.
///
/// # Errors
/// When it is none; in words, with what was probably meant.
pub fn parse(text: &str) -> Result<Value, String> {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(json) => from_json(&json).map_err(|e| e.to_string()),
        Err(_) if is_bare(text) => {
            // Quoted for a shell, because that is where it was typed.
            let quoted = serde_json::Value::from(text.trim());
            Err(format!("{} is not JSON; a text needs its quotes: '{quoted}'", text.trim()))
        }
        Err(e) => Err(format!("this is not JSON: {e}")),
    }
}

/// A word that somebody forgot to quote, rather than JSON with a slip.
fn is_bare(text: &str) -> bool {
    let text = text.trim();
    !text.is_empty() && !text.contains('\n') && text.chars().count() <= 80 && !text.starts_with(['{', '[', '"'])
}

/// All of standard input.
///
/// # Errors
/// When it can't be read, is too long, is no text, or is a terminal, where nobody knows that he is waited for.
pub fn standard_input() -> Result<String, String> {
    if io::stdin().is_terminal() {
        return Err("standard input is a terminal: pipe the text in, or name a file".into());
    }
    text_of(io::stdin().lock()).map_err(|e| format!("standard input can't be read: {e}"))
}

/// All of a file.
///
/// # Errors
/// When it can't be read, is too long or is no text.
pub fn from_file(file: &Path) -> Result<String, String> {
    let text = File::open(file).and_then(text_of);
    text.map_err(|e| format!("{} can't be read: {e}", file.display()))
}

fn text_of(input: impl Read) -> io::Result<String> {
    let mut text = String::new();
    input.take(SIZE_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > SIZE_MAX {
        return Err(io::Error::other(format!("it is larger than {} MiB", SIZE_MAX >> 20)));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_json_and_a_bare_word_is_told_how_to_be_quoted() {
        let table = Value::table([("example.com", Value::List(vec![Value::text("mx1:25")]))]);
        assert_eq!(parse(r#"{"example.com": ["mx1:25"]}"#), Ok(table));
        assert_eq!(parse("{}"), Ok(Value::table([])));
        assert_eq!(parse(" true\n"), Ok(Value::Bool(true)));
        assert_eq!(parse("25"), Ok(Value::Int(25)));
        assert_eq!(parse(r#""mx1""#), Ok(Value::text("mx1")));
        let bare = parse("mx1.example.com").unwrap_err();
        assert!(bare.contains(r#"'"mx1.example.com"'"#), "{bare}");
        assert!(parse("null").unwrap_err().contains("take the setting back"));
        for slip in ["{\"a\": }", "[1,", "\"x", ""] {
            let why = parse(slip).unwrap_err();
            assert!(why.contains("not JSON") && !why.contains("quotes"), "{slip}: {why}");
        }
        assert!(parse(&format!("{}1{}", "[".repeat(40), "]".repeat(40))).is_err(), "nested too deeply");
        assert!(parse("18446744073709551615").is_err(), "no field can hold it");
    }

    #[test]
    fn a_value_comes_from_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("v.json");
        std::fs::write(&file, "[1, 2]\n").unwrap();
        let word = format!("@{}", file.display());
        assert_eq!(*read(&word).unwrap(), Value::List(vec![Value::Int(1), Value::Int(2)]));
        std::fs::write(&file, "oops").unwrap();
        assert!(read(&word).unwrap_err().contains("v.json: oops is not JSON"));
        assert!(read("@/does/not/exist").unwrap_err().contains("/does/not/exist"));
        assert!(read("@").is_err());
    }
}
