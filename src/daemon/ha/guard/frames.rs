//! Frames that announce an address or ask for its holder: ARP (RFC 826, RFC 5227) and neighbour discovery (RFC 4861).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A hardware address.
pub type Mac = [u8; 6];

/// Ethernet type of ARP.
pub const ARP: u16 = 0x0806;
/// Ethernet type of IPv6.
pub const IPV6: u16 = 0x86dd;

const ALL: Mac = [0xff; 6];
const REQUEST: u16 = 1;
const REPLY: u16 = 2;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// The Ethernet type that frames about `address` have.
#[must_use]
pub fn kind(address: IpAddr) -> u16 {
    if address.is_ipv4() { ARP } else { IPV6 }
}

/// What tells all neighbours that `address` is at `mac` now: a gratuitous ARP in both forms, for systems that heed only one,
/// or an unsolicited advertisement with the override flag.
#[must_use]
pub fn announcements(mac: Mac, address: IpAddr) -> Vec<Vec<u8>> {
    match address {
        IpAddr::V4(ip) => vec![arp(REQUEST, mac, ip, [0; 6], ip), arp(REPLY, mac, ip, ALL, ip)],
        IpAddr::V6(ip) => {
            let mut body = vec![ADVERTISEMENT, 0, 0, 0, 0x20, 0, 0, 0]; // override
            body.extend(ip.octets());
            body.extend([2, 1]); // target's link-layer address
            body.extend(mac);
            vec![icmp6(mac, ip, ALL_NODES, body)]
        }
    }
}

/// What asks whether anybody holds `address`, from nobody's address so that nobody learns anything from it.
#[must_use]
pub fn probe(mac: Mac, address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(ip) => arp(REQUEST, mac, Ipv4Addr::UNSPECIFIED, [0; 6], ip),
        IpAddr::V6(ip) => {
            let o = ip.octets();
            let node =
                Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(o[13]), u16::from_be_bytes([o[14], o[15]]));
            let mut body = vec![SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
            body.extend(o);
            icmp6(mac, Ipv6Addr::UNSPECIFIED, node, body)
        }
    }
}

/// Who says in `frame` that `address` is his, if he is not `mac`.
#[must_use]
pub fn holder(frame: &[u8], mac: Mac, address: IpAddr) -> Option<Mac> {
    let other = match address {
        IpAddr::V4(ip) => {
            let body = body(frame, ARP)?.get(..28)?;
            let ours = body[..6] == [0, 1, 8, 0, 6, 4] && body[14..18] == ip.octets();
            ours.then(|| <Mac>::try_from(&body[8..14]).ok()).flatten()?
        }
        IpAddr::V6(ip) => {
            let body = body(frame, IPV6)?;
            let icmp = body.get(40..64)?;
            let ours = body[6] == 58 && icmp[0] == ADVERTISEMENT && icmp[8..24] == ip.octets();
            // The option says it best; the frame's source does for those who leave it out.
            let option = body.get(64..72).filter(|o| o[..2] == [2, 1]).and_then(|o| <Mac>::try_from(&o[2..]).ok());
            ours.then(|| option.or_else(|| <Mac>::try_from(frame.get(6..12)?).ok())).flatten()?
        }
    };
    (other != mac).then_some(other)
}

/// As people write it.
#[must_use]
pub fn text(mac: Mac) -> String {
    mac.map(|b| format!("{b:02x}")).join(":")
}

fn body(frame: &[u8], kind: u16) -> Option<&[u8]> {
    (frame.get(12..14)? == kind.to_be_bytes()).then(|| &frame[14..])
}

fn arp(operation: u16, mac: Mac, sender: Ipv4Addr, to: Mac, target: Ipv4Addr) -> Vec<u8> {
    let mut frame = Vec::with_capacity(42);
    frame.extend(ALL);
    frame.extend(mac);
    frame.extend(ARP.to_be_bytes());
    frame.extend([0, 1, 8, 0, 6, 4]);
    frame.extend(operation.to_be_bytes());
    frame.extend(mac);
    frame.extend(sender.octets());
    frame.extend(to);
    frame.extend(target.octets());
    frame
}

/// To a multicast address, with the hop limit that proves that it is of this link.
fn icmp6(mac: Mac, from: Ipv6Addr, to: Ipv6Addr, mut body: Vec<u8>) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap_or(0);
    let mut sum: u32 = u32::from(length) + 58;
    let words = [&from.octets()[..], &to.octets()[..], &body[..]].concat();
    for pair in words.chunks(2) {
        sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let sum = !u16::try_from(sum).unwrap_or(0);
    body[2..4].copy_from_slice(&sum.to_be_bytes());
    let o = to.octets();
    let mut frame = vec![0x33, 0x33, o[12], o[13], o[14], o[15]];
    frame.extend(mac);
    frame.extend(IPV6.to_be_bytes());
    frame.extend([0x60, 0, 0, 0]);
    frame.extend(length.to_be_bytes());
    frame.extend([58, 255]);
    frame.extend(from.octets());
    frame.extend(to.octets());
    frame.extend(body);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Mac = [2, 0, 0, 0, 0, 1];
    const THEM: Mac = [2, 0, 0, 0, 0, 2];

    #[test]
    fn f12_an_announcement_names_its_holder_to_all_but_himself() {
        for ip in ["192.0.2.9", "2001:db8::9"] {
            let ip: IpAddr = ip.parse().unwrap();
            for frame in announcements(THEM, ip) {
                assert_eq!(holder(&frame, US, ip), Some(THEM), "{ip}");
                assert_eq!(holder(&frame, THEM, ip), None);
                for cut in 0..frame.len() - 8 {
                    let _ = holder(&frame[..cut], US, ip);
                }
            }
            assert_eq!(holder(&probe(THEM, ip), US, ip), None, "a question is no answer");
        }
        let frame = announcements(THEM, "192.0.2.9".parse().unwrap()).remove(0);
        assert_eq!(holder(&frame, US, "192.0.2.8".parse().unwrap()), None, "of another address");
    }

    #[test]
    fn f12_frames_are_byte_for_byte_what_the_rfcs_say() {
        let frame = probe(US, "192.0.2.9".parse().unwrap());
        let hex = data_encoding::HEXLOWER.encode(&frame);
        assert_eq!(
            hex,
            "ffffffffffff 020000000001 0806 0001 0800 06 04 0001 020000000001 00000000 000000000000 c0000209"
                .replace(' ', "")
        );
        // Checksum and solicited-node address worked out by hand for fe80::1:2:3.
        let frame = probe(US, "fe80::1:2:3".parse().unwrap());
        assert_eq!(&frame[..6], [0x33, 0x33, 0xff, 2, 0, 3]);
        let words = [&frame[22..54], &frame[54..]].concat();
        let sum: u32 = words.chunks(2).map(|w| u32::from(w[0]) * 256 + u32::from(w[1])).sum::<u32>() + 24 + 58;
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff, "a sum with its checksum is all ones");
    }
}
