//! What is wrong fills the screen, worst first; the fewer there are, the bigger they stand there.

use ratatui::layout::Rect;

use super::big::{self, Size};
use crate::app::wall::{Face, Trouble, Wall, Weight};
use crate::domain::{Subject, Time, time};
use crate::ui::findings;
use crate::ui::glyphs::Charset;
use crate::ui::pen::Pen;
use crate::ui::text;
use crate::ui::theme::Role;

/// How big the parts of one trouble are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Level {
    /// Severity, subject, sentence, and at most so many lines of that.
    Block { head: Size, what: Size, text: Size, lines: usize },
    /// All in one line.
    Line,
}

const fn block(head: Size, what: Size, text: Size, lines: usize) -> Level {
    Level::Block { head, what, text, lines }
}

/// The smallest that is still big.
const LEAD: Level = block(Size::Quarter, Size::Quarter, Size::Text, 2);
/// In the terminal's own letters.
const PLAIN: Level = block(Size::Text, Size::Text, Size::Text, 2);

/// Biggest first; in each of them all may stand alike.
const ALIKE: &[Level] = &[
    block(Size::Times(4), Size::Times(3), Size::Times(2), 4),
    block(Size::Times(3), Size::Times(3), Size::Times(2), 4),
    block(Size::Times(3), Size::Times(2), Size::Times(1), 4),
    block(Size::Times(2), Size::Times(2), Size::Times(1), 4),
    block(Size::Times(2), Size::Times(1), Size::Quarter, 3),
    block(Size::Times(1), Size::Times(1), Size::Times(1), 3),
    block(Size::Times(1), Size::Times(1), Size::Quarter, 3),
    block(Size::Quarter, Size::Quarter, Size::Quarter, 4),
    block(Size::Times(2), Size::Times(2), Size::Text, 3),
    block(Size::Times(1), Size::Times(1), Size::Text, 3),
    LEAD,
];

/// One trouble in words.
struct Item {
    word: String,
    what: String,
    /// For how long, or how old.
    span: String,
    text: String,
    /// Since when, and of what is old what it was.
    since: String,
    role: Role,
    /// Nothing newer can be known of it.
    old: bool,
}

/// A line of a block.
struct Row {
    size: Size,
    pieces: Vec<(String, Role)>,
    /// At the right edge, in a size of its own.
    right: Option<(Size, String, Role)>,
}

impl Row {
    fn new(size: Size, text: impl Into<String>, role: Role) -> Self {
        Self { size, pieces: vec![(text.into(), role)], right: None }
    }

    /// The biggest size, no bigger than its own, in which `text` has room at its right edge.
    fn room(&self, text: &str, width: u16, charset: Charset) -> Option<Size> {
        let used: u16 = self.pieces.iter().map(|(t, _)| self.size.width(t) + self.size.columns()).sum();
        let left = width.saturating_sub(used);
        let fits = |s: &Size| {
            let wide = s.width(text).saturating_add(s.columns());
            s.lines() <= self.size.lines() && wide <= left && s.can(text, charset)
        };
        let sizes = [self.size, Size::Times(2), Size::Times(1), Size::Quarter];
        let big = sizes.into_iter().find(|s| fits(s) && *s != Size::Text);
        big.or_else(|| Some(Size::Text).filter(|s| self.size == Size::Text && fits(s)))
    }
}

/// Draws what fits, and how many more there are.
pub fn draw(pen: &mut Pen<'_>, area: Rect, wall: &Wall, faces: &[Face<'_>], troubles: &[Trouble<'_>], now: Time) {
    let items: Vec<Item> = troubles.iter().map(|t| item(pen, wall, faces, t, now)).collect();
    let g = pen.glyphs();
    let (blocks, shown) = arrange(&items, area.width, area.height, g.charset, g.ellipsis);
    let lines: u16 = blocks.iter().flatten().map(|r| r.size.lines()).sum();
    let gaps = gaps(&blocks);
    let spare = area.height.saturating_sub(lines + gaps);
    // One or two stand in the middle, with air around them.
    let air = (spare / (u16::try_from(blocks.len()).unwrap_or(u16::MAX).saturating_add(1))).min(3);
    let mut y = area.y + if gaps > 0 || blocks.len() == 1 { air } else { 0 };
    for (place, rows) in blocks.iter().enumerate() {
        for row in rows {
            if y + row.size.lines() <= area.bottom() {
                write(pen, Rect { y, height: row.size.lines(), ..area }, row);
            }
            y += row.size.lines();
        }
        y += gap(&blocks, place) + if gap(&blocks, place) > 0 { air } else { 0 };
    }
    if shown < troubles.len() {
        let left = &troubles[shown..];
        let count = |weight: Weight| left.iter().filter(|t| t.weight == weight).count();
        let kinds = [Weight::Blind, Weight::Silent, Weight::Critical, Weight::Warning];
        let kinds: Vec<String> = kinds
            .into_iter()
            .filter(|w| count(*w) > 0)
            .map(|w| format!("{} {}", count(w), w.word().to_lowercase()))
            .collect();
        let more = format!("+{} more: {}", left.len(), kinds.join(", "));
        let role = if count(Weight::Warning) == left.len() { Role::Warn } else { Role::Crit };
        pen.put_cut(area.x, area.bottom() - 1, area.width, &more, role);
    }
}

/// Free lines below the block at `place`: lines of text stand close to each other.
fn gap(blocks: &[Vec<Row>], place: usize) -> u16 {
    let tall = |rows: &Vec<Row>| rows.len() > 1 || rows.iter().any(|r| r.size != Size::Text);
    let next = blocks.get(place + 1);
    u16::from(next.is_some_and(|next| tall(&blocks[place]) || tall(next)))
}

fn gaps(blocks: &[Vec<Row>]) -> u16 {
    (0..blocks.len()).map(|place| gap(blocks, place)).sum()
}

/// The blocks that are shown, and how many troubles stand in them. The last line is free where it is not all.
fn arrange(items: &[Item], width: u16, height: u16, charset: Charset, ellipsis: &str) -> (Vec<Vec<Row>>, usize) {
    // What is old gives way to what is known.
    let build =
        |item: &Item, level: Level| rows(item, if item.old { Level::Line } else { level }, width, charset, ellipsis);
    let fits = |blocks: &[Vec<Row>], height: u16| {
        let lines: u16 = blocks.iter().flatten().map(|r| r.size.lines()).fold(0, u16::saturating_add);
        lines.saturating_add(gaps(blocks)) <= height
    };
    let few = usize::from(height) / 4 + 1;
    for level in ALIKE.iter().filter(|_| items.iter().filter(|i| !i.old).count() <= few) {
        let blocks: Option<Vec<Vec<Row>>> = items.iter().map(|i| build(i, *level)).collect();
        if let Some(blocks) = blocks.filter(|b| fits(b, height)) {
            return (blocks, items.len());
        }
    }
    // The worst big, as many as leave room for a line for each of the others.
    let lead = |level: Level, leads: usize, all: usize| -> Option<Vec<Vec<Row>>> {
        let level_of = |place: usize| if place < leads { level } else { Level::Line };
        items.iter().take(all).enumerate().map(|(place, i)| build(i, level_of(place))).collect()
    };
    for level in [LEAD, PLAIN] {
        for leads in (1..=items.len().min(few)).rev() {
            if let Some(blocks) = lead(level, leads, items.len()).filter(|b| fits(b, height)) {
                return (blocks, items.len());
            }
        }
    }
    let left = height.saturating_sub(1);
    for level in [LEAD, PLAIN, Level::Line] {
        let Some(first) = lead(level, 1, 1).filter(|b| fits(b, left / 2)) else { continue };
        let mut best = (first, 1);
        for all in 2..=items.len().min(usize::from(left)) {
            match lead(level, 1, all).filter(|b| fits(b, left)) {
                Some(blocks) => best = (blocks, all),
                None => break,
            }
        }
        return best;
    }
    let first = items.first().and_then(|i| build(i, Level::Line));
    let shown = usize::from(first.is_some());
    (first.into_iter().collect(), shown)
}

/// A trouble in this size; `None` where its severity does not fit.
fn rows(item: &Item, level: Level, width: u16, charset: Charset, ellipsis: &str) -> Option<Vec<Row>> {
    let (head, what, size, lines) = match level {
        Level::Block { head, what, text, lines } => (head, what, text, lines),
        Level::Line => return Some(vec![line(item, width, ellipsis)]),
    };
    if !head.can(&item.word, charset) || head.width(&item.word) > width {
        return None;
    }
    let mut rows = Vec::new();
    let together = head.width(&item.word).saturating_add(head.columns()).saturating_add(head.width(&item.what));
    let mut row = Row::new(head, item.word.as_str(), item.role);
    if head == what && head.can(&item.what, charset) && together <= width {
        row.pieces.push((item.what.clone(), Role::Text));
        rows.push(row);
    } else {
        rows.push(row);
        let sizes = [what, Size::Times(2), Size::Times(1), Size::Quarter];
        let fits = |s: &&Size| s.lines() <= what.lines() && s.can(&item.what, charset) && s.width(&item.what) <= width;
        let size = sizes.iter().find(fits).copied().unwrap_or(Size::Text);
        let shown = shortened(&item.what, usize::from(width / size.columns()), ellipsis);
        rows.push(Row::new(size, shown, Role::Text));
    }
    // For how long stands where it has room to be biggest.
    let beside: Vec<Option<Size>> = rows.iter().map(|r| r.room(&item.span, width, charset)).collect();
    let lines_of = |size: &Option<Size>| size.map_or(0, Size::lines);
    let best = (0..rows.len()).rev().max_by_key(|at| lines_of(&beside[*at]));
    let spanned = best.and_then(|at| beside[at].map(|size| (at, size)));
    if let Some((at, size)) = spanned {
        rows[at].right = Some((size, item.span.clone(), item.role));
    }
    rows.append(&mut sentence(item, size, lines, width, charset, ellipsis)?);
    let told = match (spanned, level == LEAD) {
        _ if head == Size::Text && spanned.is_some() => None,
        (Some(_), true) => None,
        (Some(_), false) => Some(item.since.clone()),
        (None, _) => Some(format!("{}, {}", item.span, item.since)),
    };
    rows.extend(told.map(|t| Row::new(Size::Text, text::cut(&t, usize::from(width), ellipsis), Role::Muted)));
    Some(rows)
}

/// A subject in at most so many columns; of two names both stay.
fn shortened(what: &str, columns: usize, ellipsis: &str) -> String {
    let between = [" → ", " -> ", " + "].into_iter().find(|between| what.contains(between));
    match between.and_then(|between| Some((between, what.split_once(between)?))) {
        Some((between, (a, b))) if text::width(what) > columns => {
            let each = columns.saturating_sub(text::width(between)) / 2;
            let (a, b) = (text::cut_middle(a, each, ellipsis), text::cut_middle(b, each, ellipsis));
            text::cut(&format!("{a}{between}{b}"), columns, ellipsis)
        }
        Some(_) | None => text::cut_middle(what, columns, ellipsis),
    }
}

/// The sentence in this size or a smaller one, whole; in the terminal's own letters as much as fits. `None` where it could
/// be big, and is not whole so big: then all of the trouble stands there a little smaller.
fn sentence(item: &Item, size: Size, lines: usize, width: u16, charset: Charset, ellipsis: &str) -> Option<Vec<Row>> {
    let told = |size: Size| text::wrap(&item.text, usize::from(width / size.columns()), lines, ellipsis);
    let sizes = [size, Size::Times(1), Size::Quarter];
    let mut big = sizes.into_iter().filter(|s| *s != Size::Text && s.lines() <= size.lines());
    let whole = big.find(|s| s.can(&item.text, charset) && told(*s).join(" ") == item.text);
    let size = match whole {
        Some(size) => size,
        None if size != Size::Text && Size::Quarter.can(&item.text, charset) => return None,
        None => Size::Text,
    };
    Some(told(size).into_iter().map(|line| Row::new(size, line, Role::Text)).collect())
}

/// A trouble in one line; on narrow screens without its sentence.
fn line(item: &Item, width: u16, ellipsis: &str) -> Row {
    let columns = usize::from(width);
    let room = columns.saturating_sub(text::width(&item.word) + text::width(&item.span) + 4);
    let what = shortened(&item.what, if columns < 70 { room } else { room.min(30) }, ellipsis);
    let left = room.saturating_sub(text::width(&what) + 2);
    let mut pieces = vec![(item.word.clone(), item.role), (what, Role::Text)];
    if left >= 20 {
        // A sentence that begins with its subject says it once.
        let said = item.text.strip_prefix(item.what.as_str()).and_then(|rest| rest.strip_prefix(": "));
        pieces.push((text::cut(said.unwrap_or(&item.text), left, ellipsis), Role::Muted));
    }
    Row { size: Size::Text, pieces, right: Some((Size::Text, item.span.clone(), item.role)) }
}

fn write(pen: &mut Pen<'_>, area: Rect, row: &Row) {
    let mut x = area.x;
    for (text, role) in &row.pieces {
        x = big::put(pen, x, area.y, area.right().saturating_sub(x), row.size, text, *role);
        x = x.saturating_add(row.size.columns());
    }
    if let Some((size, text, role)) = &row.right {
        let width = size.width(text).min(area.width);
        big::put(pen, area.right() - width, area.y, width, *size, text, *role);
    }
}

fn item(pen: &Pen<'_>, wall: &Wall, faces: &[Face<'_>], trouble: &Trouble<'_>, now: Time) -> Item {
    let g = pen.glyphs();
    let cluster = trouble.cluster;
    let several = faces.len() > 1;
    let what = match trouble.finding.map(|f| &f.subject) {
        None | Some(Subject::Watcher | Subject::Cluster) if several => cluster.name.to_string(),
        None => "all peers".to_owned(),
        Some(Subject::Watcher) => "this wall".to_owned(),
        Some(subject) if several => format!("{}: {}", cluster.name, findings::subject(cluster, subject, g)),
        Some(subject) => findings::subject(cluster, subject, g),
    };
    let text = match trouble.finding {
        Some(f) => f.text.as_str().replace("this console", "this wall"),
        None => format!("nothing was heard from any of the {} peers", cluster.peers.len()),
    };
    let since = super::clock(pen, wall, trouble.since, now);
    let known = faces.iter().find(|f| std::ptr::eq(f.cluster, cluster)).map(super::counts);
    let (since, role) = match (trouble.weight, trouble.old) {
        (Weight::Blind | Weight::Silent, _) => (format!("since {since}; {}", known.unwrap_or_default()), Role::Crit),
        (_, Some(_)) => (format!("since {since}, as last known"), Role::Stale),
        (Weight::Critical, None) => (format!("since {since}"), Role::Crit),
        (Weight::Warning, None) => (format!("since {since}"), Role::Warn),
    };
    let span = match trouble.old {
        Some(age) => format!("old {}", whole(age)),
        None => whole(now.since(trouble.since)),
    };
    Item {
        word: format!("{} {}", g.finding, trouble.weight.word()),
        what,
        span,
        text,
        since,
        role,
        old: trouble.old.is_some(),
    }
}

/// A span in whole seconds: tenths would only flicker.
fn whole(span: std::time::Duration) -> String {
    match span.as_secs() {
        s @ 0..10 => format!("{s} s"),
        _ => time::human(span),
    }
}
