//! Our client against OpenSSH's server.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use peerdeck::ssh::auth::CredentialSource;
use peerdeck::ssh::client::{Credential, Deadlines, Session, Stage, Target, connect, connect_stream};
use peerdeck::ssh::known_hosts::{KnownHosts, KnownHostsPolicy};
use peerdeck::ssh::net::OsNet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::free_port;

/// A server with its own configuration and keys on a loopback port; ends with the test.
struct Sshd {
    child: Child,
    at: SocketAddr,
    dir: tempfile::TempDir,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(program: &str, args: &[&str]) {
    let status = Command::new(program).args(args).stdin(Stdio::null()).stdout(Stdio::null()).status().unwrap();
    assert!(status.success(), "{program} {args:?}: {status}");
}

fn keygen(kind: &str, at: &Path) {
    run("ssh-keygen", &["-q", "-t", kind, "-N", "", "-f", at.to_str().unwrap()]);
}

impl Sshd {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let text = |name: &str| path(name).display().to_string();
        for kind in ["ed25519", "ecdsa", "rsa"] {
            keygen(kind, &path(&format!("host_{kind}")));
            keygen(kind, &path(&format!("user_{kind}")));
        }
        keygen("ed25519", &path("ca"));
        run(
            "ssh-keygen",
            &["-q", "-s", &text("ca"), "-h", "-I", "h", "-n", "lab.example.com", &text("host_ed25519.pub")],
        );
        let keys: String = ["ed25519", "rsa"]
            .iter()
            .map(|k| std::fs::read_to_string(path(&format!("user_{k}.pub"))).unwrap())
            .collect();
        std::fs::write(path("authorized_keys"), keys).unwrap();
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let config = format!(
            "Port {}\nListenAddress 127.0.0.1\nHostKey {}\nHostKey {}\nHostKey {}\nHostCertificate {}\nAuthorizedKeysFile {}\n\
             PidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nMaxStartups 100\nPasswordAuthentication no\n\
             Subsystem peerdeck /bin/cat\n",
            at.port(),
            text("host_ed25519"),
            text("host_ecdsa"),
            text("host_rsa"),
            text("host_ed25519-cert.pub"),
            text("authorized_keys")
        );
        std::fs::write(path("sshd_config"), config).unwrap();
        // Its separation directory is made by the init script where there is one.
        let _ = std::fs::create_dir_all("/run/sshd");
        let child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f", &text("sshd_config")])
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(path("log")).unwrap())
            .spawn()
            .expect("sshd (Debian: openssh-server)");
        let server = Self { child, at, dir };
        server.wait_until_it_listens();
        server
    }

    fn wait_until_it_listens(&self) {
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(self.at).is_err() {
            let log = std::fs::read_to_string(self.path("log")).unwrap_or_default();
            assert!(std::time::Instant::now() < deadline, "sshd does not listen: {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap().trim().to_owned()
    }

    fn target(&self, known: &str, user_key: &str) -> Target {
        let file = self.path(&format!("known-{user_key}-{}", known.len()));
        std::fs::write(&file, known).unwrap();
        let files = KnownHosts::load(&[file], &self.path("own"));
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let text = std::fs::read_to_string(self.path(user_key)).unwrap();
        let key = russh::keys::decode_secret_key(&text, None).unwrap();
        Target {
            host: "lab.example.com".into(),
            port: self.at.port(),
            user: user(),
            credentials: vec![Credential::Key(Arc::new(key))],
            policy: Arc::new(KnownHostsPolicy { files, also: Vec::new(), vouched: None, now }),
            deadlines: Deadlines::default(),
        }
    }

    fn known(&self, kind: &str) -> String {
        format!("[lab.example.com]:{} {}\n", self.at.port(), self.read(&format!("host_{kind}.pub")))
    }

    async fn session(&self, target: &Target) -> Session {
        connect(&OsNet, self.at, target).await.unwrap_or_else(|e| panic!("{e}\n{}", self.read("log")))
    }
}

fn user() -> String {
    let id = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(id.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
#[ignore = "needs sshd"]
async fn commands_subsystems_and_forwarding() {
    let server = Sshd::start();
    let target = server.target(&server.known("ed25519"), "user_ed25519");
    let session = server.session(&target).await;
    let output = session.exec("echo out; echo err >&2; exit 3", 1000, Duration::from_secs(10)).await.unwrap();
    assert_eq!(
        (output.stdout.as_slice(), output.stderr.as_slice(), output.status),
        (&b"out\n"[..], &b"err\n"[..], Some(3))
    );
    let mut stream = session.subsystem("peerdeck").await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    let mut back = [0; 5];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"hello");
    let Err(e) = session.subsystem("peerdeck-mesh").await else { panic!("there is no such subsystem") };
    assert_eq!(e.stage, Stage::Channel, "{e}");
    let way = session.forward("127.0.0.1", server.at.port()).await.unwrap();
    let inner = connect_stream(way, &target).await.unwrap();
    assert_eq!(inner.exec("true", 10, Duration::from_secs(10)).await.unwrap().status, Some(0));
    let slow = session.exec("sleep 100", 10, Duration::from_millis(200)).await.unwrap_err();
    assert_eq!(slow.cause, peerdeck::domain::mesh::Cause::Timeout, "{slow}");
    session.close().await;
}

#[tokio::test]
#[ignore = "needs sshd"]
async fn the_recorded_kind_of_host_key_is_the_one_that_is_asked_for() {
    let server = Sshd::start();
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let session = server.session(&server.target(&server.known(kind), "user_ed25519")).await;
        assert!(session.established().host_key.contains(kind), "{:?}", session.established());
    }
    // Another host's key of the same kind.
    let port = server.at.port();
    let wrong = format!("[lab.example.com]:{port} {}\n", server.read("user_ecdsa.pub"));
    let Err(e) = connect(&OsNet, server.at, &server.target(&wrong, "user_ed25519")).await else { panic!() };
    assert_eq!(e.stage, Stage::HostKey, "{e}");
}

#[tokio::test]
#[ignore = "needs sshd"]
async fn a_host_certificate_is_taken_from_its_authority_only() {
    let server = Sshd::start();
    let authority = format!("@cert-authority *.example.com {}\n", server.read("ca.pub"));
    server.session(&server.target(&authority, "user_ed25519")).await;
    let stranger = format!("@cert-authority *.example.com {}\n", server.read("user_ed25519.pub"));
    let Err(e) = connect(&OsNet, server.at, &server.target(&stranger, "user_ed25519")).await else { panic!() };
    assert_eq!(e.stage, Stage::HostKey, "{e}");
}

#[tokio::test]
#[ignore = "needs sshd"]
async fn rsa_keys_sign_with_sha2_and_a_key_that_is_not_authorised_is_refused() {
    let server = Sshd::start();
    server.session(&server.target(&server.known("ed25519"), "user_rsa")).await;
    let Err(e) = connect(&OsNet, server.at, &server.target(&server.known("ed25519"), "user_ecdsa")).await else {
        panic!()
    };
    assert_eq!((e.stage, e.cause), (Stage::Auth, peerdeck::domain::mesh::Cause::Auth), "{e}");
    assert!(e.detail.contains("the peer takes: publickey"), "{e}");
}

/// Runs itself a second time, because the agent is named by an environment variable.
#[tokio::test]
#[ignore = "needs sshd"]
async fn keys_of_an_agent_log_in() {
    const INNER: &str = "PEERDECK_TEST_AGENT_PORT";
    if let Ok(port) = std::env::var(INNER) {
        let dir = PathBuf::from(std::env::var("PEERDECK_TEST_AGENT_DIR").unwrap());
        let agent = "agent".parse::<CredentialSource>().unwrap().resolve().await.unwrap();
        let key = std::fs::read_to_string(dir.join("host_ed25519.pub")).unwrap();
        let key = russh::keys::PublicKey::from_openssh(key.trim()).unwrap();
        let port: u16 = port.parse().unwrap();
        let target = Target {
            host: "lab.example.com".into(),
            port,
            user: user(),
            credentials: vec![agent],
            policy: Arc::new(peerdeck::ssh::known_hosts::Pinned(key)),
            deadlines: Deadlines::default(),
        };
        let session = connect(&OsNet, ([127, 0, 0, 1], port).into(), &target).await.unwrap();
        assert_eq!(session.exec("true", 10, Duration::from_secs(10)).await.unwrap().status, Some(0));
        return;
    }
    let server = Sshd::start();
    let socket = server.path("agent");
    let mut agent =
        Command::new("ssh-agent").args(["-D", "-a", socket.to_str().unwrap()]).stdout(Stdio::null()).spawn().unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !socket.exists() {
        assert!(std::time::Instant::now() < deadline, "no agent");
        std::thread::sleep(Duration::from_millis(20));
    }
    // The first two are not authorised or of another kind; the third one is.
    for key in ["user_ecdsa", "user_rsa", "user_ed25519"] {
        let added = Command::new("ssh-add").arg(server.path(key)).env("SSH_AUTH_SOCK", &socket).output().unwrap();
        assert!(added.status.success(), "{added:?}");
    }
    let inner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "ssh::sshd::keys_of_an_agent_log_in", "--include-ignored", "--nocapture"])
        .env("SSH_AUTH_SOCK", &socket)
        .env(INNER, server.at.port().to_string())
        .env("PEERDECK_TEST_AGENT_DIR", server.dir.path())
        .output()
        .unwrap();
    let _ = agent.kill();
    let _ = agent.wait();
    let said = String::from_utf8_lossy(&inner.stdout).into_owned() + &String::from_utf8_lossy(&inner.stderr);
    assert!(inner.status.success() && said.contains("1 passed"), "{said}");
}
