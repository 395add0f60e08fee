//! The DNS server of a lab: authoritative for its peers, over UDP and TCP, with faults per peer.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_server::Server;
use hickory_server::net::runtime::Time;
use hickory_server::proto::op::{Header, HeaderCounts, Metadata, ResponseCode};
use hickory_server::proto::rr::rdata::{PTR, SOA};
use hickory_server::proto::rr::{LowerName, Name, RData, Record, RecordType};
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;
use tokio::net::{TcpListener, UdpSocket};

use crate::domain::ids::HostName;

/// Nothing may be remembered: a fault shall be seen at the next look-up, and its end too.
const TTL: u32 = 0;

/// A connection over which nothing is asked is closed after this.
const TCP_IDLE: Duration = Duration::from_secs(5);

/// Answers that wait to be written on one TCP connection.
const TCP_ANSWERS: usize = 64;

/// The name that a wrong reverse record tells.
const WRONG_NAME: &str = "somebody-else.example.com.";

/// What the server says of one peer, forward and reverse.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, strum::EnumString, strum::EnumIter, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum DnsFault {
    /// The truth.
    #[default]
    Ok,
    /// That there is no such name.
    Nxdomain,
    /// Another address, another name.
    Wrong,
    /// Nothing at all.
    Timeout,
}

/// What is true, and what is said instead.
#[derive(Debug)]
struct Zone {
    apex: Name,
    wrong_address: IpAddr,
    hosts: BTreeMap<LowerName, Host>,
    /// Several names where all peers share one address.
    reverse: BTreeMap<LowerName, Vec<LowerName>>,
}

#[derive(Debug)]
struct Host {
    name: Name,
    address: IpAddr,
    fault: DnsFault,
}

/// What comes of a question.
enum Answer {
    Records(Vec<Record>),
    /// No such name, or no such record.
    Nothing(ResponseCode),
    Silence,
}

/// The running server; dropping it ends it.
pub struct DnsServer {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    _server: Server<Handler>,
}

/// Sockets that are bound already: who has them has the address.
#[derive(Debug)]
pub struct DnsSockets {
    udp: UdpSocket,
    tcp: TcpListener,
}

impl DnsSockets {
    /// Binds both.
    ///
    /// # Errors
    /// When one is taken.
    pub async fn bind(on: SocketAddr) -> io::Result<Self> {
        // A free port of datagrams may be somebody's TCP port.
        const TRIES: usize = 32;
        let mut last = None;
        for _ in 0..if on.port() == 0 { TRIES } else { 1 } {
            let udp = UdpSocket::bind(on).await?;
            match TcpListener::bind(udp.local_addr()?).await {
                Ok(tcp) => return Ok(Self { udp, tcp }),
                Err(e) => last = Some(e),
            }
        }
        Err(last.unwrap_or_else(|| io::ErrorKind::AddrInUse.into()))
    }
}

impl DnsServer {
    /// Serves A and PTR records of `hosts` below `example.com`; a [`DnsFault::Wrong`] answer is `wrong_address`.
    ///
    /// # Errors
    /// When a host name is no DNS name, or the sockets are of no use.
    pub fn start(sockets: DnsSockets, hosts: &[(HostName, IpAddr)], wrong_address: IpAddr) -> io::Result<Self> {
        let mut zone =
            Zone { apex: name("example.com.")?, wrong_address, hosts: BTreeMap::new(), reverse: BTreeMap::new() };
        for (host, address) in hosts {
            let name = name(&format!("{host}."))?;
            let key = LowerName::new(&name);
            zone.reverse.entry(LowerName::new(&Name::from(*address))).or_default().push(key.clone());
            zone.hosts.insert(key, Host { name, address: *address, fault: DnsFault::Ok });
        }
        let zone = Arc::new(Mutex::new(zone));
        let address = sockets.udp.local_addr()?;
        let mut server = Server::new(Handler { zone: Arc::clone(&zone), wrong_name: name(WRONG_NAME)? });
        server.register_socket(sockets.udp);
        server.register_listener(sockets.tcp, TCP_IDLE, TCP_ANSWERS);
        Ok(Self { address, zone, _server: server })
    }

    /// Where it answers.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What is said of `host` from now on.
    pub fn set(&self, host: &HostName, fault: DnsFault) {
        let Ok(name) = name(&format!("{host}.")) else { return };
        if let Some(host) = lock(&self.zone).hosts.get_mut(&LowerName::new(&name)) {
            host.fault = fault;
        }
    }

    /// `name` leads to `host` too from now on, and its address to both.
    pub fn alias(&self, host: &HostName, alias: &HostName) {
        let (Ok(host), Ok(alias)) = (name(&format!("{host}.")), name(&format!("{alias}."))) else { return };
        let mut zone = lock(&self.zone);
        let Some(address) = zone.hosts.get(&LowerName::new(&host)).map(|h| h.address) else { return };
        let key = LowerName::new(&alias);
        for names in zone.reverse.values_mut() {
            names.retain(|n| *n != key);
        }
        zone.reverse.entry(LowerName::new(&Name::from(address))).or_default().push(key.clone());
        zone.hosts.insert(key, Host { name: alias, address, fault: DnsFault::Ok });
    }

    /// Only the truth from now on.
    pub fn heal(&self) {
        for host in lock(&self.zone).hosts.values_mut() {
            host.fault = DnsFault::Ok;
        }
    }
}

struct Handler {
    zone: Arc<Mutex<Zone>>,
    wrong_name: Name,
}

impl Handler {
    fn answer(&self, asked: &LowerName, kind: RecordType) -> Answer {
        let zone = lock(&self.zone);
        if let Some(host) = zone.hosts.get(asked) {
            return zone.forward(host, kind);
        }
        if let Some(names) = zone.reverse.get(asked) {
            return zone.reverse(asked, names, kind, &self.wrong_name);
        }
        if LowerName::new(&zone.apex).zone_of(asked) {
            return Answer::Nothing(ResponseCode::NXDomain);
        }
        Answer::Nothing(ResponseCode::Refused)
    }

    fn soa(&self) -> Record {
        let apex = lock(&self.zone).apex.clone();
        // The last number is how long an absence may be remembered.
        let soa = SOA::new(apex.clone(), apex.clone(), 1, 60, 60, 60, TTL);
        Record::from_rdata(apex, TTL, RData::SOA(soa))
    }

    async fn respond<R: ResponseHandler>(&self, request: &Request, mut handle: R) -> ResponseInfo {
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.authoritative = true;
        let answer = match request.request_info() {
            Ok(info) => self.answer(info.query.name(), info.query.query_type()),
            Err(_) => Answer::Nothing(ResponseCode::FormErr),
        };
        let (records, absent) = match answer {
            Answer::Records(records) => (records, None),
            Answer::Nothing(code) => {
                metadata.response_code = code;
                (Vec::new(), Some(self.soa()))
            }
            Answer::Silence => return nothing_sent(metadata),
        };
        let builder = MessageResponseBuilder::from_message_request(request);
        let response = builder.build(metadata, &records, [], &absent, []);
        // Whoever can't be answered any more will ask again.
        handle.send_response(response).await.unwrap_or_else(|_| nothing_sent(metadata))
    }
}

fn nothing_sent(metadata: Metadata) -> ResponseInfo {
    ResponseInfo::from(Header { metadata, counts: HeaderCounts::default() })
}

impl RequestHandler for Handler {
    // What `async_trait` makes of `async fn handle_request(&self, request: &Request, handle: R) -> ResponseInfo`.
    fn handle_request<'a, 'b, 'c, R, T>(
        &'a self,
        request: &'b Request,
        handle: R,
    ) -> Pin<Box<dyn Future<Output = ResponseInfo> + Send + 'c>>
    where
        'a: 'c,
        'b: 'c,
        R: ResponseHandler + 'c,
        T: Time + 'c,
        Self: 'c,
    {
        Box::pin(self.respond(request, handle))
    }
}

impl Zone {
    fn forward(&self, host: &Host, kind: RecordType) -> Answer {
        let address = match host.fault {
            DnsFault::Ok => host.address,
            DnsFault::Wrong => self.wrong_address,
            DnsFault::Nxdomain => return Answer::Nothing(ResponseCode::NXDomain),
            DnsFault::Timeout => return Answer::Silence,
        };
        let data = RData::from(address);
        if data.record_type() != kind {
            return Answer::Nothing(ResponseCode::NoError);
        }
        Answer::Records(vec![Record::from_rdata(host.name.clone(), TTL, data)])
    }

    fn reverse(&self, asked: &LowerName, names: &[LowerName], kind: RecordType, wrong: &Name) -> Answer {
        let mut told = Vec::new();
        for host in names.iter().filter_map(|n| self.hosts.get(n)) {
            match host.fault {
                DnsFault::Ok => told.push(host.name.clone()),
                DnsFault::Wrong => told.push(wrong.clone()),
                DnsFault::Nxdomain => {}
                DnsFault::Timeout => return Answer::Silence,
            }
        }
        if told.is_empty() {
            return Answer::Nothing(ResponseCode::NXDomain);
        }
        if kind != RecordType::PTR {
            return Answer::Nothing(ResponseCode::NoError);
        }
        let record = |name| Record::from_rdata(Name::from(asked.clone()), TTL, RData::PTR(PTR(name)));
        Answer::Records(told.into_iter().map(record).collect())
    }
}

fn name(text: &str) -> io::Result<Name> {
    Name::from_ascii(text).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, format!("{text}: {e}")))
}

fn lock(zone: &Mutex<Zone>) -> std::sync::MutexGuard<'_, Zone> {
    zone.lock().unwrap_or_else(PoisonError::into_inner)
}
