//! A small reader of `~/.ssh/config`: what the fleet file leaves open.
//!
//! Read: `Host` (patterns, negation), `HostName`, `User`, `Port`, `IdentityFile`, `ProxyJump`, `Include`. The first
//! value wins, as with `ssh`. `Match` blocks are skipped, and a note says so.

use std::path::{Path, PathBuf};

use super::auth::home_path;
use super::known_hosts::glob;
use crate::domain::text::clean;

/// How deep files may include each other.
const INCLUDE_DEPTH: usize = 8;

/// The most lines of all files together.
const LINES_MAX: usize = 50_000;

/// The files, read once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SshConfig {
    lines: Vec<Line>,
    notes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    /// All of them must match: a file that is included within a `Host` block adds its own.
    blocks: Vec<Block>,
    keyword: String,
    value: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Block {
    Host(Vec<String>),
    /// `Match`: conditions that are not read.
    Never,
}

/// What the files say of one host; tokens are expanded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostSettings {
    /// The name or address to dial.
    pub host_name: Option<String>,
    /// User name.
    pub user: Option<String>,
    /// Port.
    pub port: Option<u16>,
    /// Key files, in order.
    pub identity_files: Vec<PathBuf>,
    /// Jump host, the nearest one first; `none` is no entry.
    pub proxy_jump: Vec<Jump>,
}

/// One hop of `ProxyJump`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jump {
    /// User name, if it is given.
    pub user: Option<String>,
    /// Host.
    pub host: String,
    /// Port, if it is given.
    pub port: Option<u16>,
}

impl SshConfig {
    /// Reads `path` and what it includes. A file that does not exist is an empty one; anything else that
    /// could not be read is among the [`Self::notes`].
    #[must_use]
    pub fn load(path: &Path) -> Self {
        let mut config = Self::default();
        config.include(path, &[], 0);
        config
    }

    /// Reads `text`; files that it includes are looked for in `directory`.
    #[must_use]
    pub fn parse(text: &str, directory: &Path) -> Self {
        let mut config = Self::default();
        config.read(text, &directory.join("config"), &[], 0);
        config
    }

    /// What was skipped, and why.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// What holds for `host`, as the fleet file or the command line names it.
    #[must_use]
    pub fn host(&self, host: &str) -> HostSettings {
        let mut found = HostSettings::default();
        let mut files = Vec::new();
        let mut jump_said = false;
        for line in self.lines.iter().filter(|l| l.blocks.iter().all(|b| b.matches(host))) {
            let value = line.value.as_str();
            match line.keyword.as_str() {
                "hostname" if found.host_name.is_none() => found.host_name = Some(value.to_owned()),
                "user" if found.user.is_none() => found.user = Some(value.to_owned()),
                "port" if found.port.is_none() => found.port = value.parse().ok(),
                "identityfile" => files.push(value.to_owned()),
                "proxyjump" if !jump_said => {
                    jump_said = true;
                    found.proxy_jump = jumps(value);
                }
                _ => {} // A later value of the same keyword.
            }
        }
        let port = found.port.unwrap_or(22);
        if let Some(name) = found.host_name.take() {
            found.host_name = Some(expand(&name, host, host, port, found.user.as_deref()));
        }
        let target = found.host_name.as_deref().unwrap_or(host);
        found.identity_files = files
            .iter()
            .filter(|f| !f.eq_ignore_ascii_case("none"))
            .map(|f| home_path(&expand(f, target, host, port, found.user.as_deref())))
            .collect();
        found
    }

    fn include(&mut self, path: &Path, blocks: &[Block], depth: usize) {
        if depth > INCLUDE_DEPTH {
            self.notes.push(format!("{}: included too deeply, skipped", path.display()));
            return;
        }
        match std::fs::read_to_string(path) {
            Ok(text) => self.read(&text, path, blocks, depth),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => self.notes.push(format!("{}: can't be read: {e}", path.display())),
        }
    }

    fn read(&mut self, text: &str, path: &Path, outer: &[Block], depth: usize) {
        let mut blocks = outer.to_vec();
        for (n, line) in text.lines().enumerate() {
            let Some((keyword, value)) = split(line) else { continue };
            let place = || format!("{}:{}", path.display(), n + 1);
            if self.lines.len() >= LINES_MAX {
                self.notes.push(format!("{}: more than {LINES_MAX} lines, the rest is skipped", place()));
                return;
            }
            match keyword.as_str() {
                "host" => {
                    blocks.truncate(outer.len());
                    blocks.push(Block::Host(words(value)));
                }
                "match" => {
                    blocks.truncate(outer.len());
                    if value.trim().eq_ignore_ascii_case("all") {
                        blocks.push(Block::Host(vec!["*".into()]));
                    } else {
                        self.notes.push(format!("{}: Match blocks are not read by peerdeck", place()));
                        blocks.push(Block::Never);
                    }
                }
                "include" => {
                    for pattern in words(value) {
                        for file in included(&pattern, path) {
                            self.include(&file, &blocks, depth + 1);
                        }
                    }
                }
                "port" if value.parse::<u16>().is_err() => {
                    self.notes.push(format!("{}: `{}` is no port", place(), clean(value, 40)));
                }
                // Some people write spaces after the commas.
                "proxyjump" => {
                    self.lines.push(Line { blocks: blocks.clone(), keyword, value: words(value).concat() });
                }
                "hostname" | "user" | "port" | "identityfile" => {
                    let value = words(value).into_iter().next().unwrap_or_default();
                    self.lines.push(Line { blocks: blocks.clone(), keyword, value });
                }
                _ => {} // The many options that don't concern peerdeck.
            }
        }
    }
}

impl Block {
    fn matches(&self, host: &str) -> bool {
        match self {
            Self::Never => false,
            Self::Host(patterns) => {
                let (mut yes, mut no) = (false, false);
                for pattern in patterns {
                    match pattern.strip_prefix('!') {
                        Some(negated) => no |= glob(negated, host),
                        None => yes |= glob(pattern, host),
                    }
                }
                yes && !no
            }
        }
    }
}

/// Keyword in lower case and the rest, without comments; `Keyword=value` is allowed too.
fn split(line: &str) -> Option<(String, &str)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let end = line.find(|c: char| c.is_whitespace() || c == '=')?;
    let (keyword, rest) = line.split_at(end);
    let rest = rest.trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest).trim();
    if rest.is_empty() { None } else { Some((keyword.to_ascii_lowercase(), rest)) }
}

/// Words, with double quotes around those that hold spaces; a word that begins with `#` ends the line.
fn words(value: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut rest = value.trim_start();
    while !rest.is_empty() && !rest.starts_with('#') {
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        all.push(word.to_owned());
        rest = after.trim_start();
    }
    all
}

/// The files that an `Include` names: relative ones beside the user's own file, `*` and `?` in the last part only.
fn included(pattern: &str, from: &Path) -> Vec<PathBuf> {
    let path = home_path(pattern);
    let path = if path.is_absolute() { path } else { from.parent().unwrap_or(Path::new(".")).join(path) };
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    if !name.contains(['*', '?']) {
        return vec![path];
    }
    let Some(directory) = path.parent() else { return Vec::new() };
    let mut found: Vec<PathBuf> = std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .map(|e| e.path())
        .filter(|p| {
            let entry = p.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            !entry.starts_with('.') && glob(&name, &entry)
        })
        .collect();
    found.sort();
    found
}

/// `%h` target, `%n` as it was named, `%p` port, `%r` remote user, `%u` local user, `%d` home, `%%`.
fn expand(value: &str, target: &str, named: &str, port: u16, user: Option<&str>) -> String {
    let local = || std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_default();
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('h') => out.push_str(target),
            Some('n') => out.push_str(named),
            Some('p') => out.push_str(&port.to_string()),
            Some('r') => out.push_str(&user.map_or_else(local, str::to_owned)),
            Some('u') => out.push_str(&local()),
            Some('d') => out.push_str(&std::env::home_dir().unwrap_or_default().to_string_lossy()),
            Some('%') | None => out.push('%'),
            // Unknown tokens stay as they are: the file then does not exist, and the error names it.
            Some(other) => {
                out.push('%');
                out.push(other);
            }
        }
    }
    out
}

fn jumps(value: &str) -> Vec<Jump> {
    if value.eq_ignore_ascii_case("none") {
        return Vec::new();
    }
    value.split(',').filter_map(|hop| hop.trim().parse().ok()).collect()
}

impl std::str::FromStr for Jump {
    type Err = String;

    /// `[ssh://][user@]host[:port]`, with `[...]` around an IPv6 address.
    fn from_str(text: &str) -> Result<Self, String> {
        let bare = text.strip_prefix("ssh://").unwrap_or(text);
        let (user, rest) = match bare.rsplit_once('@') {
            Some((user, rest)) => (Some(user.to_owned()), rest),
            None => (None, bare),
        };
        let bad = || format!("`{}` is no host: [user@]host[:port]", clean(text, 80));
        let (host, port) = match rest.strip_prefix('[') {
            Some(v6) => {
                let (host, after) = v6.split_once(']').ok_or_else(bad)?;
                (host, after.strip_prefix(':'))
            }
            None => match rest.split_once(':') {
                // More than one colon: an IPv6 address without brackets.
                Some((_, port)) if port.contains(':') => (rest, None),
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        let port = port.map(|p| p.parse::<u16>().map_err(|_| bad())).transpose()?;
        if host.is_empty() || user.as_deref() == Some("") {
            Err(bad())
        } else {
            Ok(Self { user, host: host.to_owned(), port })
        }
    }
}
