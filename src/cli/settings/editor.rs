//! A value in the person's own editor: a text in a folder that nobody else can read, read back until it is right.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::apply::from_toml;
use super::value;
use crate::domain::settings::Value;
use crate::report::settings::json;

/// In which language a value is edited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Language {
    /// Any value.
    Json,
    /// Tables.
    Toml,
}

/// What came of it.
#[derive(Debug)]
pub enum Edited {
    /// Nothing was changed.
    Unchanged,
    /// This value; the text is kept as long as it may be needed again.
    Value(Arc<Value>, Kept),
}

/// The text of a value that was edited.
#[derive(Debug)]
pub struct Kept {
    folder: Folder,
    file: PathBuf,
}

impl Kept {
    /// Leaves the value as JSON for another try; where.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn keep(mut self, value: &Value) -> io::Result<PathBuf> {
        let file = self.file.with_extension("json");
        write(&file, &Language::Json.write(value).map_err(io::Error::other)?)?;
        self.folder.kept = true;
        Ok(file)
    }
}

impl Language {
    fn write(self, value: &Value) -> Result<String, String> {
        let text = match self {
            Self::Json => serde_json::to_string_pretty(&json(value)).map_err(|e| e.to_string()),
            Self::Toml => match value {
                Value::Table(_) => toml::to_string_pretty(&json(value)).map_err(|e| e.to_string()),
                Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::List(_) => {
                    Err("only a table can be edited as TOML: leave --toml out".into())
                }
            },
        };
        text.map(|t| t.trim_end().to_owned() + "\n")
    }

    fn read(self, text: &str) -> Result<Value, String> {
        match self {
            Self::Json => {
                // A line that begins with # is ours; within JSON no line can.
                let body: Vec<&str> = text.lines().filter(|l| !l.trim_start().starts_with('#')).collect();
                value::parse(&body.join("\n"))
            }
            Self::Toml => {
                let root = DeTable::parse(text).map_err(|e| e.to_string().trim().replace('\n', "\n# "))?;
                from_toml(&DeValue::Table(root.into_inner()))
            }
        }
    }

    fn extension(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Toml => "toml",
        }
    }
}

/// What a person edits.
pub struct Text<'a> {
    /// Names the file.
    pub name: &'a str,
    /// Its language.
    pub language: Language,
    /// Lines above it, for the reader.
    pub about: Vec<String>,
    /// What stands there now; `None`: nothing.
    pub value: Option<&'a Value>,
}

/// Opens the editor until what is written is a value that `accept` takes, or nothing was changed.
///
/// # Errors
/// When there is no editor, it fails, or a text with a mistake is left as it is; in words, with the place where the text
/// is kept.
pub async fn edit(text: Text<'_>, accept: impl Fn(&Arc<Value>) -> Result<(), String>) -> Result<Edited, String> {
    edit_with(&chosen()?, text, accept).await
}

async fn edit_with(
    editor: &OsString,
    text: Text<'_>,
    accept: impl Fn(&Arc<Value>) -> Result<(), String>,
) -> Result<Edited, String> {
    let blank = Value::table([]);
    let begin = text.language.write(text.value.unwrap_or(&blank))?;
    let mut folder = Folder::new().map_err(|e| format!("there is no place for a file to edit: {e}"))?;
    let file = folder.path.join(format!("{}.{}", safe(text.name), text.language.extension()));
    let (mut body, mut wrong) = (begin.clone(), None::<String>);
    loop {
        let shown = above(&text.about, wrong.as_deref()) + &body;
        write(&file, &shown).map_err(|e| format!("{} can't be written: {e}", file.display()))?;
        let mut keep = |why: String| {
            folder.kept = true;
            format!("{why}; nothing was sent, what you wrote is kept in {}", file.display())
        };
        run(editor, &file).await.map_err(&mut keep)?;
        let read = fs::read_to_string(&file).map_err(|e| format!("{} can't be read: {e}", file.display()))?;
        let own = without(&read, &text.about, wrong.as_deref());
        if wrong.is_none() && own == begin {
            return Ok(Edited::Unchanged);
        }
        if let Some(why) = wrong.as_ref().filter(|_| own == body) {
            return Err(keep(format!("left as it was, with a mistake in it: {why}")));
        }
        let accepted = text.language.read(&own).map(Arc::new).and_then(|v| accept(&v).map(|()| v));
        match accepted {
            Ok(value) if text.value == Some(&*value) => return Ok(Edited::Unchanged),
            Ok(value) => return Ok(Edited::Value(value, Kept { folder, file })),
            Err(why) => {
                body = own;
                wrong = Some(why);
            }
        }
    }
}

/// The lines above the text. Every line of a mistake begins with `#`.
fn above(about: &[String], wrong: Option<&str>) -> String {
    let mut out = String::new();
    for line in
        about.iter().map(String::as_str).chain(wrong.iter().flat_map(|w| w.lines()).map(|l| l.trim_start_matches("# ")))
    {
        out.push_str("# ");
        out.push_str(line);
        out.push('\n');
    }
    out
}

/// The text without the lines that stand above it.
fn without(read: &str, about: &[String], wrong: Option<&str>) -> String {
    let above = above(about, wrong);
    let mut left = read;
    for line in above.lines() {
        // Whoever has deleted some of them may do so.
        if let Some(rest) = left.strip_prefix(line).and_then(|rest| rest.strip_prefix('\n')) {
            left = rest;
        }
    }
    left.to_owned()
}

/// The person's editor: `VISUAL`, `EDITOR`, or vi.
fn chosen() -> Result<OsString, String> {
    let set = |name| std::env::var_os(name).filter(|v| !v.is_empty());
    let named = set("VISUAL").or_else(|| set("EDITOR"));
    named.or_else(|| io::IsTerminal::is_terminal(&io::stdin()).then(|| "vi".into())).ok_or_else(|| {
        "no editor is named, and there is no terminal for vi: set EDITOR, or use `peerdeck set MODE FEATURE @FILE`"
            .into()
    })
}

/// As other programs do it: by the shell, so that `EDITOR` may hold options.
async fn run(editor: &OsString, file: &Path) -> Result<(), String> {
    let mut script = editor.clone();
    script.push(" \"$@\"");
    let status = tokio::process::Command::new("sh").arg("-c").arg(script).arg(editor).arg(file).status().await;
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("the editor {} ended with {status}", editor.to_string_lossy())),
        Err(e) => Err(format!("the editor {} can't be started: {e}", editor.to_string_lossy())),
    }
}

fn write(file: &Path, text: &str) -> io::Result<()> {
    let mut out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file)?;
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Letters, digits and dashes: a peer's name for a feature is no path.
fn safe(name: &str) -> String {
    let safe: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(60).collect();
    if safe.is_empty() { "value".to_owned() } else { safe }
}

/// A folder of our own, because editors put their copies beside the file; taken away at the end, unless it is kept.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    kept: bool,
}

impl Folder {
    fn new() -> io::Result<Self> {
        let base = std::env::var_os("XDG_RUNTIME_DIR").filter(|d| Path::new(d).is_dir());
        let base = base.map_or_else(std::env::temp_dir, PathBuf::from);
        let path = base.join(format!("peerdeck-{:016x}", rand::random::<u64>()));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self { path, kept: false })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.kept {
            // What can't be deleted stays: nobody else can read it.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back_as_it_went_out_in_both_languages() {
        let value = Value::table([
            ("example.com", Value::List(vec![Value::text("mx1:25"), Value::Int(3)])),
            ("on", Value::Bool(true)),
            ("deep", Value::table([("x", Value::text("#no comment"))])),
        ]);
        for language in [Language::Json, Language::Toml] {
            let text = language.write(&value).unwrap();
            let shown = above(&["about".into()], Some("it is\nwrong")) + &text;
            assert!(shown.starts_with("# about\n# it is\n# wrong\n"), "{shown}");
            assert_eq!(language.read(&shown), Ok(value.clone()), "{shown}");
            assert_eq!(without(&shown, &["about".into()], Some("it is\nwrong")), text);
        }
        assert!(Language::Toml.write(&Value::List(vec![])).is_err());
        assert!(Language::Toml.read("a = [1,\n").is_err() && Language::Json.read("{").is_err());
    }

    /// An editor that is a shell script; `$1` is the file.
    fn editor(dir: &Path, script: &str) -> OsString {
        let file = dir.join("editor");
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        file.into_os_string()
    }

    fn with(
        editor: &OsString,
        now: Option<&Value>,
        accept: impl Fn(&Arc<Value>) -> Result<(), String>,
    ) -> Result<Edited, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let text = Text { name: "smtproutes", language: Language::Json, about: vec!["about".into()], value: now };
        runtime.block_on(edit_with(editor, text, accept))
    }

    #[test]
    fn a_mistake_is_told_above_the_text_and_the_editor_opens_again() {
        let dir = tempfile::tempdir().unwrap();
        let seen = dir.path().join("seen");
        // Round by round: no JSON, a value that is refused, one that is taken.
        let script = format!(
            "cat \"$1\" >> {0}; ls -l \"$1\" >> {0}; n=$(grep -c about {0})\n\
             case $n in 1) echo '{{\"a\": }}' ;; 2) echo '{{\"a\": 1}}' ;; *) echo '{{\"a\": 2}}' ;; esac > \"$1\"",
            seen.display()
        );
        let accept = |v: &Arc<Value>| match v.field("a") {
            Some(Value::Int(1)) => Err("one is not allowed".to_owned()),
            _ => Ok(()),
        };
        let Ok(Edited::Value(value, kept)) = with(&editor(dir.path(), &script), None, accept) else { panic!() };
        assert_eq!(*value, Value::table([("a", Value::Int(2))]));
        let seen = fs::read_to_string(&seen).unwrap();
        for says in ["# this is not JSON", "# one is not allowed", "{\"a\": }", "{\"a\": 1}", "-rw-------"] {
            assert!(seen.contains(says), "{says}: {seen}");
        }
        let folder = kept.folder.path.clone();
        let file = kept.keep(&value).unwrap();
        assert_eq!(value::read(&format!("@{}", file.display())).unwrap(), value, "for another try");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn unchanged_is_nothing_and_what_fails_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let now = Value::table([("a", Value::Int(1))]);
        let all = |_: &Arc<Value>| Ok(());
        for script in ["exit 0", "echo '{ \"a\":1 }' > \"$1\""] {
            let edited = with(&editor(dir.path(), script), Some(&now), all);
            assert!(matches!(edited, Ok(Edited::Unchanged)), "{script}: {edited:?}");
        }
        for (script, says) in [
            ("echo x > \"$1\"; exit 3", "ended with"),
            ("grep -q '# x is' \"$1\" || echo x > \"$1\"", "left as it was"),
        ] {
            let why = with(&editor(dir.path(), script), Some(&now), all).unwrap_err();
            assert!(why.contains(says) && why.contains("nothing was sent"), "{why}");
            let file = PathBuf::from(why.split("kept in ").nth(1).unwrap().trim());
            assert!(fs::read_to_string(&file).unwrap().contains('x'), "{why}");
            fs::remove_dir_all(file.parent().unwrap()).unwrap();
        }
    }

    #[test]
    fn the_folder_is_ones_own_and_goes() {
        let folder = Folder::new().unwrap();
        let path = folder.path.clone();
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o700);
        drop(folder);
        assert!(!path.exists());
        assert_eq!(safe("../../etc/passwd"), "etcpasswd");
        assert_eq!(safe("/"), "value");
    }
}
