//! One SSH connection from the inside: who it is, and what may be opened.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use russh::keys::PublicKey;
use russh::server::{Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure, Disconnect, Pty};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::server::Control;
use super::shared::{Input, Shared};
use super::store::looks_like_serial;
use super::{Role, rpc, shell};
use crate::domain::ids::PeerId;
use crate::domain::mesh::Cause;
use crate::domain::text::clean;
use crate::proto::frame::MESH_SUBSYSTEM;
use crate::proto::rpc::SUBSYSTEM;
use crate::ssh::{Drained, INBOX_MAX};

/// Channels that one connection may hold open.
const CHANNELS_MAX: usize = 8;

/// Longest command line of an exec request, in bytes.
const COMMAND_MAX: usize = 4096;

/// Who logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Who {
    User { name: String, role: Role },
    Member(PeerId),
}

/// Somebody at work, as sessions know them.
#[derive(Clone, Debug)]
pub(super) struct Visitor {
    pub name: String,
    pub role: Role,
    pub from: SocketAddr,
}

/// A place among the sessions of users, given back when dropped.
struct Place(Arc<Shared>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.user_sessions.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A channel of a session: its input never holds up the session.
pub(super) type Stream = Drained<Msg>;

/// Columns of a terminal, as its window changes.
pub(super) type Columns = Arc<AtomicU32>;

/// What may wait on a channel of a user, in bytes: nothing that is sent there is longer. More ends the channel.
const WAITING_MAX: usize = 256 * 1024;

/// What russh calls. Nothing here may wait for anybody: the whole connection would.
pub(super) struct SessionHandler {
    shared: Arc<Shared>,
    control: Arc<Control>,
    from: SocketAddr,
    who: Option<Who>,
    place: Option<Place>,
    /// Channels on which nothing was asked for yet.
    open: BTreeMap<u32, Stream>,
    /// Channels with a terminal.
    terminals: BTreeMap<u32, Columns>,
    channels: usize,
}

impl SessionHandler {
    pub fn new(shared: Arc<Shared>, control: Arc<Control>, from: SocketAddr) -> Self {
        Self {
            shared,
            control,
            from,
            who: None,
            place: None,
            open: BTreeMap::new(),
            terminals: BTreeMap::new(),
            channels: 0,
        }
    }

    /// Whose key this is.
    fn recognise(&self, user: &str, key: &PublicKey) -> Option<Who> {
        let key = key.key_data();
        let login = self.shared.logins.iter().find(|l| l.name == user && l.keys.contains(key));
        if let Some(login) = login {
            return Some(Who::User { name: login.name.clone(), role: login.role });
        }
        let roster = self.shared.roster();
        let member = roster.members.get(&PeerId::new(user))?;
        (member.machine_key == *key).then(|| Who::Member(member.id.clone()))
    }

    fn refuse(&self, user: &str) -> Auth {
        if looks_like_serial(user) {
            let word = Cause::NotInCluster.as_str();
            let text = format!("{word}: {} does not appear to be in the cluster", clean(user, 40));
            self.control.disconnect(Disconnect::NoMoreAuthMethodsAvailable, text);
        }
        Auth::reject()
    }

    fn take(&mut self, channel: ChannelId) -> Option<Stream> {
        self.open.remove(&channel.into())
    }

    fn terminal(&self, channel: ChannelId) -> Option<Columns> {
        self.terminals.get(&channel.into()).cloned()
    }

    fn visitor(&self) -> Option<Visitor> {
        match self.who.as_ref()? {
            Who::User { name, role } => Some(Visitor { name: name.clone(), role: *role, from: self.from }),
            Who::Member(_) => None,
        }
    }
}

impl Handler for SessionHandler {
    type Error = russh::Error;

    async fn auth_publickey_offered(&mut self, user: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, Self::Error> {
        Ok(if self.recognise(user, offer.public_key).is_some() { Auth::Accept } else { self.refuse(user) })
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        self.who = self.recognise(user, key.public_key);
        Ok(if self.who.is_some() { Auth::Accept } else { self.refuse(user) })
    }

    async fn auth_succeeded(&mut self, session: &mut Session) -> Result<(), Self::Error> {
        if matches!(self.who, Some(Who::User { .. })) && self.place.is_none() {
            let before = self.shared.user_sessions.fetch_add(1, Ordering::Relaxed);
            self.place = Some(Place(self.shared.clone()));
            let max = self.shared.setup.max_sessions;
            if before >= max {
                self.shared.count_drop();
                let text =
                    format!("{}: {max} sessions of users stand already; close one", Cause::TooManyConnections.as_str());
                self.who = None;
                return session.disconnect(Disconnect::TooManyConnections, &text, "");
            }
        }
        self.control.known.cancel();
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.who.is_none() {
            reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
        } else if self.channels >= CHANNELS_MAX {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
        } else {
            self.channels += 1;
            self.open.insert(channel.id().into(), Drained::new(channel, &[], WAITING_MAX));
            reply.accept().await;
        }
        Ok(())
    }

    async fn channel_close(&mut self, channel: ChannelId, _session: &mut Session) -> Result<(), Self::Error> {
        self.open.remove(&channel.into());
        self.terminals.remove(&channel.into());
        self.channels = self.channels.saturating_sub(1);
        Ok(())
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _term: &str,
        columns: u32,
        _rows: u32,
        _pixel_width: u32,
        _pixel_height: u32,
        _modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.visitor().is_none() || !self.open.contains_key(&channel.into()) {
            return session.channel_failure(channel);
        }
        self.terminals.insert(channel.into(), Arc::new(AtomicU32::new(columns)));
        session.channel_success(channel)
    }

    async fn window_change_request(
        &mut self,
        channel: ChannelId,
        columns: u32,
        _rows: u32,
        _pixel_width: u32,
        _pixel_height: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let Some(terminal) = self.terminals.get(&channel.into()) else { return session.channel_failure(channel) };
        terminal.store(columns, Ordering::Relaxed);
        session.channel_success(channel)
    }

    async fn shell_request(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        let (Some(visitor), Some(stream)) = (self.visitor(), self.take(channel)) else {
            return session.channel_failure(channel);
        };
        session.channel_success(channel)?;
        tokio::spawn(shell::interactive(self.shared.clone(), visitor, stream, self.terminal(channel)));
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let fits = command.len() <= COMMAND_MAX;
        let (Some(visitor), Some(stream), true) = (self.visitor(), self.take(channel), fits) else {
            return session.channel_failure(channel);
        };
        session.channel_success(channel)?;
        let command = String::from_utf8_lossy(command).into_owned();
        let terminal = self.terminal(channel).is_some();
        tokio::spawn(shell::exec(self.shared.clone(), visitor, stream, command, terminal));
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        match (self.who.clone(), name) {
            (Some(Who::Member(peer)), MESH_SUBSYSTEM) => {
                let Some(stream) = self.take(channel) else { return session.channel_failure(channel) };
                session.channel_success(channel)?;
                stream.set_max(INBOX_MAX);
                let stream = MeshStream { stream, control: self.control.clone() };
                let input = Input::Accepted { peer, from: self.from, stream: Box::new(stream) };
                // The core's loop may be frozen: the session must not wait for it.
                if self.shared.inbox.try_send(input).is_err() {
                    self.shared.count_drop();
                    let text = format!("{}: this peer has too much to do", Cause::TooManyConnections.as_str());
                    self.control.disconnect(Disconnect::TooManyConnections, text);
                }
                Ok(())
            }
            (Some(Who::User { .. }), SUBSYSTEM) => {
                let (Some(visitor), Some(stream)) = (self.visitor(), self.take(channel)) else {
                    return session.channel_failure(channel);
                };
                session.channel_success(channel)?;
                if visitor.role.may_execute() {
                    // Whole commits come here.
                    stream.set_max(INBOX_MAX);
                }
                tokio::spawn(rpc::serve(self.shared.clone(), visitor, stream));
                Ok(())
            }
            (Some(_) | None, _) => session.channel_failure(channel),
        }
    }
}

/// A mesh channel; its SSH connection ends with it.
struct MeshStream {
    stream: Stream,
    control: Arc<Control>,
}

impl Drop for MeshStream {
    fn drop(&mut self) {
        self.control.end.cancel();
    }
}

impl AsyncRead for MeshStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for MeshStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
