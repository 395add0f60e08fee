//! `ha`: how the HA groups stand, and what other thresholds would have come to.

use super::args::HaArgs;
use super::checks::look;
use super::ha_wish::unknown;
use super::once::Look;
use super::output::{emit, style};
use super::{Context, Done};
use crate::report::{self, ha, ha_table};

/// Looks once and tells.
///
/// # Errors
/// When there is no fleet, no such group, nothing recorded, or nothing can be printed.
pub fn run(context: &Context, args: &HaArgs) -> anyhow::Result<Done> {
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
