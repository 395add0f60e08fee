//! The links in trouble as a list: what is down, one-sided ones after it, then who says nothing.

use std::time::Duration;

use ratatui::layout::Rect;

use crate::app::grid::is_one_sided;
use crate::app::{App, labels};
use crate::domain::{LinkState, Time};
use crate::ui::glyphs::cell_role;
use crate::ui::pen::{Pen, above, below, piece};
use crate::ui::text;
use crate::ui::theme::Role;

struct Trouble {
    rank: u8,
    lasts: Duration,
    glyph: &'static str,
    role: Role,
    from: String,
    to: Option<String>,
    why: String,
}

/// Draws the list into `area`, with a title.
pub fn draw(pen: &mut Pen<'_>, area: Rect, app: &App, now: Time) {
    if area.height < 2 || area.width < 12 {
        return;
    }
    let mut all = troubles(pen, app, now);
    if all.is_empty() {
        return;
    }
    all.sort_by(|a, b| {
        a.rank.cmp(&b.rank).then(b.lasts.cmp(&a.lasts)).then_with(|| (&a.from, &a.to).cmp(&(&b.from, &b.to)))
    });
    pen.rule(above(area, 1), &format!("in trouble: {}", all.len()));
    let list = below(area, 1);
    let room = usize::from(list.height);
    let shown = if all.len() > room { room.saturating_sub(1) } else { all.len() };
    let g = pen.glyphs();
    // Each name is cut by itself, so that the arrow stays.
    let most = (usize::from(list.width).saturating_sub(16) / 2).max(6);
    let who = |t: &Trouble| {
        let from = text::cut_middle(&t.from, most, g.ellipsis);
        match &t.to {
            None => from,
            Some(to) => format!("{from} {} {}", g.arrow, text::cut_middle(to, most, g.ellipsis)),
        }
    };
    let names = all[..shown].iter().map(|t| text::width(&who(t))).max().unwrap_or(0);
    let mut y = list.y;
    for trouble in &all[..shown] {
        let line = Rect { y, height: 1, ..list };
        let who = who(trouble);
        let span = text::short_span(trouble.lasts);
        let why_room = usize::from(list.width).saturating_sub(names + 3 + 5);
        let why = text::pad(&text::cut(&trouble.why, why_room, pen.glyphs().ellipsis), why_room);
        pen.line(
            line,
            &[
                piece(format!("{} ", trouble.glyph), trouble.role),
                piece(format!("{} ", text::pad(&who, names)), Role::Text),
                piece(why, Role::Muted),
                piece(format!(" {span:>4}"), Role::Muted),
            ],
        );
        y += 1;
    }
    if shown < all.len() {
        pen.put(list.x, y, list.width, &format!("+{} more", all.len() - shown), Role::Muted);
    }
}

fn troubles(pen: &Pen<'_>, app: &App, now: Time) -> Vec<Trouble> {
    let Some(cluster) = app.cluster() else { return Vec::new() };
    let now = app.moment(now);
    let names = labels(cluster);
    let g = pen.glyphs();
    let mut all = Vec::new();
    for (i, peer) in cluster.peers.iter().enumerate() {
        if !peer.is_row_fresh(&cluster.limits, now) {
            // One line for a silent observer, not one for each of its links.
            let lasts = peer.row_age(now).unwrap_or_else(|| now.since(peer.reach.since));
            let why = match (peer.reach.cause, peer.row.is_some()) {
                (Some(cause), _) => cause.as_str(),
                (None, true) => "silent",
                (None, false) => "not heard yet",
            };
            all.push(Trouble {
                rank: 2,
                lasts,
                glyph: g.unknown,
                role: Role::Unknown,
                from: names[i].to_owned(),
                to: None,
                why: why.to_owned(),
            });
            continue;
        }
        for j in (0..cluster.peers.len()).filter(|j| *j != i) {
            let cell = cluster.cell(i, j, now);
            let (Some(link), LinkState::Down) = (cell.link, cell.state) else { continue };
            all.push(Trouble {
                rank: u8::from(is_one_sided(&cell)),
                lasts: now.since(link.since),
                glyph: g.cell(&cell),
                role: cell_role(&cell),
                from: names[i].to_owned(),
                to: Some(names[j].to_owned()),
                why: cell.cause.map_or("", crate::domain::Cause::as_str).to_owned(),
            });
        }
    }
    all
}
