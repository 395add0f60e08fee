//! The ways out of a watch, each against a real counterpart: in this process, and installed ones where they are there.

mod alertmanager;
mod command;
mod file;
mod interop;
mod journald;
mod mail;
mod serve;
mod syslog;
mod web;
mod webhook;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use peerdeck::alerts::sinks::{Again, Failure, Sink, Spec, Telling, build};
use peerdeck::domain::alert::{Alert, Notice, Seen, Told};
use peerdeck::domain::finding::{Finding, FindingId, FindingKind, Severity, Subject};
use peerdeck::domain::ids::{ClusterName, HostName, PeerId};
use peerdeck::domain::text::Line;
use peerdeck::domain::time::Time;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// Never may it stand in a failure.
pub const SECRET: &str = "hunter2-in-a-file";

pub const EVIL: &str = "it says \"no\"] \\ and = 'yes' <b>é, 漢字";

/// A sink as the fleet file would make it.
pub fn sink(spec: &Spec) -> Box<dyn Sink> {
    build(spec, "noc1").unwrap()
}

pub fn wall() -> Time {
    Time::from_millis(u64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap())
}

/// A notice about `lab7`, raised a minute ago.
pub fn telling(seq: u64, told: Told) -> Telling {
    let now = wall();
    let (cluster, peer) = (ClusterName::new("americas"), PeerId::new("SERIAL-7"));
    let subject = Subject::Peer(peer);
    let kind = FindingKind::PeerUnreachable;
    let finding = Finding {
        id: FindingId::new(kind, &cluster, &subject),
        cluster,
        kind,
        severity: Severity::Critical,
        subject,
        since: now.before(Duration::from_secs(62)),
        text: Line::new("nobody reaches lab7"),
        evidence: vec![Line::new("lab1 says: timeout"), Line::new(EVIL)],
        advice: Line::new("look at the machine"),
    };
    let seen = Seen { finding, hosts: vec![HostName::new("lab7.example.com")] };
    let alert = Alert { seen, raised: now.before(Duration::from_mins(1)), flapping: None, ack: None };
    of(Notice { seq, at: now, told, alert, before: None })
}

/// With the forms that the watch gives it.
pub fn of(notice: Notice) -> Telling {
    let event_id = format!("w1-{}", notice.seq);
    let finding = &notice.alert.seen.finding;
    let json = serde_json::json!({ "type": "alert", "event_id": event_id, "text": finding.text.as_str() }).to_string();
    let text = format!("{} {} {}", notice.told.as_str(), finding.cluster, finding.text);
    Telling { event_id, json: json.into(), text: text.into(), notice }
}

pub fn raised(seq: u64) -> Telling {
    telling(seq, Told::Raised)
}

/// Hands `tellings` over; neither a success nor a failure says anything secret.
pub async fn give(sink: &mut Box<dyn Sink>, tellings: &[Telling]) -> Result<(), Failure> {
    let before = Instant::now();
    let done = sink.deliver(tellings).await;
    assert!(before.elapsed() < Duration::from_mins(1), "there is a deadline");
    if let Err(failure) = &done {
        assert!(!failure.text.contains(SECRET), "{failure}");
    }
    done
}

/// It failed, and may be tried again.
#[track_caller]
pub fn later(done: Result<(), Failure>) -> String {
    let failure = done.unwrap_err();
    assert_eq!(failure.again, Again::Later, "{failure}");
    failure.text
}

/// It failed for good.
#[track_caller]
pub fn never(done: Result<(), Failure>) -> String {
    let failure = done.unwrap_err();
    assert_eq!(failure.again, Again::Never, "{failure}");
    failure.text
}

/// A file with the secret in it that only its owner may read.
pub fn secret(dir: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = dir.join("secret");
    std::fs::write(&path, format!("{SECRET}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// A certificate authority, and what a server for `localhost` and 127.0.0.1 needs.
pub struct Certificates {
    pub ca_file: PathBuf,
    pub certificate: String,
    pub key: String,
    pub server: Arc<tokio_rustls::rustls::ServerConfig>,
}

pub fn certificates(dir: &Path) -> Certificates {
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::crypto::ring::default_provider;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "peerdeck test authority");
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
    let ca_file = dir.join("ca.pem");
    std::fs::write(&ca_file, authority.pem()).unwrap();
    let chain = vec![CertificateDer::from_pem_slice(certificate.pem().as_bytes()).unwrap()];
    let private = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let server = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .unwrap();
    Certificates { ca_file, certificate: certificate.pem(), key: key.serialize_pem(), server: Arc::new(server) }
}
