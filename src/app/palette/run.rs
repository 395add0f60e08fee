//! Enter in the palette.

use strum::IntoEnumIterator;

use super::entries::{Entry, VERBS};
use super::{nearest, spec_of};
use crate::app::grid::{Order, Sort};
use crate::app::keys::{Code, Key};
use crate::app::lists::ListSort;
use crate::app::settings::FeatureOrder;
use crate::app::{Action, App, Cmd, Severity, View, action};
use crate::domain::{Cluster, PeerId, Time};

/// What a line of the palette does, once it is clear.
enum Wanted {
    Action(&'static action::Spec),
    Verb(&'static str, String),
}

impl App {
    /// Does what was typed or chosen, or says why not.
    pub(in crate::app) fn run_palette(&mut self, now: Time) -> Vec<Cmd> {
        let Some(palette) = self.palette() else { return Vec::new() };
        let typed = palette.text().trim_start_matches(':').to_owned();
        let text = typed.trim().to_owned();
        let entries = self.entries(now);
        let chosen = palette.chosen().and_then(|at| entries.get(at)).cloned();
        if text.is_empty() && chosen.is_none() {
            self.close_overlay();
            return Vec::new();
        }
        let line = match self.line_meant(&text, chosen, &entries) {
            Ok(line) => line,
            Err((fill, why)) => {
                self.with_palette(|p| {
                    if let Some(fill) = fill {
                        p.set(&fill);
                    }
                    p.told = why;
                });
                return Vec::new();
            }
        };
        let wanted = self.wanted(&line, now);
        match wanted {
            Ok(wanted) => {
                // A space before it says that it is not to be remembered.
                let kept = if typed.starts_with(' ') { String::new() } else { line };
                let mut cmds: Vec<Cmd> = Vec::new();
                if self.history.add(&kept) {
                    cmds.push(Cmd::Remember(kept));
                }
                self.close_overlay();
                cmds.extend(match wanted {
                    Wanted::Action(spec) => self.act(spec.action, Some(Key::plain(Code::Enter)), now),
                    Wanted::Verb(verb, rest) => self.run_verb(verb, &rest, now),
                });
                cmds
            }
            Err(why) => {
                self.with_palette(|p| p.told = why);
                Vec::new()
            }
        }
    }

    /// The whole line that is meant; else what to put into the field, and what to tell.
    fn line_meant(
        &self,
        text: &str,
        chosen: Option<Entry>,
        entries: &[Entry],
    ) -> Result<String, (Option<String>, String)> {
        if let Some(entry) = chosen {
            if entry.args.is_empty() {
                return Ok(entry.text);
            }
            return Err((Some(entry.completed()), format!("now {}", entry.args)));
        }
        let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        if spec_of(word).is_some() && rest.is_empty() || self.is_verb(word) && !rest.is_empty() {
            return Ok(text.to_owned());
        }
        if self.is_verb(word) {
            return Err((Some(format!("{word} ")), "what follows is missing".to_owned()));
        }
        if !rest.is_empty() && spec_of(word).is_some() {
            return Err((None, format!("{word} takes no words")));
        }
        let names = || action::TABLE.iter().map(|s| s.action.name()).chain(VERBS.iter().map(|v| v.0));
        match entries.first() {
            Some(best) if rest.is_empty() && best.text.starts_with(word) => {
                if best.looks && best.args.is_empty() {
                    Ok(best.text.clone())
                } else {
                    let next = if best.args.is_empty() {
                        "Enter again does it".to_owned()
                    } else {
                        format!("now {}", best.args)
                    };
                    Err((Some(best.completed()), next))
                }
            }
            Some(_) | None => {
                let meant = nearest(word, names()).map_or_else(String::new, |n| format!(" Did you mean {n}?"));
                Err((None, format!("There is no command {word}.{meant}")))
            }
        }
    }

    fn wanted(&self, line: &str, now: Time) -> Result<Wanted, String> {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        if rest.is_empty()
            && let Some(spec) = spec_of(word)
        {
            if spec.action == Action::Palette {
                return Err("the palette is open already".to_owned());
            }
            return self.why_not(spec, now).map_or(Ok(Wanted::Action(spec)), |why| Err(format!("{word}: {why}")));
        }
        let Some(verb) = VERBS.iter().map(|v| v.0).find(|v| *v == word) else {
            return Err(format!("There is no command {word}."));
        };
        if let Some(why) = self.why_not_verb(verb) {
            return Err(format!("{verb}: {why}"));
        }
        let rest = rest.trim();
        self.check(verb, rest, now)?;
        Ok(Wanted::Verb(verb, rest.to_owned()))
    }

    /// Whether what follows the verb is known; names are taken whole only.
    fn check(&self, verb: &str, rest: &str, now: Time) -> Result<(), String> {
        let known = || self.values(verb, "").into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        let missing = |what: &str| {
            let names = known();
            let meant = nearest(rest, names.iter().map(String::as_str));
            let hint =
                meant.map_or_else(|| format!("there are {}", names.join(", ")), |m| format!("did you mean {m}?"));
            Err(format!("There is no {what} {rest}; {hint}"))
        };
        match verb {
            "peer" => {
                let found = self.cluster().is_some_and(|c| peer_named(c, rest).is_some());
                if found {
                    return Ok(());
                }
                let begins = known().iter().filter(|n| n.starts_with(rest)).count();
                match begins {
                    0 => missing("peer"),
                    1 => Err(format!("{rest} is the beginning of a name; Tab completes it")),
                    n => Err(format!("{rest} is the beginning of {n} names; Tab completes, Down chooses")),
                }
            }
            "theme" | "view" | "sort" | "cluster" => {
                if known().iter().any(|n| n == rest) {
                    Ok(())
                } else {
                    missing(if verb == "sort" { "order" } else { verb })
                }
            }
            "at" => self.moment_typed(rest, now).map(|_| ()),
            "columns" => {
                let names = known();
                let unknown = rest.split_whitespace().find(|w| !names.iter().any(|n| n == w));
                unknown.map_or(Ok(()), |w| Err(format!("There is no column {w}; there are {}", names.join(", "))))
            }
            _ => Ok(()),
        }
    }

    /// Does what [`App::wanted`] found to be possible.
    fn run_verb(&mut self, verb: &str, rest: &str, now: Time) -> Vec<Cmd> {
        match verb {
            "theme" => self.theme = Some(rest.to_owned()),
            "at" => {
                let at = self.moment_typed(rest, now).ok();
                self.leave_overlays();
                return self.look_back(at, now);
            }
            "sort" => self.sort_by(rest, now),
            "filter" => self.set_filter(rest),
            "peer" => {
                if let Some(peer) = self.cluster().and_then(|c| peer_named(c, rest)) {
                    self.go_to(peer, now);
                }
            }
            "cluster" => {
                let place = self.picture().clusters.iter().position(|c| c.name.as_str() == rest);
                self.leave_overlays();
                if let Some(place) = place {
                    self.enter_cluster(place, now);
                }
            }
            "view" => {
                self.leave_overlays();
                match View::iter().find(|v| v.name().eq_ignore_ascii_case(rest)) {
                    Some(view) => self.show(view),
                    None => self.open_panel(crate::app::panel::PanelKind::Overview, now),
                }
            }
            "columns" => {
                let names: Vec<&str> = rest.split_whitespace().filter(|w| *w != "usual").collect();
                if let Some(list) = self.list()
                    && let Err(unknown) = self.choose_columns(list, &names)
                {
                    self.toast(format!("there is no column {}", unknown.join(", ")), Severity::Notice, now);
                }
            }
            "fault" => {
                let cluster = self.cluster().map(|c| c.name.clone());
                self.journal.done(cluster, format!("fault {rest}: sent"), now);
                return vec![Cmd::Fault(rest.split_whitespace().map(str::to_owned).collect())];
            }
            _ => {}
        }
        Vec::new()
    }

    fn leave_overlays(&mut self) {
        self.overlay = None;
        self.under.clear();
    }

    fn sort_by(&mut self, name: &str, now: Time) {
        if self.view == View::Settings {
            if let Some(order) = FeatureOrder::iter().find(|o| <&str>::from(*o) == name) {
                self.sort_features(order);
            }
            return;
        }
        if let Some(list) = self.list().filter(|l| !l.sorts().is_empty()) {
            if let Some(sort) = ListSort::iter().find(|s| <&str>::from(*s) == name) {
                self.set_list_sort(list, sort);
            }
            return;
        }
        let moment = self.moment(now);
        if let (Some(sort), Some(cluster)) = (Sort::iter().find(|s| <&str>::from(*s) == name), self.cluster()) {
            self.order = Order::taken(sort, cluster, moment);
        }
    }

    /// To the row of `peer`; what would hide it is ended, so that the cursor never stands on another.
    fn go_to(&mut self, peer: PeerId, now: Time) {
        self.leave_overlays();
        if self.view == View::Settings && self.go_to_machine(&peer) {
            return;
        }
        self.view = View::Mesh;
        self.connections = false;
        let is_shown = |app: &Self| {
            let grid = app.grid(now);
            app.cluster().and_then(|c| c.index.get(&peer)).is_some_and(|i| grid.rows.contains(i))
        };
        if !is_shown(self) {
            self.set_filter("");
            self.faults_only = false;
        }
        let to = self.cursor.to().cloned().unwrap_or_else(|| peer.clone());
        self.select(peer, to, now);
    }
}

/// The peer of exactly this name: host name, first label where it is unique, or serial number.
pub(super) fn peer_named(cluster: &Cluster, name: &str) -> Option<PeerId> {
    let whole = cluster.peers.iter().find(|p| p.host.as_str() == name || p.id.as_str() == name);
    let found = whole.or_else(|| cluster.peers.iter().find(|p| p.host.short() == name && cluster.label(&p.id) == name));
    found.map(|p| p.id.clone())
}
