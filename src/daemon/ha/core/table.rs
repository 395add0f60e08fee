//! The state table as data: every role change goes through a row of it (`facts/fortimail.md`, 4.2 and 4.3).

use crate::domain::ha::{Effective, OnFailure, SplitBrain};

use Effective::{Failed, HoldOff, Off, Primary, Secondary};

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Trigger {
    /// No heartbeat on any link for as long as a takeover waits.
    AllSilent,
    /// One link is silent, another one is not.
    LinkSilent,
    /// Services at the virtual address answer in place of heartbeats.
    ServicesAnswer,
    /// The other, or a person through it or here, asks this unit to change.
    Asked,
    /// A local monitor of this unit has fired.
    MonitorFired,
    /// The other has released the address to this unit.
    Released,
    /// The other says in its beats that it failed, was stopped, or leaves.
    OtherOut,
    /// The other says that it restarts.
    OtherRestarts,
    /// The other, waited for, is back.
    OtherBack,
    /// The wait for the other's restart is over.
    HoldOffOver,
    /// At the start the other turns out to be primary.
    FoundPrimary,
    /// Both are primary.
    TwoPrimaries,
    /// What made this unit fail is gone.
    Recovered,
    /// HA has started, and the other is heard.
    Started,
    /// Both are heard and neither is primary.
    NoPrimary,
    /// What was released was refused.
    GivenBack,
    /// The address is not held, and the other has gone on to a higher epoch.
    Overtaken,
    /// This unit stops.
    Stopping,
}

/// A row: in which role, upon what, by which settings, to which role.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// 1 to 17: the rows of 4.2; 18, 19, 20: `off`, `restore-role`, `become-secondary` of 4.3; 0: our own.
    pub number: u8,
    /// Upon what.
    pub trigger: Trigger,
    /// In which roles.
    pub from: &'static [Effective],
    /// Only with these; empty: with all.
    pub on_failure: &'static [OnFailure],
    /// Only with this.
    pub split_brain: Option<SplitBrain>,
    /// To which role; `None`: no change.
    pub to: Option<Effective>,
    /// In words; `{}` stands for what is known more exactly.
    pub reason: &'static str,
}

const ALL: &[OnFailure] = &[];
const WAIT: &[OnFailure] = &[OnFailure::RestoreRole, OnFailure::BecomeSecondary];
const STOP: &[OnFailure] = &[OnFailure::Off];
const WAITING: &[Effective] = &[Secondary, HoldOff];

const fn row(
    number: u8,
    trigger: Trigger,
    from: &'static [Effective],
    on_failure: &'static [OnFailure],
    to: Option<Effective>,
    reason: &'static str,
) -> Row {
    Row { number, trigger, from, on_failure, split_brain: None, to, reason }
}

/// All rows.
pub static TABLE: &[Row] = &[
    row(1, Trigger::AllSilent, &[Secondary, Off], ALL, Some(Primary), "no heartbeat on any link: {}"),
    row(2, Trigger::LinkSilent, &[Primary, Secondary, Failed], ALL, None, "one heartbeat link is silent: {}"),
    row(3, Trigger::ServicesAnswer, &[Secondary], ALL, None, "no heartbeat, but services answer: {}"),
    row(4, Trigger::Asked, &[Primary], WAIT, Some(Failed), "a service fails for the other: {}"),
    row(4, Trigger::Asked, &[Primary], STOP, Some(Off), "a service fails for the other: {}"),
    row(4, Trigger::Released, WAITING, ALL, Some(Primary), "a service of the other fails: {}"),
    row(5, Trigger::MonitorFired, &[Primary], WAIT, Some(Failed), "a monitored port is down: {}"),
    row(5, Trigger::MonitorFired, &[Primary], STOP, Some(Off), "a monitored port is down: {}"),
    row(5, Trigger::Released, WAITING, ALL, Some(Primary), "a port of the other is down: {}"),
    row(5, Trigger::OtherOut, &[Secondary, HoldOff, Off], ALL, Some(Primary), "the other is out of service: {}"),
    row(6, Trigger::MonitorFired, &[Primary], WAIT, Some(Failed), "the disk fails: {}"),
    row(6, Trigger::MonitorFired, &[Primary], STOP, Some(Off), "the disk fails: {}"),
    row(6, Trigger::Released, WAITING, ALL, Some(Primary), "the other's disk fails: {}"),
    row(7, Trigger::OtherRestarts, &[Secondary], ALL, Some(HoldOff), "the primary restarts: {}"),
    row(8, Trigger::OtherBack, &[HoldOff], ALL, Some(Secondary), "the other is back: {}"),
    row(9, Trigger::HoldOffOver, &[HoldOff], ALL, Some(Primary), "the primary did not come back: {}"),
    row(10, Trigger::OtherRestarts, &[Primary, Failed], ALL, None, "the secondary restarts: {}"),
    row(11, Trigger::AllSilent, &[Primary, Failed], ALL, None, "the secondary's heartbeat disappeared: {}"),
    row(12, Trigger::FoundPrimary, &[Off], WAIT, Some(Secondary), "the other is primary: {}"),
    row(12, Trigger::FoundPrimary, &[Off], STOP, None, "the other took over, and on-failure is off: {}"),
    row(13, Trigger::Asked, &[Primary], ALL, Some(Secondary), "switchover: {}"),
    row(13, Trigger::Released, WAITING, ALL, Some(Primary), "switchover: {}"),
    row(14, Trigger::Asked, &[Primary], ALL, Some(Secondary), "the secondary was switched to primary: {}"),
    row(14, Trigger::Released, WAITING, ALL, Some(Primary), "switched to primary: {}"),
    row(14, Trigger::AllSilent, WAITING, ALL, Some(Primary), "forced failover: {}"),
    row(15, Trigger::Asked, &[Primary], ALL, Some(Secondary), "configured roles restored: {}"),
    row(15, Trigger::Released, WAITING, ALL, Some(Primary), "configured roles restored: {}"),
    row(15, Trigger::Asked, &[Off, Failed], ALL, Some(Off), "configured role restored: {}"),
    row(16, Trigger::Asked, &[Off, Failed], ALL, Some(Off), "HA restarted: {}"),
    Row {
        number: 17,
        trigger: Trigger::TwoPrimaries,
        from: &[Primary],
        on_failure: ALL,
        split_brain: Some(SplitBrain::Resolve),
        to: Some(Secondary),
        reason: "split brain resolved: {}",
    },
    Row {
        number: 17,
        trigger: Trigger::TwoPrimaries,
        from: &[Primary],
        on_failure: ALL,
        split_brain: Some(SplitBrain::Hold),
        to: None,
        reason: "split brain, both stay until a person decides: {}",
    },
    row(18, Trigger::Recovered, &[Off], STOP, None, "stays off until a person restarts HA: {}"),
    row(
        19,
        Trigger::Recovered,
        &[Failed],
        &[OnFailure::RestoreRole],
        Some(Secondary),
        "well again, asks for its role: {}",
    ),
    row(19, Trigger::Asked, &[Primary], ALL, Some(Secondary), "the other takes its role back: {}"),
    row(19, Trigger::Released, WAITING, ALL, Some(Primary), "original role restored: {}"),
    row(20, Trigger::Recovered, &[Failed], &[OnFailure::BecomeSecondary], Some(Secondary), "well again: {}"),
    // Ours.
    row(0, Trigger::FoundPrimary, &[Off], ALL, Some(Secondary), "the other is primary: {}"),
    row(0, Trigger::Started, &[Off], ALL, Some(Secondary), "started: {}"),
    row(0, Trigger::NoPrimary, &[Off, Secondary], ALL, Some(Primary), "neither unit was primary: {}"),
    row(0, Trigger::OtherOut, WAITING, ALL, Some(Primary), "the other stops: {}"),
    row(0, Trigger::Released, WAITING, ALL, Some(Primary), "the other stops: {}"),
    row(0, Trigger::GivenBack, &[Secondary], ALL, Some(Primary), "the other refused to take over: {}"),
    row(0, Trigger::Overtaken, &[Primary], ALL, Some(Secondary), "the other has gone on: {}"),
    row(0, Trigger::Stopping, &[Primary, Secondary, Failed, HoldOff], ALL, Some(Off), "stops: {}"),
];

/// The row of this number for a unit in `from` with these settings.
#[must_use]
pub fn find(
    number: u8,
    trigger: Trigger,
    from: Effective,
    on_failure: OnFailure,
    split_brain: SplitBrain,
) -> Option<&'static Row> {
    TABLE.iter().find(|r| {
        r.number == number
            && r.trigger == trigger
            && r.from.contains(&from)
            && (r.on_failure.is_empty() || r.on_failure.contains(&on_failure))
            && r.split_brain.is_none_or(|s| s == split_brain)
    })
}

/// Whether a release by this row is a failure of the other: what follows is a takeover with a quiet period.
#[must_use]
pub fn is_failure(number: u8) -> bool {
    matches!(number, 1 | 3..=6 | 9)
}
