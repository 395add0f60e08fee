use std::collections::BTreeMap;

use peerdeck::domain::settings::Level;
use peerdeck::domain::settings::catalogue::{Feature, Kind, Levels, Path};
use peerdeck::domain::settings::{Value, rules};
use peerdeck::proto::features::{BUILT_IN, built_in, catalogue};

use super::made::feature;

fn known(name: &str) -> Feature {
    built_in().feature(&feature(name)).unwrap_or_else(|| panic!("{name}")).clone()
}

#[test]
fn the_built_in_table_has_no_problems() {
    let table = catalogue(&[]).unwrap();
    assert_eq!(table.iter().len(), BUILT_IN.lines().filter(|l| l.starts_with('[')).count());
    assert!(table.settings().count() >= 50);
    assert_eq!(table, *built_in());
    for feature in table.iter() {
        assert!(!feature.site);
        if let Some(value) = &feature.factory {
            rules::check_value(&feature.name, value).unwrap();
        }
    }
}

/// The documents' tables of restricted commands.
#[test]
fn c17_every_restricted_command_is_restricted() {
    for name in ["clusterconfig", "sshconfig", "clustercheck", "userconfig", "passwd"] {
        assert_eq!(known(name).levels, Levels::ClusterOnly, "{name}");
    }
    let machine = "antispamstatus antispamupdate antivirusstatus antivirusupdate bouncerecipients deleterecipients \
        delivernow diagnostic dnsflush dnslistflush dnslisttest dnsstatus etherconfig featurekey hostrate hoststatus \
        interfaceconfig ldapflush ldaptest nslookup quarantineconfig rate reboot resetcounters resume resumedel \
        resumelistener rollovernow routeconfig sbstatus setgateway sethostname settime shutdown status suspend \
        suspenddel suspendlistener techsupport tophosts topin trace version vofflush vofstatus workqueue";
    for name in machine.split_whitespace() {
        assert_eq!(known(name).levels, Levels::MachineOnly, "{name}");
    }
    for name in "last resetconfig tail upgrade ping supportrequest telnet who".split_whitespace() {
        assert_eq!(known(name).levels, Levels::LoginHost, "{name}");
        assert_eq!(known(name).kind, Kind::Command, "{name}");
    }
    for name in ["settz", "ntpconfig"] {
        assert_eq!(known(name).levels, Levels::ClusterOrGroup, "{name}");
    }
    for name in ["smtproutes", "listenerconfig", "dnsconfig", "destconfig", "logconfig", "ldapconfig", "unsubscribe"] {
        assert_eq!((known(name).levels, known(name).kind), (Levels::Any, Kind::Feature), "{name}");
    }
    for name in ["status", "reboot", "settime", "clusterconfig", "commit"] {
        assert_eq!(known(name).kind, Kind::Command, "{name}");
    }
}

#[test]
fn c3_c4_what_is_bound_to_the_network_stays_on_the_machine() {
    let bound: Vec<String> = built_in().settings().filter(|f| !f.clusterable).map(|f| f.name.to_string()).collect();
    let expected = ["etherconfig", "featurekey", "interfaceconfig", "quarantineconfig", "routeconfig", "setgateway"];
    assert_eq!(bound, expected);
    // What can't leave the machine can't be the cluster's.
    assert!(built_in().settings().all(|f| f.clusterable || !f.levels.allow(Level::Cluster)));
}

#[test]
fn c11_tables_that_a_gateway_needs_have_no_factory_default() {
    for name in ["smtproutes", "listenerconfig", "ldapconfig"] {
        assert_eq!(known(name).factory, None, "{name}");
    }
    assert_eq!(known("settz").factory.as_deref(), Some(&Value::text("Etc/GMT")));
}

#[test]
fn c24_titles_are_those_of_the_documents() {
    assert_eq!(known("listenerconfig").title.as_str(), "Listeners (including HAT, RAT, bounce profiles)");
    let mut titles = BTreeMap::new();
    for feature in built_in().iter() {
        assert_eq!(titles.insert(feature.title.clone(), feature.name.clone()), None, "{}", feature.title);
    }
}

#[test]
fn levels_allow_and_offer() {
    let all = [Level::Cluster, Level::Group, Level::Machine];
    let allowed = |levels: Levels| all.map(|l| levels.allow(l));
    assert_eq!(allowed(Levels::Any), [true, true, true]);
    assert_eq!(allowed(Levels::ClusterOnly), [true, false, false]);
    assert_eq!(allowed(Levels::ClusterOrGroup), [true, true, false]);
    assert_eq!(allowed(Levels::MachineOnly), [false, false, true]);
    assert_eq!(allowed(Levels::LoginHost), [false, false, true]);
}

const SITE: &str = r#"
[postfix-main]
title = "Postfix (main.cf)"
factory = { myhostname = "localhost", limits = [1, 2.5, true] }
references = [
    { path = "smtpd.*.certificate", to = "certconfig", items = "certificates", what = "certificate", except = ["none"] },
    { path = "maps", to = "postfix-maps", what = "map" },
]

[postfix-maps]
title = "Postfix maps"
levels = "cluster-or-group"
clusterable = true
"#;

#[test]
fn a_site_adds_features_of_its_own() {
    let table = catalogue(&[("site.toml", SITE)]).unwrap();
    let main = table.feature(&feature("postfix-main")).unwrap();
    assert!(main.site);
    assert_eq!(main.factory.as_ref().unwrap().to_string(), r#"{"limits":[1,2.5,true],"myhostname":"localhost"}"#);
    assert_eq!(main.references[0].path, Path::new("smtpd.*.certificate"));
    assert_eq!(main.references[0].path.to_string(), "smtpd.*.certificate");
    assert_eq!(&*main.references[0].except[0], "none");
    assert_eq!(table.iter().len(), built_in().iter().len() + 2);
    assert_eq!(table.feature(&feature("smtproutes")), built_in().feature(&feature("smtproutes")));
}

/// Everything that is wrong, in all files, by line.
#[test]
fn all_problems_of_a_sites_files_are_reported_at_once() {
    let one = "[smtproutes]\ntitle = \"Mine\"\n\n[Up]\ntitle = \"x\"\n\n[a]\ntitle = 1\nlevels = \"all\"\ncolour = \"red\"\n\
               [b]\nkind = \"feature\"\n[c]\ntitle = \"C\"\nfactory = 2024-01-01\n\
               references = [{ path = \"x\", to = \"smtproute\", what = \"y\" }]\n\
               [d]\ntitle = \"D\"\nreferences = [{ path = \"x\" }, 3]\n";
    let two = "[good]\ntitle = \"Good\"\n[good2]\ntitle = \"x\"\nkind = \"command\"\nfactory = {}\n";
    let three = "[good]\ntitle = \"Again\"\n";
    let four = "[x\ny = \n";
    let found = catalogue(&[("1.toml", one), ("2.toml", two), ("3.toml", three), ("4.toml", four)]).unwrap_err();
    let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
    let begins = [
        "1.toml:1: smtproutes is built in and can't be changed",
        "1.toml:4: \"Up\": the name of a feature has small letters",
        "1.toml:8: `title` must be a text in quotes, not integer",
        "1.toml:9: `levels` is one of any, cluster-only, machine-only, cluster-or-group, login-host, not \"all\"",
        "1.toml:10: unknown key `colour` (there are title, kind",
        "1.toml:11: b has no title",
        "1.toml:15: write dates as texts in quotes",
        "1.toml:19: a reference needs `path`, `to` and `what`",
        "1.toml:19: `references` must be a table, not integer",
        "2.toml:3: good2 is a command",
        "3.toml:1: good stands in another file too",
    ];
    for begin in begins {
        assert!(lines.iter().any(|l| l.starts_with(begin)), "{begin}\n{lines:#?}");
    }
    assert!(lines.iter().any(|l| l.starts_with("4.toml:1: ")), "{lines:#?}");
    let misspelt = "1.toml:16: no feature is called \"smtproute\", did you mean \"smtproutes\"?";
    assert!(lines.iter().any(|l| l == misspelt), "{lines:#?}");
}

#[test]
fn names_of_features_must_be_parts_of_keys() {
    for name in ["a/b", "A", "a b", "", "é", &"x".repeat(65)] {
        let text = format!("[\"{name}\"]\ntitle = \"x\"\n");
        let found = catalogue(&[("x.toml", &text)]);
        assert!(found.is_err(), "{name}");
    }
}

#[test]
fn a_huge_file_and_a_deep_value_are_refused() {
    let huge = format!("# {}\n", "x".repeat(2 << 20));
    assert!(catalogue(&[("x.toml", &huge)]).unwrap_err()[0].what.contains("are read"));
    let deep = format!("[x]\ntitle = \"x\"\nfactory = {}1{}\n", "[".repeat(40), "]".repeat(40));
    assert!(catalogue(&[("x.toml", &deep)]).unwrap_err()[0].what.contains("nested too deeply"));
}

#[test]
fn what_was_meant_is_guessed() {
    let table = built_in();
    for (typed, meant) in [
        ("smtproute", Some("smtproutes")),
        ("smptroutes", Some("smtproutes")),
        ("DNSCONFIG", Some("dnsconfig")),
        ("listnerconfig", Some("listenerconfig")),
        ("zz", None),
        ("", None),
    ] {
        assert_eq!(table.nearest(typed).map(peerdeck::domain::ids::FeatureName::as_str), meant, "{typed}");
    }
    assert_eq!(table.nearest(&"x".repeat(100_000)), None);
}
