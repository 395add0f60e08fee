//! What each fault does to a running lab.

use std::sync::PoisonError;

use super::fault::{BeatFault, Fault, Island, Links, PortFault, Switch};
use super::ha::{Ha, PEERS_MIN};
use super::net::Node;
use super::{Lab, LabError, Shared};
use crate::daemon;
use crate::daemon::disk::DiskFault;
use crate::domain::ha::{LinkName, Service};
use crate::domain::ids::{GroupName, HaName};
use crate::domain::time::human_rtt;

impl Lab {
    /// Reads and applies the words of `lab fault`; tells what was done.
    ///
    /// # Errors
    /// [`LabError`], which says what to do.
    pub async fn apply_words(&self, words: &[String]) -> Result<String, LabError> {
        let fault = Fault::parse(words, self.roster())?;
        self.apply(fault).await
    }

    /// Applies a fault; tells what was done.
    ///
    /// # Errors
    /// [`LabError`], which says what to do.
    pub async fn apply(&self, fault: Fault) -> Result<String, LabError> {
        let healed = fault == Fault::Heal;
        let done = self.act(fault).await?;
        let mut applied = self.0.applied.lock().unwrap_or_else(PoisonError::into_inner);
        if healed {
            applied.clear();
        } else {
            applied.push(done.clone());
        }
        Ok(done)
    }

    async fn act(&self, fault: Fault) -> Result<String, LabError> {
        let lab = &*self.0;
        let faults = &lab.faults;
        Ok(match fault {
            Fault::Cut(a, b) => {
                faults.cut(&[a], &[b]);
                format!("cut: {} and {} no longer reach each other", lab.name(a), lab.name(b))
            }
            Fault::CutOneWay { from, to } => {
                faults.cut_one_way(from, to);
                format!("cut one way: {} no longer reaches {}", lab.name(from), lab.name(to))
            }
            Fault::Isolate(island) => lab.isolate(&island),
            Fault::Flap(a, b, hz) => {
                faults.flap(a, b, hz);
                format!("flap: {} and {}, {hz} times a second", lab.name(a), lab.name(b))
            }
            Fault::Slow(a, b, late) => {
                faults.slow(a, b, late);
                format!("slow: {} and {}, {} each way", lab.name(a), lab.name(b), human_rtt(late))
            }
            Fault::Loss(a, b, probability) => {
                faults.loss(a, b, probability);
                format!("loss: {} and {}, {} %", lab.name(a), lab.name(b), probability * 100.0)
            }
            Fault::Kill(peer) => {
                let killed = lab.unit(peer).lock().await.kill(faults);
                lab.done_if(killed, peer, "killed", "does not run")?
            }
            Fault::Freeze(peer) => {
                let frozen = lab.unit(peer).lock().await.freeze(faults);
                lab.done_if(frozen, peer, "frozen", "does not run: start it first")?
            }
            Fault::Thaw(peer) => {
                let thawed = lab.unit(peer).lock().await.thaw(faults);
                lab.done_if(thawed, peer, "thawed", "is not frozen")?
            }
            Fault::Restart(peer) => {
                self.restart(peer).await?;
                format!("{} was restarted", lab.name(Node::Peer(peer)))
            }
            Fault::Start(peer) => {
                let mut unit = lab.unit(peer).lock().await;
                let idle = !unit.is_running();
                unit.start(lab).await?;
                lab.done_if(idle, peer, "started", "runs already")?
            }
            Fault::HostKey(peer) => {
                lab.unit(peer).lock().await.change_host_key()?;
                self.restart(peer).await?;
                format!("{} was restarted with a host key that nobody knows", lab.name(Node::Peer(peer)))
            }
            Fault::Dns(peer, answer) => {
                lab.dns.set(&lab.seats[usize::from(peer)].host, answer);
                let answer: &str = answer.into();
                format!("dns: {} is answered with {answer}", lab.name(Node::Peer(peer)))
            }
            Fault::Alias(peer, name) => {
                lab.dns.alias(&lab.seats[usize::from(peer)].host, &name);
                format!("alias: {} is {name} too", lab.name(Node::Peer(peer)))
            }
            Fault::Skew(peer, ms) => {
                lab.unit(peer).lock().await.set_clock_off(ms);
                let ahead = if ms < 0 { "behind" } else { "ahead" };
                let off = std::time::Duration::from_millis(ms.unsigned_abs());
                format!("skew: the clock of {} is {off:?} {ahead}", lab.name(Node::Peer(peer)))
            }
            Fault::Level(peer, level) => {
                lab.unit(peer).lock().await.set_level(level);
                format!("level: {} speaks level {level}", lab.name(Node::Peer(peer)))
            }
            Fault::Disk(peer, fault) => {
                lab.unit(peer).lock().await.set_disk(fault);
                let does = match fault {
                    DiskFault::ReadOnly => "is read-only",
                    DiskFault::Full => "is full",
                    DiskFault::Ok => "takes settings again",
                };
                format!("disk: that of {} {does}", lab.name(Node::Peer(peer)))
            }
            Fault::Heartbeat(group, links, fault) => lab.heartbeat(&group, links, fault)?,
            Fault::Service(peer, service, switch) => lab.service(peer, service, switch)?,
            Fault::Interface(peer, port, fault) => lab.interface(peer, port, fault)?,
            Fault::Heal => {
                self.heal().await?;
                "healed: all faults are gone, all peers run".to_owned()
            }
        })
    }

    async fn restart(&self, peer: u16) -> Result<(), LabError> {
        let mut unit = self.0.unit(peer).lock().await;
        unit.stop_to_restart(&self.0.faults).await;
        unit.start(&self.0).await
    }

    async fn heal(&self) -> Result<(), LabError> {
        self.0.faults.clear();
        self.0.dns.heal();
        if let Some(ha) = &self.0.ha {
            ha.heal().map_err(|e| LabError::Refused(format!("a mail service could not be started again: {e}")))?;
        }
        self.for_all(|shared, i| async move {
            let mut unit = shared.units[i].lock().await;
            unit.thaw(&shared.faults);
            unit.set_clock_off(0);
            unit.set_disk(DiskFault::Ok);
            if unit.level() != daemon::LEVEL {
                unit.set_level(daemon::LEVEL);
            }
            if unit.restore_host_key()? {
                unit.stop_to_restart(&shared.faults).await;
            }
            unit.start(&shared).await
        })
        .await
    }

    /// Peers and faults, a line each.
    pub async fn status(&self) -> String {
        let mut told = Vec::new();
        for (unit, seat) in self.0.units.iter().zip(&self.0.seats) {
            let unit = unit.lock().await;
            let links = unit.links().map(|l| *l.borrow()).unwrap_or_default();
            let state = match (unit.is_running(), unit.is_frozen()) {
                (false, _) => "killed",
                (true, true) => "frozen",
                (true, false) => "runs",
            };
            told.push(format!(
                "{} {} {} {state}, {} of {} links up",
                seat.host, seat.address, seat.group, links.connected, links.total
            ));
        }
        told.extend(self.0.applied.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned());
        told.join("\n")
    }
}

impl Shared {
    fn unit(&self, peer: u16) -> &tokio::sync::Mutex<super::Unit> {
        // Numbers come from the roster, which has as many entries.
        &self.units[usize::from(peer)]
    }

    fn name(&self, node: Node) -> &str {
        match node {
            Node::Peer(i) => self.seats[usize::from(i)].host.short(),
            Node::Console => "the console",
        }
    }

    fn done_if(&self, done: bool, peer: u16, did: &str, why_not: &str) -> Result<String, LabError> {
        let name = self.name(Node::Peer(peer));
        if done { Ok(format!("{name} was {did}")) } else { Err(LabError::Refused(format!("{name} {why_not}"))) }
    }

    /// What needs HA.
    fn with_ha<T>(&self, what: &str, found: impl FnOnce(&Ha) -> Option<T>) -> Result<T, LabError> {
        let refused = || LabError::Refused(format!("{what}: only lab1 to lab{PEERS_MIN} of a `lab --ha` have that"));
        self.ha.as_ref().and_then(found).ok_or_else(refused)
    }

    fn heartbeat(&self, name: &HaName, links: Links, fault: BeatFault) -> Result<String, LabError> {
        let group = self.roster.ha.iter().find(|g| g.name == *name);
        let group = group.ok_or_else(|| LabError::Refused(format!("there is no HA group {name}")))?;
        let wanted: Vec<LinkName> = match links {
            Links::Primary => vec![LinkName::Primary],
            Links::Secondary => vec![LinkName::Secondary],
            Links::Both => group.links.clone(),
        };
        if let Some(missing) = wanted.iter().find(|l| !group.links.contains(l)) {
            return Err(LabError::Refused(format!("{name} has no {} heartbeat link", missing.as_str())));
        }
        for link in wanted {
            let beats = |one_way| self.with_ha("heartbeats", |ha| Some(ha.beats(group, link, one_way)));
            for (from, to) in beats(false)? {
                self.faults.silence(from, to, fault == BeatFault::Off);
            }
            for (from, to) in beats(true)?.into_iter().filter(|_| fault == BeatFault::OffOneWay) {
                self.faults.silence(from, to, true);
            }
        }
        let links: &str = links.into();
        Ok(match fault {
            BeatFault::Off => format!("heartbeat: those of {name} on {links} are lost"),
            BeatFault::OffOneWay => {
                let primary = group.units.first().map_or("nobody", |u| self.name(Node::Peer(*u)));
                format!("heartbeat: those of {primary} to the rest of {name} on {links} are lost")
            }
            BeatFault::On => format!("heartbeat: those of {name} on {links} arrive"),
        })
    }

    fn service(&self, peer: u16, service: Service, switch: Switch) -> Result<String, LabError> {
        let (name, on) = (service.as_str(), switch == Switch::On);
        let done = self.with_ha("services", |ha| ha.mail(peer).map(|mail| mail.switch(service, on)))?;
        done.map_err(|e| LabError::Refused(format!("{name} could not be started: {e}")))?;
        let peer = self.name(Node::Peer(peer));
        Ok(format!("service: {name} of {peer} {}", if on { "runs" } else { "does not run" }))
    }

    fn interface(&self, peer: u16, port: &'static str, fault: PortFault) -> Result<String, LabError> {
        let ip = self.with_ha("ports", |ha| ha.port(peer, port))?;
        self.faults.set_down(ip, fault == PortFault::Down);
        let word: &str = fault.into();
        Ok(format!("interface: {port} of {} is {word}", self.name(Node::Peer(peer))))
    }

    fn isolate(&self, island: &Island) -> String {
        let all = || (0u16..).zip(&self.seats);
        let members = |group: &GroupName, inside: bool| -> Vec<Node> {
            all().filter(|(_, s)| (s.group == *group) == inside).map(|(i, _)| Node::Peer(i)).collect()
        };
        let everybody: Vec<Node> = all().map(|(i, _)| Node::Peer(i)).collect();
        match island {
            Island::Peer(peer) => {
                self.faults.cut(&[Node::Peer(*peer)], &everybody);
                format!("isolated: {} is cut from all other peers", self.name(Node::Peer(*peer)))
            }
            Island::Group(group) => {
                self.faults.cut(&members(group, true), &members(group, false));
                format!("isolated: group {group} is cut from the other groups")
            }
            Island::Console => {
                self.faults.cut(&[Node::Console], &everybody);
                "isolated: the console is cut from all peers".to_owned()
            }
        }
    }
}
