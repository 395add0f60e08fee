//! The links in trouble as a list: what is down, one-sided ones after it, then who says nothing.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use ratatui::layout::Rect;

use crate::app::grid::is_one_sided;
use crate::app::{App, labels};
use crate::domain::{Cause, Cluster, Link, LinkState, Time};
use crate::ui::glyphs::cell_role;
use crate::ui::pen::{Pen, above, below, piece};
use crate::ui::text;
use crate::ui::theme::Role;

/// A line of the list. Only those that are shown are put into words: there may be thousands.
struct Trouble {
    rank: u8,
    lasts: Duration,
    /// Positions of the peers; an observer that says nothing has no other side.
    from: usize,
    to: Option<usize>,
    cause: Option<Cause>,
    glyph: &'static str,
    role: Role,
}

impl Trouble {
    fn why(&self, cluster: &Cluster) -> &'static str {
        match (self.cause, self.to) {
            (Some(cause), _) => cause.as_str(),
            (None, Some(_)) => "",
            (None, None) if cluster.peers[self.from].row.is_some() => "silent",
            (None, None) => "not heard yet",
        }
    }
}

/// Draws the list into `area`, with a title.
pub fn draw(pen: &mut Pen<'_>, area: Rect, app: &App, now: Time) {
    if area.height < 2 || area.width < 12 {
        return;
    }
    let Some(cluster) = app.cluster() else { return };
    let mut all = troubles(pen, cluster, app.moment(now));
    if all.is_empty() {
        return;
    }
    let list = below(area, 1);
    let room = usize::from(list.height);
    let shown = if all.len() > room { room.saturating_sub(1) } else { all.len() };
    let labels = labels(cluster);
    let place = |t: &Trouble| (t.rank, Reverse(t.lasts), labels[t.from], t.to.map(|to| labels[to]));
    if shown < all.len() {
        all.select_nth_unstable_by(shown, |a, b| place(a).cmp(&place(b)));
    }
    all[..shown].sort_by(|a, b| place(a).cmp(&place(b)));
    pen.rule(above(area, 1), &format!("in trouble: {}", all.len()));
    let g = pen.glyphs();
    // Each name is cut by itself, so that the arrow stays.
    let most = (usize::from(list.width).saturating_sub(16) / 2).max(6);
    let who = |t: &Trouble| {
        let from = text::cut_middle(labels[t.from], most, g.ellipsis);
        match t.to {
            None => from,
            Some(to) => format!("{from} {} {}", g.arrow, text::cut_middle(labels[to], most, g.ellipsis)),
        }
    };
    let names = all[..shown].iter().map(|t| text::width(&who(t))).max().unwrap_or(0);
    let mut y = list.y;
    for trouble in &all[..shown] {
        let line = Rect { y, height: 1, ..list };
        let who = who(trouble);
        let span = text::short_span(trouble.lasts);
        let why_room = usize::from(list.width).saturating_sub(names + 3 + 5);
        let why = text::pad(&text::cut(trouble.why(cluster), why_room, pen.glyphs().ellipsis), why_room);
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

fn troubles(pen: &Pen<'_>, cluster: &Cluster, now: Time) -> Vec<Trouble> {
    let g = pen.glyphs();
    let mut all = Vec::new();
    for (i, peer) in cluster.peers.iter().enumerate() {
        if !peer.is_row_fresh(&cluster.limits, now) {
            // One line for a silent observer, not one for each of its links.
            let lasts = peer.row_age(now).unwrap_or_else(|| now.since(peer.reach.since));
            let (glyph, role) = (g.unknown, Role::Unknown);
            all.push(Trouble { rank: 2, lasts, from: i, to: None, cause: peer.reach.cause, glyph, role });
            continue;
        }
        let down = |l: &Arc<Link>| l.state == LinkState::Down;
        for (j, link) in peer.cells.iter().enumerate().filter_map(|(j, l)| Some((j, l.as_ref().filter(|l| down(l))?))) {
            if i == j {
                continue;
            }
            let cell = cluster.cell(i, j, now);
            all.push(Trouble {
                rank: u8::from(is_one_sided(&cell)),
                lasts: now.since(link.since),
                from: i,
                to: Some(j),
                cause: cell.cause,
                glyph: g.cell(&cell),
                role: cell_role(&cell),
            });
        }
    }
    all
}
