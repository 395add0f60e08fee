//! Words of `auth = [...]`: what they resolve to, and that no secret leaves them.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use peerdeck::ssh::auth::{AuthError, CredentialSource, resolve};
use peerdeck::ssh::client::Credential;

fn source(word: &str) -> CredentialSource {
    word.parse().unwrap()
}

fn file(dir: &Path, text: &str, mode: u32) -> String {
    let path = dir.join(format!("f{mode:o}-{}", text.len()));
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path.display().to_string()
}

async fn password(word: &str) -> String {
    match source(word).resolve().await.unwrap() {
        Credential::Password(p) => p.to_string(),
        other => panic!("{other:?}"),
    }
}

async fn problem(word: &str) -> String {
    match source(word).resolve().await {
        Ok(other) => panic!("{other:?}"),
        Err(e) => e.to_string(),
    }
}

#[test]
fn words_that_are_none_are_refused_without_repeating_what_follows() {
    for bad in ["", "agents", "key:", "password:hunter2", "passwd-file:/x", "key"] {
        let e = bad.parse::<CredentialSource>().unwrap_err();
        assert!(matches!(e, AuthError::Word(_)) && e.to_string().contains("password-command:COMMAND"), "{e}");
        assert!(!e.to_string().contains("hunter2"), "{e}");
    }
    assert_eq!(source("agent").to_string(), "agent");
    assert_eq!(format!("{:?}", source("password-command:pass show x")), "CredentialSource(password-command)");
}

#[tokio::test]
async fn passwords_come_from_files_variables_and_commands() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(password(&format!("password-file:{}", file(dir.path(), "s3cret\nuser: x\n", 0o600))).await, "s3cret");
    assert_eq!(password("password-command:printf 'a b\\nrest'").await, "a b");
    // Cargo sets it for every test.
    assert_eq!(password("password-env:CARGO_PKG_NAME").await, "peerdeck");
    assert!(problem("password-env:PEERDECK_TEST_NOT_SET").await.contains("not set"));
    assert!(problem("password-command:exit 3").await.contains("failed"));
    let told = problem("password-command:echo hunter2; exit 1").await;
    assert!(!told.contains("hunter2"), "{told}");
    assert!(problem("password-command:true").await.contains("empty"));
    assert!(problem("password-file:/nonexistent/x").await.contains("can't be opened"));
}

#[tokio::test]
async fn files_that_others_may_read_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for mode in [0o640, 0o604, 0o666] {
        let path = file(dir.path(), "s3cret", mode);
        let told = problem(&format!("password-file:{path}")).await;
        assert!(told.contains("chmod 600") && !told.contains("s3cret"), "{told}");
        assert!(problem(&format!("key:{path}")).await.contains("chmod 600"));
    }
}

#[tokio::test]
async fn keys_are_read_and_what_is_no_usable_key_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let key = super::server::key();
    let text = key.to_openssh(russh::keys::ssh_key::LineEnding::LF).unwrap();
    let read = source(&format!("key:{}", file(dir.path(), &text, 0o600))).resolve().await.unwrap();
    assert!(matches!(read, Credential::Key(k) if k.public_key().key_data() == key.public_key().key_data()));
    let locked = key.encrypt(&mut rand::rng(), "passphrase").unwrap();
    let text = locked.to_openssh(russh::keys::ssh_key::LineEnding::LF).unwrap();
    assert!(problem(&format!("key:{}", file(dir.path(), &text, 0o600))).await.contains("ssh-add"));
    let public = file(dir.path(), &key.public_key().to_openssh().unwrap(), 0o600);
    assert!(problem(&format!("key:{public}")).await.contains("public key"));
    assert!(problem(&format!("key:{}", file(dir.path(), "nonsense", 0o600))).await.contains("not a private key"));
}

#[tokio::test]
async fn a_command_is_asked_once_for_all_peers_and_again_after_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let word = format!("password-command:echo x >> {0}; test -e {0}.ok && echo s3cret", log.display());
    let first = source(&word);
    let clones: Vec<CredentialSource> = (0..4).map(|_| first.clone()).collect();
    let (usable, problems) = resolve(&clones[..1]).await;
    assert_eq!((usable.len(), problems.len()), (0, 1));
    std::fs::write(dir.path().join("log.ok"), "").unwrap();
    let (usable, problems) = resolve(&clones).await;
    assert_eq!((usable.len(), problems.len()), (4, 0));
    assert_eq!(std::fs::read_to_string(log).unwrap(), "x\nx\n");
    assert!(!format!("{usable:?}").contains("s3cret"));
}

#[tokio::test(start_paused = true)]
async fn a_command_that_hangs_is_given_up() {
    let asked = source("password-command:sleep 1000");
    let e =
        tokio::time::timeout(Duration::from_mins(1), asked.resolve()).await.expect("it waits for ever").unwrap_err();
    assert!(e.to_string().contains("not done within 30 s"), "{e}");
}
