//! The lab's DNS server, asked by the resolver that peers and consoles use.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use peerdeck::dns::Resolver;
use peerdeck::domain::ids::HostName;
use peerdeck::domain::mesh::DnsResult;
use peerdeck::lab::dns::{DnsFault, DnsServer, DnsSockets};

use crate::support::PATIENCE;

const ONE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 77, 1, 1));
const TWO: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 77, 1, 2));
const WRONG: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 77, 1, 254));

async fn server(hosts: &[(&str, IpAddr)]) -> (DnsServer, Resolver) {
    let sockets = DnsSockets::bind(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0)).await.unwrap();
    let hosts: Vec<_> = hosts.iter().map(|(h, a)| (HostName::new(h), *a)).collect();
    let server = DnsServer::start(sockets, &hosts, WRONG).unwrap();
    let resolver = Resolver::with_servers(&[server.address()]);
    (server, resolver)
}

#[tokio::test]
async fn c19_forward_and_reverse_answers_are_real() {
    let (_server, dns) = server(&[("lab1.example.com", ONE), ("lab2.example.com", TWO)]).await;
    let forward = dns.forward("lab2.example.com", PATIENCE).await;
    assert_eq!((forward.result, forward.answers), (DnsResult::Ok, vec![TWO]), "{}", forward.detail);
    let reverse = dns.reverse(ONE, PATIENCE).await;
    assert_eq!((reverse.result, reverse.answers), (DnsResult::Ok, vec!["lab1.example.com".to_owned()]));
    assert_eq!(dns.forward("lab3.example.com", PATIENCE).await.result, DnsResult::Missing);
    assert_eq!(dns.forward("lab1.elsewhere.org", PATIENCE).await.result, DnsResult::Failed);
}

#[tokio::test]
async fn c19_each_dns_fault_is_answered_and_healed() {
    let (server, dns) = server(&[("lab1.example.com", ONE), ("lab2.example.com", TWO)]).await;
    let host = HostName::new("lab1.example.com");

    server.set(&host, DnsFault::Nxdomain);
    assert_eq!(dns.forward(host.as_str(), PATIENCE).await.result, DnsResult::Missing);
    assert_eq!(dns.reverse(ONE, PATIENCE).await.result, DnsResult::Missing);

    server.set(&host, DnsFault::Wrong);
    assert_eq!(dns.forward(host.as_str(), PATIENCE).await.answers, [WRONG]);
    assert_eq!(dns.reverse(ONE, PATIENCE).await.answers, ["somebody-else.example.com"]);

    server.set(&host, DnsFault::Timeout);
    let short = Duration::from_millis(300);
    assert_eq!(dns.forward(host.as_str(), short).await.result, DnsResult::Timeout);
    assert_eq!(dns.reverse(ONE, short).await.result, DnsResult::Timeout);

    assert_eq!(dns.forward("lab2.example.com", PATIENCE).await.answers, [TWO], "the others are not touched");

    server.heal();
    assert_eq!(dns.forward(host.as_str(), PATIENCE).await.answers, [ONE]);
    assert_eq!(dns.reverse(ONE, PATIENCE).await.answers, [host.as_str()]);
}

#[tokio::test]
async fn c19_one_address_has_all_the_names_of_those_who_share_it() {
    let (server, dns) = server(&[("lab1.example.com", ONE), ("lab2.example.com", ONE)]).await;
    let mut names = dns.reverse(ONE, PATIENCE).await.answers;
    names.sort();
    assert_eq!(names, ["lab1.example.com", "lab2.example.com"]);
    server.set(&HostName::new("lab2.example.com"), DnsFault::Nxdomain);
    assert_eq!(dns.reverse(ONE, PATIENCE).await.answers, ["lab1.example.com"]);
}
