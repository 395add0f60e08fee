//! Questions about settings: `settings`, `check`, `commitdetail`.

use super::args::Settings;
use super::look::{Seen, look};
use super::mode;
use crate::cli::output::{emit, style};
use crate::cli::{Context, Done, UNKNOWN};
use crate::config::problem::did_you_mean;
use crate::domain::ids::FeatureName;
use crate::domain::settings::{Catalogue, Key, ModeId};
use crate::domain::snapshot::Cluster;
use crate::report::history::{self, Spread};
use crate::report::settings::{self, Question, Told};
use crate::report::{self, inconsistencies};

/// `settings`.
///
/// # Errors
/// When there is no fleet, what is asked for does not exist, or nothing can be printed.
pub fn settings(context: &Context, args: &Settings) -> anyhow::Result<Done> {
    crate::cli::process::small_runtime()?.block_on(async {
        let seen = look(context, args.on.as_deref()).await?;
        let snapshot = &seen.look.snapshot;
        let told = Told::all(snapshot.clusters.iter().map(AsRef::as_ref));
        if told.is_empty() || (args.on.is_some() && !seen.untold.is_empty()) {
            seen.complain();
            return Ok(UNKNOWN);
        }
        let (told, question) = ask(&told, args).inspect_err(|_| seen.complain()).map_err(anyhow::Error::msg)?;
        if let (true, Question::Feature(mode, feature), [one]) = (args.history, &question, told.as_slice()) {
            return past(context, &seen, *one, mode, feature).await;
        }
        let blank = Catalogue::default();
        let catalogue = told.first().map_or(&blank, |t| &*t.cluster.catalogue);
        emit(&if context.global.json {
            report::document(&settings::document(&told, catalogue, &question, snapshot.at))
        } else {
            settings::text(&told, catalogue, &question, style(&context.global))
        })?;
        // What is asked of one mode is answered, whatever the other clusters say.
        Ok(match question {
            Question::Mode(_) | Question::Feature(..) => 0,
            Question::Tree | Question::Defined(_) => answered(&seen),
        })
    })
}

/// A query that a part of the fleet has not answered is not answered.
fn answered(seen: &Seen) -> Done {
    seen.complain();
    if seen.untold.is_empty() { 0 } else { UNKNOWN }
}

fn unanswered(why: &str) -> Done {
    eprintln!("peerdeck: {why}");
    UNKNOWN
}

/// Of which clusters what is asked; a mode is one cluster's.
fn ask<'a>(all: &[Told<'a>], args: &Settings) -> Result<(Vec<Told<'a>>, Question), String> {
    if let Some(feature) = &args.defined {
        known(all, feature)?;
        return Ok((all.to_vec(), Question::Defined(FeatureName::new(feature))));
    }
    let Some(word) = &args.mode else { return Ok((all.to_vec(), Question::Tree)) };
    let (one, mode) = in_one(all, |told| mode::find(told.tree(), word))?;
    let Some(feature) = &args.feature else { return Ok((vec![one], Question::Mode(mode))) };
    known(&[one], feature)?;
    Ok((vec![one], Question::Feature(mode, FeatureName::new(feature))))
}

/// The one cluster in which `find` finds something.
///
/// # Errors
/// When it does so in none or several, in words.
pub(super) fn in_one<'a, T>(
    all: &[Told<'a>],
    find: impl Fn(&Told<'a>) -> Result<T, String>,
) -> Result<(Told<'a>, T), String> {
    let mut found = Vec::new();
    let mut why = None;
    for told in all {
        match find(told) {
            Ok(it) => found.push((*told, it)),
            Err(e) => why = why.or(Some(e)),
        }
    }
    if found.len() > 1 {
        let names: Vec<&str> = found.iter().map(|(t, _)| t.cluster.name.as_str()).collect();
        return Err(format!("that may be of several clusters: {}. Choose with --cluster", names.join(", ")));
    }
    found.pop().ok_or_else(|| why.unwrap_or_else(|| "the fleet has no cluster".to_owned()))
}

/// Whether somebody knows the feature: the table, or a peer that has set it.
fn known(told: &[Told<'_>], word: &str) -> Result<(), String> {
    let name = FeatureName::new(word);
    let is_set = |t: &Told<'_>| t.tree().registers().any(|(key, _)| matches!(key, Key::Feature(_, f) if *f == name));
    if told.iter().any(|t| t.cluster.catalogue.feature(&name).is_some() || is_set(t)) {
        return Ok(());
    }
    let names: Vec<&str> = told.iter().flat_map(|t| t.cluster.catalogue.settings()).map(|f| f.name.as_str()).collect();
    Err(format!("no feature is named \"{word}\"{}", did_you_mean(word, names)))
}

async fn past(
    context: &Context,
    seen: &Seen,
    told: Told<'_>,
    mode: &ModeId,
    feature: &FeatureName,
) -> anyhow::Result<Done> {
    let key = Key::Feature(mode.clone(), feature.clone());
    let historian = seen.connected.commander.historian();
    let asked = historian.past(told.cluster.name.clone(), Some(key));
    let past = match tokio::time::timeout(context.global.timeout, asked).await {
        Ok(Ok(past)) => past,
        Ok(Err(why)) => return Ok(unanswered(why.as_str())),
        Err(_) => return Ok(unanswered(&no_history(told.cluster))),
    };
    emit(&if context.global.json {
        report::document(&history::document(told, &past, seen.look.snapshot.at))
    } else {
        history::text(told, &past, style(&context.global))
    })?;
    Ok(0)
}

fn no_history(cluster: &Cluster) -> String {
    format!("no peer of cluster {} has told its history in time (--timeout)", cluster.name)
}

/// `check`.
///
/// # Errors
/// When there is no fleet, or nothing can be printed.
pub fn check(context: &Context, plugin: bool) -> anyhow::Result<Done> {
    crate::cli::process::small_runtime()?.block_on(async {
        let seen = look(context, None).await?;
        let (snapshot, complete) = (&seen.look.snapshot, seen.look.complete && seen.untold.is_empty());
        emit(&if plugin {
            inconsistencies::plugin(snapshot)
        } else if context.global.json {
            report::document(&inconsistencies::document(snapshot, complete))
        } else {
            inconsistencies::text(snapshot, style(&context.global))
        })?;
        if !plugin {
            seen.complain();
        }
        Ok(inconsistencies::check(snapshot).code())
    })
}

/// `commitdetail`.
///
/// # Errors
/// When there is no fleet, or nothing can be printed.
pub fn commitdetail(context: &Context) -> anyhow::Result<Done> {
    crate::cli::process::small_runtime()?.block_on(async {
        let seen = look(context, None).await?;
        let snapshot = &seen.look.snapshot;
        let told = Told::all(snapshot.clusters.iter().map(AsRef::as_ref));
        let historian = seen.connected.commander.historian();
        let mut pasts = Vec::new();
        for t in &told {
            let asked = historian.past(t.cluster.name.clone(), None);
            match tokio::time::timeout(context.global.timeout, asked).await {
                Ok(Ok(past)) => pasts.push(past),
                Ok(Err(why)) => return Ok(unanswered(why.as_str())),
                Err(_) => return Ok(unanswered(&no_history(t.cluster))),
            }
        }
        let spreads: Vec<Spread<'_>> =
            told.iter().zip(&pasts).map(|(told, past)| Spread { told: *told, past }).collect();
        emit(&if context.global.json {
            report::document(&history::commit_document(&spreads, snapshot))
        } else {
            history::commit_text(&spreads, snapshot, style(&context.global))
        })?;
        Ok(answered(&seen))
    })
}
