//! A value lent to the person's editor, in a file that nobody else can read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Console, Next};
use crate::app::Msg;
use crate::domain::settings::ModeId;
use crate::domain::{FeatureName, Line};
use crate::term::Signals;
use crate::term::child::{self, Ended};

/// Longest text that is taken back, in bytes.
const TEXT_MAX: u64 = 1 << 20;

/// What is run where neither `VISUAL` nor `EDITOR` says anything.
const EDITOR: &str = "vi";

/// Files of this process, counted.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// What is being edited.
#[derive(Debug)]
pub(super) struct Editing {
    /// Of which cluster, by its id.
    pub cluster: Line,
    /// At which mode.
    pub mode: ModeId,
    /// Of which feature.
    pub feature: FeatureName,
    /// What it says before.
    pub text: String,
}

/// A file that is gone when this is.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "the file of an edited value stays behind");
        }
    }
}

impl Scratch {
    /// A new file with `text`, for this user only.
    fn new(folder: &Path, text: &str) -> io::Result<Self> {
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("peerdeck-{}-{n}.json", std::process::id()));
        // Never one that is there already: somebody else may have put it, or a link, in the way.
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let scratch = Self(path);
        file.write_all(text.as_bytes())?;
        Ok(scratch)
    }

    fn read(&self) -> Result<String, String> {
        let mut text = String::new();
        // By name: editors put a new file in its place.
        let file = File::open(&self.0).map_err(|e| format!("the edited file can't be read: {e}"))?;
        let read = file.take(TEXT_MAX + 1).read_to_string(&mut text);
        read.map_err(|e| format!("the edited file can't be read: {e}"))?;
        if text.len() as u64 > TEXT_MAX {
            return Err(format!("the edited text is longer than {TEXT_MAX} bytes; nothing is staged"));
        }
        Ok(text)
    }
}

/// The editor as the person's shell would run it: its words may hold options.
fn command(editor: &str, path: &Path) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{editor} \"$@\"")).arg("sh").arg(path);
    command
}

fn wanted() -> String {
    let named = |name: &str| std::env::var(name).ok().filter(|text| !text.trim().is_empty());
    named("VISUAL").or_else(|| named("EDITOR")).unwrap_or_else(|| EDITOR.to_owned())
}

impl Console<'_> {
    /// Lends the terminal to the editor until that ends.
    pub(super) async fn lend_to_editor(&mut self, editing: Editing, signals: &mut Signals) -> io::Result<Next> {
        let Editing { cluster, mode, feature, text: before } = editing;
        let editor = wanted();
        let text = match Scratch::new(&std::env::temp_dir(), &before) {
            Err(error) => Err(format!("no file for the editor in {}: {error}", std::env::temp_dir().display())),
            Ok(scratch) => {
                self.guard.give_back();
                let ended = child::run(command(&editor, &scratch.0), signals).await;
                let text = match ended {
                    Ok(Ended::Code(0)) => scratch.read().map(|text| (text != before).then_some(text)),
                    Ok(Ended::Code(code)) => {
                        Err(format!("the editor `{editor}` ended with exit code {code}; nothing is staged"))
                    }
                    Ok(Ended::Signal(n)) => {
                        Err(format!("the editor `{editor}` was ended by signal {n}; nothing is staged"))
                    }
                    Ok(Ended::Told(_)) => return Ok(Next::End),
                    Err(error) => Err(format!("the editor `{editor}` can't be run: {error}")),
                };
                self.take_back()?;
                text
            }
        };
        let next = self.update(Msg::Edited { cluster, mode, feature, text })?;
        self.draw()?;
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_file_is_for_nobody_else_and_goes_away() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(folder.path(), "{}\n").unwrap();
        let path = scratch.0.clone();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let ran = command("sed -i s/{}/[1]/", &path).status().unwrap();
        assert!(ran.success(), "an editor with options");
        assert_eq!(scratch.read(), Ok("[1]\n".to_owned()));
        drop(scratch);
        assert!(!path.exists());
    }

    #[test]
    fn what_stands_in_the_way_is_never_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let n = COUNT.load(Ordering::Relaxed);
        for n in n..n + 8 {
            fs::write(folder.path().join(format!("peerdeck-{}-{n}.json", std::process::id())), "mine").unwrap();
        }
        assert!(Scratch::new(folder.path(), "{}").is_err());
    }
}
