//! Lines into a file: one write and a sync for each delivery, rotated by size, reopened when it was moved away.

use std::fs;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::{Delivery, Failure, Sink, Telling, within};

/// How long writing and syncing may take.
const DEADLINE: Duration = Duration::from_secs(15);

/// Notices in one write.
const BATCH: usize = 500;

/// See [`super::Spec::File`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileSpec {
    /// Where.
    pub path: PathBuf,
    /// Lines of JSON; else of text.
    pub json: bool,
    /// It is rotated before it becomes larger, in bytes.
    pub max_bytes: u64,
    /// So many rotated files are kept, beside the newest: `path.1` is the youngest of them.
    pub keep: u32,
}

impl FileSpec {
    /// JSON, 16 MiB, 5 rotated files.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, json: true, max_bytes: 16 << 20, keep: 5 }
    }
}

pub(super) struct File {
    spec: FileSpec,
    /// A write that has not come back: of a disk that hangs, only one is started.
    writing: Option<JoinHandle<io::Result<()>>>,
}

impl File {
    pub(super) fn new(spec: FileSpec) -> Self {
        Self { spec, writing: None }
    }

    async fn append(&mut self, tellings: &[Telling]) -> Result<(), Failure> {
        let doing = format!("writing to {}", self.spec.path.display());
        if self.writing.as_ref().is_some_and(|w| !w.is_finished()) {
            return Err(Failure::later(format!("{doing}: an earlier write still hangs")));
        }
        let mut lines = String::new();
        for telling in tellings {
            lines.push_str(if self.spec.json { &telling.json } else { &telling.text });
            lines.push('\n');
        }
        let spec = self.spec.clone();
        let writing = self.writing.insert(tokio::task::spawn_blocking(move || put(&spec, lines.as_bytes())));
        within(DEADLINE, &doing, async {
            match writing.await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(e)) => Err(Failure::later(format!("{doing}: {e}"))),
                Err(e) => Err(Failure::later(format!("{doing}: {e}"))),
            }
        })
        .await
    }
}

impl Sink for File {
    fn batch(&self) -> usize {
        BATCH
    }

    fn deliver<'a>(&'a mut self, tellings: &'a [Telling]) -> Delivery<'a> {
        Box::pin(self.append(tellings))
    }
}

/// Appends `lines`, all of them or none, and returns once they are on the disk. The file is opened anew each time: it
/// may have been moved away.
fn put(spec: &FileSpec, lines: &[u8]) -> io::Result<()> {
    let mut file = open(&spec.path)?;
    let mut length = file.metadata()?.len();
    if length > 0 && length + lines.len() as u64 > spec.max_bytes {
        rotate(spec)?;
        file = open(&spec.path)?;
        length = file.metadata()?.len();
    }
    let torn = length > 0 && last_byte(&mut file)? != b'\n';
    let mut bytes = Vec::with_capacity(lines.len() + 1);
    if torn {
        // A crash or a full disk left half a line; it must not swallow the next one.
        bytes.push(b'\n');
    }
    bytes.extend_from_slice(lines);
    if let Err(e) = file.write_all(&bytes) {
        file.set_len(length)?;
        return Err(e);
    }
    file.sync_data()?;
    if length == 0 { sync_folder(&spec.path) } else { Ok(()) }
}

fn open(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    // Without waiting: a pipe that nobody reads must not hang the thread.
    let file = options.read(true).append(true).create(true).mode(0o640).custom_flags(nonblock).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))
    }
}

fn last_byte(file: &mut fs::File) -> io::Result<u8> {
    let mut byte = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut byte)?;
    Ok(byte[0])
}

/// `path` becomes `path.1`, `path.1` becomes `path.2` and so on; the oldest goes.
fn rotate(spec: &FileSpec) -> io::Result<()> {
    let numbered = |n: u32| {
        let mut name = spec.path.clone().into_os_string();
        name.push(format!(".{n}"));
        PathBuf::from(name)
    };
    if spec.keep == 0 {
        return fs::remove_file(&spec.path);
    }
    for n in (1..spec.keep).rev() {
        match fs::rename(numbered(n), numbered(n + 1)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            Ok(()) | Err(_) => {}
        }
    }
    fs::rename(&spec.path, numbered(1))
}

/// So that the name of a new file survives a crash too.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(folder)?.sync_all()
}
