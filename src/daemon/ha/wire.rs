//! Datagrams of an HA group: sealing, opening, and the guard against replays (F2, F17).

use std::collections::BTreeMap;
use std::fmt;

use super::keys::Keys;
use crate::domain::ha::LinkName;
use crate::domain::ids::{BootId, HaName, PeerId};
use crate::domain::text::{Line, clean};
use crate::proto::beat::{DATAGRAM_MAX, Envelope, MAC, Message};
use crate::proto::{VERSION, check_version};

/// Most (sender, link) pairs whose numbers are kept: a group has at most 25 units with two links each, and a witness.
const SENDERS_MAX: usize = 128;

/// What [`Envelope::link`] says of datagrams to and from a witness.
pub const WITNESS: &str = "witness";

/// On which way a datagram says that it was sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Via {
    /// A heartbeat link.
    Link(LinkName),
    /// To or from the witness.
    Witness,
}

impl Via {
    /// The word in [`Envelope::link`].
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Link(name) => name.as_str(),
            Self::Witness => WITNESS,
        }
    }

    fn named(word: &str) -> Option<Self> {
        if word == WITNESS { Some(Self::Witness) } else { word.parse().ok().map(Self::Link) }
    }
}

/// An authentic datagram that is no replay.
#[derive(Clone, Debug, PartialEq)]
pub struct Opened {
    /// Who sent it.
    pub from: PeerId,
    /// Its start.
    pub boot: BootId,
    /// How, by its own word.
    pub via: Via,
    /// What it says.
    pub message: Message,
}

/// Why a datagram is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not authentic, or not for us: what is wrong with it.
    Stranger(Line),
    /// An old one once more, or one that was overtaken.
    Replayed,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stranger(why) => write!(f, "{why}"),
            Self::Replayed => f.write_str("an old one once more, or overtaken"),
        }
    }
}

/// What is on a datagram's outside: enough to find its group, and nothing that may be believed.
#[must_use]
pub fn group_of(datagram: &[u8]) -> Option<String> {
    if datagram.len() > DATAGRAM_MAX {
        return None;
    }
    let (_, text) = datagram.split_at_checked(MAC)?;
    crate::proto::read::<Envelope>(text).ok().map(|e| e.group)
}

/// Seals what one start of one machine says in one group. Every datagram has a higher number than all before it.
#[derive(Debug)]
pub struct Sealer {
    group: HaName,
    from: PeerId,
    boot: BootId,
    seq: u64,
}

impl Sealer {
    /// For this start.
    #[must_use]
    pub fn new(group: HaName, from: PeerId, boot: BootId) -> Self {
        Self { group, from, boot, seq: 0 }
    }

    /// A datagram; `None` if the message is too long for one (a reason that never ends).
    pub fn seal(&mut self, keys: &Keys, via: Via, message: Message) -> Option<Vec<u8>> {
        self.seq += 1;
        let envelope = Envelope {
            v: VERSION,
            key: keys.id().to_owned(),
            group: self.group.to_string(),
            from: self.from.to_string(),
            boot: self.boot.0,
            seq: self.seq,
            link: via.as_str().to_owned(),
            message,
        };
        let text = crate::proto::write(&envelope);
        let mut datagram = keys.sign(&text);
        datagram.extend_from_slice(&text);
        (datagram.len() <= DATAGRAM_MAX).then_some(datagram)
    }
}

/// Opens what comes, and remembers the highest number of each sender on each of its links.
#[derive(Debug)]
pub struct Opener {
    group: HaName,
    me: PeerId,
    seen: BTreeMap<(PeerId, Via), (u64, u64)>,
}

impl Opener {
    /// For datagrams to `me` in `group`.
    #[must_use]
    pub fn new(group: HaName, me: PeerId) -> Self {
        Self { group, me, seen: BTreeMap::new() }
    }

    /// What it says, if it is authentic, came the way that it says (`fits`), and is new.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn open(&mut self, keys: &Keys, datagram: &[u8], fits: impl Fn(Via) -> bool) -> Result<Opened, Refusal> {
        let stranger = |why: &str| Refusal::Stranger(Line::new(why));
        if datagram.len() > DATAGRAM_MAX {
            return Err(stranger("a datagram that is too long"));
        }
        let Some((mac, text)) = datagram.split_at_checked(MAC) else {
            return Err(stranger("a datagram that is too short"));
        };
        let envelope: Envelope = crate::proto::read(text).map_err(|_| stranger("a datagram that is no heartbeat"))?;
        if envelope.group != self.group.as_str() {
            return Err(stranger(&format!("a heartbeat of another group, \"{}\"", clean(&envelope.group, 40))));
        }
        if !keys.has(&envelope.key) {
            return Err(stranger("a heartbeat under another password"));
        }
        if !keys.verify(&envelope.key, text, mac) {
            return Err(stranger("a heartbeat whose authenticator is wrong"));
        }
        // From here on its sender knows the password.
        check_version(envelope.v).map_err(|e| stranger(&e.to_string()))?;
        let from = PeerId::new(&envelope.from);
        if from == self.me {
            return Err(stranger(
                "a heartbeat that bears our own serial number: one of our own, or of a cloned machine",
            ));
        }
        let Some(via) = Via::named(&envelope.link) else {
            return Err(stranger(&format!("a heartbeat on an unknown link, \"{}\"", clean(&envelope.link, 40))));
        };
        if !fits(via) {
            return Err(stranger(&format!("a heartbeat of link \"{}\" that did not come over it", via.as_str())));
        }
        let (key, number) = ((from.clone(), via), (envelope.boot, envelope.seq));
        match self.seen.get_mut(&key) {
            Some(last) if number <= *last => return Err(Refusal::Replayed),
            Some(last) => *last = number,
            None => {
                if self.seen.len() >= SENDERS_MAX {
                    return Err(stranger("a heartbeat of one sender too many"));
                }
                self.seen.insert(key, number);
            }
        }
        Ok(Opened { from, boot: BootId(envelope.boot), via, message: envelope.message })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use proptest::prelude::*;

    use super::*;
    use crate::daemon::ha::{Secret, Secrets};
    use crate::proto::beat::{Beat, Want};

    const PRIMARY: Via = Via::Link(LinkName::Primary);
    const SECONDARY: Via = Via::Link(LinkName::Secondary);

    fn derive(words: &[&str]) -> Keys {
        let secrets = Secrets(words.iter().map(|w| Secret::MadeUp((*w).to_owned())).collect());
        Keys::derive(&HaName::new("gw"), &secrets).unwrap()
    }

    fn keys() -> &'static Keys {
        static KEYS: OnceLock<Keys> = OnceLock::new();
        KEYS.get_or_init(|| derive(&["correct horse"]))
    }

    fn sealer(boot: u64) -> Sealer {
        Sealer::new(HaName::new("gw"), PeerId::new("A"), BootId(boot))
    }

    fn opener() -> Opener {
        Opener::new(HaName::new("gw"), PeerId::new("B"))
    }

    fn beat(epoch: u64) -> Message {
        Message::Beat(Beat { epoch, effective: "primary".into(), ..Beat::default() })
    }

    fn anywhere(_: Via) -> bool {
        true
    }

    fn is_stranger(result: &Result<Opened, Refusal>, word: &str) -> bool {
        matches!(result, Err(Refusal::Stranger(why)) if why.as_str().contains(word))
    }

    #[test]
    fn f17_what_is_sealed_comes_out_once() {
        let (mut sealer, mut opener) = (sealer(7), opener());
        let datagram = sealer.seal(keys(), PRIMARY, beat(3)).unwrap();
        assert_eq!(group_of(&datagram).as_deref(), Some("gw"));
        let said = opener.open(keys(), &datagram, anywhere).unwrap();
        assert_eq!((said.from, said.boot, said.via), (PeerId::new("A"), BootId(7), PRIMARY));
        assert_eq!(said.message, beat(3));
        assert_eq!(opener.open(keys(), &datagram, anywhere), Err(Refusal::Replayed));
    }

    #[test]
    fn f17_who_is_refused_is_told_why() {
        let datagram = sealer(7).seal(keys(), PRIMARY, beat(3)).unwrap();
        let other = Opener::new(HaName::new("edge"), PeerId::new("B")).open(keys(), &datagram, anywhere);
        assert!(is_stranger(&other, "another group, \"gw\""), "{other:?}");
        let wrong = opener().open(&derive(&["wrong horse"]), &datagram, anywhere);
        assert!(is_stranger(&wrong, "another password"), "{wrong:?}");
        let own = Opener::new(HaName::new("gw"), PeerId::new("A")).open(keys(), &datagram, anywhere);
        assert!(is_stranger(&own, "our own serial"), "{own:?}");
        assert!(is_stranger(&opener().open(keys(), &[0; MAC], anywhere), "no heartbeat"));
        assert!(is_stranger(&opener().open(keys(), &[0; MAC - 1], anywhere), "too short"));
        assert!(is_stranger(&opener().open(keys(), &vec![b' '; DATAGRAM_MAX + 1], anywhere), "too long"));
    }

    #[test]
    fn f17_a_later_version_is_told_by_its_number() {
        let envelope = Envelope { v: 2, key: keys().id().into(), group: "gw".into(), ..Envelope::default() };
        let text = crate::proto::write(&envelope);
        let datagram = [keys().sign(&text), text].concat();
        assert!(is_stranger(&opener().open(keys(), &datagram, anywhere), "version 2"));
    }

    #[test]
    fn f17_a_rotated_key_is_accepted_and_the_new_one_signs() {
        let both = derive(&["new password", "correct horse"]);
        let old = sealer(1).seal(keys(), PRIMARY, beat(1)).unwrap();
        assert!(opener().open(&both, &old, anywhere).is_ok());
        let new = sealer(1).seal(&both, PRIMARY, beat(1)).unwrap();
        assert!(opener().open(&derive(&["new password"]), &new, anywhere).is_ok());
        assert!(is_stranger(&opener().open(keys(), &new, anywhere), "another password"));
    }

    #[test]
    fn f17_a_restart_counts_on_and_an_earlier_start_is_over() {
        let (mut first, mut second, mut opener) = (sealer(1), sealer(2), opener());
        let early: Vec<_> = (0..3).map(|n| first.seal(keys(), PRIMARY, beat(n)).unwrap()).collect();
        assert!(opener.open(keys(), &early[0], anywhere).is_ok());
        let late = second.seal(keys(), PRIMARY, beat(9)).unwrap();
        assert!(opener.open(keys(), &late, anywhere).is_ok(), "its number is lower, its start is later");
        assert_eq!(
            opener.open(keys(), &early[2], anywhere),
            Err(Refusal::Replayed),
            "never heard, but of a start that is over"
        );
    }

    #[test]
    fn f17_a_datagram_of_one_link_says_nothing_on_another() {
        // One number rises over both links, and one link may be slower than the other.
        let (mut sealer, mut opener) = (sealer(1), opener());
        let slow = sealer.seal(keys(), PRIMARY, beat(1)).unwrap();
        let fast = sealer.seal(keys(), SECONDARY, beat(1)).unwrap();
        assert_eq!(opener.open(keys(), &fast, anywhere).unwrap().via, SECONDARY);
        assert_eq!(opener.open(keys(), &slow, anywhere).unwrap().via, PRIMARY);
    }

    #[test]
    fn f17_a_datagram_that_came_another_way_is_refused_and_uses_no_number_up() {
        let datagram = sealer(1).seal(keys(), PRIMARY, beat(1)).unwrap();
        let mut opener = opener();
        let elsewhere = opener.open(keys(), &datagram, |via| via == SECONDARY);
        assert!(is_stranger(&elsewhere, "did not come over it"), "{elsewhere:?}");
        assert!(opener.open(keys(), &datagram, |via| via == PRIMARY).is_ok());
    }

    #[test]
    fn f17_senders_are_bounded() {
        let mut opener = opener();
        let of = |n: usize| {
            Sealer::new(HaName::new("gw"), PeerId::new(&format!("X{n}")), BootId(1))
                .seal(keys(), PRIMARY, beat(0))
                .unwrap()
        };
        for n in 0..SENDERS_MAX {
            assert!(opener.open(keys(), &of(n), anywhere).is_ok());
        }
        assert!(is_stranger(&opener.open(keys(), &of(SENDERS_MAX), anywhere), "too many"));
    }

    #[test]
    fn f17_what_is_too_long_is_not_sent() {
        let message = Message::Yield { epoch: 1, reason: "x".repeat(DATAGRAM_MAX), row: 4 };
        assert_eq!(sealer(1).seal(keys(), PRIMARY, message), None);
    }

    proptest! {
        /// Any changed byte, in front or behind, is refused; so is any shortened one.
        #[test]
        fn f17_a_changed_or_cut_datagram_is_refused(at in any::<prop::sample::Index>(), by in 1..=255_u8, n in 0..9_u64) {
            let message = Message::Ask { epoch: n, n, what: Want::Hold };
            let datagram = sealer(1).seal(keys(), PRIMARY, message).unwrap();
            let mut changed = datagram.clone();
            changed[at.index(datagram.len())] ^= by;
            prop_assert!(matches!(opener().open(keys(), &changed, anywhere), Err(Refusal::Stranger(_))));
            let cut = &datagram[..at.index(datagram.len())];
            prop_assert!(matches!(opener().open(keys(), cut, anywhere), Err(Refusal::Stranger(_))));
        }

        /// In whatever order they come and however often: each is taken at most once, and only while it is the newest of its link.
        #[test]
        fn f17_numbers_rise_on_each_link(order in prop::collection::vec(0..20_usize, 1..60)) {
            let mut sealer = sealer(1);
            let sent: Vec<_> = (0..20_u64).map(|n| {
                let via = if n % 3 == 0 { SECONDARY } else { PRIMARY };
                (via, sealer.seal(keys(), via, beat(n)).unwrap())
            }).collect();
            let (mut opener, mut newest) = (opener(), BTreeMap::new());
            for i in order {
                let (via, datagram) = &sent[i];
                let is_new = newest.get(via).is_none_or(|last| i > *last);
                let result = opener.open(keys(), datagram, anywhere);
                prop_assert_eq!(result.is_ok(), is_new);
                if is_new {
                    newest.insert(*via, i);
                } else {
                    prop_assert_eq!(result, Err(Refusal::Replayed));
                }
            }
        }
    }
}
