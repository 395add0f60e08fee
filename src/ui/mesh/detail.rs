//! Everything about the selected link, or about a peer itself on the diagonal.

use ratatui::layout::Rect;

use crate::app::App;
use crate::app::grid::is_one_sided;
use crate::domain::mesh::{DnsResult, Pulse, Route};
use crate::domain::snapshot::Cell;
use crate::domain::{Cluster, LinkState, Peer, ReachState, Time, time};
use crate::ui::glyphs::{cell_role, cell_word};
use crate::ui::pen::{Pen, Piece, piece};
use crate::ui::text;
use crate::ui::theme::Role;

/// Width of the names of the fields.
const LABEL: usize = 8;

/// Lines as they are collected before they are drawn.
struct Sheet<'a> {
    lines: Vec<Vec<Piece>>,
    columns: usize,
    ellipsis: &'a str,
}

impl Sheet<'_> {
    fn field(&mut self, label: &str, mut pieces: Vec<Piece>) {
        let mut line = vec![piece(text::pad(label, LABEL), Role::Muted)];
        line.append(&mut pieces);
        self.lines.push(line);
    }

    fn plain(&mut self, label: &str, value: impl Into<String>) {
        self.field(label, vec![piece(value, Role::Text)]);
    }

    /// A sentence that may take several lines.
    fn sentence(&mut self, label: &str, value: &str, role: Role) {
        let lines = text::wrap(value, self.columns.saturating_sub(LABEL), 4, self.ellipsis);
        for (n, line) in lines.into_iter().enumerate() {
            self.field(if n == 0 { label } else { "" }, vec![piece(line, role)]);
        }
    }
}

/// Draws the detail of the cursor's cell into `area` and says how many lines it took.
pub fn draw(pen: &mut Pen<'_>, area: Rect, app: &App, now: Time) -> u16 {
    let (Some(cluster), Some((from, to))) = (app.cluster(), app.selected()) else { return 0 };
    let mut sheet = Sheet { lines: Vec::new(), columns: usize::from(area.width), ellipsis: pen.glyphs().ellipsis };
    let moment = app.moment(now);
    if from == to {
        peer_sheet(&mut sheet, pen, app, cluster, &cluster.peers[from], moment);
    } else {
        link_sheet(&mut sheet, pen, app, cluster, (from, to), moment);
    }
    let mut used = 0;
    for (y, line) in (area.y..area.bottom()).zip(&sheet.lines) {
        pen.line(Rect { y, height: 1, ..area }, line);
        used += 1;
    }
    used
}

fn clock(pen: &Pen<'_>, app: &App, at: Time, now: Time) -> String {
    if app.is_utc() {
        format!("{}Z", text::clock(at, now, &jiff::tz::TimeZone::UTC))
    } else {
        text::clock(at, now, &pen.look.zone)
    }
}

fn link_sheet(sheet: &mut Sheet<'_>, pen: &Pen<'_>, app: &App, cluster: &Cluster, at: (usize, usize), now: Time) {
    let (observer, other) = (&cluster.peers[at.0], &cluster.peers[at.1]);
    let cell = cluster.cell(at.0, at.1, now);
    let back = cluster.cell(at.1, at.0, now);
    let g = pen.glyphs();
    let names = (cluster.label(&observer.id), cluster.label(&other.id));
    sheet.lines.push(vec![piece(format!("{} {} {}", names.0, g.arrow, names.1), Role::Accent)]);

    let role = cell_role(&cell);
    let cause = cell.cause.map(|c| format!(": {}", c.as_str())).unwrap_or_default();
    sheet.field("state", vec![piece(format!("{} {}{cause}", g.cell(&cell), cell_word(&cell)), role)]);
    let Some(link) = cell.link else {
        let text = format!("{} has not told anything about {} yet", names.0, names.1);
        sheet.sentence("", &text, Role::Muted);
        return;
    };
    if cell.state == LinkState::Unknown {
        let age = cell.age.map(text::age).unwrap_or_default();
        let text = format!("last told {age} ago: {}. Too old to count", link.state.as_str());
        sheet.sentence("", &text, Role::Muted);
    } else {
        let since = clock(pen, app, link.since, now);
        sheet.plain("since", format!("{since}, for {}", text::age(now.since(link.since))));
    }
    if let Some(text) = direction(cluster, at, &cell, &back, names, now) {
        sheet.sentence("way", &text, Role::Warn);
    }
    if cell.hatched {
        let text =
            format!("{} runs late itself ({}): its word weighs less", names.0, time::human(observer.health.late));
        sheet.sentence("doubt", &text, Role::Warn);
    }
    route_line(sheet, cluster, (observer, other), cell.state, now);
    let mut way_back = vec![piece(format!("{} {}", g.cell(&back), cell_word(&back)), cell_role(&back))];
    if let Some(rtt) = back.rtt.filter(|_| back.state == LinkState::Connected) {
        way_back.push(piece(format!("  {}", time::human_rtt(rtt)), Role::Text));
    }
    sheet.field("back", way_back);
    for (name, peer) in [(names.0, observer), (names.1, other)] {
        work_lines(sheet, pen, app, Some(name), peer, now);
    }
    let pulse = observer.pulses.get(at.1).copied().unwrap_or_default();
    ping_line(sheet, pen, &pulse, cell.rtt.filter(|_| cell.state == LinkState::Connected));
    dns_lines(sheet, g.arrow, &link.dns);
    if let Some(address) = link.address {
        sheet.plain("address", address.to_string());
    }
    if !link.detail.is_empty() && cell.state != LinkState::Connected {
        sheet.sentence("detail", link.detail.as_str(), Role::Text);
    }
    if link.failures > 0 || link.attempts > 0 {
        let next = match link.next_attempt {
            Some(next) if next > now => format!(", next in {}", time::human(next.since(now))),
            Some(_) | None => String::new(),
        };
        let text = format!("{} in a row, {} dials{next}", link.failures, link.attempts);
        sheet.field("failed", vec![piece(text, if cell.state == LinkState::Down { Role::Warn } else { Role::Text })]);
    }
    told_line(sheet, cluster, observer, now);
    if let Some(cause) = cell.cause {
        sheet.sentence("hint", cause.hint(), Role::Muted);
    }
}

/// What datagrams say of the two directions of a link that is down.
fn direction(
    cluster: &Cluster,
    (from, to): (usize, usize),
    cell: &Cell<'_>,
    back: &Cell<'_>,
    names: (&str, &str),
    now: Time,
) -> Option<String> {
    if is_one_sided(cell) {
        return Some(format!("datagrams of {} arrive at {}: the fault is on the way back", names.0, names.1));
    }
    let broken = cluster.arrives(from, to, now) == Some(false);
    (cell.state == LinkState::Down && broken && is_one_sided(back)).then(|| {
        format!("nothing of {} arrives at {}, the way back is open: this direction is broken", names.0, names.1)
    })
}

fn route_line(sheet: &mut Sheet<'_>, cluster: &Cluster, ends: (&Peer, &Peer), state: LinkState, now: Time) {
    let route = if state == LinkState::Connected { Route::Direct } else { cluster.route(&ends.0.id, &ends.1.id, now) };
    let (text, role) = match route {
        Route::Direct => ("direct".to_owned(), Role::Text),
        Route::Relayed { via, rtt } => {
            let hops: Vec<&str> = via.iter().map(|id| cluster.label(id)).collect();
            let text = format!("via {} ({} hops, {})", hops.join(", "), via.len() + 1, time::human_rtt(rtt));
            (text, Role::Warn)
        }
        Route::None => ("none known".to_owned(), Role::Crit),
    };
    sheet.field("route", vec![piece(text, role)]);
}

fn dns_lines(sheet: &mut Sheet<'_>, arrow: &str, dns: &crate::domain::mesh::DnsCheck) {
    let worst = |r: DnsResult| if r.is_bad() { Role::Warn } else { Role::Text };
    if dns.forward == DnsResult::Untested && dns.reverse == DnsResult::Untested {
        return;
    }
    let mut pieces = vec![piece(format!("name {arrow} {}", dns.forward.as_str()), worst(dns.forward))];
    if dns.reverse != DnsResult::Untested {
        pieces.push(piece(format!("  back {arrow} {}", dns.reverse.as_str()), worst(dns.reverse)));
    }
    sheet.field("dns", pieces);
    if !dns.answer.is_empty() {
        sheet.sentence("", dns.answer.as_str(), Role::Muted);
    }
}

fn ping_line(sheet: &mut Sheet<'_>, pen: &Pen<'_>, pulse: &Pulse, rtt: Option<std::time::Duration>) {
    use crate::domain::mesh::pulse::Beat;
    let mut pieces: Vec<Piece> = Vec::new();
    for beat in pulse.beats().skip_while(|b| *b == Beat::None) {
        let role = if beat == Beat::Lost { Role::Crit } else { Role::Ok };
        pieces.push(piece(pen.glyphs().beat(beat), role));
    }
    match rtt {
        Some(rtt) => pieces.push(piece(format!(" {}", time::human_rtt(rtt)), Role::Text)),
        None if pieces.is_empty() => return,
        None => {}
    }
    sheet.field("ping", pieces);
}

/// Who told it, and how long ago.
fn told_line(sheet: &mut Sheet<'_>, cluster: &Cluster, observer: &Peer, now: Time) {
    let (Some(row), Some(age)) = (&observer.row, observer.row_age(now)) else { return };
    let age = text::age(age);
    let by = row.via.as_ref().map_or_else(String::new, |via| format!(", passed on by {}", cluster.label(via)));
    sheet.plain("told", format!("{age} ago{by}"));
}

/// Who works on a peer, why and until when.
fn work_lines(sheet: &mut Sheet<'_>, pen: &Pen<'_>, app: &App, name: Option<&str>, peer: &Peer, now: Time) {
    let Some(m) = peer.maintenance(now) else { return };
    let who = name.map_or_else(String::new, |name| format!("{name} "));
    let until = clock(pen, app, m.until, now);
    let why = if m.reason.is_empty() { "no reason given" } else { m.reason.as_str() };
    let left = text::calm_span(m.until.since(now));
    sheet.sentence("maint", &format!("{who}until {until} (in {left}) by {}: {why}", m.by), Role::Detached);
}

fn peer_sheet(sheet: &mut Sheet<'_>, pen: &Pen<'_>, app: &App, cluster: &Cluster, peer: &Peer, now: Time) {
    let reach = &peer.reach;
    sheet.lines.push(vec![piece(peer.host.as_str(), Role::Accent)]);
    let (word, role) = match reach.state {
        ReachState::Connected => ("on the line", Role::Ok),
        ReachState::Connecting => ("connecting", Role::Connecting),
        ReachState::Unreachable if !peer.observed => ("not observed from here", Role::Muted),
        ReachState::Unreachable => ("not reached", Role::Crit),
        ReachState::AskHostKey => ("waits for your answer about its host key", Role::Warn),
    };
    let mut state = vec![piece(word, role)];
    state.push(piece(format!("  {}", text::age(now.since(reach.since))), Role::Text));
    sheet.field("from us", state);
    if let Some(cause) = reach.cause {
        sheet.field("cause", vec![piece(cause.as_str(), Role::Crit)]);
    }
    if !reach.detail.is_empty() && reach.state != ReachState::Connected {
        sheet.sentence("detail", reach.detail.as_str(), Role::Text);
    }
    if let Some(address) = reach.address {
        let rtt = reach.rtt.map(|r| format!("  {}", time::human_rtt(r))).unwrap_or_default();
        sheet.plain("address", format!("{address}{rtt}"));
    }
    if let Some(next) = reach.next_attempt.filter(|next| *next > now) {
        // A moment, not a countdown: nothing moves on a screen whose ages show minutes.
        sheet.plain("redial", format!("at {}, attempt {}", clock(pen, app, next, now), reach.attempts + 1));
    }
    let seen = cluster.peers.iter().enumerate().filter(|(i, p)| {
        p.id != peer.id
            && cluster.index.get(&peer.id).is_some_and(|j| cluster.cell(*i, *j, now).state == LinkState::Connected)
    });
    sheet.plain("seen by", format!("{} of {}", seen.count(), cluster.peers.len().saturating_sub(1)));
    if let Some(since) = peer.detached() {
        let text = format!("on purpose, {} ago", text::age(now.since(since)));
        sheet.field("detach", vec![piece(text, Role::Detached)]);
    }
    work_lines(sheet, pen, app, None, peer, now);
    if let Some(group) = &peer.group {
        sheet.plain("group", group.as_str());
    }
    sheet.plain("serial", peer.id.as_str());
    if let Some(identity) = &peer.identity {
        sheet.plain("version", format!("{}, level {}", identity.version, identity.level));
    }
    let health = &peer.health;
    if peer.identity.is_some() {
        let clock = health.clock_offset_ms;
        let role = if clock.unsigned_abs() > u64::try_from(cluster.limits.clock_skew.as_millis()).unwrap_or(u64::MAX) {
            Role::Warn
        } else {
            Role::Text
        };
        sheet.field("clock", vec![piece(format!("{clock:+} ms"), role)]);
    }
    if health.is_late() {
        sheet.field("late", vec![piece(time::human(health.late), Role::Warn)]);
    }
    if health.dropped > 0 {
        sheet.field("dropped", vec![piece(health.dropped.to_string(), Role::Warn)]);
    }
    for session in peer.sessions.iter().take(4) {
        let since = clock(pen, app, session.since, now);
        sheet.sentence(
            "session",
            &format!("{} {} from {} since {since}", session.user, session.what, session.from),
            Role::Text,
        );
    }
    told_line(sheet, cluster, peer, now);
    if let Some(cause) = reach.cause {
        sheet.sentence("hint", cause.hint(), Role::Muted);
    }
}
