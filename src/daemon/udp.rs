//! Signed datagrams: the evidence for one direction.

use std::net::SocketAddr;
use std::sync::Arc;

use super::cluster::Event;
use super::shared::{Input, Shared};
use super::signing::{MachineKey, SIGNATURE, is_signed_by};
use crate::domain::ids::{BootId, PeerId};
use crate::proto::probe::{PROBE_MAX, ProbeBody};
use crate::proto::{VERSION, check_version};
use crate::ssh::net::Datagrams;

/// The datagram.
pub(super) fn signed(key: &MachineKey, body: &ProbeBody) -> Vec<u8> {
    let text = crate::proto::write(body);
    let mut datagram = key.sign(&text);
    datagram.extend_from_slice(&text);
    datagram
}

/// The probe to `peer` with number `n`.
pub(super) fn body(shared: &Shared, peer: &PeerId, n: u64) -> ProbeBody {
    ProbeBody {
        v: VERSION,
        cluster_id: shared.roster().membership.cluster_id.to_string(),
        from: shared.keys.id.to_string(),
        to: peer.to_string(),
        boot: shared.boot.0,
        n,
    }
}

/// Who sent `datagram`, if it is for us and signed by a member.
pub(super) fn verify(shared: &Shared, datagram: &[u8]) -> Option<(PeerId, BootId, u64)> {
    let (signature, text) = datagram.split_at_checked(SIGNATURE)?;
    let body: ProbeBody = crate::proto::read(text).ok()?;
    check_version(body.v).ok()?;
    let roster = shared.roster();
    if body.to != shared.keys.id.as_str() || body.cluster_id != roster.membership.cluster_id.as_str() {
        return None;
    }
    let member = roster.members.get(&PeerId::new(&body.from))?;
    if !is_signed_by(&member.machine_key, text, signature) {
        return None;
    }
    Some((member.id.clone(), BootId(body.boot), body.n))
}

/// Takes datagrams until the peer ends.
pub(super) async fn receive(shared: Arc<Shared>, socket: Arc<dyn Datagrams>) {
    let mut buffer = [0; PROBE_MAX];
    loop {
        let got = tokio::select! {
            () = shared.over.cancelled() => return,
            got = socket.recv_from(&mut buffer) => got,
        };
        // An error of one datagram (a port unreachable that came back) says nothing about the next.
        let Ok((length, _from)) = got else {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            continue;
        };
        shared.thawed().await;
        let Some((peer, boot, n)) = buffer.get(..length).and_then(|d| verify(&shared, d)) else { continue };
        if shared.inbox.try_send(Input::Event(Event::Probe { peer, boot, n })).is_err() {
            shared.count_drop();
        }
    }
}

/// Sends one, which may be lost.
pub(super) fn send(shared: &Arc<Shared>, socket: &Arc<dyn Datagrams>, datagram: Vec<u8>, to: SocketAddr) {
    let (socket, over) = (socket.clone(), shared.over.clone());
    tokio::spawn(async move {
        tokio::select! {
            () = over.cancelled() => {}
            // Nobody waits for it: what could not be sent is a probe that did not arrive.
            _ = tokio::time::timeout(std::time::Duration::from_secs(1), socket.send_to(&datagram, to)) => {}
        }
    });
}
