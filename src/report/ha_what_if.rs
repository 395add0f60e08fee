//! Other loss thresholds, tried on what was recorded: `ha --what-if`.

use std::fmt::Write;

use serde::Serialize;

use super::table::{Style, Table, Tone, cell, paint};
use super::{count, rfc3339, seconds};
use crate::domain::ha::what_if::WhatIf;
use crate::domain::ids::PeerId;
use crate::domain::snapshot::Snapshot;
use crate::domain::time::human;

/// Silences that are shown.
const LONGEST: usize = 5;

/// `peerdeck.ha-what-if/1`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct WhatIfDoc {
    schema: &'static str,
    groups: Vec<GroupDoc>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
struct GroupDoc {
    cluster: String,
    name: String,
    from: String,
    until: String,
    /// How much of the span was seen.
    watched_s: f64,
    threshold_s: f64,
    /// Takeovers that there were.
    takeovers: usize,
    thresholds: Vec<RowDoc>,
    longest: Vec<SilenceDoc>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
struct RowDoc {
    threshold_s: f64,
    takeovers: usize,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
struct SilenceDoc {
    peer: String,
    began: String,
    lasted_s: f64,
}

fn host(snapshot: &Snapshot, id: &PeerId) -> String {
    let known = snapshot.clusters.iter().find_map(|c| c.peer(id));
    known.map_or_else(|| id.to_string(), |p| p.host.to_string())
}

/// The document; names are those of `snapshot`.
#[must_use]
pub fn document(snapshot: &Snapshot, groups: &[WhatIf]) -> WhatIfDoc {
    let group = |w: &WhatIf| GroupDoc {
        cluster: w.cluster.to_string(),
        name: w.group.to_string(),
        from: rfc3339(w.from),
        until: rfc3339(w.until),
        watched_s: seconds(w.watched),
        threshold_s: seconds(w.threshold),
        takeovers: w.took,
        thresholds: w.rows.iter().map(|(t, n)| RowDoc { threshold_s: seconds(*t), takeovers: *n }).collect(),
        longest: w
            .longest
            .iter()
            .take(LONGEST)
            .map(|s| SilenceDoc { peer: host(snapshot, &s.unit), began: rfc3339(s.began), lasted_s: seconds(s.lasted) })
            .collect(),
    };
    WhatIfDoc { schema: "peerdeck.ha-what-if/1", groups: groups.iter().map(group).collect() }
}

/// For people.
#[must_use]
pub fn text(snapshot: &Snapshot, groups: &[WhatIf], style: Style) -> String {
    let mut out = String::new();
    for w in groups {
        let head = format!("{}  {} to {}", w.group, rfc3339(w.from), rfc3339(w.until));
        let watched = format!("{} of {} seen", human(w.watched), human(w.until.since(w.from)));
        // Writing into a text can't fail.
        let _ = writeln!(out, "{}  {watched}, {}", paint(&head, Tone::Head, style), count(w.took, "takeover"));
        let mut table = Table::new(&["THRESHOLD", "TAKEOVERS THERE WOULD HAVE BEEN"]);
        for (threshold, n) in &w.rows {
            let now = if *threshold == w.threshold { " (now)" } else { "" };
            let tone = if *n == 0 { Tone::Good } else { Tone::Warn };
            table.row([format!("{}{now}", human(*threshold)).into(), cell(n.to_string(), tone)]);
        }
        out.push_str(&table.render(style));
        if !w.longest.is_empty() {
            let mut table = Table::new(&["LONGEST SILENCES", "UNIT", "SINCE"]);
            for s in w.longest.iter().take(LONGEST) {
                table.row([human(s.lasted).into(), host(snapshot, &s.unit).into(), rfc3339(s.began).into()]);
            }
            let _ = write!(out, "\n{}", table.render(style));
        }
        out.push('\n');
    }
    out
}
