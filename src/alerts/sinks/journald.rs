//! Entries of the systemd journal by its native protocol: a datagram of fields; what is too large for one goes as a
//! sealed file in memory.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
    sendmsg_addr, socket_with,
};

use super::fields::{evidence, fields, level, variable};
use super::{Delivery, Failure, Sink, Telling, within};

/// How long a journal that is busy is waited for.
const DEADLINE: Duration = Duration::from_secs(5);

/// A journal that is busy is asked again after so long.
const PAUSE: Duration = Duration::from_millis(20);

/// See [`super::Spec::Journald`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JournaldSpec {
    /// Where it listens.
    pub socket: PathBuf,
}

impl Default for JournaldSpec {
    fn default() -> Self {
        Self { socket: PathBuf::from("/run/systemd/journal/socket") }
    }
}

pub(super) struct Journald {
    spec: JournaldSpec,
    watcher: Arc<str>,
}

impl Journald {
    pub(super) fn new(spec: JournaldSpec, watcher: Arc<str>) -> Self {
        Self { spec, watcher }
    }

    async fn send(&self, tellings: &[Telling]) -> Result<(), Failure> {
        let doing = format!("the journal at {}", self.spec.socket.display());
        let failed = |what: &str, e: Errno| Failure::later(format!("{doing}: {what}: {e}"));
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None);
        let socket = socket.map_err(|e| failed("no socket", e))?;
        let address = SocketAddrUnix::new(&self.spec.socket).map_err(|e| failed("not a socket's path", e))?;
        within(DEADLINE, &doing, async {
            for telling in tellings {
                let entry = entry(telling, &self.watcher);
                loop {
                    match hand_over(&socket, &address, &entry) {
                        Ok(()) => break,
                        Err(Errno::AGAIN | Errno::NOBUFS | Errno::INTR) => tokio::time::sleep(PAUSE).await,
                        Err(e) => return Err(failed("it does not take the entry", e)),
                    }
                }
            }
            Ok(())
        })
        .await
    }
}

impl Sink for Journald {
    fn deliver<'a>(&'a mut self, tellings: &'a [Telling]) -> Delivery<'a> {
        Box::pin(self.send(tellings))
    }
}

/// All fields of one entry.
fn entry(telling: &Telling, watcher: &Arc<str>) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, "MESSAGE", &telling.text);
    put(&mut out, "PRIORITY", &level(&telling.notice).to_string());
    put(&mut out, "SYSLOG_IDENTIFIER", "peerdeck");
    for (name, value) in fields(telling, watcher) {
        put(&mut out, &variable(name), &value);
    }
    put(&mut out, "PEERDECK_TEXT", telling.notice.alert.seen.finding.text.as_str());
    put(&mut out, "PEERDECK_ADVICE", telling.notice.alert.seen.finding.advice.as_str());
    put(&mut out, "PEERDECK_EVIDENCE", &evidence(&telling.notice));
    out
}

/// `NAME=value`, or, where the value has several lines, the name, its length and the value.
fn put(out: &mut Vec<u8>, name: &str, value: &str) {
    if value.is_empty() {
        return;
    }
    out.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        out.push(b'\n');
        out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend_from_slice(value.as_bytes());
    out.push(b'\n');
}

/// One try.
fn hand_over(socket: &OwnedFd, address: &SocketAddrUnix, entry: &[u8]) -> Result<(), Errno> {
    match rustix::net::sendto(socket, entry, SendFlags::NOSIGNAL, address) {
        Err(Errno::MSGSIZE) => {}
        done => return done.map(|_| ()),
    }
    let file = memfd_create(c"peerdeck", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut rest = entry;
    while !rest.is_empty() {
        let n = rustix::io::write(&file, rest)?;
        rest = rest.get(n..).unwrap_or_default();
    }
    // The journal takes no file that could still change.
    fcntl_add_seals(&file, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    let files = [file.as_fd()];
    let rights = SendAncillaryMessage::ScmRights(&files);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(rights) {
        return Err(Errno::MSGSIZE);
    }
    sendmsg_addr(socket, address, &[IoSlice::new(&[])], &mut control, SendFlags::NOSIGNAL).map(|_| ())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::put;

    /// Reads an entry as the journal does.
    fn read(mut bytes: &[u8]) -> Vec<(String, String)> {
        let mut out = Vec::new();
        while !bytes.is_empty() {
            let end = bytes.iter().position(|b| *b == b'\n' || *b == b'=').unwrap();
            let name = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let (value, used) = if bytes[end] == b'=' {
                let stop = end + 1 + bytes[end + 1..].iter().position(|b| *b == b'\n').unwrap();
                (&bytes[end + 1..stop], stop + 1)
            } else {
                let length = u64::from_le_bytes(bytes[end + 1..end + 9].try_into().unwrap());
                let length = usize::try_from(length).unwrap();
                assert_eq!(bytes[end + 9 + length], b'\n');
                (&bytes[end + 9..end + 9 + length], end + 10 + length)
            };
            out.push((name, String::from_utf8(value.to_vec()).unwrap()));
            bytes = &bytes[used..];
        }
        out
    }

    proptest! {
        #[test]
        fn b5_no_value_can_become_another_field(values in prop::collection::vec(".{0,40}|[a-z=\n]{0,40}", 1..6)) {
            let mut bytes = Vec::new();
            for (i, value) in values.iter().enumerate() {
                put(&mut bytes, &format!("FIELD_{i}"), value);
            }
            let wanted: Vec<(String, String)> = values
                .iter()
                .enumerate()
                .filter(|(_, v)| !v.is_empty())
                .map(|(i, v)| (format!("FIELD_{i}"), v.clone()))
                .collect();
            prop_assert_eq!(read(&bytes), wanted);
        }
    }
}
