//! An SSH server that does what a test wants of it, at each stage.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use peerdeck::ssh::net::BoxFuture;
use russh::keys::{PrivateKey, ssh_key::Algorithm};
use russh::server::{
    Auth, ChannelOpenHandle, Config, Handler, Msg, PublicKeyOffer, Response, Session, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, ChannelOpenFailure, ChannelStream, Disconnect, MethodKind, MethodSet};
use tokio::io::DuplexStream;

use super::net::MemNet;

pub fn key() -> PrivateKey {
    PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap()
}

/// What runs on a channel with a subsystem.
pub type Script = Arc<dyn Fn(String, ChannelStream<Msg>) -> BoxFuture<'static, ()> + Send + Sync>;

#[derive(Clone)]
pub enum Login {
    AnyKey,
    Refuse,
    Hang,
    Password(&'static str),
    /// Keyboard-interactive with these prompts; the first one wants this password.
    Ask(&'static str, Vec<(&'static str, bool)>),
    /// Lets in, then says good-bye with these words.
    Bye(&'static str),
}

#[derive(Clone)]
pub enum Channels {
    Run(Script),
    NeverOpen,
    RefuseOpen,
    RefuseRequest,
}

#[derive(Clone)]
pub struct Behaviour {
    pub host_key: PrivateKey,
    pub login: Login,
    pub channels: Channels,
    pub banner: Option<&'static str>,
    pub kex: Option<Vec<russh::kex::Name>>,
    pub net: MemNet,
}

impl Behaviour {
    pub fn new(net: &MemNet) -> Self {
        let echo: Script = Arc::new(|_, stream| {
            Box::pin(async move {
                let (mut reader, mut writer) = tokio::io::split(stream);
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
            })
        });
        Self {
            host_key: key(),
            login: Login::AnyKey,
            channels: Channels::Run(echo),
            banner: None,
            kex: None,
            net: net.clone(),
        }
    }

    pub fn script<F>(mut self, script: impl Fn(String, ChannelStream<Msg>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.channels = Channels::Run(Arc::new(move |name, stream| Box::pin(script(name, stream))));
        self
    }

    /// Listens at `at` from now on.
    pub fn serve(self, at: SocketAddr) {
        let mut incoming = self.net.open(at);
        tokio::spawn(async move {
            while let Some(stream) = incoming.recv().await {
                tokio::spawn(self.clone().session(stream));
            }
        });
    }

    async fn session(self, stream: DuplexStream) {
        let mut config = Config {
            keys: vec![self.host_key.clone()],
            auth_rejection_time: Duration::ZERO,
            auth_rejection_time_initial: Some(Duration::ZERO),
            ..Config::default()
        };
        config.methods = match &self.login {
            Login::Password(_) => MethodSet::from(&[MethodKind::Password][..]),
            Login::Ask(..) => MethodSet::from(&[MethodKind::KeyboardInteractive][..]),
            Login::AnyKey | Login::Refuse | Login::Hang | Login::Bye(_) => {
                MethodSet::from(&[MethodKind::PublicKey][..])
            }
        };
        if let Some(kex) = &self.kex {
            config.preferred.kex = Cow::Owned(kex.clone());
        }
        if let Ok(running) = russh::server::run_stream(Arc::new(config), stream, self).await {
            let _ = running.await;
        }
    }
}

impl Handler for Behaviour {
    type Error = russh::Error;

    async fn auth_publickey_offered(&mut self, _: &str, _: PublicKeyOffer<'_>) -> Result<Auth, russh::Error> {
        match self.login {
            Login::AnyKey | Login::Bye(_) => Ok(Auth::Accept),
            Login::Hang => std::future::pending().await,
            Login::Refuse | Login::Password(_) | Login::Ask(..) => Ok(Auth::reject()),
        }
    }

    async fn auth_publickey(&mut self, _: &str, _: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        match self.login {
            Login::AnyKey | Login::Bye(_) => Ok(Auth::Accept),
            Login::Hang => std::future::pending().await,
            Login::Refuse | Login::Password(_) | Login::Ask(..) => Ok(Auth::reject()),
        }
    }

    async fn auth_password(&mut self, _: &str, password: &str) -> Result<Auth, russh::Error> {
        match self.login {
            Login::Password(right) if right == password => Ok(Auth::Accept),
            _ => Ok(Auth::reject()),
        }
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _: &str,
        _: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, russh::Error> {
        let Login::Ask(right, prompts) = &self.login else { return Ok(Auth::reject()) };
        match response.and_then(|mut r| r.next().map(|a| a.to_vec())) {
            None => {
                let prompts = prompts.iter().map(|(text, echo)| (Cow::Borrowed(*text), *echo)).collect::<Vec<_>>();
                Ok(Auth::Partial { name: "".into(), instructions: "".into(), prompts: prompts.into() })
            }
            Some(answer) if answer == right.as_bytes() => Ok(Auth::Accept),
            Some(_) => Ok(Auth::reject()),
        }
    }

    async fn authentication_banner(&mut self) -> Result<Option<String>, russh::Error> {
        Ok(self.banner.map(str::to_owned))
    }

    async fn auth_succeeded(&mut self, session: &mut Session) -> Result<(), russh::Error> {
        if let Login::Bye(words) = self.login {
            session.disconnect(Disconnect::ByApplication, words, "")?;
        }
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        match &self.channels {
            Channels::NeverOpen => {
                // Neither yes nor no; the handle would say no when it is dropped.
                std::mem::forget(reply);
            }
            Channels::RefuseOpen => reply.reject(ChannelOpenFailure::ResourceShortage).await,
            Channels::RefuseRequest => reply.accept().await,
            Channels::Run(script) => {
                reply.accept().await;
                tokio::spawn(script(String::new(), channel.into_stream()));
            }
        }
        Ok(())
    }

    async fn subsystem_request(&mut self, id: ChannelId, _: &str, session: &mut Session) -> Result<(), russh::Error> {
        match self.channels {
            Channels::RefuseRequest => session.channel_failure(id),
            _ => session.channel_success(id),
        }
    }

    async fn exec_request(&mut self, id: ChannelId, command: &[u8], session: &mut Session) -> Result<(), russh::Error> {
        session.channel_success(id)?;
        let text = String::from_utf8_lossy(command).into_owned();
        session.data(id, text.clone().into_bytes())?;
        session.extended_data(id, 1, format!("about {text}").into_bytes())?;
        session.exit_status_request(id, 7)?;
        session.close(id)
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        use peerdeck::ssh::net::Net;
        let to = SocketAddr::new(host.parse().unwrap(), u16::try_from(port).unwrap());
        match self.net.connect(to).await {
            Ok(mut there) => {
                reply.accept().await;
                let mut here = channel.into_stream();
                tokio::spawn(async move {
                    let _ = tokio::io::copy_bidirectional(&mut here, &mut there).await;
                });
            }
            Err(_) => reply.reject(ChannelOpenFailure::ConnectFailed).await,
        }
        Ok(())
    }
}
