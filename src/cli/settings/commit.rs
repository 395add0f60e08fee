//! One-shot changes of settings and structure: one look, one plan, one question, one commit, and what was observed.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;

use super::apply::{self, name_of};
use super::args::{self, Committing};
use super::editor::{self, Edited, Kept, Language, Text};
use super::look::{Seen, look};
use super::query::in_one;
use super::want::{self, Want, Which};
use super::{mode, value};
use crate::cli::act::{self, Actor, hindered, with_hint};
use crate::cli::output::{emit, error_style};
use crate::cli::signals::Stop;
use crate::cli::{Context, Done, REFUSED};
use crate::domain::command::{Command, Outcome, OutcomeState};
use crate::domain::ids::{FeatureName, PeerId};
use crate::domain::plan::Plan;
use crate::domain::settings::words::called;
use crate::domain::settings::{Edit, Key, ModeId, Tree, Value, rules, secrets};
use crate::domain::snapshot::{Cluster, Peer};
use crate::domain::text::Line;
use crate::domain::time::Time;
use crate::engine::plans::plan;
use crate::engine::runtime::Observer;
use crate::report::action::{self, ConflictDoc, Result as Came};
use crate::report::settings::Told;
use crate::report::{self, inconsistencies};

/// How often a commit is tried anew when others change the same all the time.
const TRIES: u32 = 3;
/// How long the picture has to show what a peer has refused.
const SHOWN: Duration = Duration::from_secs(2);

/// What is wanted, and how.
#[derive(Clone, Debug)]
pub struct Request {
    what: What,
    how: Committing,
}

#[derive(Clone, Debug)]
enum What {
    /// These; a place for each that comes from a file.
    Wants(Vec<Want>, Vec<String>),
    /// What comes out of the editor.
    Edit { mode: String, feature: String, language: Language },
    /// Conflicts stay as they are.
    Ignore(Which),
}

impl Request {
    fn one((want, how): (Want, Committing)) -> Self {
        Self { what: What::Wants(vec![want], Vec::new()), how }
    }

    /// `set`.
    ///
    /// # Errors
    /// When the value can't be read.
    pub fn set(args: args::Set) -> anyhow::Result<Self> {
        let value = value::read(&args.value).map_err(anyhow::Error::msg)?;
        Ok(Self::one((Want::Set { mode: args.mode, feature: args.feature, value }, args.how)))
    }

    /// `unset`.
    #[must_use]
    pub fn unset(args: args::Unset) -> Self {
        Self::one((Want::Unset { mode: args.mode, feature: args.feature }, args.how))
    }

    /// `copy`.
    #[must_use]
    pub fn copy(args: args::Transfer) -> Self {
        Self::one(args.copy())
    }

    /// `move`.
    #[must_use]
    pub fn shift(args: args::Transfer) -> Self {
        Self::one(args.shift())
    }

    /// `edit`.
    #[must_use]
    pub fn edit(args: args::Edit) -> Self {
        let language = if args.toml { Language::Toml } else { Language::Json };
        Self { what: What::Edit { mode: args.mode, feature: args.feature, language }, how: args.how }
    }

    /// `apply`.
    ///
    /// # Errors
    /// When the file can't be read, or something in it is wrong.
    pub fn apply(args: args::Apply) -> anyhow::Result<Self> {
        let name = name_of(&args.file);
        let text = if args.file == "-" { value::standard_input() } else { value::from_file(&name) };
        let changes = apply::parse(&name, &text.map_err(anyhow::Error::msg)?)?;
        let mut how = args.how;
        if let (true, Some(comment)) = (how.acting.reason.is_empty(), changes.comment) {
            how.acting.reason = comment;
        }
        let places = changes.places.iter().map(|place| format!("{}: {place}", name.display())).collect();
        Ok(Self { what: What::Wants(changes.wants, places), how })
    }

    /// `setgroup`.
    #[must_use]
    pub fn setgroup(args: args::SetGroup) -> Self {
        Self::one((Want::SetGroup { peers: args.peers, group: args.group }, args.how))
    }

    /// `addgroup`.
    #[must_use]
    pub fn addgroup(args: args::Named) -> Self {
        Self::one((Want::AddGroup { name: args.name }, args.how))
    }

    /// `setname`.
    #[must_use]
    pub fn setname(args: args::Named) -> Self {
        Self::one((Want::SetName { name: args.name }, args.how))
    }

    /// `renamegroup`.
    #[must_use]
    pub fn renamegroup(args: args::RenameGroup) -> Self {
        Self::one((Want::RenameGroup { old: args.old, new: args.new }, args.how))
    }

    /// `deletegroup`.
    #[must_use]
    pub fn deletegroup(args: args::DeleteGroup) -> Self {
        Self::one((Want::DeleteGroup { name: args.name, move_to: args.move_to }, args.how))
    }

    /// `removemachine`.
    #[must_use]
    pub fn removemachine(args: args::RemoveMachine) -> Self {
        Self::one((Want::RemoveMachine { peer: args.peer }, args.how))
    }

    /// `create`.
    ///
    /// # Errors
    /// When no machine is named.
    pub fn create(args: args::Create) -> anyhow::Result<Self> {
        anyhow::ensure!(
            args.how.on.is_some(),
            "create: name the machine that the cluster is made of: --on PEER (the fleet file must name it)"
        );
        Ok(Self::one((Want::Create { name: args.name }, args.how)))
    }

    /// `sethost`.
    #[must_use]
    pub fn sethost(args: args::SetHost) -> Self {
        Self::one((Want::SetHost { peer: args.peer, host: args.host, address: args.address }, args.how))
    }

    /// `resolve`.
    #[must_use]
    pub fn resolve(args: args::Resolve) -> Self {
        let which = args.which();
        match args.with {
            Some(with) => Self::one((Want::Resolve { which, with }, args.how)),
            None => Self { what: What::Ignore(which), how: args.how },
        }
    }
}

/// Looks, plans, asks, commits, and tells what was observed.
///
/// # Errors
/// When there is no fleet, or what is named does not exist: nothing was sent.
pub fn run(context: &Context, request: &Request) -> anyhow::Result<Done> {
    crate::cli::process::small_runtime()?.block_on(async {
        let mut stop = Stop::new().context("signals can't be received")?;
        let seen = tokio::select! {
            seen = look(context, request.how.on.as_deref()) => seen?,
            signal = stop.wait() => {
                eprintln!("peerdeck: {signal}: nothing was sent");
                return Ok(REFUSED);
            }
        };
        let mut all = Told::all(seen.look.snapshot.clusters.iter().map(AsRef::as_ref));
        // Who carries it out says which cluster is meant.
        all.retain(|told| seen.on.as_ref().is_none_or(|on| told.cluster.peer(on).is_some()));
        if all.is_empty() || (request.how.on.is_some() && !seen.untold.is_empty()) {
            seen.complain();
            eprintln!("peerdeck: refused: what would change is not known; nothing was sent");
            return Ok(REFUSED);
        }
        let hinted = |why: String| {
            seen.complain();
            anyhow::Error::msg(with_hint(why, &seen.look))
        };
        match &request.what {
            What::Ignore(which) => ignore(context, &all, which).map_err(hinted)?,
            What::Wants(wants, places) => {
                let find = |told: &Told<'_>| {
                    want::edits(told.tree(), &told.cluster.catalogue, wants)
                        .map_err(|(n, why)| places.get(n).map_or(why.clone(), |place| format!("{place}: {why}")))
                };
                let (told, edits) = in_one(&all, find).map_err(hinted)?;
                let commit = Commit { context, seen: &seen, told, how: &request.how };
                return commit.run(stop, edits.into(), None).await;
            }
            What::Edit { mode, feature, language } => {
                let (told, mode) = in_one(&all, |told| mode::find(told.tree(), mode)).map_err(hinted)?;
                let feature = FeatureName::new(feature);
                let commit = Commit { context, seen: &seen, told, how: &request.how };
                let edited = commit.edit(&mode, &feature, *language).await;
                let (value, kept) = match edited {
                    Ok(Edited::Value(value, kept)) => (value, kept),
                    Ok(Edited::Unchanged) => {
                        eprintln!("peerdeck: nothing was changed, nothing was sent");
                        return Ok(0);
                    }
                    Err(why) => {
                        eprintln!("peerdeck: refused: {why}");
                        return Ok(REFUSED);
                    }
                };
                // What was meant for the editor is not meant for us.
                let stop = Stop::new().context("signals can't be received")?;
                // What is kept for another try is what was written; what is planned and told hides its secrets.
                let (tree, known) = (told.tree(), &told.cluster.catalogue);
                let hidden =
                    secrets::hide_at(tree, known, &mode, &feature, &value).map_err(|w| hinted(w.to_string()))?;
                let edits = [Edit::Set { mode, feature, value: hidden }].into();
                return commit.run(stop, edits, Some((value, kept))).await;
            }
        }
        Ok(0)
    })
}

/// Says that conflicts stay as they are.
fn ignore(context: &Context, all: &[Told<'_>], which: &Which) -> Result<(), String> {
    let (told, keys) = in_one(all, |told| want::conflicts(told.tree(), which))?;
    let tree = told.tree();
    if context.global.json {
        let left = keys.iter().map(|key| inconsistencies::of_register(told.cluster.name.as_str(), tree, key));
        act::print(&report::document(&action::ignored(left.collect())));
        return Ok(());
    }
    for key in &keys {
        let Some(entry) = tree.entry(key) else { continue };
        let (what, on) = (called(tree, key), tree.host(&entry.effective().stamp.on));
        act::print(&format!(
            "{what}: ignored, nothing was changed: the version of {on} applies, and the conflict is shown on\n"
        ));
    }
    Ok(())
}

/// A commit to one cluster.
#[derive(Clone, Copy)]
struct Commit<'a> {
    context: &'a Context,
    seen: &'a Seen,
    told: Told<'a>,
    how: &'a Committing,
}

impl Commit<'_> {
    fn command(&self, on: PeerId, edits: Arc<[Edit]>) -> Command {
        Command::Commit { on, edits, comment: Line::new(&self.how.acting.reason) }
    }

    /// Who carries it out: who was named, else the peer whose settings were looked at, else any that is attached.
    fn carrier(&self) -> Result<PeerId, String> {
        if let Some(on) = &self.seen.on {
            return Ok(on.clone());
        }
        let cluster = self.told.cluster;
        let is_member = |p: &Peer| self.told.tree().structure().member_of(&p.id).is_some();
        let fits = |p: &&Arc<Peer>| p.is_reached() && p.detached().is_none() && is_member(p);
        let source = cluster.peer(&self.told.settings.source).filter(fits);
        let free = |p: &&Arc<Peer>| p.takes_commits() && is_member(p);
        let first = source.filter(|p| p.takes_commits()).or_else(|| cluster.peers.iter().find(free));
        if let Some(peer) = first.or(source).or_else(|| cluster.peers.iter().find(fits)) {
            return Ok(peer.id.clone());
        }
        let names: Vec<&str> = cluster.peers.iter().filter(|p| p.is_reached()).map(|p| cluster.label(&p.id)).collect();
        Err(match names.as_slice() {
            [] => "no peer is reached that could carry it out".to_owned(),
            some => {
                let names = some.join(", ");
                format!("only detached machines are reached: --on PEER changes one of them by itself ({names})")
            }
        })
    }

    fn plan(&self, cluster: &Cluster, on: PeerId, edits: Arc<[Edit]>, now: Time) -> Plan {
        hindered(cluster, plan(cluster, self.command(on, edits), now))
    }

    async fn edit(&self, mode: &ModeId, feature: &FeatureName, language: Language) -> Result<Edited, String> {
        let (tree, cluster) = (self.told.tree(), self.told.cluster);
        rules::may_define(tree, &cluster.catalogue, mode, feature).map_err(|why| why.to_string())?;
        let applies = rules::at(tree, &cluster.catalogue, mode, feature);
        let from = match (tree.defined(mode, feature), tree.applies(mode, feature)) {
            (Some(version), _) => format!("last changed by {}", report::settings::who(tree, version)),
            (None, Some((from, _))) => format!("not defined here: this is inherited from {}", tree.mode_name(&from)),
            (None, None) if applies.value.is_some() => "not defined here: this is the factory default".to_owned(),
            (None, None) => "not defined anywhere".to_owned(),
        };
        let about = vec![
            format!("{feature} at {}", tree.mode_name(mode)),
            from,
            "An empty value overrides with nothing. Left as it is, nothing is sent.".to_owned(),
        ];
        let on = self.carrier()?;
        let text = Text { name: feature.as_str(), language, about, value: applies.value.as_deref() };
        let now = self.seen.look.snapshot.at;
        let accept = |value: &Arc<Value>| {
            let set = Edit::Set { mode: mode.clone(), feature: feature.clone(), value: Arc::clone(value) };
            let plan = self.plan(cluster, on.clone(), [set].into(), now);
            plan.obstacles.first().map_or(Ok(()), |why| Err(why.to_string()))
        };
        editor::edit(text, accept).await
    }

    async fn run(self, stop: Stop, edits: Arc<[Edit]>, kept: Option<(Arc<Value>, Kept)>) -> anyhow::Result<Done> {
        let cluster = self.told.cluster;
        let on = match self.carrier() {
            Ok(on) => on,
            Err(why) => {
                eprintln!("peerdeck: refused: {why}; nothing was sent");
                return Ok(REFUSED);
            }
        };
        let mut plan = self.plan(cluster, on.clone(), Arc::clone(&edits), self.seen.look.snapshot.at);
        if self.how.acting.dry_run {
            let refused = !plan.obstacles.is_empty();
            emit(&act::text(self.context, cluster, [(&plan, &Came::None)]))?;
            return Ok(if refused { REFUSED } else { 0 });
        }
        let Some(mut actor) = Actor::new(self.context, &self.seen.connected, cluster, stop) else {
            return Ok(REFUSED);
        };
        if !plan.obstacles.is_empty() {
            return Ok(self.finish(cluster, &plan, actor.refuse(&plan), Vec::new(), kept));
        }
        if !self.how.acting.yes
            && let Err(why) = actor.confirm(std::slice::from_ref(&plan)).await
        {
            return Ok(self.finish(
                cluster,
                &plan,
                Came::Outcome(actor.outcome(OutcomeState::Refused, &why)),
                Vec::new(),
                kept,
            ));
        }
        // The tree that the plan was made from: the other side of a conflict.
        let mut then = Arc::clone(&self.told.settings.tree);
        let mut tries = 1;
        let observer = &self.seen.connected.observer;
        loop {
            let outcome = actor.carry_out(&plan).await;
            let moved =
                if outcome.state == OutcomeState::Refused { moved(observer, cluster, &plan).await } else { None };
            let Some((present, keys)) = moved else {
                return Ok(self.finish(cluster, &plan, Came::Outcome(outcome), Vec::new(), kept));
            };
            let now = present.settings.as_ref().map_or_else(|| Arc::clone(&then), |s| Arc::clone(&s.tree));
            let docs: Vec<ConflictDoc> = keys.iter().map(|key| ConflictDoc::new(cluster, &then, &now, key)).collect();
            eprint!("{}", self.both_sides(&then, &now, &keys, &plan));
            if !self.how.over || tries >= TRIES {
                if !self.how.over {
                    eprintln!(
                        "peerdeck: to go on in spite of it, repeat it, or say --override; to discard it, do nothing"
                    );
                }
                return Ok(self.finish(cluster, &plan, Came::Outcome(outcome), docs, kept));
            }
            eprintln!("peerdeck: --override: what stands there now is taken as seen");
            plan = self.plan(&present, on.clone(), Arc::clone(&edits), present_time(observer));
            if !plan.obstacles.is_empty() {
                return Ok(self.finish(&present, &plan, actor.refuse(&plan), docs, kept));
            }
            then = now;
            tries += 1;
        }
    }

    /// Both sides of what has moved, and ours, for a person.
    fn both_sides(&self, then: &Tree, now: &Tree, keys: &[Key], plan: &Plan) -> String {
        use std::fmt::Write;
        let style = error_style(&self.context.global);
        let versions = |tree: &Tree, key: &Key| {
            let some = tree.entry(key).map_or(&[][..], |e| e.versions());
            if some.is_empty() { "  (nothing)\n".to_owned() } else { inconsistencies::versions_text(tree, some, style) }
        };
        let mut out = String::new();
        for key in keys {
            let _ = writeln!(out, "{} was changed by somebody else meanwhile. Looked at:", called(now, key));
            out.push_str(&versions(then, key));
            out.push_str("Now:\n");
            out.push_str(&versions(now, key));
        }
        if let Command::Commit { edits, .. } = &plan.command {
            let _ = writeln!(out, "Yours:");
            for edit in edits.iter().take(12) {
                let _ = writeln!(out, "  {}", report::edits::text(now, edit));
            }
        }
        out
    }

    /// Prints what came of it; the exit code.
    fn finish(
        &self,
        cluster: &Cluster,
        plan: &Plan,
        came: Came,
        conflict: Vec<ConflictDoc>,
        kept: Option<(Arc<Value>, Kept)>,
    ) -> Done {
        let text = if self.context.global.json {
            report::document(&action::document(cluster, [(plan, &came)]).with_conflict(conflict))
        } else {
            act::text(self.context, cluster, [(plan, &came)])
        };
        act::print(&text);
        if matches!(&came, Came::Outcome(Outcome { state: OutcomeState::Unknown, .. })) {
            eprintln!("peerdeck: `peerdeck commitdetail` says who has it");
        }
        let observed = matches!(&came, Came::Outcome(Outcome { state: OutcomeState::Observed, .. }));
        if let Some((value, kept)) = kept.filter(|_| !observed) {
            match kept.keep(&value) {
                Ok(file) => {
                    eprintln!("peerdeck: what you wrote is kept: `peerdeck set MODE FEATURE @{}`", file.display());
                }
                Err(e) => eprintln!("peerdeck: what you wrote can't be kept: {e}"),
            }
        }
        act::code(&[came])
    }
}

/// The cluster as it is, and the registers of the basis whose versions are others now; `None` when none are.
async fn moved(observer: &Observer, cluster: &Cluster, plan: &Plan) -> Option<(Arc<Cluster>, Vec<Key>)> {
    let mut pictures = observer.snapshots.clone();
    let deadline = Instant::now() + SHOWN;
    loop {
        let present = pictures.borrow_and_update().clusters.iter().find(|c| c.name == cluster.name).cloned();
        let keys =
            present.as_ref().and_then(|c| c.settings.as_ref()).map(|s| rules::moved(&s.tree, &plan.basis.settings));
        if let (Some(present), Some(keys)) = (present, keys.filter(|k| !k.is_empty())) {
            return Some((present, keys));
        }
        tokio::select! {
            changed = pictures.changed() => changed.ok()?,
            () = tokio::time::sleep_until(deadline) => return None,
        }
    }
}

fn present_time(observer: &Observer) -> Time {
    observer.snapshots.borrow().at
}
