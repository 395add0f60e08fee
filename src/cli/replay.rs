//! `replay`: the console on a recording or a bundle. There is no network in it at all (B6).

use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use futures::FutureExt;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::args::{Color, Replay as Args};
use super::console::past::Past;
use super::console::{self, ConsoleOptions, Diagnose};
use super::follow::{Files, Follower, News};
use super::output::{emit, style};
use super::{Context, Done};
use crate::app::Diagnosis;
use crate::clock::SystemClock;
use crate::config::Fleet;
use crate::domain::past::Glance;
use crate::domain::time::Time;
use crate::engine::runtime::Observer;
use crate::record::Reader;
use crate::report::{self, status};
use crate::ui::theme::MONO;

/// Shows the recording; without a terminal, or with `--json`, what `status` would have said at that moment.
///
/// # Errors
/// When it can't be opened, is not what was signed, or is signed by somebody else than wanted.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Done> {
    let mut reader = open(&args.file, args.signer.as_deref())?;
    let (_, until) = reader.span()?;
    let at = args.at.as_deref().map(|text| moment(text, until)).transpose()?.unwrap_or(until);
    let snapshot = reader.at(at)?;
    if context.global.json || !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        emit(&if context.global.json {
            report::document(&status::document(&snapshot, context.global.cluster.as_deref(), true))
        } else {
            status::text(&snapshot, context.global.cluster.as_deref(), true, style(&context.global))
        })?;
        return Ok(status::check(&snapshot, context.global.cluster.as_deref(), true).code());
    }
    let files = Files { paths: context.paths.clone(), choice: None, cluster: None };
    let (follower, told) = Follower::new(files, Fleet::default());
    let wrong = |news: News| if let News::Wrong(text) = news { Some(text) } else { None };
    let options = ConsoleOptions {
        ascii: (args.screen.ascii || args.screen.unicode).then_some(args.screen.ascii),
        bell: false,
        mouse: args.screen.mouse,
        title: !args.screen.no_title,
        dumps: Some(context.paths.state.join("dumps")),
        history: Some(context.paths.state.join("console-history")),
        theme: (context.global.color == Color::Never).then(|| MONO.to_owned()),
        themes: follower.themes(),
        keymap: follower.keymap().clone(),
        problems: told.into_iter().filter_map(wrong).collect(),
        replay: true,
        past: Some(Past::of(reader, Glance::At(at))),
        ..ConsoleOptions::default()
    };
    let nobody: Diagnose = Arc::new(|_| {
        let title = crate::domain::Line::new("this is a recording: nobody can be asked");
        async move { Diagnosis { title, steps: Vec::new() } }.boxed()
    });
    let terminal = super::process::small_runtime()?;
    let observer = Observer::still(snapshot);
    terminal.block_on(console::run(options, observer, None, nobody, Arc::new(SystemClock::new())))?;
    Ok(0)
}

/// Opens a recording; of a bundle it says who signed it.
fn open(file: &Path, signer: Option<&str>) -> anyhow::Result<Reader> {
    let reader = Reader::open(file)?;
    match (reader.source().bundle(), signer) {
        (Some(bundle), wanted) => {
            if wanted.is_some_and(|w| w != bundle.fingerprint()) {
                anyhow::bail!(
                    "{} is signed by {}, not by {}: nothing of it is shown",
                    file.display(),
                    bundle.fingerprint(),
                    crate::domain::text::clean(wanted.unwrap_or_default(), 100)
                );
            }
            for line in bundle.lines() {
                eprintln!("peerdeck: {line}");
            }
        }
        (None, Some(_)) => anyhow::bail!("{} is signed by nobody: only bundles are", file.display()),
        (None, None) => {}
    }
    Ok(reader)
}

/// A moment as people write it, in local time: `14:03`, `14:03:22`, `2026-03-14 14:03`, `2026-03-14T14:03:22Z`.
/// A time of day is the last one before `newest`.
///
/// # Errors
/// In words, with examples.
pub fn moment(text: &str, newest: Time) -> anyhow::Result<Time> {
    let wrong = || {
        let text = crate::domain::text::clean(text, 60);
        format!("\"{text}\" is no moment: 14:03, 14:03:22, 2026-03-14 14:03 or 2026-03-14T14:03:22Z")
    };
    let time = |ms: i64| u64::try_from(ms).map(Time::from_millis).with_context(wrong);
    if let Ok(stamp) = text.parse::<Timestamp>() {
        return time(stamp.as_millisecond());
    }
    let zone = TimeZone::system();
    let end = Timestamp::from_millisecond(i64::try_from(newest.as_millis())?)?.to_zoned(zone.clone());
    let dated = text.contains('-');
    let whole = if dated { text.replacen(' ', "T", 1) } else { format!("{}T{text}", end.date()) };
    let typed: DateTime = whole.parse().ok().with_context(wrong)?;
    let at = time(typed.to_zoned(zone.clone())?.timestamp().as_millisecond())?;
    if dated || at <= newest {
        return Ok(at);
    }
    time(typed.checked_sub(1.day())?.to_zoned(zone)?.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b6_moments_are_read_and_nonsense_is_refused() {
        let newest = Time::from_millis(1_773_458_061_000); // 2026-03-14 03:14:21 UTC
        let at = |text: &str| moment(text, newest).unwrap();
        assert_eq!(at("2026-03-14T03:14:21Z"), newest);
        assert!(at("12:00") <= newest && at("12:00:01") > at("12:00"));
        assert!(newest.since(at("12:00")) < std::time::Duration::from_hours(25));
        assert!(at("2026-03-13 12:00") < newest);
        for text in ["", "yesterday", "25:00", "-10m", "\u{1b}[2J"] {
            assert!(moment(text, newest).unwrap_err().to_string().contains("is no moment"), "{text}");
        }
    }
}
