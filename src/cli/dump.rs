//! Screen dumps: files that only their owner may read, never one over another.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ratatui::buffer::Buffer;

use crate::ui::dump;

/// So many dumps of one second can stand beside each other.
const SAME_SECOND_MAX: u32 = 100;

/// Writes the screen into `folder` as text, and beside it (`.ansi`) with its colours; gives the path of the text.
///
/// # Errors
/// When the folder or the files can't be made.
pub fn write(folder: &Path, buf: &Buffer, unix_ms: u64) -> io::Result<PathBuf> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let (path, mut text) = fresh(folder, &stamp(unix_ms))?;
    text.write_all(dump::plain(buf).as_bytes())?;
    create(&path.with_extension("ansi"))?.write_all(dump::coloured(buf).as_bytes())?;
    Ok(path)
}

fn stamp(unix_ms: u64) -> String {
    let at = i64::try_from(unix_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    at.map_or_else(|| unix_ms.to_string(), |at| at.strftime("%Y%m%dT%H%M%SZ").to_string())
}

fn fresh(folder: &Path, stamp: &str) -> io::Result<(PathBuf, File)> {
    let mut taken = io::Error::from(ErrorKind::AlreadyExists);
    for n in 1..=SAME_SECOND_MAX {
        let name = if n == 1 { format!("screen-{stamp}.txt") } else { format!("screen-{stamp}-{n}.txt") };
        let path = folder.join(name);
        match create(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => taken = error,
            Err(error) => return Err(error),
        }
    }
    Err(taken)
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::layout::Rect;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn c15_a_dump_never_stands_over_another_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("dumps");
        let mut buf = Buffer::empty(Rect::new(0, 0, 5, 1));
        buf.set_string(0, 0, "one", ratatui::style::Style::new());
        let one = write(&place, &buf, 1_700_000_000_000).unwrap();
        buf.set_string(0, 0, "two", ratatui::style::Style::new());
        let two = write(&place, &buf, 1_700_000_000_000).unwrap();
        assert_eq!(one.file_name().unwrap(), "screen-20231114T221320Z.txt");
        assert_eq!(std::fs::read_to_string(&one).unwrap(), "one\n");
        assert_eq!(std::fs::read_to_string(&two).unwrap(), "two\n");
        for file in [&one, &two.with_extension("ansi")] {
            assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(std::fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
