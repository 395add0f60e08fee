//! All links of one peer, both ways, as a list.

use ratatui::layout::Rect;

use crate::app::lists::List;
use crate::app::mouse::Hit;
use crate::app::{App, labels};
use crate::domain::{LinkState, Time, time};
use crate::ui::glyphs::{cell_role, cell_word};
use crate::ui::list::{self, Column, Shape};
use crate::ui::pen::{Pen, above, below, piece};
use crate::ui::text;
use crate::ui::theme::Role;

const fn column(title: &'static str, width: u16, from_width: u16) -> Column {
    Column { title, width, from_width }
}

/// Draws the view.
pub fn draw(pen: &mut Pen<'_>, area: Rect, app: &App, now: Time) {
    let (Some(cluster), Some(peer)) = (app.cluster(), app.connections_of()) else { return };
    let Some(from) = cluster.index.get(&peer.id).copied() else { return };
    if app.is_zoomed() {
        let inner = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
        crate::ui::mesh::link(pen, inner, app, now);
        return;
    }
    let targets = app.connection_targets(now);
    let moment = app.moment(now);
    let names = labels(cluster);
    let g = pen.glyphs();
    let up = targets.iter().filter(|to| cluster.cell(from, **to, moment).state == LinkState::Connected).count();
    let told = peer.row_age(moment).map_or("nothing heard yet".to_owned(), |a| format!("told {} ago", text::age(a)));
    pen.line(
        above(Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area }, 1),
        &[
            piece(format!("{} sees ", names[from]), Role::Text),
            piece(format!("{up} of {}", targets.len()), if up == targets.len() { Role::Ok } else { Role::Warn }),
            piece(format!(" fellows connected; {told}"), Role::Text),
        ],
    );
    let name = targets
        .iter()
        .map(|t| text::width(names[*t]))
        .max()
        .unwrap_or(4)
        .clamp(4, usize::from(area.width.saturating_sub(62)).clamp(12, 28));
    let columns = [
        column("state", 19, 0),
        column("peer", u16::try_from(name + 2).unwrap_or(30), 0),
        column("back", 6, 0),
        column("since", 11, 48),
        column("cause", 22, 60),
        column("rtt", 9, 72),
        column("dials", 6, 110),
        column("next", 8, 96),
        column("dns", 16, 120),
        column("address", 24, 136),
        column("detail", 40, 160),
    ];
    let body = below(area, 2);
    let cursor = (!targets.is_empty()).then(|| app.cursor().col());
    let shape = Shape {
        chosen: app.chosen_columns(List::Connections),
        sorted: app.sorted_column(List::Connections),
        cursor,
        ..Shape::new(&columns)
    };
    list::draw(pen, body, &shape, targets.len(), |at| {
        let to = targets[at];
        let cell = cluster.cell(from, to, moment);
        let back = cluster.cell(to, from, moment);
        let link = cell.link.filter(|_| cell.state != LinkState::Unknown);
        let blank = || piece("", Role::Text);
        let plain = |value: String| piece(value, Role::Text);
        let dns = link.map_or_else(blank, |l| {
            let bad = l.dns.forward.is_bad() || l.dns.reverse.is_bad();
            let text = format!("{}/{}", l.dns.forward.as_str(), l.dns.reverse.as_str());
            piece(text, if bad { Role::Warn } else { Role::Text })
        });
        vec![
            piece(format!("{} {}", g.cell(&cell), cell_word(&cell)), cell_role(&cell)),
            plain(text::cut_middle(names[to], name, g.ellipsis)),
            piece(g.cell(&back), cell_role(&back)),
            link.map_or_else(blank, |l| plain(text::age(moment.since(l.since)))),
            piece(cell.cause.map_or("", crate::domain::Cause::as_str), cell_role(&cell)),
            plain(link.and(cell.rtt).map(time::human_rtt).unwrap_or_default()),
            link.map_or_else(blank, |l| plain(if l.attempts > 0 { l.attempts.to_string() } else { String::new() })),
            plain(
                link.and_then(|l| l.next_attempt)
                    .filter(|next| *next > moment)
                    .map(|next| time::human(next.since(moment)))
                    .unwrap_or_default(),
            ),
            dns,
            plain(link.and_then(|l| l.address).map(|a| a.to_string()).unwrap_or_default()),
            piece(link.map_or("", |l| l.detail.as_str()), Role::Muted),
        ]
    });
    list::hits(pen, body, targets.len(), cursor, |at| Hit::Connection(cluster.peers[targets[at]].id.clone()));
    if targets.is_empty() && body.height > 1 {
        let text = match app.hidden_by_filter("link") {
            Some(hidden) => hidden,
            None if app.is_faults_only() => "No link of this peer is in trouble. Press f to see them all.".to_owned(),
            None => "This peer has no fellows yet.".to_owned(),
        };
        pen.put_cut(body.x + 2, body.y + 1, body.width.saturating_sub(3), &text, Role::Muted);
    }
}
