//! What was typed into the palette, kept for later sessions: a line each, appended, so that two consoles don't
//! take each other's lines away.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::app::palette::HISTORY_MAX;
use crate::domain::text::clean;

/// Longest line that is kept, in characters.
const LINE_MAX: usize = 200;
/// A file with more lines than this is cut back when it is read.
const LINES_MAX: usize = 2 * HISTORY_MAX;
/// No more than this is read of it.
const SIZE_MAX: u64 = 1 << 20;
/// Lines that wait for the disk.
const WAITING: usize = 64;
/// How long the end of the console waits for the disk.
const PATIENCE: Duration = Duration::from_secs(1);

/// The newest lines of `file`, oldest first; none when it can't be read, which is told in the log.
#[must_use]
pub fn load(file: &Path) -> Vec<String> {
    match read(file) {
        Ok(lines) => lines,
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(e) => {
            tracing::warn!("{}: what was typed before can't be read: {e}", file.display());
            Vec::new()
        }
    }
}

fn read(file: &Path) -> io::Result<Vec<String>> {
    let reader = BufReader::new(File::open(file)?.take(SIZE_MAX));
    let mut lines = Vec::new();
    for line in reader.split(b'\n') {
        let line = clean(&String::from_utf8_lossy(&line?), LINE_MAX);
        if !line.trim().is_empty() {
            lines.push(line);
        }
    }
    let many = lines.len() > LINES_MAX;
    lines.drain(..lines.len().saturating_sub(HISTORY_MAX));
    if many {
        // Aside and over it, so that no moment sees half a file.
        let aside = file.with_extension("new");
        let mut out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
        out.write_all((lines.join("\n") + "\n").as_bytes())?;
        fs::rename(&aside, file)?;
    }
    Ok(lines)
}

fn append(file: &Path, line: &str) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut out = OpenOptions::new().append(true).create(true).mode(0o600).open(file)?;
    out.write_all(format!("{}\n", clean(line, LINE_MAX)).as_bytes())
}

/// Writes lines one after the other, off the screen's thread.
pub struct Keeper {
    lines: mpsc::Sender<String>,
    work: JoinHandle<()>,
}

impl Keeper {
    /// Begins to keep lines in `file`.
    #[must_use]
    pub fn start(file: PathBuf) -> Self {
        let (lines, mut waiting) = mpsc::channel::<String>(WAITING);
        let work = tokio::task::spawn_blocking(move || {
            while let Some(line) = waiting.blocking_recv() {
                if let Err(e) = append(&file, &line) {
                    tracing::warn!("{}: what was typed can't be kept: {e}", file.display());
                }
            }
        });
        Self { lines, work }
    }

    /// Where lines go.
    #[must_use]
    pub fn sender(&self) -> mpsc::Sender<String> {
        self.lines.clone()
    }

    /// Waits for what is still to be written; the senders must be gone.
    pub async fn finish(self) {
        drop(self.lines);
        if timeout(PATIENCE, self.work).await.is_err() {
            tracing::warn!("what was typed last was not kept: the disk does not answer");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_kept_and_the_oldest_go() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("state/console-history");
        assert_eq!(load(&file), [] as [String; 0]);
        let keeper = Keeper::start(file.clone());
        let sender = keeper.sender();
        sender.send("theme dark".to_owned()).await.unwrap();
        sender.send("peer lab\u{1b}[31m3".to_owned()).await.unwrap();
        drop(sender);
        keeper.finish().await;
        assert_eq!(load(&file), ["theme dark", "peer lab3"]);
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);

        for n in 0..LINES_MAX {
            append(&file, &format!("view {n}")).unwrap();
        }
        let lines = load(&file);
        assert_eq!((lines.len(), lines.last().unwrap().as_str()), (HISTORY_MAX, "view 399"));
        assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), HISTORY_MAX, "cut back");
        fs::write(&file, [0xff, b'\n', b'x']).unwrap();
        assert_eq!(load(&file).last().unwrap(), "x");
    }
}
