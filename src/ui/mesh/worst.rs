//! The links in trouble as a list: what is down, one-sided ones after it, then who says nothing.

use std::time::Duration;

use ratatui::layout::Rect;

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
    who: String,
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
    all.sort_by(|a, b| a.rank.cmp(&b.rank).then(b.lasts.cmp(&a.lasts)).then_with(|| a.who.cmp(&b.who)));
    pen.rule(above(area, 1), &format!("in trouble: {}", all.len()));
    let list = below(area, 1);
    let room = usize::from(list.height);
    let shown = if all.len() > room { room.saturating_sub(1) } else { all.len() };
    let names =
        all[..shown].iter().map(|t| text::width(&t.who)).max().unwrap_or(0).min(usize::from(list.width) / 2 + 2);
    let mut y = list.y;
    for trouble in &all[..shown] {
        let line = Rect { y, height: 1, ..list };
        let who = text::cut_middle(&trouble.who, names, pen.glyphs().ellipsis);
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
                who: names[i].to_owned(),
                why: why.to_owned(),
            });
            continue;
        }
        for j in (0..cluster.peers.len()).filter(|j| *j != i) {
            let cell = cluster.cell(i, j, now);
            let (Some(link), LinkState::Down) = (cell.link, cell.state) else { continue };
            all.push(Trouble {
                rank: u8::from(cell.arrives),
                lasts: now.since(link.since),
                glyph: g.cell(&cell),
                role: cell_role(&cell),
                who: format!("{} {} {}", names[i], g.arrow, names[j]),
                why: cell.cause.map_or("", crate::domain::Cause::as_str).to_owned(),
            });
        }
    }
    all
}
