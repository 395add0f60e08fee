//! The journal, played by a socket that reads as it does.

use std::collections::BTreeMap;
use std::io::{IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::unix::net::UnixDatagram;

use peerdeck::alerts::sinks::{JournaldSpec, Spec};
use peerdeck::domain::alert::Told;
use peerdeck::domain::text::Line;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::{EVIL, give, later, raised, sink, telling};

/// The fields of an entry, by the journal's rules.
pub fn fields(mut bytes: &[u8]) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    while !bytes.is_empty() {
        let end = bytes.iter().position(|b| *b == b'\n' || *b == b'=').unwrap();
        let name = std::str::from_utf8(&bytes[..end]).unwrap().to_owned();
        let (value, rest) = if bytes[end] == b'=' {
            let stop = end + 1 + bytes[end + 1..].iter().position(|b| *b == b'\n').unwrap();
            (&bytes[end + 1..stop], &bytes[stop + 1..])
        } else {
            let length = usize::try_from(u64::from_le_bytes(bytes[end + 1..end + 9].try_into().unwrap())).unwrap();
            (&bytes[end + 9..end + 9 + length], &bytes[end + 10 + length..])
        };
        assert!(out.insert(name, std::str::from_utf8(value).unwrap().to_owned()).is_none());
        bytes = rest;
    }
    out
}

/// The next entry, in the datagram or in a file that came with it.
fn entry(socket: &UnixDatagram) -> BTreeMap<String, String> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut buffer = vec![0; 1 << 20];
    let got = recvmsg(socket, &mut [IoSliceMut::new(&mut buffer)], &mut control, RecvFlags::empty()).unwrap();
    let file = control.drain().find_map(|m| match m {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    let Some(file) = file else { return fields(&buffer[..got.bytes]) };
    let seals = rustix::fs::fcntl_get_seals(&file).unwrap();
    assert!(seals.contains(rustix::fs::SealFlags::WRITE | rustix::fs::SealFlags::SHRINK), "it can't change any more");
    let mut bytes = Vec::new();
    let mut file = std::fs::File::from(file);
    std::io::Seek::rewind(&mut file).unwrap();
    file.read_to_end(&mut bytes).unwrap();
    fields(&bytes)
}

#[tokio::test]
async fn b5_the_journal_gets_fields_that_can_be_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("socket");
    let mut sink = sink(&Spec::Journald(JournaldSpec { socket: socket.clone() }));
    assert!(later(give(&mut sink, &[raised(1)]).await).contains("socket"), "nobody listens");
    let journal = UnixDatagram::bind(&socket).unwrap();
    give(&mut sink, &[raised(1), telling(2, Told::Cleared)]).await.unwrap();
    let first = entry(&journal);
    let has = |name: &str, value: &str| assert_eq!(first.get(name).map(String::as_str), Some(value), "{name}");
    has("MESSAGE", "raised americas nobody reaches lab7");
    has("PRIORITY", "2");
    has("SYSLOG_IDENTIFIER", "peerdeck");
    has("PEERDECK_EVENT_ID", "w1-1");
    has("PEERDECK_TRANSITION", "raised");
    has("PEERDECK_KIND", "peer-unreachable");
    has("PEERDECK_CLUSTER", "americas");
    has("PEERDECK_SEVERITY", "critical");
    has("PEERDECK_HOSTS", "lab7.example.com");
    has("PEERDECK_ID", "peer-unreachable/americas/peer:SERIAL-7");
    has("PEERDECK_EVIDENCE", &format!("lab1 says: timeout\n{}", Line::new(EVIL)));
    let second = entry(&journal);
    assert_eq!((second["PRIORITY"].as_str(), second["PEERDECK_LASTED_S"].as_str()), ("6", "60.000"));
}

#[tokio::test]
async fn b5_an_entry_too_large_for_a_datagram_goes_as_a_sealed_file() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("socket");
    let journal = UnixDatagram::bind(&socket).unwrap();
    let mut sink = sink(&Spec::Journald(JournaldSpec { socket }));
    let mut large = raised(1);
    let line = Line::new(&"long ".repeat(79));
    large.notice.alert.seen.finding.evidence = vec![line.clone(); 3_000];
    give(&mut sink, &[large]).await.unwrap();
    let got = entry(&journal);
    assert_eq!(got["PEERDECK_EVIDENCE"].lines().filter(|l| *l == line.as_str()).count(), 3_000);
    assert_eq!(got["PEERDECK_KIND"], "peer-unreachable");
}
