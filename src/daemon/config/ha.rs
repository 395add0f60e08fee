//! The `[ha]` and `[[witness]]` blocks of `peer.toml` (`src/docs/ha-config.md`).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use toml::Value;

use super::block::Block;
use crate::daemon::ha::{HaSetup, Secret, Secrets};
use crate::domain::ha::config::{
    AddressConfig, BASE_PORT, HOLD_OFF, INTERVAL, LinkConfig, MonitorConfig, QUIET, THRESHOLD,
};
use crate::domain::ha::{
    AddressAction, Configured, GroupKind, HaConfig, LinkName, MonitorKind, OnFailure, SplitBrain, WitnessConfig,
    WitnessMode,
};
use crate::domain::ids::{HaName, HostName};

/// Valid lifetime of a virtual address.
const LEASE: Duration = Duration::from_secs(1);

/// How long a hook may take.
const HOOK_LIMIT: Duration = Duration::from_secs(30);

/// Remote monitors: time between checks, wait, failures in a row.
const REMOTE: (Duration, Duration, u32) = (Duration::from_mins(1), Duration::from_secs(30), 3);

/// Local ones.
const LOCAL: (Duration, Duration, u32) = (Duration::from_secs(10), Duration::from_secs(10), 3);

/// Longest name of a group: it goes into each datagram.
const NAME_MAX: usize = 63;

/// What a port is to heartbeats.
#[derive(Clone, Copy, PartialEq, Eq, Default, strum::EnumString, strum::EnumIter, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
enum HeartbeatStatus {
    #[default]
    Disable,
    Primary,
    Secondary,
}

/// Reads both kinds of block; problems are added, a line each.
pub(super) fn read(ha: Option<Value>, witness: Option<Value>, problems: &mut Vec<String>) -> HaSetup {
    let unit = ha.map(|value| unit(value, problems));
    let blocks = witness.map(|value| Block::list("[[witness]]", value)).unwrap_or_default();
    let witness: Vec<(WitnessConfig, Secrets)> = blocks.into_iter().map(|b| witness_of(b, problems)).collect();
    for (n, (config, _)) in witness.iter().enumerate() {
        let group = &config.group;
        if unit.as_ref().is_some_and(|(own, _)| own.group == *group) {
            problems
                .push(format!("[[witness]] group: this machine is a unit of {group}; its witness is a third machine"));
        }
        if witness.iter().take(n).any(|(other, _)| other.group == *group) {
            problems.push(format!("[[witness]] group: {group} stands twice"));
        }
    }
    HaSetup { unit, witness, own_thread: true }
}

fn unit(value: Value, problems: &mut Vec<String>) -> (HaConfig, Secrets) {
    let mut block = Block::new("[ha]", value);
    let group = group(&mut block);
    let configured = block.word::<Configured>("mode");
    if configured.is_none() {
        let words = "`primary`, `secondary`, `config-primary`, `config-secondary` or `off`";
        block.missing("mode", &format!("it is missing: {words}"));
    }
    let secrets = secrets(&mut block);
    let base_port = block.port("hb-base-port", BASE_PORT);
    let mut config = HaConfig {
        group,
        configured: configured.unwrap_or_default(),
        on_failure: block.word::<OnFailure>("on-failure").unwrap_or_default(),
        base_port,
        interval: block.span("hb-interval", INTERVAL),
        threshold: block.span("hb-lost-threshold", THRESHOLD),
        services_as_heartbeat: block.flag("remote-services-as-heartbeat", false),
        split_brain: block.word::<SplitBrain>("split-brain").unwrap_or_default(),
        witness: block.word::<WitnessMode>("witness").unwrap_or_default(),
        witness_at: block.sockets("witness-address", base_port),
        lease: block.span("vip-lease", LEASE),
        hold_off: block.span("hold-off", HOLD_OFF),
        quiet: block.span("quiet-period", QUIET),
        links: Vec::new(),
        monitored_ports: Vec::new(),
        addresses: Vec::new(),
        monitors: Vec::new(),
        references: block.addresses("reference-addresses"),
        hook: block.texts("hook"),
        hook_limit: block.span("hook-timeout", HOOK_LIMIT),
    };
    if config.hook.first().is_some_and(|program| !program.starts_with('/')) {
        block.problem("hook", "its program is not an absolute path");
    }
    let interfaces = block.take("interface").map(|v| Block::list("[[ha.interface]]", v)).unwrap_or_default();
    let services = block.take("service");
    let mut inner = Vec::new();
    for interface in interfaces {
        read_interface(interface, &mut config, &mut inner);
    }
    // The primary link is the first, whatever the order of the file.
    config.links.sort_by_key(|l| l.name);
    config.monitors = services.map(|v| monitors(v, &mut inner)).unwrap_or_default();
    let watches_ports = config.monitors.iter().any(|m| m.kind == MonitorKind::Ports);
    if watches_ports && config.monitored_ports.is_empty() {
        inner.push("[ha.service.local-ports]: no port has `port-monitor = \"enable\"`".to_owned());
    }
    if config.kind() == GroupKind::ConfigOnly && !config.monitors.is_empty() {
        inner.push("[ha.service]: a config-only group has no failover and so no monitors".to_owned());
    }
    block.finish(problems);
    problems.append(&mut inner);
    if configured.is_some_and(|c| c != Configured::Off) {
        problems.extend(config.problems().into_iter().map(|p| format!("[ha] {p}")));
    }
    (config, secrets)
}

fn group(block: &mut Block) -> HaName {
    let name = block.needed("group", "\"gw\"");
    let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.len() > NAME_MAX || !name.chars().all(is_good) {
        block.problem("group", &format!("a name has at most {NAME_MAX} letters, digits, `.`, `-` and `_`"));
    }
    HaName::new(&name)
}

fn secrets(block: &mut Block) -> Secrets {
    let (files, variables) = (block.files("password-file"), block.texts("password-env"));
    match (files.is_empty(), variables.is_empty()) {
        (true, true) => block.problem("password-file", "it is missing; name a file for its owner only (mode 0600)"),
        (false, false) => block.problem("password-file", "give `password-file` or `password-env`, not both"),
        (true, false) | (false, true) => {}
    }
    Secrets(files.into_iter().map(Secret::File).chain(variables.into_iter().map(Secret::Env)).collect())
}

fn read_interface(mut block: Block, config: &mut HaConfig, problems: &mut Vec<String>) {
    let name = block.needed("name", "\"eth1\"");
    block.rename(format!("[[ha.interface]] {name}"));
    let status = block.word::<HeartbeatStatus>("heartbeat-status").unwrap_or_default();
    let (local, peers) = (block.address("local-ip"), block.addresses("peer-ip"));
    let link = match status {
        HeartbeatStatus::Disable => None,
        HeartbeatStatus::Primary => Some(LinkName::Primary),
        HeartbeatStatus::Secondary => Some(LinkName::Secondary),
    };
    if let Some(link) = link {
        links(&mut block, link, &name, local, &peers, config);
    } else if local.is_some() || !peers.is_empty() {
        block.problem("heartbeat-status", "`local-ip` and `peer-ip` are for heartbeats: `primary` or `secondary`");
    }
    if block.flag("port-monitor", false) {
        config.monitored_ports.push(name.clone());
    }
    let virtuals = block.prefixes("virtual-ip");
    let action = block.word::<AddressAction>("action-on-primary").unwrap_or_default();
    match (virtuals.is_empty(), action) {
        (true, AddressAction::Set | AddressAction::Add) => {
            block.problem("virtual-ip", "it is missing; give one, like \"192.0.2.10/24\"");
        }
        (true, AddressAction::Ignore) | (false, AddressAction::Ignore | AddressAction::Set | AddressAction::Add) => {}
    }
    let address = |(address, prefix)| AddressConfig { interface: name.clone(), action, address, prefix };
    config.addresses.extend(virtuals.into_iter().map(address));
    block.finish(problems);
}

fn links(
    block: &mut Block,
    link: LinkName,
    interface: &str,
    local: Option<IpAddr>,
    peers: &[IpAddr],
    config: &mut HaConfig,
) {
    let Some(local) = local else {
        return block.missing("local-ip", "it is missing: this machine's own address on the port");
    };
    if peers.is_empty() {
        block
            .missing("peer-ip", "it is missing: the other unit's address on this link (a list in a config-only group)");
    }
    for peer in peers {
        if *peer == local {
            block.problem("peer-ip", &format!("{peer} is this machine's own `local-ip`"));
        } else if peer.is_ipv4() != local.is_ipv4() {
            block.problem("peer-ip", &format!("{peer} and {local} are of two families"));
        } else if config.links.iter().any(|l| l.name == link && l.peer == *peer) {
            block.problem("peer-ip", &format!("two {} links lead to {peer}", link.as_str()));
        } else {
            config.links.push(LinkConfig { name: link, interface: interface.to_owned(), local, peer: *peer });
        }
    }
}

fn monitors(value: Value, problems: &mut Vec<String>) -> Vec<MonitorConfig> {
    let mut block = Block::new("[ha.service]", value);
    let mut monitors = Vec::new();
    for kind in MonitorKind::ALL {
        let Some(value) = block.take(kind.as_str()) else { continue };
        let mut service = Block::new(&format!("[ha.service.{}]", kind.as_str()), value);
        let is_on = service.flag("status", true);
        let (interval, wait, retries) = if kind.is_remote() { REMOTE } else { LOCAL };
        let target = match kind {
            MonitorKind::Remote(remote) => {
                let ip = service.address("ip");
                if ip.is_none() {
                    service.missing("ip", "it is missing: the virtual address, or the other unit's own");
                }
                let port = service.port("port", remote.port());
                ip.map(|ip| SocketAddr::new(ip, port))
            }
            MonitorKind::Ports | MonitorKind::Disk => None,
        };
        let monitor = MonitorConfig {
            kind,
            target,
            interval: service.span("check-interval", interval),
            wait: service.span("check-timeout", wait),
            retries: service.number("retries", 1, 100, retries),
        };
        service.finish(problems);
        if is_on {
            monitors.push(monitor);
        }
    }
    block.finish(problems);
    monitors
}

fn witness_of(mut block: Block, problems: &mut Vec<String>) -> (WitnessConfig, Secrets) {
    let group = group(&mut block);
    let config = WitnessConfig {
        group,
        base_port: block.port("hb-base-port", BASE_PORT),
        local: block.addresses("local-ip"),
        lease: block.span("vip-lease", LEASE),
        units: block.texts("units").iter().map(|host| HostName::new(host)).collect(),
    };
    if config.local.is_empty() {
        block.missing("local-ip", "it is missing: the addresses of this machine on which it listens");
    }
    if config.lease.subsec_nanos() != 0 || !(1..=60).contains(&config.lease.as_secs()) {
        block.problem("vip-lease", "it is not a whole number of seconds from 1 to 60; take the one of the units");
    }
    let secrets = secrets(&mut block);
    block.finish(problems);
    (config, secrets)
}
