//! Which folders to watch so that no change of a file is missed, and watching them.
//!
//! Editors replace files by renaming others over them, and people keep folders and files as links into a checkout:
//! so the folder is watched and not the file, and beside it every folder in which a link on the way stands.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// Links that are followed on the way to one file.
const LINKS_MAX: usize = 16;

/// A folder, and the name in it that matters; `None`: every name does.
pub type Spot = (PathBuf, Option<OsString>);

/// Everything that decides what `path` reads: itself, the links on the way, what is missing on the way.
#[must_use]
pub fn spots_of(path: &Path) -> BTreeSet<Spot> {
    let mut spots = BTreeSet::new();
    if let Ok(path) = std::path::absolute(path) {
        walk(&path, &mut spots);
    }
    spots
}

/// As [`spots_of`] for a folder and everything in it that ends in `.toml`.
#[must_use]
pub fn spots_of_folder(folder: &Path) -> BTreeSet<Spot> {
    let mut spots = spots_of(folder);
    let Ok(real) = folder.canonicalize() else { return spots };
    for entry in std::fs::read_dir(&real).into_iter().flatten().flatten() {
        if entry.path().extension().is_some_and(|e| e == "toml") {
            spots.append(&mut spots_of(&entry.path()));
        }
    }
    spots.insert((real, None));
    spots
}

fn walk(path: &Path, spots: &mut BTreeSet<Spot>) {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        match next_link(&path, spots) {
            Some(through) => path = through,
            None => return,
        }
    }
}

/// Goes as far as there are real folders; gives the path through the first link, if there is one.
fn next_link(path: &Path, spots: &mut BTreeSet<Spot>) -> Option<PathBuf> {
    let mut at = PathBuf::from("/");
    let mut rest = path.components();
    while let Some(component) = rest.next() {
        match component {
            Component::Normal(name) => {
                let here = at.join(name);
                let spot = (at.clone(), Some(name.to_owned()));
                let Ok(meta) = here.symlink_metadata() else {
                    spots.insert(spot);
                    return None;
                };
                if meta.is_symlink() {
                    spots.insert(spot);
                    let target = std::fs::read_link(&here).ok()?;
                    return Some(at.join(target).join(rest.as_path()));
                }
                if rest.as_path().as_os_str().is_empty() {
                    spots.insert(spot);
                }
                at = here;
            }
            Component::ParentDir => {
                at.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    None
}

#[cfg(target_os = "linux")]
pub use linux::Watch;

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::{BTreeMap, BTreeSet};
    use std::ffi::{OsStr, OsString};
    use std::mem::MaybeUninit;
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
    use std::os::unix::ffi::OsStrExt;

    use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};

    use super::Spot;

    /// Watches folders. Readable when something happened in one of them.
    #[derive(Debug)]
    pub struct Watch {
        fd: OwnedFd,
        names: BTreeMap<i32, BTreeSet<Option<OsString>>>,
        /// Whether each write counts.
        writes: bool,
    }

    impl Watch {
        /// Watches nothing yet.
        ///
        /// # Errors
        /// When the system has no more of these to give.
        pub fn new() -> std::io::Result<Self> {
            let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
            Ok(Self { fd, names: BTreeMap::new(), writes: false })
        }

        /// From now on each write to a file counts, for files that are never closed.
        #[must_use]
        pub fn with_writes(self) -> Self {
            Self { writes: true, ..self }
        }

        /// Watches these spots and no others; whether all of them could be watched.
        pub fn arm(&mut self, spots: &BTreeSet<Spot>) -> bool {
            let mut all = true;
            let flags = WatchFlags::CREATE
                | WatchFlags::MOVED_TO
                | WatchFlags::MOVED_FROM
                | WatchFlags::CLOSE_WRITE
                | WatchFlags::DELETE
                | WatchFlags::ATTRIB
                | WatchFlags::DELETE_SELF
                | WatchFlags::MOVE_SELF
                | WatchFlags::ONLYDIR
                | if self.writes { WatchFlags::MODIFY } else { WatchFlags::empty() };
            let mut names: BTreeMap<i32, BTreeSet<Option<OsString>>> = BTreeMap::new();
            for (folder, name) in spots {
                match inotify::add_watch(&self.fd, folder, flags) {
                    Ok(watch) => {
                        names.entry(watch).or_default().insert(name.clone());
                    }
                    Err(error) => {
                        all = false;
                        tracing::info!("{} can't be watched: {error}", folder.display());
                    }
                }
            }
            for watch in self.names.keys().filter(|w| !names.contains_key(*w)) {
                // One whose folder is gone ended by itself.
                let _ = inotify::remove_watch(&self.fd, *watch);
            }
            self.names = names;
            all
        }

        /// Takes what happened, without waiting: whether any of it matters.
        pub fn drain(&mut self) -> bool {
            let mut buffer = [MaybeUninit::<u8>::uninit(); 8192];
            let mut reader = Reader::new(&self.fd, &mut buffer);
            let mut matters = false;
            while let Ok(event) = reader.next() {
                // Something about the folder itself, or so much that some of it was lost.
                let own = ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::QUEUE_OVERFLOW;
                matters |= event.events().intersects(own);
                let (Some(names), Some(name)) = (self.names.get(&event.wd()), event.file_name()) else { continue };
                matters |=
                    names.contains(&None) || names.contains(&Some(OsStr::from_bytes(name.to_bytes()).to_owned()));
            }
            matters
        }
    }

    impl AsRawFd for Watch {
        fn as_raw_fd(&self) -> RawFd {
            self.fd.as_raw_fd()
        }
    }

    impl AsFd for Watch {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.fd.as_fd()
        }
    }
}
