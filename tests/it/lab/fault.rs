//! The words of `lab fault`.

use std::time::Duration;

use peerdeck::daemon::disk::DiskFault;
use peerdeck::domain::ha::{LinkName, Service};
use peerdeck::domain::ids::{GroupName, HostName, PeerId};
use peerdeck::lab::dns::DnsFault;
use peerdeck::lab::fault::{
    BeatFault, Fault, FaultError, Island, KINDS, Links, Named, PortFault, Roster, Switch, help,
};
use peerdeck::lab::ha::HaMembers;
use peerdeck::lab::net::Node;

fn roster() -> Roster {
    let named = |n: usize| Named {
        host: HostName::new(&format!("lab{n}.example.com")),
        id: PeerId::new(&format!("SERIAL-{n}")),
        group: GroupName::new(if n < 7 { "Main_Group" } else { "Paris" }),
    };
    Roster { peers: (1..=12).map(named).collect(), groups: vec!["Main_Group".into(), "Paris".into()], ha: ha_groups() }
}

fn ha_groups() -> Vec<HaMembers> {
    vec![HaMembers { name: "gw".into(), units: vec![0, 1], links: vec![LinkName::Primary, LinkName::Secondary] }]
}

fn parse(line: &str) -> Result<Fault, FaultError> {
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    Fault::parse(&words, &roster())
}

#[test]
fn every_kind_is_read_as_it_is_documented() {
    let (one, ten) = (Node::Peer(0), Node::Peer(9));
    let wanted = [
        ("cut lab1 lab10", Fault::Cut(one, ten)),
        ("cut console lab10", Fault::Cut(Node::Console, ten)),
        ("cut-one-way lab10.example.com SERIAL-1", Fault::CutOneWay { from: ten, to: one }),
        ("isolate lab1", Fault::Isolate(Island::Peer(0))),
        ("isolate group:Paris", Fault::Isolate(Island::Group("Paris".into()))),
        ("isolate console", Fault::Isolate(Island::Console)),
        ("flap lab1 lab10 0.5", Fault::Flap(one, ten, 0.5)),
        ("slow lab1 lab10 250", Fault::Slow(one, ten, Duration::from_millis(250))),
        ("slow lab1 lab10 250ms", Fault::Slow(one, ten, Duration::from_millis(250))),
        ("loss lab1 lab10 25", Fault::Loss(one, ten, 0.25)),
        ("loss lab1 lab10 25%", Fault::Loss(one, ten, 0.25)),
        ("kill lab10", Fault::Kill(9)),
        ("freeze lab10", Fault::Freeze(9)),
        ("thaw lab10", Fault::Thaw(9)),
        ("restart lab10", Fault::Restart(9)),
        ("start lab10", Fault::Start(9)),
        ("hostkey lab10", Fault::HostKey(9)),
        ("dns lab1 nxdomain", Fault::Dns(0, DnsFault::Nxdomain)),
        ("dns lab1 wrong", Fault::Dns(0, DnsFault::Wrong)),
        ("dns lab1 timeout", Fault::Dns(0, DnsFault::Timeout)),
        ("dns lab1 ok", Fault::Dns(0, DnsFault::Ok)),
        ("alias lab10 MX1.example.com", Fault::Alias(9, "mx1.example.com".into())),
        ("skew lab1 -90.5", Fault::Skew(0, -90_500)),
        ("level lab1 2", Fault::Level(0, 2)),
        ("disk lab1 readonly", Fault::Disk(0, DiskFault::ReadOnly)),
        ("disk lab10 full", Fault::Disk(9, DiskFault::Full)),
        ("disk lab10 ok", Fault::Disk(9, DiskFault::Ok)),
        ("heartbeat gw both off", Fault::Heartbeat("gw".into(), Links::Both, BeatFault::Off)),
        ("heartbeat gw primary off-one-way", Fault::Heartbeat("gw".into(), Links::Primary, BeatFault::OffOneWay)),
        ("heartbeat gw secondary on", Fault::Heartbeat("gw".into(), Links::Secondary, BeatFault::On)),
        ("service lab1 smtp off", Fault::Service(0, Service::Smtp, Switch::Off)),
        ("service lab1 pop on", Fault::Service(0, Service::Pop3, Switch::On)),
        ("service lab10 imap off", Fault::Service(9, Service::Imap, Switch::Off)),
        ("service lab1 http off", Fault::Service(0, Service::Http, Switch::Off)),
        ("interface lab1 port3 down", Fault::Interface(0, "port3", PortFault::Down)),
        ("interface lab10 port1 up", Fault::Interface(9, "port1", PortFault::Up)),
        ("heal", Fault::Heal),
    ];
    for (line, fault) in &wanted {
        assert_eq!(parse(line).as_ref(), Ok(fault), "{line}");
    }
    for kind in KINDS {
        assert!(wanted.iter().any(|(line, _)| line.split(' ').next() == Some(kind.word)), "{} is not tried", kind.word);
        assert!(help().contains(&kind.usage()), "{} is not in the help", kind.word);
    }
}

#[test]
fn wrong_words_are_answered_with_the_nearest_and_the_usage() {
    let wanted = [
        ("cutt lab1 lab2", "there is no fault \"cutt\", did you mean \"cut\"?"),
        ("", "there is no fault \"\"; there are: cut, cut-one-way,"),
        ("cut lab1", "cut takes 2 words, 1 were given; usage: cut A B"),
        ("heal lab1", "heal takes 0 words, 1 were given; usage: heal"),
        ("kill lba1", "there is no peer \"lba1\", did you mean \"lab1\"?; usage: kill A"),
        ("alias lab1 mx1", "\"mx1\" is not a name like mx1.example.com; usage: alias A NAME"),
        ("alias lab1 lab10.example.com", "lab10.example.com is a peer of the lab; usage: alias A NAME"),
        ("kill console", "there is no peer \"console\"; usage: kill A"),
        ("kill lab", "there is no peer \"lab\", did you mean \"lab1\"?; usage: kill A"),
        ("isolate group:Pariss", "there is no group \"Pariss\", did you mean \"Paris\"?"),
        ("cut lab1 lab1.example.com", "lab1 is named twice; usage: cut A B"),
        ("dns lab1 wrnog", "there is no DNS answer \"wrnog\", did you mean \"wrong\"?"),
        ("loss lab1 lab2 101", "\"101\" is not a number from 0 to 100; usage: loss A B PERCENT"),
        ("flap lab1 lab2 NaN", "\"NaN\" is not a number from 0.01 to 50; usage: flap A B HZ"),
        ("skew lab1 inf", "\"inf\" is not a number from"),
        ("disk lab1 ful", "there is no disk fault \"ful\", did you mean \"full\"?; usage: disk A readonly|full|ok"),
        ("heartbeat gv both off", "there is no HA group \"gv\", did you mean \"gw\"?; usage: heartbeat GROUP primary|"),
        (
            "heartbeat gw all off",
            "there is no heartbeat link \"all\"; usage: heartbeat GROUP primary|secondary|both off|",
        ),
        ("heartbeat gw both of", "there is no heartbeat fault \"of\", did you mean \"off\"?"),
        (
            "service lab1 pop3 off",
            "there is no service \"pop3\", did you mean \"pop\"?; usage: service A smtp|pop|imap|http",
        ),
        ("interface lab1 port4 down", "there is no port \"port4\", did you mean \"port1\"?; usage: interface A port1|"),
        ("interface lab1 port1 donw", "there is no state of a port \"donw\", did you mean \"down\"?"),
        ("level lab1 0", "\"0\" is not a level from 1 to 1000; usage: level A N"),
    ];
    for (line, text) in wanted {
        let error = parse(line).unwrap_err().to_string();
        assert!(error.contains(text), "{line}: {error}");
    }
}

#[test]
fn a_lab_without_ha_says_how_to_get_it() {
    let words: Vec<String> = ["heartbeat", "gw", "both", "off"].map(str::to_owned).to_vec();
    let error = Fault::parse(&words, &Roster { ha: Vec::new(), ..roster() }).unwrap_err().to_string();
    assert!(error.contains("this lab has no HA groups: start one with `lab --ha`"), "{error}");
}
