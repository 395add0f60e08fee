//! What is kept of a finding, between memory and disk.

use super::super::{Kept, LastTold};
use crate::domain::alert::Seen;
use crate::domain::ids::HostName;
use crate::domain::time::Time;
use crate::proto::ProtoError;
use crate::proto::alert::{WireKept, WireLastTold, severity};
use crate::proto::finding::{WireAck, WireFinding};

/// For the disk.
pub(super) fn wire_kept(kept: &Kept) -> WireKept {
    let last = |told: &LastTold| WireLastTold {
        at: told.at.as_millis(),
        severity: told.severity.as_str().to_owned(),
        flapping: told.flapping,
        acknowledged: told.acknowledged,
    };
    WireKept {
        finding: WireFinding::from_domain(&kept.seen.finding),
        hosts: kept.seen.hosts.iter().map(ToString::to_string).collect(),
        present: kept.present,
        since: kept.since.as_millis(),
        raised: kept.raised.map(Time::as_millis),
        told: kept.told.as_ref().map(last),
        ack: kept.ack.as_ref().map(WireAck::from_domain),
        toggles: kept.toggles.iter().copied().map(Time::as_millis).collect(),
        flapping: kept.flapping,
        reworded: kept.reworded,
        explained: kept.explained.map(Time::as_millis),
    }
}

/// From the disk, cleaned.
pub(super) fn kept(wire: WireKept) -> Result<Kept, ProtoError> {
    let last = |told: WireLastTold| {
        Ok(LastTold {
            at: Time::from_millis(told.at),
            severity: severity(&told.severity)?,
            flapping: told.flapping,
            acknowledged: told.acknowledged,
        })
    };
    let hosts = wire.hosts.iter().map(|h| HostName::new(h)).collect();
    Ok(Kept {
        seen: Seen { finding: wire.finding.into_domain()?, hosts },
        present: wire.present,
        since: Time::from_millis(wire.since),
        raised: wire.raised.map(Time::from_millis),
        told: wire.told.map(last).transpose()?,
        ack: wire.ack.map(WireAck::into_domain),
        toggles: wire.toggles.into_iter().map(Time::from_millis).collect(),
        flapping: wire.flapping,
        reworded: wire.reworded,
        explained: wire.explained.map(Time::from_millis),
    })
}
