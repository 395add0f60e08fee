//! Copies of what is shown, as clean text: a value, a line of tab-separated values, or a table of them.

use std::time::Duration;

use super::{App, Cmd, Scope, labels};
use crate::domain::ha::group::{HaGroup, Member};
use crate::domain::snapshot::Cell;
use crate::domain::{Cluster, LinkState, Severity, Time, time};

/// How much is copied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extent {
    /// What the cursor stands on.
    Cell,
    /// Its whole line.
    Row,
    /// All lines that pass the filter, under their titles.
    Table,
}

/// The most that is copied, in bytes; terminals drop more than about 100 kB once it is encoded.
const MAX: usize = 72 * 1024;

/// Lines of values under titles, with the place of the selected line and of its telling value.
struct Sheet {
    titles: Vec<String>,
    lines: Vec<Vec<String>>,
    selected: Option<usize>,
    telling: usize,
}

impl App {
    /// Copies `extent` of the view.
    pub(super) fn copy(&mut self, extent: Extent, now: Time) -> Vec<Cmd> {
        let Some((what, text)) = self.copied(extent, now) else {
            self.toast("nothing to copy here".to_owned(), Severity::Notice, now);
            return Vec::new();
        };
        let (text, whole) = bounded(text);
        let what = if whole { what } else { format!("the beginning of {what}, 72 KiB,") };
        self.toast(format!("copied {what}, if the terminal allows it (OSC 52)"), Severity::Notice, now);
        vec![Cmd::Copy(text)]
    }

    /// What would be copied: what it is, in words, and the text.
    #[must_use]
    pub fn copied(&self, extent: Extent, now: Time) -> Option<(String, String)> {
        let moment = self.moment(now);
        let scope = self.view_scope();
        if scope == Scope::Mesh && extent == Extent::Cell {
            return self.copied_link(moment);
        }
        let sheet = match scope {
            Scope::Connections => self.connections_sheet(now)?,
            Scope::Settings => self.settings_sheet()?,
            Scope::Ha => self.ha_sheet(now)?,
            Scope::Findings => self.findings_sheet(moment)?,
            Scope::Events => self.events_sheet(),
            // What lies over a view is no view.
            _ => self.mesh_sheet(now)?,
        };
        let selected = sheet.selected.and_then(|at| sheet.lines.get(at));
        match extent {
            Extent::Cell => {
                let value = selected?.get(sheet.telling)?.clone();
                Some((format!("\"{}\"", shortened(&value)), value))
            }
            Extent::Row => Some(("a line".to_owned(), line(selected?))),
            Extent::Table => {
                let count = sheet.lines.len();
                let lines = std::iter::once(&sheet.titles).chain(&sheet.lines);
                let text = lines.map(|l| line(l) + "\n").collect();
                (count > 0).then(|| (format!("{count} {} with titles", super::plural(count, "line")), text))
            }
        }
    }

    /// The selected link in one sentence.
    fn copied_link(&self, moment: Time) -> Option<(String, String)> {
        let (cluster, (from, to)) = (self.cluster()?, self.selected()?);
        let host = |i: usize| cluster.peers[i].host.as_str();
        if from == to {
            return Some((host(from).to_owned(), host(from).to_owned()));
        }
        let cell = cluster.cell(from, to, moment);
        let text = format!("{} -> {}: {}", host(from), host(to), in_words(&cell, moment));
        Some((format!("the link {} -> {}", cluster.peers[from].host.short(), cluster.peers[to].host.short()), text))
    }

    fn mesh_sheet(&self, now: Time) -> Option<Sheet> {
        let (cluster, moment) = (self.cluster()?, self.moment(now));
        let grid = self.grid(now);
        let names = labels(cluster);
        let titles = std::iter::once("from").chain(grid.cols.iter().map(|j| names[*j])).map(str::to_owned).collect();
        let row = |i: &usize| {
            let word = |j: &usize| {
                if i == j { "-".to_owned() } else { cluster.cell(*i, *j, moment).state.as_str().to_owned() }
            };
            std::iter::once(names[*i].to_owned()).chain(grid.cols.iter().map(word)).collect()
        };
        let selected = (!grid.rows.is_empty()).then(|| self.cursor().row());
        Some(Sheet { titles, lines: grid.rows.iter().map(row).collect(), selected, telling: 0 })
    }

    fn connections_sheet(&self, now: Time) -> Option<Sheet> {
        let (cluster, moment) = (self.cluster()?, self.moment(now));
        let from = *cluster.index.get(&self.connections_of()?.id)?;
        let lines: Vec<Vec<String>> =
            self.connection_targets(now).iter().map(|to| connection(cluster, from, *to, moment)).collect();
        let selected = (!lines.is_empty()).then(|| self.cursor().col());
        let titles = ["peer", "state", "cause", "back", "since", "rtt", "dials", "address", "detail"];
        Some(Sheet { titles: titles.map(str::to_owned).to_vec(), lines, selected, telling: 0 })
    }

    fn findings_sheet(&self, moment: Time) -> Option<Sheet> {
        let cluster = self.cluster()?;
        let line = |f: &&crate::domain::Finding| {
            let about: Vec<&str> = f.subject.peers().map(|p| cluster.label(p)).collect();
            vec![
                f.severity.as_str().to_owned(),
                time::human(moment.since(f.since)),
                about.join(" "),
                f.text.to_string(),
                f.advice.to_string(),
            ]
        };
        let lines: Vec<Vec<String>> = self.findings().iter().map(line).collect();
        let selected = (!lines.is_empty()).then(|| self.finding_place().min(lines.len() - 1));
        let titles = ["severity", "since", "about", "finding", "advice"];
        Some(Sheet { titles: titles.map(str::to_owned).to_vec(), lines, selected, telling: 3 })
    }

    /// The features at the selected mode.
    fn settings_sheet(&self) -> Option<Sheet> {
        let (book, mode) = (self.book()?, self.mode());
        let line = |at: &usize| {
            let feature = &book.features()[*at];
            let shown = super::settings::Shown::of(book.tree(), self.catalogue(), &mode, feature);
            vec![
                feature.to_string(),
                shown.standing.word().to_owned(),
                shown.standing.phrase(book.tree()),
                shown.value.map(|v| v.to_string()).unwrap_or_default(),
            ]
        };
        let places = self.feature_places();
        let selected = self.feature().and_then(|f| places.iter().position(|at| book.features()[*at] == *f));
        let titles = ["feature", "state", "where", "value"].map(str::to_owned).to_vec();
        Some(Sheet { titles, lines: places.iter().map(line).collect(), selected, telling: 3 })
    }

    /// The units of HA groups.
    fn ha_sheet(&self, now: Time) -> Option<Sheet> {
        let (cluster, moment) = (self.cluster()?, self.moment(now));
        let groups = self.ha_groups(now);
        let units: Vec<(&HaGroup, &Member)> =
            groups.iter().flat_map(|g| g.members.iter().map(move |m| (g, m))).collect();
        let line = |(group, member): &(&HaGroup, &Member)| {
            let status = &member.status;
            vec![
                group.name.to_string(),
                cluster.label(&member.id).to_owned(),
                status.configured.as_str().to_owned(),
                status.effective.as_str().to_owned(),
                if member.fresh { "now".to_owned() } else { format!("{} ago", time::human(moment.since(member.at))) },
                status.epoch.to_string(),
                status.reason.to_string(),
            ]
        };
        let selected = self.unit().and_then(|id| units.iter().position(|(_, m)| m.id == *id));
        let titles = ["group", "unit", "configured", "effective", "said", "epoch", "reason"];
        let lines = units.iter().map(line).collect();
        Some(Sheet { titles: titles.map(str::to_owned).to_vec(), lines, selected, telling: 6 })
    }

    fn events_sheet(&self) -> Sheet {
        let events = self.events();
        let selected = self.event_place(&events).or_else(|| events.len().checked_sub(1));
        let line = |e: &&crate::domain::Event| {
            let kind: &'static str = e.kind.into();
            vec![e.at.as_millis().to_string(), kind.to_owned(), e.text.to_string()]
        };
        let titles = ["unix-ms", "kind", "event"].map(str::to_owned).to_vec();
        Sheet { titles, lines: events.iter().map(line).collect(), selected, telling: 2 }
    }
}

fn in_words(cell: &Cell<'_>, moment: Time) -> String {
    let mut words = vec![cell.state.as_str().to_owned()];
    words.extend(cell.cause.map(|c| format!("({})", c.as_str())));
    if let Some(link) = cell.link.filter(|_| cell.state != LinkState::Unknown) {
        words.push(format!("for {}", time::human(moment.since(link.since))));
        words.extend(link.rtt.map(|rtt| format!("rtt {}", rtt_ms(rtt))));
    }
    words.join(" ")
}

fn connection(cluster: &Cluster, from: usize, to: usize, moment: Time) -> Vec<String> {
    let (cell, back) = (cluster.cell(from, to, moment), cluster.cell(to, from, moment));
    let link = cell.link.filter(|_| cell.state != LinkState::Unknown);
    vec![
        cluster.peers[to].host.to_string(),
        cell.state.as_str().to_owned(),
        cell.cause.map_or("", crate::domain::Cause::as_str).to_owned(),
        back.state.as_str().to_owned(),
        link.map(|l| time::human(moment.since(l.since))).unwrap_or_default(),
        link.and_then(|l| l.rtt).map(rtt_ms).unwrap_or_default(),
        link.map(|l| l.attempts.to_string()).unwrap_or_default(),
        link.and_then(|l| l.address).map(|a| a.to_string()).unwrap_or_default(),
        link.map_or("", |l| l.detail.as_str()).to_owned(),
    ]
}

fn rtt_ms(rtt: Duration) -> String {
    format!("{}.{:03} ms", rtt.as_micros() / 1000, rtt.as_micros() % 1000)
}

/// Values between tabs: none holds a tab, all were cleaned where they came in.
fn line(values: &[String]) -> String {
    values.join("\t")
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}

/// At most [`MAX`] bytes, whole lines if there are several; and whether that is all.
fn bounded(mut text: String) -> (String, bool) {
    if text.len() <= MAX {
        return (text, true);
    }
    let mut end = MAX;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    if let Some(last) = text.rfind('\n') {
        text.truncate(last + 1);
    }
    (text, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_ends_with_a_whole_line() {
        assert_eq!(bounded("a\n".to_owned()), ("a\n".to_owned(), true));
        let (text, whole) = bounded("0123456789é\n".repeat(10_000));
        assert!(!whole && text.len() <= MAX && text.len() > MAX - 20 && text.ends_with("é\n"), "{}", text.len());
    }
}
