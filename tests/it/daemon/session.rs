//! Sessions as a client without manners sees them: floods, channels without a request, terminals.

use std::sync::Arc;

use russh::client::{Handle, Handler, Msg};
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg};
use russh::{Channel, ChannelMsg};
use tokio::time::timeout;

use super::real::{PATIENCE, Place};

struct Trusting;

impl Handler for Trusting {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _key: &russh::keys::PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

async fn raw(place: &Place, user: &str, key: Arc<PrivateKey>) -> Handle<Trusting> {
    let config = Arc::new(russh::client::Config::default());
    let mut handle = russh::client::connect(config, place.setups[0].listen, Trusting).await.unwrap();
    let key = PrivateKeyWithHashAlg::new(key, None);
    assert!(handle.authenticate_publickey(user, key).await.unwrap().success());
    handle
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    timeout(PATIENCE, work).await.expect("in time")
}

/// All that comes until the channel ends.
async fn rest(channel: &mut Channel<Msg>) -> String {
    let mut text = Vec::new();
    while let Some(message) = within(channel.wait()).await {
        if let ChannelMsg::Data { data } = message {
            text.extend_from_slice(&data);
        }
    }
    String::from_utf8(text).unwrap()
}

/// Reads until `what` has come.
async fn until(channel: &mut Channel<Msg>, what: &str) -> String {
    let mut text = String::new();
    while !text.contains(what) {
        match within(channel.wait()).await {
            Some(ChannelMsg::Data { data }) => text.push_str(&String::from_utf8_lossy(&data)),
            Some(_) => {}
            None => panic!("no {what:?} in {text:?}"),
        }
    }
    text
}

async fn version(handle: &Handle<Trusting>) -> String {
    let mut channel = within(handle.channel_open_session()).await.unwrap();
    channel.exec(true, "version").await.unwrap();
    rest(&mut channel).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_on_which_nothing_was_asked_for_freezes_nothing_and_is_bounded() {
    let place = Place::start(1).await;
    let handle = raw(&place, "admin", place.user.clone()).await;
    let mut idle = handle.channel_open_session().await.unwrap();
    let chunk = [b'x'; 1024];
    // More messages than the library keeps for a channel, fewer bytes than are kept.
    for _ in 0..200 {
        within(idle.data(&chunk[..])).await.unwrap();
    }
    assert!(version(&handle).await.contains("Current Version"));
    let flood = async {
        for _ in 0..100 {
            if idle.data(&chunk[..]).await.is_err() {
                return;
            }
        }
    };
    within(flood).await;
    while within(idle.wait()).await.is_some() {}
    assert!(version(&handle).await.contains("Current Version"), "only the flooded channel was closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mesh_channel_that_nobody_reads_freezes_nothing() {
    let place = Place::start(2).await;
    let machine = peerdeck::daemon::store::read_keys(&place.setups[1].state_dir).unwrap();
    let handle = raw(&place, machine.id.as_str(), Arc::new(machine.machine)).await;
    let mesh = handle.channel_open_session().await.unwrap();
    place.gates[0].send_replace(true);
    mesh.request_subsystem(true, "peerdeck-mesh").await.unwrap();
    let chunk = [0; 1024];
    for _ in 0..200 {
        within(mesh.data(&chunk[..])).await.unwrap();
    }
    // Opening a channel is answered by the session itself, frozen or not.
    within(handle.channel_open_session()).await.unwrap();
    place.gates[0].send_replace(false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_changes_its_window_and_has_a_history() {
    let place = Place::start(1).await;
    let handle = raw(&place, "admin", place.user.clone()).await;
    let mut channel = handle.channel_open_session().await.unwrap();
    channel.request_pty(true, "xterm", 80, 24, 0, 0, &[]).await.unwrap();
    channel.request_shell(true).await.unwrap();
    until(&mut channel, "lab1.example.com)> ").await;
    channel.data(&b"version\r"[..]).await.unwrap();
    until(&mut channel, "lab1.example.com)> ").await;
    channel.window_change(40, 24, 0, 0).await.unwrap();
    channel.data(&b"nonsense\r"[..]).await.unwrap();
    until(&mut channel, "feature key: nonsense\r\n\r\n(Machine lab1.example.com)> ").await;
    channel.data(&b"typed\x1b[A\x1b[A\r"[..]).await.unwrap();
    until(&mut channel, "Current Version\r\n").await;
    until(&mut channel, "lab1.example.com)> ").await;
    channel.data(&b"\x1b[A\x1b[B\x04"[..]).await.unwrap();
    rest(&mut channel).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c22_the_command_line_disconnects_and_reconnects() {
    let place = Place::start(3).await;
    let guest = place.try_login(0, "noc", &place.guest).await.unwrap();
    let refused = guest.exec("clusterconfig disconnect lab3", 1000, PATIENCE).await.unwrap();
    let text = String::from_utf8(refused.stdout).unwrap();
    assert_eq!((text.as_str(), refused.status), ("Not done: noc may only look here (role guest).\n", Some(1)));

    let done = place.exec(0, "clusterconfig disconnect lab3.example.com").await;
    assert_eq!(done, ("accepted: lab3.example.com is disconnected from the cluster.\n".into(), Some(0)));
    place.wait_up(0, 1).await;
    place.exec_until(0, "clusterconfig list", |t| t.contains(") (disconnected)\n")).await;
    let (again, status) = place.exec(0, "clusterconfig disconnect LAB3").await;
    assert_eq!((again.as_str(), status), ("Not done: lab3.example.com is detached now.\n", Some(1)));
    let (unknown, _) = place.exec(0, "clusterconfig reconnect lab9").await;
    assert!(unknown.starts_with("No machine lab9 is in the cluster"), "{unknown}");
    let done = place.exec(2, "clusterconfig reconnect lab3").await;
    assert_eq!(done, ("accepted: lab3.example.com is reconnected to the cluster.\n".into(), Some(0)));
    for i in 0..3 {
        place.wait_up(i, 2).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c22_the_command_line_announces_maintenance_that_survives_a_restart() {
    let mut place = Place::start(3).await;
    let (done, status) = place.exec(0, "maintenance on lab3 90 New disk").await;
    let word = "accepted: lab3.example.com is in maintenance for 1 h 30 m.\n";
    assert_eq!((done.as_str(), status), (word, Some(0)), "the word of lab3, over lab1");
    place.exec_until(1, "clusterconfig list", |t| t.contains(") (maintenance)\n")).await;
    let told = |t: &str| t.contains("    in maintenance until ") && t.contains(" at lab1.example.com: New disk\n");
    place.exec_until(1, "clusterconfig connstatus", told).await;

    place.peers[2].take().unwrap().kill();
    place.start_one(2).await;
    let (status, _) = place.exec(2, "status").await;
    assert!(status.contains("Maintenance:                   until ") && status.contains(": New disk\n"), "{status}");

    for i in 0..3 {
        place.wait_up(i, 2).await;
    }
    place.exec_until(0, "clusterconfig list", |t| t.contains(") (maintenance)\n")).await;
    let (off, _) = place.exec(2, "maintenance off lab3").await;
    assert_eq!(off, "accepted: lab3.example.com is no longer in maintenance.\n");
    place.exec_until(0, "clusterconfig list", |t| !t.contains("maintenance")).await;
    let (again, status) = place.exec(0, "maintenance off lab3").await;
    assert_eq!((again.as_str(), status), ("Not done: lab3.example.com is not in maintenance.\n", Some(1)));
    let (help, _) = place.exec(0, "help").await;
    assert!(help.contains("maintenance on HOST") && help.contains("peerdeck's own"), "{help}");
}
