//! Which file is meant, and whether it may be read at all.

use std::path::{Path, PathBuf};

use super::fleet::Fleet;
use super::problem::{Invalid, did_you_mean};
use super::settings::Via;

/// The file beside the fleet files that is none.
const KEYMAP: &str = "keys.toml";

/// Largest file that is read, in bytes.
const SIZE_MAX: u64 = 4 * 1024 * 1024;

/// The folders that peerdeck uses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Paths {
    /// The user's home.
    pub home: PathBuf,
    /// Fleet files: `$XDG_CONFIG_HOME/peerdeck` or `~/.config/peerdeck`.
    pub config: PathBuf,
    /// What peerdeck itself keeps, accepted host keys and the lab among it: `$XDG_STATE_HOME/peerdeck` or `~/.local/state/peerdeck`.
    pub state: PathBuf,
}

impl Paths {
    /// From the environment.
    ///
    /// # Errors
    /// When there is no home folder.
    pub fn from_env() -> Result<Self, Invalid> {
        let home = etcetera::home_dir()
            .map_err(|e| Invalid::file("$HOME", format!("no home folder is known ({e}): set HOME")))?;
        let xdg = |variable: &str, preset: &str| {
            let set = std::env::var_os(variable).map(PathBuf::from).filter(|p| p.is_absolute());
            set.unwrap_or_else(|| home.join(preset)).join("peerdeck")
        };
        let (config, state) = (xdg("XDG_CONFIG_HOME", ".config"), xdg("XDG_STATE_HOME", ".local/state"));
        Ok(Self { home, config, state })
    }

    /// The fleet file that is taken when none is named.
    #[must_use]
    pub fn default_fleet(&self) -> PathBuf {
        self.named_fleet("fleet")
    }

    /// The fleet file of this name.
    #[must_use]
    pub fn named_fleet(&self, name: &str) -> PathBuf {
        self.config.join(format!("{name}.toml"))
    }

    /// The user's keymap.
    #[must_use]
    pub fn keymap(&self) -> PathBuf {
        self.config.join(KEYMAP)
    }

    /// The folder of the user's themes.
    #[must_use]
    pub fn themes(&self) -> PathBuf {
        self.config.join("themes")
    }

    /// Host keys that a person has accepted in peerdeck.
    #[must_use]
    pub fn known_hosts(&self) -> PathBuf {
        self.state.join("known_hosts")
    }

    /// `OpenSSH`'s settings of the user.
    #[must_use]
    pub fn ssh_config(&self) -> PathBuf {
        self.home.join(".ssh/config")
    }

    /// Host keys that `OpenSSH` knows.
    #[must_use]
    pub fn ssh_known_hosts(&self) -> PathBuf {
        self.home.join(".ssh/known_hosts")
    }
}

/// What `--fleet` means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Choice {
    /// Nothing was said.
    Default,
    /// A file.
    File(PathBuf),
    /// A name in our configuration folder.
    Name(String),
    /// One peer, which tells its fellows.
    Target(Via),
}

impl Choice {
    /// Reads `FILE|NAME|user@host[:port]`: what has a slash or ends in `.toml` is a file, what has an `@` a peer.
    ///
    /// # Errors
    /// In words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let is_file = text.contains('/') || Path::new(text).extension().is_some_and(|e| e.eq_ignore_ascii_case("toml"));
        if is_file {
            return Ok(Self::File(text.into()));
        }
        if text.contains('@') {
            return Via::parse(text).map(Self::Target);
        }
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        if text.is_empty() || text.starts_with('.') || !text.chars().all(plain) {
            return Err(format!("\"{text}\" is neither a file, a name nor user@host"));
        }
        Ok(Self::Name(text.to_owned()))
    }

    /// The fleet; `None` only when nothing was said and there is no default file.
    ///
    /// # Errors
    /// When a named file is missing, may not be read, or is wrong.
    pub fn load(&self, paths: &Paths) -> Result<Option<Fleet>, Invalid> {
        match self {
            Self::Default => {
                let file = paths.default_fleet();
                // A file that is there and can't be looked at must not count as absent.
                match file.symlink_metadata() {
                    Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
                    Ok(_) | Err(_) => fleet(&file, paths).map(Some),
                }
            }
            Self::File(file) => fleet(file, paths).map(Some),
            Self::Name(name) => {
                let file = paths.named_fleet(name);
                if file.symlink_metadata().is_err() {
                    let names = names(paths);
                    let hint = did_you_mean(name, names.iter().map(String::as_str));
                    let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                    return Err(Invalid::file(
                        file,
                        format!("there is no fleet \"{name}\"{hint} (fleets here: {there})"),
                    ));
                }
                fleet(&file, paths).map(Some)
            }
            Self::Target(target) => Ok(Some(Fleet::of_target(target))),
        }
    }
}

fn fleet(file: &Path, paths: &Paths) -> Result<Fleet, Invalid> {
    let text = read(file)?;
    Fleet::parse(file, &text, &paths.home)
}

/// The names of the fleets in the configuration folder.
#[must_use]
pub fn names(paths: &Paths) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(&paths.config) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .filter_map(|e| e.ok()?.file_name().into_string().ok())
        .filter(|name| name != KEYMAP)
        .filter_map(|name| name.strip_suffix(".toml").map(str::to_owned))
        .collect();
    names.sort();
    names
}

/// Reads a file that only its owner (or root) may write.
///
/// # Errors
/// When it can't be read, is too long, not a file, or somebody else could have written it.
pub fn read(file: &Path) -> Result<String, Invalid> {
    use std::io::Read;
    use std::os::unix::fs::MetadataExt;

    let bad = |what: String| Invalid::file(file, what);
    let unreadable = |e: std::io::Error| bad(format!("can't be read: {e}"));
    let handle = std::fs::File::open(file).map_err(unreadable)?;
    // Of the open file, so that nobody swaps it in between.
    let meta = handle.metadata().map_err(unreadable)?;
    if !meta.is_file() {
        return Err(bad("is not a file".into()));
    }
    let me = rustix::process::geteuid().as_raw();
    if meta.uid() != me && meta.uid() != 0 {
        return Err(bad(format!("belongs to user {}: it must belong to you or to root", meta.uid())));
    }
    if meta.mode() & 0o022 != 0 {
        let name = file.display();
        return Err(bad(format!("others may write it (mode {:o}): chmod go-w {name}", meta.mode() & 0o777)));
    }
    if meta.len() > SIZE_MAX {
        return Err(bad(format!("is larger than {} MiB", SIZE_MAX / 1024 / 1024)));
    }
    let mut text = String::new();
    handle.take(SIZE_MAX).read_to_string(&mut text).map_err(unreadable)?;
    Ok(text)
}

/// `~` is the home; what does not begin at the root begins at `folder`.
#[must_use]
pub fn expand(text: &str, home: &Path, folder: &Path) -> PathBuf {
    if text == "~" {
        return home.to_owned();
    }
    match text.strip_prefix("~/") {
        Some(rest) => home.join(rest),
        None => folder.join(text),
    }
}
