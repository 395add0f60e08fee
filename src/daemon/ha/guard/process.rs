//! The guard as a process: one thread, one loop, no allocation to speak of while it holds.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write as _};
use std::time::Duration;

use netlink_packet_route::address::AddressMessage;
use rtnetlink::packet_core::Parseable;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, read, write};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use super::air::Air;
use super::frames;
use super::keeper::Keeper;
use super::netlink::{ADDRESS_GROUPS, DEL_ADDRESS, Netlink};
use super::wire::{Address, FromGuard, ToGuard, short};
use super::world::World;
use crate::clock::boot_time;

/// How long a probe waits for answers in all, and how often it asks (RFC 5227 in little: a failover can't wait seconds).
const PROBE: Duration = Duration::from_millis(200);
const PROBES: u32 = 3;

/// When the neighbours are told, since the addresses are there; then every minute.
const ANNOUNCE: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(1500),
    Duration::from_secs(2),
];
const REFRESH: Duration = Duration::from_mins(1);

/// A line from the peer is shorter; and what a pipe holds.
const LINE_MAX: usize = 64 * 1024;
/// Reports that wait for a peer that does not read.
const WAITING: usize = 64;

/// An order that waits for the end of its probe.
struct Probing {
    epoch: u64,
    until: Duration,
    airs: Vec<(Address, Air)>,
    began: Duration,
    asked: u32,
}

struct Process {
    keeper: Keeper,
    world: World,
    probing: Option<Probing>,
    /// Since when the addresses are there, and how often that was told.
    told: Option<(Duration, u32)>,
    out: VecDeque<FromGuard>,
    /// The lease ended a moment ago: orders that are read now were given before that.
    lapsed: bool,
    /// The peer is gone.
    orphan: bool,
}

/// Runs a guard on standard input and output until its peer is gone. True if it could begin.
///
/// # Errors
/// When it stands on a terminal, or the system refuses what every process may do.
pub fn run() -> io::Result<bool> {
    if io::stdin().is_terminal() || io::stdout().is_terminal() {
        return Err(io::Error::other("the guard is started by a peer, not by a person"));
    }
    // Who ends it is its peer, by closing the pipe: a signal to the whole group of processes would end it before the
    // address is handed over.
    let signals = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    {
        use tokio::signal::unix::{SignalKind, signal};
        let _inside = signals.enter();
        for kind in [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup(), SignalKind::quit()] {
            drop(signal(kind)?);
        }
    }
    // All of this is for better odds under load; without the right it goes without.
    let _ = rustix::process::setsid();
    let _ = rustix::thread::set_name(c"peerdeck-guard");
    let _ = rustix::process::setpriority_process(None, -20);

    let mut inbox = Inbox::default();
    // Orders are read until there are none; and a peer that is stopped reads no reports, and must not stop its guard with that.
    for pipe in [rustix::stdio::stdin(), rustix::stdio::stdout()] {
        rustix::fs::fcntl_setfl(pipe, rustix::fs::OFlags::NONBLOCK)?;
    }
    let start = loop {
        match inbox.lines()?.into_iter().next() {
            Some(line) => break line,
            None if inbox.closed => return Ok(false),
            None => Inbox::wait()?,
        }
    };
    let mut out = VecDeque::new();
    let world = match serde_json::from_str(&start) {
        Ok(ToGuard::Start(start)) => World::new(&start).map(|world| (start, world)),
        Ok(_) => Err("the first line must be `start`".into()),
        Err(error) => Err(format!("the first line can't be read: {error}")),
    };
    let (start, world) = match world {
        Ok(both) => both,
        Err(text) => {
            out.push_back(FromGuard::Refused(short(&text)));
            flush(&mut out)?;
            return Ok(false);
        }
    };
    let events = Netlink::listen(&ADDRESS_GROUPS)?;
    out.push_back(FromGuard::Ready);
    let keeper = Keeper::new(Duration::from_secs(start.lease.into()));
    let mut process = Process { keeper, world, probing: None, told: None, out, lapsed: false, orphan: false };
    let served = process.serve(&mut inbox, &events);
    // Nobody can prolong the permit any more.
    process.end();
    served
}

impl Process {
    fn serve(&mut self, inbox: &mut Inbox, events: &Netlink) -> io::Result<bool> {
        // Of CLOCK_BOOTTIME: it fires right after a suspend.
        let timer = timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::NONBLOCK)?;
        loop {
            // First what has run out, then orders: an order from before a pause must not hide that the lease ended.
            let said = self.keeper.turn(&mut self.world);
            self.say(said);
            if self.lapsed {
                self.read(inbox)?;
            }
            self.probe();
            self.tell();
            self.orphan |= flush(&mut self.out).is_err();
            if self.orphan {
                return Ok(true);
            }
            let wake = self.wake();
            timerfd_settime(&timer, TimerfdTimerFlags::ABSTIME, &timespec(wake))?;
            let mut fds = vec![
                PollFd::from_borrowed_fd(rustix::stdio::stdin(), PollFlags::IN),
                PollFd::from_borrowed_fd(events.fd(), PollFlags::IN),
                PollFd::new(&timer, PollFlags::IN),
            ];
            if !self.out.is_empty() {
                fds.push(PollFd::from_borrowed_fd(rustix::stdio::stdout(), PollFlags::OUT));
            }
            if let Some(probing) = &self.probing {
                fds.extend(probing.airs.iter().map(|(_, air)| PollFd::from_borrowed_fd(air.fd(), PollFlags::IN)));
            }
            match poll(&mut fds, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let (orders, happened) = (!fds[0].revents().is_empty(), !fds[1].revents().is_empty());
            drop(fds);
            let _ = read(&timer, &mut [0; 8]);
            let said = self.keeper.turn(&mut self.world);
            self.say(said);
            if happened {
                self.happened(events);
            }
            if orders || self.lapsed {
                self.read(inbox)?;
            }
        }
    }

    /// Takes the orders that are there. All that were there when the lease ended are from before that, however long ago it is.
    fn read(&mut self, inbox: &mut Inbox) -> io::Result<()> {
        loop {
            let lapsed = self.lapsed;
            let lines = inbox.lines()?;
            self.obey(&lines);
            // One of them may have been what ended it, while others came.
            if lapsed == self.lapsed {
                break;
            }
        }
        self.lapsed = false;
        self.orphan |= inbox.closed;
        Ok(())
    }

    /// Lets the addresses go; where the system refuses, until the kernel has ended the lease.
    fn end(&mut self) {
        self.keeper.drop_now(&mut self.world);
        while let Some(wake) = self.keeper.wake() {
            std::thread::sleep(wake.saturating_sub(boot_time()));
            self.keeper.turn(&mut self.world);
        }
    }

    fn wake(&self) -> Option<Duration> {
        let probe = self.probing.as_ref().map(Probing::wake);
        [self.keeper.wake(), probe, self.announcement()].into_iter().flatten().min()
    }

    fn obey(&mut self, lines: &[String]) {
        let orders: Vec<Result<ToGuard, String>> =
            lines.iter().map(|l| serde_json::from_str(l).map_err(|e| e.to_string())).collect();
        for (at, order) in orders.iter().enumerate() {
            match order {
                Ok(ToGuard::Hold { .. }) if self.lapsed => {
                    self.say(Some(FromGuard::Failed("an order from before the lease ended".into())));
                }
                // The next one is newer.
                Ok(ToGuard::Hold { .. }) if matches!(orders.get(at + 1), Some(Ok(ToGuard::Hold { .. }))) => {}
                Ok(ToGuard::Hold { epoch, until, probe }) => self.hold(*epoch, Duration::from_nanos(*until), *probe),
                Ok(ToGuard::Drop) => {
                    self.probing = None;
                    let said = self.keeper.drop_now(&mut self.world);
                    self.say(said);
                }
                Ok(ToGuard::Start(_)) => self.say(Some(FromGuard::Failed("it was started before".into()))),
                Err(error) => {
                    self.say(Some(FromGuard::Failed(short(&format!("an order can't be read: {error}")))));
                }
            }
        }
    }

    fn hold(&mut self, epoch: u64, until: Duration, probe: bool) {
        if let Some(probing) = &mut self.probing {
            (probing.epoch, probing.until) = (epoch, until);
            return;
        }
        let now = boot_time();
        if probe && !self.keeper.holds() && self.keeper.permits(now + PROBE, until) {
            match self.world.airs() {
                Ok(airs) => self.probing = Some(Probing { epoch, until, airs, began: now, asked: 0 }),
                Err(error) => self.say(Some(FromGuard::Failed(short(&format!("nobody can be asked: {error}"))))),
            }
            return;
        }
        let said = self.keeper.hold(&mut self.world, epoch, until);
        self.say(said);
    }

    fn probe(&mut self) {
        let Some(probing) = &mut self.probing else { return };
        if let Some(text) = probing.answer() {
            self.probing = None;
            self.say(Some(FromGuard::Conflict(short(&text))));
            return;
        }
        let now = boot_time();
        if now >= probing.began + PROBE {
            let (epoch, until) = (probing.epoch, probing.until);
            self.probing = None;
            let said = self.keeper.hold(&mut self.world, epoch, until);
            self.say(said);
        } else if now >= probing.wake() {
            probing.asked += 1;
            for (what, air) in &mut probing.airs {
                // A port without a carrier has nobody who could answer.
                let _ = air.probe(what.address);
            }
        }
    }

    /// Something about addresses has changed: are ours all there?
    fn happened(&mut self, events: &Netlink) {
        let lost = match events.heard() {
            Ok(heard) => heard.iter().any(|(kind, body)| {
                *kind == DEL_ADDRESS && AddressMessage::parse(body).is_ok_and(|m| self.world.concerns(&m))
            }),
            // Some were dropped.
            Err(_) => true,
        };
        if lost && self.keeper.holds() && !self.world.all_there() {
            let said = self.keeper.lost(&mut self.world);
            self.say(said);
        }
    }

    fn announcement(&self) -> Option<Duration> {
        let (since, count) = self.told?;
        let late = usize::try_from(count).ok()?.checked_sub(ANNOUNCE.len());
        Some(match late {
            None => since + ANNOUNCE[count as usize],
            Some(n) => since + REFRESH * (u32::try_from(n).unwrap_or(0) + 1),
        })
    }

    /// Tells the neighbours, when it is time.
    fn tell(&mut self) {
        if !self.keeper.holds() {
            self.told = None;
            return;
        }
        let now = boot_time();
        let (since, count) = *self.told.get_or_insert((now, 0));
        if self.announcement().is_some_and(|at| now >= at) {
            if let Err(error) = self.world.announce() {
                // The address must not go because nobody reads this.
                let _ = writeln!(io::stderr(), "peerdeck guard: {error}");
            }
            self.told = Some((since, count + 1));
        }
    }

    fn say(&mut self, said: Option<FromGuard>) {
        let Some(said) = said else { return };
        self.lapsed |= said == FromGuard::Lapsed;
        // Of two renewals the newer one counts.
        let renewed = |w: &FromGuard| matches!(w, FromGuard::Held { .. });
        if renewed(&said) && self.out.back().is_some_and(renewed) {
            self.out.pop_back();
        }
        if self.out.len() >= WAITING {
            self.out.pop_front();
        }
        self.out.push_back(said);
    }
}

impl Probing {
    fn wake(&self) -> Duration {
        self.began + if self.asked < PROBES { PROBE / PROBES * self.asked } else { PROBE }
    }

    fn answer(&mut self) -> Option<String> {
        self.airs.iter_mut().find_map(|(what, air)| {
            let other = air.holder(what.address)?;
            Some(format!("{} answers for {what}", frames::text(other)))
        })
    }
}

/// Lines from the peer.
#[derive(Default)]
struct Inbox {
    bytes: Vec<u8>,
    closed: bool,
}

impl Inbox {
    /// Waits until there is something to read.
    fn wait() -> io::Result<()> {
        match poll(&mut [PollFd::from_borrowed_fd(rustix::stdio::stdin(), PollFlags::IN)], None) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The whole lines that are there: all that a pipe holds, and no more, so that a peer which never stops keeps nothing
    /// else from its turn.
    fn lines(&mut self) -> io::Result<Vec<String>> {
        let mut buffer = [0; 8192];
        let mut room = LINE_MAX;
        while room > 0 {
            match read(rustix::stdio::stdin(), &mut buffer) {
                Ok(0) => {
                    self.closed = true;
                    break;
                }
                Ok(n) => {
                    self.bytes.extend(&buffer[..n]);
                    room = room.saturating_sub(n);
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut lines = Vec::new();
        while let Some(end) = self.bytes.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = self.bytes.drain(..=end).collect();
            lines.push(String::from_utf8_lossy(&line[..end]).into_owned());
        }
        if self.bytes.len() > LINE_MAX {
            return Err(io::Error::other("a line from the peer is too long"));
        }
        Ok(lines)
    }
}

/// Writes what the pipe takes.
fn flush(out: &mut VecDeque<FromGuard>) -> io::Result<()> {
    while let Some(first) = out.front() {
        let mut line = serde_json::to_vec(first)?;
        line.push(b'\n');
        // Shorter than what a pipe takes at once: whole or not at all.
        match write(rustix::stdio::stdout(), &line) {
            Ok(_) => {
                out.pop_front();
            }
            Err(Errno::AGAIN) => break,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn timespec(at: Option<Duration>) -> Itimerspec {
    let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
    let value = at.map_or(zero, |at| {
        // Nothing would switch it off; the past fires at once.
        let at = at.max(Duration::from_nanos(1));
        Timespec { tv_sec: i64::try_from(at.as_secs()).unwrap_or(i64::MAX), tv_nsec: at.subsec_nanos().into() }
    });
    Itimerspec { it_interval: zero, it_value: value }
}
