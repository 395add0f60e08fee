//! Where credentials come from: the words of the fleet file, resolved without a secret ever standing in it.

use std::fmt;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::client::Credential;
use crate::domain::text::clean;

/// Longest key or password file, and longest output of a command, in bytes.
const SECRET_MAX: u64 = 64 * 1024;

/// How long a password command may take: somebody may have to touch a token.
const COMMAND_DEADLINE: Duration = Duration::from_secs(30);

/// One word of `auth = [...]`. Clones share what was fetched, so that a command asks once, not once per peer.
#[derive(Clone)]
pub struct CredentialSource {
    kind: Kind,
    fetched: Arc<OnceCell<Credential>>,
}

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    Agent,
    KeyFile(PathBuf),
    PasswordCommand(String),
    PasswordEnv(String),
    PasswordFile(PathBuf),
    /// At hand already (the lab's user key).
    Given,
}

/// Why a credential can't be had, or a word is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Not a word of `auth`.
    #[error(
        "`{0}` is no way to log in: agent, key:PATH, password-command:COMMAND, password-env:VARIABLE or password-file:PATH"
    )]
    Word(String),
    /// It stands for nothing that can be used now.
    #[error("{source_name}: {why}")]
    Unusable {
        /// As it stands in the fleet file, commands shortened to their kind.
        source_name: String,
        /// Why not, and what to do.
        why: String,
    },
}

impl FromStr for CredentialSource {
    type Err = AuthError;

    fn from_str(word: &str) -> Result<Self, AuthError> {
        let kind = match word.split_once(':') {
            None if word == "agent" => Kind::Agent,
            Some((_, "")) | None => return Err(AuthError::Word(clean(word, 60))),
            Some(("key", path)) => Kind::KeyFile(home_path(path)),
            Some(("password-command", command)) => Kind::PasswordCommand(command.to_owned()),
            Some(("password-env", name)) => Kind::PasswordEnv(name.to_owned()),
            Some(("password-file", path)) => Kind::PasswordFile(home_path(path)),
            // What follows the colon may be a secret that somebody put there: it is not repeated.
            Some((kind, _)) => return Err(AuthError::Word(format!("{}:...", clean(kind, 40)))),
        };
        Ok(Self { kind, fetched: Arc::default() })
    }
}

impl fmt::Display for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Agent => f.write_str("agent"),
            Kind::KeyFile(path) => write!(f, "key:{}", path.display()),
            Kind::PasswordCommand(_) => f.write_str("password-command"),
            Kind::PasswordEnv(name) => write!(f, "password-env:{name}"),
            Kind::PasswordFile(path) => write!(f, "password-file:{}", path.display()),
            Kind::Given => f.write_str("built-in key"),
        }
    }
}

impl fmt::Debug for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CredentialSource({self})")
    }
}

impl CredentialSource {
    /// A credential that is at hand already.
    #[must_use]
    pub fn given(credential: Credential) -> Self {
        Self { kind: Kind::Given, fetched: Arc::new(OnceCell::new_with(Some(credential))) }
    }

    /// A key file (`IdentityFile` of an `ssh_config`).
    #[must_use]
    pub fn key_file(path: &Path) -> Self {
        Self { kind: Kind::KeyFile(path.to_owned()), fetched: Arc::default() }
    }

    /// What is tried when nothing is configured: the agent, then the usual key files that exist.
    #[must_use]
    pub fn defaults() -> Vec<Self> {
        let mut all = Vec::new();
        if std::env::var_os("SSH_AUTH_SOCK").is_some() {
            all.push(Self { kind: Kind::Agent, fetched: Arc::default() });
        }
        let files = ["~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa"];
        all.extend(files.iter().map(|f| home_path(f)).filter(|p| p.exists()).map(|p| Self::key_file(&p)));
        all
    }

    /// The credential itself; fetched once, then kept. A failure is not kept.
    ///
    /// # Errors
    /// [`AuthError::Unusable`], which never holds a secret.
    pub async fn resolve(&self) -> Result<Credential, AuthError> {
        self.fetched.get_or_try_init(|| self.fetch()).await.cloned()
    }

    async fn fetch(&self) -> Result<Credential, AuthError> {
        let fetched = match &self.kind {
            Kind::Agent => Ok(Credential::Agent),
            Kind::KeyFile(path) => off_thread(path, read_key).await,
            Kind::PasswordFile(path) => off_thread(path, read_password).await,
            Kind::PasswordEnv(name) => match std::env::var(name) {
                Ok(value) => password(&value),
                Err(_) => Err("the variable is not set, or is not text".to_owned()),
            },
            Kind::PasswordCommand(command) => run(command).await,
            Kind::Given => Err("nothing was given".to_owned()),
        };
        fetched.map_err(|why| AuthError::Unusable { source_name: self.to_string(), why })
    }
}

/// Resolves `sources` in order: what can be used, and why the rest can't.
pub async fn resolve(sources: &[CredentialSource]) -> (Vec<Credential>, Vec<AuthError>) {
    let (mut usable, mut problems) = (Vec::new(), Vec::new());
    for source in sources {
        match source.resolve().await {
            Ok(credential) => usable.push(credential),
            Err(e) => problems.push(e),
        }
    }
    (usable, problems)
}

/// `~/...` under the user's home directory; anything else as it is.
#[must_use]
pub fn home_path(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        (None, _) | (_, None) => PathBuf::from(path),
    }
}

async fn off_thread(
    path: &Path,
    read: impl FnOnce(&Path) -> Result<Credential, String> + Send + 'static,
) -> Result<Credential, String> {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || read(&path)).await.unwrap_or_else(|e| Err(e.to_string()))
}

fn read_key(path: &Path) -> Result<Credential, String> {
    let text = read_private(path)?;
    if text.starts_with("ssh-") || text.starts_with("ecdsa-") {
        return Err("this is a public key; the private one is wanted (usually the same name without .pub)".into());
    }
    match russh::keys::decode_secret_key(&text, None) {
        Ok(key) => Ok(Credential::Key(Arc::new(key))),
        Err(russh::keys::Error::KeyIsEncrypted) => {
            Err("the key has a passphrase: add it to the agent (ssh-add) and use `agent`".into())
        }
        Err(e) => Err(format!("not a private key that can be read: {}", clean(&e.to_string(), 120))),
    }
}

fn read_password(path: &Path) -> Result<Credential, String> {
    password(&read_private(path)?)
}

/// Reads a file that nobody else may read.
fn read_private(path: &Path) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|e| format!("can't be opened: {e}"))?;
    // Of the opened file, so that it can't be exchanged in between.
    let about = file.metadata().map_err(|e| format!("can't be looked at: {e}"))?;
    if !about.is_file() {
        return Err("is not a regular file".into());
    }
    let mode = about.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(format!("others may read it (mode {mode:04o}): chmod 600 it"));
    }
    let mut text = String::new();
    file.take(SECRET_MAX).read_to_string(&mut text).map_err(|e| format!("can't be read: {e}"))?;
    Ok(text)
}

/// The first line, as `pass` and its like put it.
fn password(text: &str) -> Result<Credential, String> {
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(Credential::Password(line.into())),
        Some(_) | None => Err("the password is empty".into()),
    }
}

async fn run(command: &str) -> Result<Credential, String> {
    let mut child = tokio::process::Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| format!("can't be started: {e}"))?;
    let Some(stdout) = child.stdout.take() else { return Err("has no output".into()) };
    let work = async {
        let mut text = String::new();
        stdout.take(SECRET_MAX).read_to_string(&mut text).await.map_err(|e| format!("its output: {e}"))?;
        let status = child.wait().await.map_err(|e| format!("can't be waited for: {e}"))?;
        if status.success() { password(&text) } else { Err(format!("failed ({status})")) }
    };
    timeout(COMMAND_DEADLINE, work)
        .await
        .unwrap_or_else(|_| Err(format!("not done within {} s", COMMAND_DEADLINE.as_secs())))
}
