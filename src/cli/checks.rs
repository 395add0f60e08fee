//! `status`, `connstatus` and `list`: one look, as a table, a document or a line.

use super::connect::{self, Face};
use super::once::{self, Look};
use super::output::{emit, style};
use super::{Context, Done, UNKNOWN};
use crate::report::{self, connstatus, list, status};

/// A face of one look.
pub(super) const ONE_SHOT: Face = Face { name: "one-shot", interactive: false, one_shot: true };

/// One look at the fleet.
///
/// # Errors
/// When there is no fleet or it can't be used.
pub(super) fn look(context: &Context, judged: bool) -> anyhow::Result<Look> {
    let fleet = context.fleet()?;
    super::process::small_runtime()?.block_on(async {
        let connected = connect::start(&fleet, &context.paths, ONE_SHOT)?;
        drop(connected.commander);
        Ok(once::look(&connected.observer, connected.links.clock.as_ref(), context.global.timeout, judged).await)
    })
}

/// `status`.
///
/// # Errors
/// When there is no fleet, or nothing can be printed.
pub fn status(context: &Context, plugin: bool) -> anyhow::Result<Done> {
    let Look { snapshot, complete } = look(context, true)?;
    emit(&if plugin {
        status::plugin(&snapshot, None, complete)
    } else if context.global.json {
        report::document(&status::document(&snapshot, None, complete))
    } else {
        status::text(&snapshot, None, complete, style(&context.global))
    })?;
    Ok(status::check(&snapshot, None, complete).code())
}

/// `connstatus`.
///
/// # Errors
/// When there is no fleet, or nothing can be printed.
pub fn connstatus(context: &Context, plugin: bool) -> anyhow::Result<Done> {
    let Look { snapshot, complete } = look(context, false)?;
    emit(&if plugin {
        connstatus::plugin(&snapshot, None)
    } else if context.global.json {
        report::document(&connstatus::document(&snapshot, None, complete))
    } else {
        connstatus::text(&snapshot, None, style(&context.global))
    })?;
    Ok(connstatus::check(&snapshot, None).code())
}

/// `list`.
///
/// # Errors
/// When there is no fleet, or nothing can be printed.
pub fn list(context: &Context) -> anyhow::Result<Done> {
    let Look { snapshot, complete } = look(context, false)?;
    emit(&if context.global.json {
        report::document(&list::document(&snapshot, None, complete))
    } else {
        list::text(&snapshot, None, style(&context.global))
    })?;
    if list::is_answered(&snapshot, None) {
        return Ok(0);
    }
    eprintln!("peerdeck: no peer has told who belongs to its cluster; `peerdeck status` says why");
    Ok(UNKNOWN)
}
