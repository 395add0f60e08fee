//! The Mesh view: the verdict, the grid that is its evidence, and the selected link.

pub(in crate::ui) mod dense;
mod detail;
mod grid;
mod health;
mod lens;
mod worst;

use ratatui::layout::Rect;

use crate::app::{App, calm_sentence};
use crate::domain::{Severity, Time};
use crate::ui::glyphs::severity_role;
use crate::ui::pen::{Pen, above, below};
use crate::ui::text;
use crate::ui::theme::Role;
use crate::ui::{GRID_HEIGHT, GRID_WIDTH, events};

/// The detail beside the grid takes at least this many columns.
const SIDE_MIN: u16 = 29;
/// Grid and detail stand side by side from this width on, whatever the filter leaves of the grid.
const SIDE_FROM: u16 = 96;
/// With so many columns nothing of it is wrapped.
const SIDE_GOOD: u16 = 38;
/// And at most this many.
const SIDE_MAX: u16 = 54;
/// Lines of the detail below the grid.
const BELOW: u16 = 9;

/// Draws the view.
pub fn draw(pen: &mut Pen<'_>, area: Rect, app: &App, now: Time) {
    let screen = pen.area();
    let small = screen.width < GRID_WIDTH || screen.height < GRID_HEIGHT;
    let used = verdict(pen, area, app, now, if small { 3 } else { 2 });
    // A free line between the sentence and its evidence when there is room for it.
    let gap = u16::from(screen.height >= 20);
    let body = below(area, used + gap);
    let hidden = app.hidden_by_filter("peer").is_some() && app.hits(now).0 == 0;
    if small && hidden {
        nothing(pen, body, app);
        return;
    }
    if small {
        worst::draw(pen, inset(body), app, now);
        return;
    }
    if app.is_zoomed() {
        detail::draw(pen, inset(body), app, now);
        return;
    }
    let shown = app.grid(now);
    let Some(cluster) = app.cluster().filter(|_| !shown.rows.is_empty() && !shown.cols.is_empty()) else {
        nothing(pen, body, app);
        return;
    };
    let side_room = |side: u16| body.width.saturating_sub(side + 1);
    let context = grid::Context::new(app, cluster, &shown, now);
    if shown.is_large() {
        large(pen, body, &context, now);
        return;
    }
    let sides: &[u16] = if body.width >= SIDE_FROM { &[SIDE_GOOD, SIDE_MIN] } else { &[] };
    let beside = sides.iter().find_map(|side| context.plan(side_room(*side), body.height));
    if let Some(plan) = beside {
        let left = Rect { width: plan.width.min(side_room(SIDE_MIN)), ..body };
        grid::draw(pen, left, &context, &plan);
        let x = left.right() + 1;
        let width = body.right().saturating_sub(x).min(SIDE_MAX + 1);
        // What the grid leaves free stays free, so that the eye finds the detail at its side.
        let right = Rect { x, width, ..body };
        pen.upright(Rect { width: 1, ..right });
        let inner = Rect { x: x + 2, width: width.saturating_sub(3), ..right };
        let lines = detail::draw(pen, inner, app, now);
        worst::draw(pen, below(inner, lines + 1), app, now);
        changes(pen, below(left, plan.height(left.height) + 1), app, now);
    } else {
        let room = body.height.saturating_sub(BELOW);
        let plan = context.scrolled(body.width, room.saturating_sub(4));
        // The grid gives up lines only as far as it would otherwise leave no detail at all.
        let fits = plan.height(u16::MAX) <= room;
        let top = above(body, if fits { room } else { body.height - body.height / 3 });
        let height = plan.height(top.height);
        grid::draw(pen, top, &context, &plan);
        let lower = below(body, height);
        if lower.height < 3 {
            return;
        }
        pen.rule(above(lower, 1), "");
        let half = (lower.width / 2).min(SIDE_MAX + 8);
        let left = below(Rect { x: lower.x + 1, width: half.saturating_sub(2), ..lower }, 1);
        detail::draw(pen, left, app, now);
        let right = below(Rect { x: lower.x + half, width: lower.width - half, ..lower }, 1);
        pen.upright(Rect { width: 1, ..right });
        worst::draw(pen, Rect { x: right.x + 2, width: right.width.saturating_sub(3), ..right }, app, now);
    }
}

/// Draws the selected link or peer, alone.
pub fn link(pen: &mut Pen<'_>, area: Rect, app: &App, now: Time) {
    detail::draw(pen, area, app, now);
}

/// The grid of many peers, and below or beside it the lens, the detail and what is in trouble.
fn large(pen: &mut Pen<'_>, body: Rect, cx: &grid::Context<'_>, now: Time) {
    let side = SIDE_MAX + 2;
    let whole = dense::Plan::new(cx, pen.look, body.width, body.height);
    if whole.width() + side <= body.width {
        let left = Rect { width: body.width - side, ..body };
        dense::draw(pen, left, cx, &whole);
        pen.upright(Rect { x: left.right(), width: 1, ..body });
        let right = Rect { x: left.right() + 2, width: side - 2, ..body };
        let seen = lens::draw(pen, right, cx.app, cx.grid, now);
        let told = detail::draw(pen, below(right, seen + 1), cx.app, now);
        worst::draw(pen, below(right, seen + told + 2), cx.app, now);
        return;
    }
    let most = body.height.saturating_sub(BELOW + 1).max(body.height / 2);
    let plan = dense::Plan::new(cx, pen.look, body.width, most);
    let top = above(body, plan.height(most));
    dense::draw(pen, top, cx, &plan);
    let lower = below(body, top.height);
    if lower.height < 3 {
        return;
    }
    pen.rule(above(lower, 1), "");
    let lower = below(lower, 1);
    // The detail is wanted most, then the lens, then what is in trouble: the sentence above names the worst.
    let columns = if lower.width >= SIDE_GOOD * 3 { 3 } else { 2 };
    let each = lower.width / columns;
    let part = |n: u16| Rect { x: lower.x + n * each + 1, width: each.saturating_sub(2), ..lower };
    detail::draw(pen, part(0), cx.app, now);
    pen.upright(Rect { x: part(1).x - 1, width: 1, ..lower });
    let inner = |n: u16| Rect { x: part(n).x + 1, width: part(n).width.saturating_sub(1), ..lower };
    let seen = lens::draw(pen, inner(1), cx.app, cx.grid, now);
    if columns == 3 {
        pen.upright(Rect { x: part(2).x - 1, width: 1, ..lower });
        worst::draw(pen, inner(2), cx.app, now);
    } else {
        worst::draw(pen, below(inner(1), seen + 1), cx.app, now);
    }
}

/// `area` without its outermost columns.
fn inset(area: Rect) -> Rect {
    Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area }
}

/// The sentence above the grid; gives the number of its lines.
fn verdict(pen: &mut Pen<'_>, area: Rect, app: &App, now: Time, lines: usize) -> u16 {
    let moment = app.moment(now);
    let Some(cluster) = app.cluster() else {
        pen.put_cut(area.x + 1, area.y, area.width.saturating_sub(2), "No cluster is configured.", Role::Unknown);
        return 1;
    };
    let (sentence, role) = match cluster.verdicts.first() {
        None => {
            let (all, up) = cluster.link_counts(moment);
            (calm_sentence(cluster, moment).to_string(), if all == up && all > 0 { Role::Ok } else { Role::Text })
        }
        Some(worst) => {
            let more = match cluster.verdicts.len() - 1 {
                0 => String::new(),
                n => format!(" (+{n} more)"),
            };
            let since = text::age(moment.since(worst.since));
            let seen = match &worst.first_seen_by {
                Some(peer) => format!(" First seen by {}, {since} ago.", cluster.label(peer)),
                None => format!(" Since {since}."),
            };
            let text = worst.text.as_str().trim_end_matches('.');
            (format!("{text}{more}.{seen}"), severity_role(worst.kind.severity().max(Severity::Warning)))
        }
    };
    let columns = usize::from(area.width.saturating_sub(2));
    let shown = text::wrap(&sentence, columns, lines.min(usize::from(area.height)), pen.glyphs().ellipsis);
    for (y, line) in (area.y..).zip(&shown) {
        pen.put(area.x + 1, y, area.width.saturating_sub(2), line, role);
    }
    u16::try_from(shown.len()).unwrap_or(1)
}

fn nothing(pen: &mut Pen<'_>, area: Rect, app: &App) {
    let text = match (app.cluster(), app.hidden_by_filter("peer")) {
        (None, _) => "The fleet has no cluster to show.".to_owned(),
        (Some(c), _) if c.peers.is_empty() => "Nobody has told yet who belongs to this cluster.".to_owned(),
        (Some(_), Some(hidden)) if !app.is_faults_only() => hidden,
        (Some(_), Some(_)) => "No fault passes the filter. Press Esc to end it, f to see everything again.".to_owned(),
        (Some(_), None) => "No faults. Press f to see everything again.".to_owned(),
    };
    pen.put_cut(area.x + 1, area.y, area.width.saturating_sub(2), &text, Role::Muted);
}

/// The last events, in what is left below the grid.
fn changes(pen: &mut Pen<'_>, area: Rect, app: &App, now: Time) {
    if area.height < 5 || app.events_here().next().is_none() {
        return;
    }
    let area = inset(area);
    pen.rule(above(area, 1), "last changes");
    events::tail(pen, below(area, 1), app, now);
}
