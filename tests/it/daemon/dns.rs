//! C19: what DNS must say, against a real DNS server.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use peerdeck::dns::Resolver;
use peerdeck::domain::HostName;
use peerdeck::domain::membership::{Addressing, Machine};
use peerdeck::lab::dns::{DnsFault, DnsServer, DnsSockets};

use super::real::Place;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 99));

async fn place(n: usize, addressing: Addressing) -> (Place, DnsServer) {
    let mut place = Place::prepare(n);
    let hosts: Vec<(HostName, IpAddr)> = place.setups.iter().map(|s| (s.host.clone(), HERE)).collect();
    let sockets = DnsSockets::bind((HERE, 0).into()).await.unwrap();
    let server = DnsServer::start(sockets, &hosts, ELSEWHERE).unwrap();
    place.resolver = Resolver::with_servers(&[server.address()]);
    place.change_membership(|membership| {
        membership.addressing = addressing;
        for machine in &mut membership.machines {
            let host = machine.host.clone();
            let address = match addressing {
                Addressing::HostName => host,
                Addressing::Ip => HostName::new("127.0.0.1"),
            };
            *machine = Arc::new(Machine { address, ..(**machine).clone() });
        }
    });
    place.start_all().await;
    (place, server)
}

fn host(n: usize) -> HostName {
    HostName::new(&format!("lab{n}.example.com"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c19_on_a_live_link_a_failing_name_is_told_and_the_link_stays() {
    let (place, server) = place(2, Addressing::HostName).await;
    server.set(&host(2), DnsFault::Nxdomain);
    let told = |text: &str| text.contains("lab2.example.com (127.0.0.1): connected; DNS: ");
    place.exec_until(0, "clusterconfig connstatus", told).await;
    server.set(&host(2), DnsFault::Wrong);
    let told = |text: &str| text.contains("lab2.example.com leads to 127.0.0.99, the link's other end is 127.0.0.1");
    place.exec_until(0, "clusterconfig connstatus", told).await;
    server.heal();
    let healed = |text: &str| text.contains("lab2.example.com (127.0.0.1): connected\n");
    place.exec_until(0, "clusterconfig connstatus", healed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c19_at_the_next_dial_the_name_is_the_cause() {
    let (mut place, server) = place(2, Addressing::HostName).await;
    let confirmed = |text: &str| text.contains("lab2.example.com (127.0.0.1): connected\n");
    place.exec_until(0, "clusterconfig connstatus", confirmed).await;
    place.peers[1].take().unwrap().kill();
    for (fault, words) in [
        (DnsFault::Nxdomain, "disconnected (dns-forward: "),
        (
            DnsFault::Wrong,
            "disconnected (dns-forward: lab2.example.com leads to 127.0.0.99, it was at 127.0.0.1 before",
        ),
        (DnsFault::Timeout, "disconnected (dns-forward: "),
        (DnsFault::Ok, "disconnected (refused: "),
    ] {
        server.set(&host(2), fault);
        place.exec_until(0, "clusterconfig connstatus", |text| text.contains(words)).await;
    }
    place.start_one(1).await;
    place.wait_up(0, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c19_by_address_each_needs_its_reverse_record() {
    let (mut place, server) = place(2, Addressing::Ip).await;
    place.peers[1].take().unwrap().kill();
    server.set(&host(2), DnsFault::Wrong);
    let named = |text: &str| text.contains("lab2.example.com (127.0.0.1): disconnected (dns-reverse: ");
    place.exec_until(0, "clusterconfig connstatus", named).await;
    server.heal();
    let healed = |text: &str| text.contains("disconnected (refused: ");
    place.exec_until(0, "clusterconfig connstatus", healed).await;
}
