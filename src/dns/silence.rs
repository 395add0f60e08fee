//! Servers that don't answer: they are asked once for all names that wait, not once for each.
//!
//! A name takes part only while nothing at all has been heard since its own last look-up found no answer. So one name
//! whose look-up takes for ever never fails another one, and the first answer of any kind ends the silence for all.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use hickory_resolver::proto::op::{Message, MessageType, OpCode, Query};
use hickory_resolver::proto::rr::{Name, RecordType};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::clock::shared_moment;

/// Names that are remembered; those beyond ask for themselves.
const NAMES_MAX: usize = 4096;

/// Each so often a whole look-up takes the place of the one datagram: a server may answer over TCP alone.
const WHOLE_EACH: u32 = 6;

/// Deadlines are rounded up to this; three seconds then end on a moment that other timers of dials share.
const ROUNDED: Duration = Duration::from_millis(128);

/// What is known of the silence of some servers; clones share it.
#[derive(Clone, Default)]
pub(super) struct Silence {
    servers: Arc<[SocketAddr]>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Names whose last look-up found no answer, and nothing was heard since it began.
    names: HashSet<String>,
    /// Answers so far, to any question.
    answers: u64,
    /// The question that is under way for all of them.
    asking: Option<watch::Receiver<bool>>,
    /// Such questions since something was heard.
    rounds: u32,
}

/// What a look-up is to do.
enum Turn {
    /// Ask for itself.
    Whole,
    /// Ask for all.
    Ask(watch::Sender<bool>),
    /// Wait for who asks.
    Wait(watch::Receiver<bool>),
}

impl Silence {
    /// Of these servers.
    pub(super) fn of(servers: impl Iterator<Item = SocketAddr>) -> Self {
        Self { servers: servers.collect(), state: Arc::default() }
    }

    /// Answers so far, to be handed to [`Self::unanswered`].
    pub(super) fn answers(&self) -> u64 {
        self.state().answers
    }

    /// Something was heard.
    pub(super) fn heard(&self) {
        let mut state = self.state();
        state.answers = state.answers.wrapping_add(1);
        state.names.clear();
        state.rounds = 0;
    }

    /// A look-up of `host` that began when there were so many `answers` found none.
    pub(super) fn unanswered(&self, host: &str, answers: u64) {
        let mut state = self.state();
        if state.answers == answers && state.names.len() < NAMES_MAX {
            state.names.insert(host.to_owned());
        }
    }

    /// Whether the servers are silent still, so that a look-up of `host` would find no answer. Says so after
    /// `deadline` at the latest, and at once that they are not where nothing is known against them.
    pub(super) async fn lasts(&self, host: &str, deadline: Duration) -> bool {
        loop {
            match self.turn(host) {
                Turn::Whole => return false,
                Turn::Ask(tell) => {
                    if timeout_at(shared(deadline), any_answer(&self.servers, host)).await.unwrap_or(false) {
                        self.heard();
                        return false;
                    }
                    // Nobody waits: that is no error.
                    let _ = tell.send(true);
                    return true;
                }
                // Without a word when something was heard, or when the one who asked was called off.
                Turn::Wait(mut told) => match timeout_at(shared(deadline), told.changed()).await {
                    Ok(Ok(())) if self.state().names.contains(host) => return true,
                    Ok(_) => {}
                    Err(_) => return true,
                },
            }
        }
    }

    fn turn(&self, host: &str) -> Turn {
        let mut state = self.state();
        if self.servers.is_empty() || !state.names.contains(host) {
            return Turn::Whole;
        }
        if let Some(asking) = state.asking.as_ref().filter(|a| a.has_changed().is_ok()) {
            return Turn::Wait(asking.clone());
        }
        state.rounds = state.rounds.wrapping_add(1);
        if state.rounds.is_multiple_of(WHOLE_EACH) {
            return Turn::Whole;
        }
        let (tell, told) = watch::channel(false);
        state.asking = Some(told);
        Turn::Ask(tell)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether one of the servers says anything to one datagram each; for ever where none does.
async fn any_answer(servers: &[SocketAddr], host: &str) -> bool {
    let Ok(name) = Name::from_utf8(host) else { return true };
    let mut asked: FuturesUnordered<_> = servers.iter().map(|server| answer(*server, name.clone())).collect();
    asked.next().await;
    true
}

/// Until the server has said something, be it that nothing listens there: only a whole look-up judges it.
async fn answer(server: SocketAddr, name: Name) {
    let asked = async {
        let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).await?;
        // From now on the system takes datagrams of this server alone.
        socket.connect(server).await?;
        let id = rand::random();
        let mut message = Message::new(id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(name, RecordType::A));
        let bytes = message.to_vec().map_err(std::io::Error::other)?;
        socket.send(&bytes).await?;
        let mut into = [0; 512];
        loop {
            let n = socket.recv(&mut into).await?;
            if into.get(..2.min(n)) == Some(&id.to_be_bytes()[..]) {
                return Ok::<(), std::io::Error>(());
            }
        }
    };
    // What the system says at once is no silence either.
    let _ = asked.await;
}

/// The end of `deadline`, rounded up to a moment on which other timers fall too.
fn shared(deadline: Duration) -> Instant {
    shared_moment((Instant::now() + deadline).into_std(), ROUNDED).into()
}
