//! What a lab leaves on disk, and its control socket.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use peerdeck::daemon::read_membership;
use peerdeck::lab::control::{Ask, ask, send};
use peerdeck::lab::{Lab, LabError, Options};

use crate::support::{TestLab, quick};

fn modes(dir: &Path, found: &mut Vec<(String, u32)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let meta = path.symlink_metadata().unwrap();
        found.push((path.display().to_string(), meta.permissions().mode() & 0o777));
        if meta.is_dir() {
            modes(&path, found);
        }
    }
}

fn options(dir: &Path, peers: usize) -> Options {
    Options { peers, state_dir: Some(dir.to_owned()), ..quick() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lab_writes_what_a_person_and_a_program_connect_with() {
    let test = TestLab::start_with(Options { peers: 6, ..quick() }).await;
    let dir = test.lab.state_dir();
    let mut found = Vec::new();
    modes(dir, &mut found);
    assert!(found.len() > 30);
    for (path, mode) in found {
        let wanted = if Path::new(&path).is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode, wanted, "{path}");
    }

    let fleet = fs::read_to_string(test.lab.fleet_path()).unwrap();
    let fleet: toml::Table = fleet.parse().unwrap();
    let defaults = fleet["defaults"].as_table().unwrap();
    assert_eq!(defaults["auth"][0].as_str(), Some(&*format!("key:{}/lab_key", dir.display())));
    assert_eq!(defaults["lab"].as_bool(), Some(true));
    let cluster = &fleet["cluster"][0];
    assert_eq!(cluster["peer"].as_array().unwrap().len(), 6);
    assert_eq!(cluster["peer"][5]["host"].as_str(), Some("lab6.example.com"));

    let groups: Vec<_> = test.lab.roster().peers.iter().map(|p| p.group.to_string()).collect();
    assert_eq!(groups, ["Main_Group", "Main_Group", "Paris", "Paris", "Rome", "Rome"]);
    let membership = read_membership(&dir.join("peers/lab4")).unwrap().unwrap();
    assert_eq!(membership.name.as_str(), cluster["name"].as_str().unwrap());
    assert_eq!(membership.machines.len(), 6);
    assert_eq!(membership.machines[3].id, test.lab.roster().peers[3].id);

    let known = fs::read_to_string(dir.join("known_hosts")).unwrap();
    let (address, host_key) = (test.lab.address(3).unwrap(), &membership.machines[3].host_key);
    let line = format!("[lab4.example.com]:{1},[{0}]:{1} {host_key}", address.ip(), address.port());
    assert!(known.lines().any(|l| l == line), "{known}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_named_directory_keeps_identities_and_is_used_by_one_lab_at_a_time() {
    let dir = tempfile::Builder::new().prefix("pd").tempdir().unwrap();
    let ids = |lab: &Lab| lab.roster().peers.iter().map(|p| p.id.clone()).collect::<Vec<_>>();
    let lab = Lab::start(options(dir.path(), 3)).await.unwrap();
    let (first, key) = (ids(&lab), fs::read(dir.path().join("lab_key")).unwrap());
    let second = Lab::start(options(dir.path(), 3)).await;
    assert!(matches!(second.err(), Some(LabError::InUse(d)) if d == dir.path()));
    lab.shutdown().await;
    drop(lab);
    let lab = Lab::start(options(dir.path(), 3)).await.unwrap();
    assert_eq!(ids(&lab), first);
    assert_eq!(fs::read(dir.path().join("lab_key")).unwrap(), key);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_labs_stand_on_different_ground() {
    let (one, two) = tokio::join!(
        TestLab::start_with(Options { peers: 2, ..quick() }),
        TestLab::start_with(Options { peers: 2, ..quick() })
    );
    assert_ne!(one.lab.address(0), two.lab.address(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_control_socket_applies_faults_and_refuses_nonsense() {
    let test = TestLab::start_with(Options { peers: 3, ..quick() }).await;
    let dir = Some(test.lab.state_dir());
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let done = send(dir, &words("cut lab1 lab3")).await.unwrap();
    assert_eq!(done, "cut: lab1 and lab3 no longer reach each other");
    let status = ask(dir, &Ask { status: true, ..Ask::default() }).await.unwrap();
    assert!(status.contains("lab2.example.com") && status.contains(&done), "{status}");
    let refused = send(dir, &words("cut lab1 lab4")).await.unwrap_err().to_string();
    assert!(refused.contains("there is no peer \"lab4\", did you mean \"lab1\"?"), "{refused}");
    send(dir, &words("heal")).await.unwrap();
    let status = ask(dir, &Ask { status: true, ..Ask::default() }).await.unwrap();
    assert!(!status.contains("cut"), "{status}");

    test.lab.shutdown().await;
    let gone = send(dir, &words("heal")).await.unwrap_err().to_string();
    assert!(gone.contains("did not answer"), "{gone}");
}

#[tokio::test]
async fn the_number_of_peers_has_limits() {
    for peers in [0, 201] {
        let refused = Lab::start(Options { peers, ..Options::default() }).await;
        assert!(matches!(refused.err(), Some(LabError::Peers(n)) if n == peers));
    }
}
