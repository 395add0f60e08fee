//! The words of high availability, on screen, on the wire and in files alike.

use strum::{EnumIter, EnumString, IntoStaticStr};

use crate::domain::plan::DangerClass;

macro_rules! words {
    ($($name:ident),* $(,)?) => {$(
        impl $name {
            /// The word on screen, on the wire and in files.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                self.into()
            }
        }
    )*};
}

words!(
    AddressAction,
    BeatState,
    Configured,
    Effective,
    GroupKind,
    HaAct,
    LinkName,
    MonitorState,
    OnFailure,
    Service,
    SplitBrain,
    WitnessMode
);

/// What a group shares (F1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum GroupKind {
    /// Exactly two: one serves, one waits.
    ActivePassive,
    /// Two to 25: all serve, one writes the configuration; no failover.
    ConfigOnly,
}

/// The role that the settings say (`mode` in 4.x to 7.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Configured {
    /// No HA.
    #[default]
    Off,
    /// Serves.
    #[strum(serialize = "primary", serialize = "master")]
    Primary,
    /// Waits.
    #[strum(serialize = "secondary", serialize = "slave")]
    Secondary,
    /// Writes the configuration of a config-only group.
    #[strum(serialize = "config-primary", serialize = "config-master")]
    ConfigPrimary,
    /// Takes it over.
    #[strum(serialize = "config-secondary", serialize = "config-slave")]
    ConfigSecondary,
}

/// What a unit does now.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Effective {
    /// HA stands still until a person starts it; also while it starts.
    #[default]
    Off,
    /// Serves, and may hold the address.
    #[strum(serialize = "primary", serialize = "master")]
    Primary,
    /// Watches the primary.
    #[strum(serialize = "secondary", serialize = "slave")]
    Secondary,
    /// Was primary, a monitor fired; beats on, and waits for recovery.
    Failed,
    /// The other announced a restart: it is waited for.
    HoldOff,
    /// Writes the configuration.
    #[strum(serialize = "config-primary", serialize = "config-master")]
    ConfigPrimary,
    /// Takes the configuration over.
    #[strum(serialize = "config-secondary", serialize = "config-slave")]
    ConfigSecondary,
}

/// What a failed primary does (F9).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum OnFailure {
    /// Stays off until a person restarts HA.
    Off,
    /// Takes its role back when it is well again.
    RestoreRole,
    /// Stays secondary until a person restores it (the vendor's advice).
    #[default]
    #[strum(serialize = "become-secondary", serialize = "become-slave")]
    BecomeSecondary,
}

/// Who else must agree before the address is held (`10-peer.md`, "Who may hold the address").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum WitnessMode {
    /// Two of three votes: never two holders, at the price of none where one is alone.
    Require,
    /// As `off`, but a witness that still hears the primary vetoes a takeover.
    Advise,
    /// The holder's own punctual loop: two holders in a two-way cut.
    #[default]
    Off,
}

/// What two primaries do when they hear each other again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum SplitBrain {
    /// The lower epoch lets its address go, then becomes secondary.
    #[default]
    Resolve,
    /// Both stay until a person decides.
    Hold,
}

/// A way that heartbeats go.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum LinkName {
    /// The one that carries the configuration too.
    Primary,
    /// The other.
    Secondary,
}

/// What the acting primary does with a port's virtual address (F12).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum AddressAction {
    /// Leaves the port alone.
    #[default]
    Ignore,
    /// The virtual address in place of the port's own.
    Set,
    /// The virtual address beside the port's own.
    Add,
}

/// A service that is really spoken to (F10).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Service {
    /// Port 25.
    Smtp,
    /// Port 110.
    Pop3,
    /// Port 143.
    Imap,
    /// Port 80.
    Http,
}

impl Service {
    /// Where it listens if nobody says otherwise.
    #[must_use]
    pub fn port(self) -> u16 {
        match self {
            Self::Smtp => 25,
            Self::Pop3 => 110,
            Self::Imap => 143,
            Self::Http => 80,
        }
    }
}

/// What is watched.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum MonitorKind {
    /// The secondary speaks to a service of the primary.
    Remote(Service),
    /// The primary looks at its own monitored ports (F11, F13).
    Ports,
    /// The primary writes, syncs and reads back a file (F11).
    Disk,
}

impl MonitorKind {
    /// All of them, in the order of the screen.
    pub const ALL: [Self; 6] = [
        Self::Remote(Service::Smtp),
        Self::Remote(Service::Pop3),
        Self::Remote(Service::Imap),
        Self::Remote(Service::Http),
        Self::Ports,
        Self::Disk,
    ];

    /// The name in files, on the wire and on screen (`remote-smtp`, `local-ports`, `local-hd`).
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Remote(Service::Smtp) => "remote-smtp",
            Self::Remote(Service::Pop3) => "remote-pop",
            Self::Remote(Service::Imap) => "remote-imap",
            Self::Remote(Service::Http) => "remote-http",
            Self::Ports => "local-ports",
            Self::Disk => "local-hd",
        }
    }

    /// The monitor of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Whether the secondary runs it against the primary; else a unit runs it on itself.
    #[must_use]
    pub fn is_remote(self) -> bool {
        match self {
            Self::Remote(_) => true,
            Self::Ports | Self::Disk => false,
        }
    }
}

/// How a monitor stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum MonitorState {
    /// Not run in this role.
    #[default]
    Idle,
    /// The last check was good.
    Ok,
    /// Checks fail, not yet as often in a row as counts.
    Failing,
    /// It has fired.
    Failed,
}

/// How a heartbeat link stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum BeatState {
    /// Nothing was heard since the start.
    #[default]
    Waiting,
    /// Beats come.
    Ok,
    /// Silent for half of the threshold.
    Late,
    /// Silent for the threshold.
    Silent,
}

/// What a person can ask of a unit (F15).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum HaAct {
    /// The primary hands its role and address to the other, without loss.
    Switchover,
    /// The secondary takes both by force; says what may be lost.
    Failover,
    /// Back to the configured role; the other is asked to swap.
    Restore,
    /// Start HA again after a monitor stopped it.
    Restart,
    /// Synchronise the configuration now.
    Sync,
    /// A takeover is acknowledged: its quiet period ends.
    Accept,
}

impl HaAct {
    /// How much it can break (`20-console.md`, "Keys and actions").
    #[must_use]
    pub fn class(self) -> DangerClass {
        match self {
            Self::Switchover | Self::Failover | Self::Restore => DangerClass::Critical,
            Self::Restart | Self::Sync => DangerClass::Disruptive,
            Self::Accept => DangerClass::Reversible,
        }
    }
}

impl Configured {
    /// The kind of group that it belongs to; `None` for off.
    #[must_use]
    pub fn kind(self) -> Option<GroupKind> {
        match self {
            Self::Off => None,
            Self::Primary | Self::Secondary => Some(GroupKind::ActivePassive),
            Self::ConfigPrimary | Self::ConfigSecondary => Some(GroupKind::ConfigOnly),
        }
    }

    /// The effective role of a unit that does what it is told.
    #[must_use]
    pub fn effective(self) -> Effective {
        match self {
            Self::Off => Effective::Off,
            Self::Primary => Effective::Primary,
            Self::Secondary => Effective::Secondary,
            Self::ConfigPrimary => Effective::ConfigPrimary,
            Self::ConfigSecondary => Effective::ConfigSecondary,
        }
    }
}
