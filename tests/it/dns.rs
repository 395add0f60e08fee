//! Real answers of a real server in process: every one becomes the right result within its deadline (C19).

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_server::Server;
use hickory_server::net::runtime::Time;
use hickory_server::proto::op::{Header, HeaderCounts, Metadata, ResponseCode};
use hickory_server::proto::rr::rdata::{CNAME, PTR};
use hickory_server::proto::rr::{Name, RData, Record, RecordType};
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;
use peerdeck::dns::{Lookup, Resolver};
use peerdeck::domain::mesh::DnsResult;
use tokio::net::{TcpListener, UdpSocket};
use tokio::time::Instant;

const DEADLINE: Duration = Duration::from_millis(700);

/// Says what the first label of the name asks for.
#[derive(Clone, Default)]
struct Answers {
    /// Questions for A records so far.
    asked: Arc<AtomicUsize>,
}

enum Answer {
    Records(Vec<RData>),
    Code(ResponseCode),
    Silence,
}

impl Answers {
    fn of(&self, name: &str, kind: RecordType, tcp: bool) -> Answer {
        let asked = self.asked.fetch_add(usize::from(kind == RecordType::A), Ordering::SeqCst);
        let v4 = |last: u8| RData::from(IpAddr::from([127, 0, 0, last]));
        let v6 = || RData::from("::7".parse::<IpAddr>().unwrap());
        let of_kind = |data: RData| if data.record_type() == kind { vec![data] } else { Vec::new() };
        let ptr = |name: &str| vec![RData::PTR(PTR(Name::from_ascii(name).unwrap()))];
        match name.split('.').next().unwrap() {
            "lab1" => Answer::Records(of_kind(v4(1))),
            "six" => Answer::Records(of_kind(v6())),
            "both" => Answer::Records(if kind == RecordType::A { vec![v4(4)] } else { vec![v6()] }),
            // A changes with each question: a cache would show.
            "fickle" if kind == RecordType::A && asked.is_multiple_of(2) => Answer::Records(of_kind(v4(1))),
            "noaaaa" if kind == RecordType::AAAA => Answer::Silence,
            "noaaaa" => Answer::Records(of_kind(v4(5))),
            "failaaaa" | "nodatafail" if kind == RecordType::AAAA => Answer::Code(ResponseCode::ServFail),
            "failaaaa" => Answer::Records(of_kind(v4(6))),
            "nodata" | "nodatafail" => Answer::Records(Vec::new()),
            "servfail" => Answer::Code(ResponseCode::ServFail),
            "refused" => Answer::Code(ResponseCode::Refused),
            "silent" | "66" => Answer::Silence,
            "alias" => {
                let target = RData::CNAME(CNAME(Name::from_ascii("lab1.example.com.").unwrap()));
                Answer::Records(vec![target])
            }
            // Too many for a datagram.
            "many" if kind == RecordType::A && !tcp => Answer::Records((0..250).map(v4).collect()),
            "many" => Answer::Records(if kind == RecordType::A { (0..3).map(v4).collect() } else { Vec::new() }),
            "11" => Answer::Records(ptr("LAB1.Example.COM.")),
            "12" => Answer::Records(ptr("somebody-else.example.com.")),
            "13" => {
                let labels: [&[u8]; 3] = [b"\x1b[2Jevil", b"example", b"com"];
                Answer::Records(vec![RData::PTR(PTR(Name::from_labels(labels).unwrap()))])
            }
            _ => Answer::Code(ResponseCode::NXDomain),
        }
    }

    async fn respond<R: ResponseHandler>(&self, request: &Request, mut handle: R) -> ResponseInfo {
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.authoritative = true;
        let info = request.request_info().unwrap();
        let tcp = info.protocol.to_string().eq_ignore_ascii_case("tcp");
        let nothing = |metadata| ResponseInfo::from(Header { metadata, counts: HeaderCounts::default() });
        let data = match self.of(&info.query.name().to_string(), info.query.query_type(), tcp) {
            Answer::Records(data) => data,
            Answer::Code(code) => {
                metadata.response_code = code;
                Vec::new()
            }
            Answer::Silence => return nothing(metadata),
        };
        let name = Name::from(info.query.name().clone());
        let records: Vec<Record> = data.into_iter().map(|d| Record::from_rdata(name.clone(), 3600, d)).collect();
        let response = MessageResponseBuilder::from_message_request(request).build(metadata, &records, [], [], []);
        handle.send_response(response).await.unwrap_or_else(|_| nothing(metadata))
    }
}

impl RequestHandler for Answers {
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

/// A server that ends with the test, and a resolver that asks it.
async fn resolver() -> (Server<Answers>, Resolver) {
    let (server, at) = serve().await;
    (server, Resolver::with_servers(&[at]))
}

async fn serve() -> (Server<Answers>, SocketAddr) {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let at = udp.local_addr().unwrap();
        // The same port may be taken for TCP.
        let Ok(tcp) = TcpListener::bind(at).await else { continue };
        let mut server = Server::new(Answers::default());
        server.register_socket(udp);
        server.register_listener(tcp, Duration::from_secs(5), 64);
        return (server, at);
    }
}

fn addresses(lookup: &Lookup<IpAddr>) -> Vec<String> {
    let mut all: Vec<String> = lookup.answers.iter().map(ToString::to_string).collect();
    all.sort();
    all
}

#[tokio::test]
async fn c19_forward_answers() {
    let (_server, resolver) = resolver().await;
    for (name, expected) in [
        ("lab1.example.com", vec!["127.0.0.1"]),
        ("LAB1.example.com.", vec!["127.0.0.1"]),
        ("six.example.com", vec!["::7"]),
        ("both.example.com", vec!["127.0.0.4", "::7"]),
        ("alias.example.com", vec!["127.0.0.1"]),
        ("failaaaa.example.com", vec!["127.0.0.6"]),
        ("127.0.0.9", vec!["127.0.0.9"]),
        ("::1", vec!["::1"]),
    ] {
        let found = resolver.forward(name, Duration::from_secs(5)).await;
        assert_eq!(
            (found.result, addresses(&found)),
            (DnsResult::Ok, expected.iter().map(ToString::to_string).collect()),
            "{found:?}"
        );
    }
}

#[tokio::test]
async fn c19_each_bad_answer_has_its_own_result() {
    let (_server, resolver) = resolver().await;
    for (name, expected, words) in [
        ("nobody.example.com", DnsResult::Missing, "NXDOMAIN"),
        ("nodata.example.com", DnsResult::Missing, "no such record"),
        ("servfail.example.com", DnsResult::Failed, "failure"),
        ("refused.example.com", DnsResult::Failed, "failure"),
        ("silent.example.com", DnsResult::Timeout, "no answer within 0.7 s"),
        // Nobody may say "missing" while half of the question failed.
        ("nodatafail.example.com", DnsResult::Failed, "failure"),
    ] {
        let begin = Instant::now();
        let found = resolver.forward(name, DEADLINE).await;
        assert_eq!(found.result, expected, "{found:?}");
        assert!(found.detail.contains(words) && found.detail.contains(name), "{found:?}");
        assert!(found.detail.contains("127.0.0.1:"), "who was asked: {found:?}");
        assert!(found.answers.is_empty() && found.took <= begin.elapsed());
    }
}

#[tokio::test]
async fn c19_what_is_no_name_is_an_error_and_no_look_up() {
    let (_server, resolver) = resolver().await;
    for bad in ["", "a..b", &"x".repeat(300), "\u{1b}[2J", &format!("{}.com", "y".repeat(64))] {
        let found = resolver.forward(bad, Duration::from_secs(5)).await;
        assert!(found.result.is_bad() && found.result != DnsResult::Timeout, "{bad:?}: {found:?}");
        assert!(!found.detail.contains('\u{1b}'));
    }
}

#[tokio::test]
async fn a_family_that_hangs_holds_up_the_other_for_a_moment_only() {
    let (_server, resolver) = resolver().await;
    let found = resolver.forward("noaaaa.example.com", Duration::from_mins(1)).await;
    assert_eq!(addresses(&found), ["127.0.0.5"], "{found:?}");
    assert!(found.took < Duration::from_secs(30));
}

#[tokio::test]
async fn what_does_not_fit_a_datagram_comes_over_tcp() {
    let (_server, resolver) = resolver().await;
    let found = resolver.forward("many.example.com", Duration::from_secs(5)).await;
    assert_eq!(addresses(&found), ["127.0.0.0", "127.0.0.1", "127.0.0.2"], "{found:?}");
}

#[tokio::test]
async fn nothing_is_remembered_so_that_a_fault_shows_at_once() {
    let (_server, resolver) = resolver().await;
    let mut results = std::collections::HashSet::new();
    // With TTLs of an hour, a cache would give the first answer for ever.
    for _ in 0..20 {
        results.insert(resolver.forward("fickle.example.com", Duration::from_secs(5)).await.result);
    }
    assert!(results.contains(&DnsResult::Ok) && results.contains(&DnsResult::Missing), "{results:?}");
}

#[tokio::test]
async fn c19_reverse_answers() {
    let (_server, resolver) = resolver().await;
    let reverse = async |last: u8| resolver.reverse(IpAddr::from([127, 0, 0, last]), DEADLINE).await;
    assert_eq!(reverse(11).await.answers, ["lab1.example.com"]);
    assert_eq!(reverse(12).await.answers, ["somebody-else.example.com"]);
    let evil = reverse(13).await;
    assert!(!evil.answers[0].contains('\u{1b}') && !evil.detail.contains('\u{1b}'), "{evil:?}");
    assert_eq!(reverse(99).await.result, DnsResult::Missing);
    assert_eq!(reverse(66).await.result, DnsResult::Timeout);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_failure_and_the_next_one_is_asked() {
    let gone = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let found = Resolver::with_servers(&[gone]).forward("lab1.example.com", Duration::from_secs(5)).await;
    assert!(found.result.is_bad(), "{found:?}");
    let (_server, at) = serve().await;
    let found = Resolver::with_servers(&[gone, at]).forward("lab1.example.com", Duration::from_secs(10)).await;
    assert_eq!(addresses(&found), ["127.0.0.1"], "{found:?}");
    let none = Resolver::with_servers(&[]).forward("lab1.example.com", Duration::from_secs(5)).await;
    assert_eq!(none.result, DnsResult::Failed);
    assert!(none.detail.contains("no DNS server"), "{none:?}");
}

#[tokio::test]
async fn the_system_knows_itself() {
    let found = Resolver::system().unwrap().forward("localhost", Duration::from_secs(5)).await;
    assert!(found.result == DnsResult::Ok && found.answers.iter().all(IpAddr::is_loopback), "{found:?}");
}

/// A server that counts questions and answers none.
fn mute() -> (std::net::UdpSocket, SocketAddr) {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let at = socket.local_addr().unwrap();
    (socket, at)
}

/// Names that it was asked for since it was looked at last.
fn asked(server: &std::net::UdpSocket) -> Vec<(Vec<u8>, SocketAddr)> {
    let mut bytes = [0; 512];
    let mut all = Vec::new();
    while let Ok((n, from)) = server.recv_from(&mut bytes) {
        all.push((bytes[..n].to_vec(), from));
    }
    all
}

const SIX: [&str; 6] = ["a.test", "b.test", "c.test", "d.test", "e.test", "f.test"];

async fn look_up_all(resolver: &Resolver) -> Vec<DnsResult> {
    let all = SIX.map(|name| resolver.forward(name, Duration::from_secs(3)));
    futures::future::join_all(all).await.into_iter().map(|found| found.result).collect()
}

#[tokio::test(start_paused = true)]
async fn names_for_which_nobody_answers_share_one_question() {
    let (server, at) = mute();
    let resolver = Resolver::with_servers(&[at]);
    assert_eq!(look_up_all(&resolver).await, [DnsResult::Timeout; 6]);
    assert!(asked(&server).len() >= 12, "at first each name is asked for, both families");
    for _ in 0..3 {
        let began = Instant::now();
        assert_eq!(look_up_all(&resolver).await, [DnsResult::Timeout; 6]);
        assert_eq!(asked(&server).len(), 1, "one datagram for all six");
        assert!(began.elapsed() <= Duration::from_millis(3150), "{:?}", began.elapsed());
    }
    // A name that nobody has asked for yet is not condemned unheard.
    assert_eq!(resolver.forward("g.test", Duration::from_secs(3)).await.result, DnsResult::Timeout);
    assert!(asked(&server).len() >= 2);
}

#[tokio::test(start_paused = true)]
async fn a_shared_question_that_is_called_off_is_asked_by_the_next() {
    let (server, at) = mute();
    let resolver = Resolver::with_servers(&[at]);
    look_up_all(&resolver).await;
    asked(&server);
    let first = resolver.clone();
    let first = tokio::spawn(async move { first.forward("a.test", Duration::from_secs(3)).await.result });
    tokio::time::sleep(Duration::from_millis(500)).await;
    let began = Instant::now();
    let next = resolver.forward("b.test", Duration::from_secs(3));
    let (found, ()) = tokio::join!(next, async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        first.abort();
    });
    assert_eq!(found.result, DnsResult::Timeout);
    assert_eq!(asked(&server).len(), 2, "one of each");
    assert!(began.elapsed() >= Duration::from_secs(3), "it had its whole time: {:?}", began.elapsed());
}

#[tokio::test]
async fn one_name_without_an_answer_fails_no_other_and_an_answer_ends_the_silence() {
    let (_server, resolver) = resolver().await;
    let found = resolver.forward("silent.example.com", DEADLINE).await;
    assert_eq!(found.result, DnsResult::Timeout, "{found:?}");
    // Under way again, as the question for all: what is asked meanwhile is answered as ever.
    let (silent, other) = tokio::join!(
        resolver.forward("silent.example.com", DEADLINE),
        resolver.forward("lab1.example.com", Duration::from_secs(5))
    );
    assert_eq!((silent.result, other.result), (DnsResult::Timeout, DnsResult::Ok), "{silent:?} {other:?}");
}

#[tokio::test]
async fn a_server_that_answers_again_is_heard_at_the_next_look_up() {
    let (socket, at) = mute();
    let resolver = Resolver::with_servers(&[at]);
    let short = Duration::from_millis(300);
    for name in ["lab1.example.com", "six.example.com"] {
        assert_eq!(resolver.forward(name, short).await.result, DnsResult::Timeout);
    }
    drop(socket);
    let mut server = Server::new(Answers::default());
    server.register_socket(UdpSocket::bind(at).await.unwrap());
    for (name, address) in [("lab1.example.com", "127.0.0.1"), ("six.example.com", "::7")] {
        let found = resolver.forward(name, Duration::from_secs(5)).await;
        assert_eq!(addresses(&found), [address], "{found:?}");
    }
}
