//! Look-ups: forward and reverse, each with a deadline and an answer that names what is wrong.

mod provider;
mod silence;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts, ServerOrderingStrategy,
};
use hickory_resolver::net::{DnsError, DnsHandle, NetError};
use hickory_resolver::proto::op::{DnsRequestOptions, Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{NameServerPool, PoolContext, TlsConfig};
use tokio::time::{Instant, timeout, timeout_at};

use crate::clock::shared_moment;
use crate::domain::mesh::DnsResult;
use crate::domain::text::clean;
use provider::Provider;
use silence::Silence;

/// One try of one server, rounded up to about a second; the caller's deadline bounds all tries together.
const TRY: Duration = Duration::from_millis(960);

/// How long the other address family may still take once one of them has answered (RFC 8305 calls it the resolution delay).
const OTHER_FAMILY: Duration = Duration::from_millis(50);

/// The end of a look-up is rounded up to this: those that began together end together.
const TOGETHER: Duration = Duration::from_millis(128);

/// The most addresses or names that are taken from one answer.
const ANSWERS_MAX: usize = 32;

/// A resolver over given servers, or the system's.
#[derive(Clone)]
pub struct Resolver {
    /// The text says why there is none.
    inner: Result<Inner, Arc<str>>,
    /// Asked for the names of loopback addresses, for which `inner` answers `localhost` itself (RFC 6761); the
    /// peers of a lab live there. The system's resolver has none.
    loopback: Option<NameServerPool<Provider>>,
    /// Who is asked, for messages.
    servers: Arc<str>,
    /// Whether they answer at all.
    silence: Silence,
}

/// What a look-up gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup<T> {
    /// Ok, missing, timeout or failed; never wrong, which only the caller can say.
    pub result: DnsResult,
    /// The answers.
    pub answers: Vec<T>,
    /// How long it took.
    pub took: Duration,
    /// For the reader: what was asked of whom and what came.
    pub detail: String,
}

type Inner = hickory_resolver::Resolver<Provider>;

/// What one query gave: records, or a result that is not [`DnsResult::Ok`] with its reason.
type Answer = Result<Vec<RData>, (DnsResult, String)>;

impl Resolver {
    /// Asks these servers only (UDP, then TCP), without the hosts file and without a cache, so that a fault is seen at once.
    #[must_use]
    pub fn with_servers(servers: &[SocketAddr]) -> Self {
        let name_servers = servers
            .iter()
            .map(|s| {
                let port = |mut c: ConnectionConfig| {
                    c.port = s.port();
                    c
                };
                NameServerConfig::new(s.ip(), true, vec![port(ConnectionConfig::udp()), port(ConnectionConfig::tcp())])
            })
            .collect();
        let config = ResolverConfig::from_parts(None, Vec::new(), name_servers);
        let mut options = ResolverOpts::default();
        options.use_hosts_file = ResolveHosts::Never;
        let names = servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let mut resolver = Self::build(config.clone(), options, &names);
        resolver.silence = Silence::of(servers.iter().copied());
        let context = resolver.resolver().ok().map(|r| r.options().clone());
        let context = context.zip(TlsConfig::new().ok()).map(|(o, tls)| Arc::new(PoolContext::new(o, tls)));
        resolver.loopback = context
            .map(|context| NameServerPool::from_config(config.name_servers().to_vec(), context, Provider::default()));
        resolver
    }

    /// The system's own configuration, hosts file included.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn system() -> std::io::Result<Self> {
        let (config, options) = hickory_resolver::system_conf::read_system_conf()
            .map_err(|e| std::io::Error::other(format!("the system's DNS configuration: {e}")))?;
        let mut names: Vec<_> = config.name_servers().iter().map(|s| s.ip.to_string()).collect();
        names.dedup();
        let names = names.join(", ");
        let port = |c: &NameServerConfig| c.connections.first().map_or(53, |c| c.port);
        let servers: Vec<_> = config.name_servers().iter().map(|s| SocketAddr::new(s.ip, port(s))).collect();
        let mut resolver = Self::build(config, options, &names);
        resolver.silence = Silence::of(servers.into_iter());
        Ok(resolver)
    }

    fn build(config: ResolverConfig, mut options: ResolverOpts, servers: &str) -> Self {
        options.timeout = TRY;
        options.attempts = 2;
        options.cache_size = 0;
        options.positive_max_ttl = Some(Duration::ZERO);
        options.negative_max_ttl = Some(Duration::ZERO);
        options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
        let inner = Inner::builder_with_config(config, Provider::default())
            .with_options(options)
            .build()
            .map_err(|e| Arc::from(clean(&e.to_string(), 160)));
        Self { inner, loopback: None, servers: servers.into(), silence: Silence::default() }
    }

    /// The addresses of `host`, or `host` itself if it is one.
    pub async fn forward(&self, host: &str, deadline: Duration) -> Lookup<IpAddr> {
        let start = Instant::now();
        if let Ok(address) = host.parse::<IpAddr>() {
            let detail = format!("{address} is an address already");
            return Lookup { result: DnsResult::Ok, answers: vec![address], took: Duration::ZERO, detail };
        }
        let answer = self.both_in_time(host, deadline).await;
        let address = |data: RData| match data {
            RData::A(a) => Some(IpAddr::V4(a.0)),
            RData::AAAA(a) => Some(IpAddr::V6(a.0)),
            _ => None,
        };
        self.lookup(&format!("addresses of {}", clean(host, 253)), start, answer, address)
    }

    /// The names of `address`, lower case, without a final dot.
    pub async fn reverse(&self, address: IpAddr, deadline: Duration) -> Lookup<String> {
        let start = Instant::now();
        let answer = match timeout(deadline, self.pointer(address)).await {
            Ok(answer) => answer,
            Err(_) => Err((DnsResult::Timeout, no_answer(deadline))),
        };
        let name = |data: RData| match data {
            RData::PTR(name) => Some(clean(name.0.to_utf8().trim_end_matches('.'), 253).to_ascii_lowercase()),
            _ => None,
        };
        self.lookup(&format!("name of {address}"), start, answer, name)
    }

    fn lookup<T: ToString + PartialEq>(
        &self,
        asked: &str,
        start: Instant,
        answer: Answer,
        pick: impl Fn(RData) -> Option<T>,
    ) -> Lookup<T> {
        let took = start.elapsed();
        let answer = answer.and_then(|records| {
            let mut answers = Vec::new();
            for found in records.into_iter().filter_map(pick).take(ANSWERS_MAX) {
                if !answers.contains(&found) {
                    answers.push(found);
                }
            }
            if answers.is_empty() { Err((DnsResult::Missing, "no such record".into())) } else { Ok(answers) }
        });
        let servers = if self.servers.is_empty() { "no DNS server" } else { &*self.servers };
        match answer {
            Ok(answers) => {
                let found = answers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                let detail = format!("{asked}, asked of {servers}: {found}");
                Lookup { result: DnsResult::Ok, answers, took, detail }
            }
            Err((result, why)) => {
                Lookup { result, answers: Vec::new(), took, detail: format!("{asked}, asked of {servers}: {why}") }
            }
        }
    }

    /// Both families, within `deadline`. Names for which nobody answers share one question until somebody does.
    async fn both_in_time(&self, host: &str, deadline: Duration) -> Answer {
        let start = Instant::now();
        if self.silence.lasts(host, deadline).await {
            return Err((DnsResult::Timeout, "no answer still, as to the look-up before".into()));
        }
        let answers = self.silence.answers();
        let left = deadline.saturating_sub(start.elapsed());
        let end = shared_moment((Instant::now() + left).into_std(), TOGETHER).into();
        let answer = timeout_at(end, self.both_families(host)).await;
        let answer = answer.unwrap_or_else(|_| Err((DnsResult::Timeout, no_answer(deadline))));
        if matches!(answer, Err((DnsResult::Timeout, _))) {
            self.silence.unanswered(host, answers);
        } else {
            self.silence.heard();
        }
        answer
    }

    /// A and AAAA at the same time; the first that has an answer gives the other a short while only.
    async fn both_families(&self, host: &str) -> Answer {
        let (v4, v6) = (self.query(host, RecordType::A), self.query(host, RecordType::AAAA));
        tokio::pin!(v4, v6);
        tokio::select! {
            first = &mut v4 => settle(first, v6).await,
            first = &mut v6 => settle(first, v4).await,
        }
    }

    async fn query(&self, host: &str, kind: RecordType) -> Answer {
        let resolver = self.resolver()?;
        records(resolver.lookup(host, kind).await)
    }

    async fn pointer(&self, address: IpAddr) -> Answer {
        let resolver = self.resolver()?;
        let Some(pool) = self.loopback.as_ref().filter(|_| address.is_loopback()) else {
            return records(resolver.reverse_lookup(address).await);
        };
        let query = Query::query(Name::from(address), RecordType::PTR);
        let answer = pool.lookup(query, DnsRequestOptions::default()).next().await.unwrap_or(Err(NetError::Timeout));
        let answer = answer.and_then(|r| DnsError::from_response(r).map_err(NetError::from));
        answer.map(|r| r.answers.iter().map(|r| r.data.clone()).collect()).map_err(|e| verdict(&e))
    }

    fn resolver(&self) -> Result<&Inner, (DnsResult, String)> {
        self.inner.as_ref().map_err(|e| (DnsResult::Failed, e.to_string()))
    }
}

/// Puts the answers of the two address families together.
async fn settle(first: Answer, other: impl Future<Output = Answer>) -> Answer {
    match first {
        Ok(mut found) => {
            if let Ok(Ok(more)) = timeout(OTHER_FAMILY, other).await {
                found.extend(more);
            }
            Ok(found)
        }
        // Absence may be told only when both families say so.
        Err((DnsResult::Missing, why)) => other.await.map_err(|(result, other)| match result {
            DnsResult::Missing => (result, why),
            DnsResult::Untested | DnsResult::Ok | DnsResult::Wrong | DnsResult::Timeout | DnsResult::Failed => {
                (result, other)
            }
        }),
        Err(first) => other.await.map_err(|_| first),
    }
}

fn no_answer(deadline: Duration) -> String {
    format!("no answer within {}", crate::domain::time::human(deadline))
}

fn records(result: Result<hickory_resolver::lookup::Lookup, NetError>) -> Answer {
    match result {
        Ok(lookup) => Ok(lookup.answers().iter().map(|r| r.data.clone()).collect()),
        Err(e) => Err(verdict(&e)),
    }
}

fn verdict(e: &NetError) -> (DnsResult, String) {
    match e {
        NetError::Dns(DnsError::NoRecordsFound(n)) => match n.response_code {
            ResponseCode::NXDomain => (DnsResult::Missing, "no such name (NXDOMAIN)".into()),
            ResponseCode::NoError => (DnsResult::Missing, "no such record".into()),
            code => (DnsResult::Failed, format!("the server answered with a failure: {code}")),
        },
        NetError::Dns(DnsError::ResponseCode(code)) => {
            (DnsResult::Failed, format!("the server answered with a failure: {code}"))
        }
        NetError::Timeout => (DnsResult::Timeout, "no answer in time".into()),
        other => (DnsResult::Failed, clean(&other.to_string(), 160)),
    }
}
