//! `ha`: how the HA groups stand, and what other thresholds would have come to.

use super::args::HaArgs;
use super::checks::look;
use super::ha_wish::unknown;
use super::once::Look;
use super::output::{emit, style};
use super::replay::moment;
use super::{Context, Done, UNKNOWN, record};
use crate::domain::ha::what_if::Collector;
use crate::record::Reader;
use crate::report::{self, ha, ha_table, ha_what_if};

/// Looks once and tells.
///
/// # Errors
/// When there is no fleet, no such group, nothing recorded, or nothing can be printed.
pub fn run(context: &Context, args: &HaArgs) -> anyhow::Result<Done> {
    if args.what_if {
        return what_if(context, args);
    }
    let Look { snapshot, complete } = look(context, true)?;
    let name = args.group.as_deref().map(|g| g.strip_prefix("ha:").unwrap_or(g));
    if let Some(name) = name
        && !ha::names(&snapshot, None).iter().any(|n| n == name)
    {
        anyhow::bail!("{}", unknown(&snapshot, name));
    }
    emit(&if args.plugin {
        ha::plugin(&snapshot, None, name, complete)
    } else if context.global.json {
        report::document(&ha::document(&snapshot, None, name, complete))
    } else {
        ha_table::text(&snapshot, None, name, complete, style(&context.global))
    })?;
    Ok(ha::check(&snapshot, None, name, complete).code())
}

/// Tries other thresholds on what is recorded: 0 answered, 3 not.
fn what_if(context: &Context, args: &HaArgs) -> anyhow::Result<Done> {
    let fleet = context.fleet()?;
    let folder = record::folder(&context.paths, &fleet);
    let mut reader = match Reader::open(&folder) {
        Ok(reader) => reader,
        Err(error) => anyhow::bail!("{error}; a console or a watch on this fleet records it while it runs"),
    };
    let (oldest, newest) = reader.span()?;
    let from = args.since.as_deref().map(|text| moment(text, newest)).transpose()?.unwrap_or(oldest);
    let mut collector = Collector::default();
    let mut picture = reader.at(from)?;
    loop {
        for cluster in report::chosen(&picture, context.global.cluster.as_deref()) {
            collector.look(cluster, picture.at);
        }
        let next = reader.step(1)?;
        // At the end it stays there.
        if (next.at, next.generation) == (picture.at, picture.generation) || next.at > newest {
            break;
        }
        picture = next;
    }
    let name = args.group.as_deref().map(|g| g.strip_prefix("ha:").unwrap_or(g));
    let mut groups = collector.finish();
    groups.retain(|w| name.is_none_or(|n| w.group.as_str() == n));
    if groups.is_empty() {
        eprintln!(
            "peerdeck: no active-passive HA group{} is in what is recorded",
            name.map_or_else(String::new, |n| format!(" \"{n}\""))
        );
        return Ok(UNKNOWN);
    }
    emit(&if context.global.json {
        report::document(&ha_what_if::document(&picture, &groups))
    } else {
        ha_what_if::text(&picture, &groups, style(&context.global))
    })?;
    Ok(0)
}
