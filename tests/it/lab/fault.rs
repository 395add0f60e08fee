//! The words of `lab fault`.

use std::time::Duration;

use peerdeck::daemon::disk::DiskFault;
use peerdeck::domain::ids::{GroupName, HostName, PeerId};
use peerdeck::lab::dns::DnsFault;
use peerdeck::lab::fault::{Fault, FaultError, Island, KINDS, Named, Roster, help};
use peerdeck::lab::net::Node;

fn roster() -> Roster {
    let named = |n: usize| Named {
        host: HostName::new(&format!("lab{n}.example.com")),
        id: PeerId::new(&format!("SERIAL-{n}")),
        group: GroupName::new(if n < 7 { "Main_Group" } else { "Paris" }),
    };
    Roster { peers: (1..=12).map(named).collect(), groups: vec!["Main_Group".into(), "Paris".into()] }
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
        ("level lab1 0", "\"0\" is not a level from 1 to 1000; usage: level A N"),
    ];
    for (line, text) in wanted {
        let error = parse(line).unwrap_err().to_string();
        assert!(error.contains(text), "{line}: {error}");
    }
}
