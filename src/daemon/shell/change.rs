//! Commands that change something: `clusterconfig disconnect` and `reconnect` (C22).

use super::Output;
use crate::daemon::cluster::View;
use crate::daemon::rpc::execute;
use crate::daemon::session::Visitor;
use crate::daemon::shared::Shared;
use crate::domain::membership::Machine;
use crate::domain::text::clean;
use crate::proto::rpc::{ExecuteParams, WireBasis};

/// Carries out `line` if it is such a command.
pub(super) async fn run(shared: &Shared, visitor: &Visitor, view: &View, line: &str) -> Option<Output> {
    let words: Vec<String> = line.split_whitespace().map(str::to_ascii_lowercase).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (command, wanted) = match words.as_slice() {
        ["clusterconfig", command @ ("disconnect" | "reconnect"), rest @ ..] => (*command, rest),
        _ => return None,
    };
    let [host] = wanted else {
        return Some(Output::failed(format!("Which machine? clusterconfig {command} HOST\n")));
    };
    if view.membership.machines.is_empty() {
        return Some(Output::failed("This machine is not part of a cluster.\n".into()));
    }
    let Some(machine) = find(&view.membership.machines, host) else {
        let host = clean(host, 60);
        return Some(Output::failed(format!(
            "No machine {host} is in the cluster; clusterconfig list shows those that are.\n"
        )));
    };
    let params = ExecuteParams {
        command: command.into(),
        peer: machine.id.to_string(),
        reason: "from the command line".into(),
        lasting: None,
        basis: WireBasis {
            membership: Some(view.membership.revision),
            detached: Some(command == "reconnect"),
            ..WireBasis::default()
        },
    };
    Some(match execute(shared, visitor, params).await {
        Ok(result) => Output::done(format!("{}: {}.\n", result.state, result.detail)),
        Err(why) => Output::failed(format!("Not done: {why}.\n")),
    })
}

/// The machine that `word` names: its host name, the first part of it, or its serial number.
fn find<'a>(machines: &'a [std::sync::Arc<Machine>], word: &str) -> Option<&'a Machine> {
    let named = |m: &&std::sync::Arc<Machine>| m.host.as_str() == word || m.id.as_str().eq_ignore_ascii_case(word);
    let mut short = machines.iter().filter(|m| m.host.short() == word);
    let only = short.next().filter(|_| short.next().is_none());
    machines.iter().find(named).or(only).map(|m| &**m)
}
