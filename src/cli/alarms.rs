//! `ack` and `silence`: what people say about alerts, into the state of the watch on this machine (B5).

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use strum::IntoEnumIterator;

use super::args::{Ack as AckArgs, Silence as SilenceArgs, SilenceCommand};
use super::connect::own_user_name;
use super::output::emit;
use super::{Context, Done, REFUSED, places};
use crate::alerts::store::Store;
use crate::clock::{Clock, SystemClock};
use crate::config::Fleet;
use crate::config::problem::did_you_mean;
use crate::domain::alert::{Ack, Matcher, Order, SILENCE_MAX, Silence};
use crate::domain::finding::{FindingId, FindingKind};
use crate::domain::ids::{ClusterName, HostName};
use crate::domain::text::{Line, clean};
use crate::domain::time::{Time, human};
use crate::report::{document, rfc3339};

/// A watch that runs hears of an order within this time.
const HEARD: Duration = Duration::from_secs(3);

/// `ack FINDING`: somebody looks after it, or with `--off` nobody any more.
///
/// # Errors
/// When there is no fleet, or the state of the watch can't be used.
pub fn ack(context: &Context, args: &AckArgs) -> anyhow::Result<Done> {
    let fleet = context.fleet()?;
    let file = state(context, &fleet, args.state.as_ref());
    let Some(mut store) = Store::open_existing(&file)? else { return Ok(refused(&no_watch(&file))) };
    let now = SystemClock::new().now();
    let id = FindingId::named(&args.finding);
    if let Err(why) = check_finding(&store, &id) {
        return Ok(refused(&why));
    }
    let ack = Ack { by: author(), at: now, reason: Line::new(&args.reason) };
    let order = if args.off {
        Order::Unacknowledge(id.clone())
    } else {
        Order::Acknowledge { id: id.clone(), ack: ack.clone() }
    };
    store.order(&order, now)?;
    let heard = is_heard(&store, &id)?;
    let doc = json!({
        "schema": "peerdeck.ack/1",
        "id": id.as_str(),
        "acknowledged": !args.off,
        "by": ack.by.as_str(),
        "at": rfc3339(now),
        "reason": ack.reason.as_str(),
        "heard": heard,
    });
    let what = if args.off { "is no longer acknowledged" } else { "is acknowledged" };
    let text = format!("{id} {what} ({}){}\n", ack.by, heard_text(heard));
    say(context, &doc, &text)
}

/// `silence`: alerts that fit are not told for a while.
///
/// # Errors
/// When there is no fleet, or the state of the watch can't be used.
pub fn silence(context: &Context, args: &SilenceArgs) -> anyhow::Result<Done> {
    let fleet = context.fleet()?;
    let file = state(context, &fleet, args.state.as_ref());
    match &args.command {
        None => silence_one(context, &fleet, &file, args),
        Some(SilenceCommand::List) => list(context, &file),
        Some(SilenceCommand::End { id }) => end(context, &file, *id),
    }
}

fn silence_one(context: &Context, fleet: &Fleet, file: &Path, args: &SilenceArgs) -> anyhow::Result<Done> {
    let lasting = args.lasting.unwrap_or_default();
    if lasting.is_zero() || lasting > SILENCE_MAX {
        return Ok(refused(&format!(
            "a silence holds for at most {}, and for longer than no time",
            human(SILENCE_MAX)
        )));
    }
    let mut store = Store::open(file)?;
    let matcher = match matcher(context, fleet, &store, args) {
        Ok(matcher) => matcher,
        Err(why) => return Ok(refused(&why)),
    };
    let now = SystemClock::new().now();
    let reason = Line::new(args.reason.as_deref().unwrap_or_default());
    let mut silence = Silence { id: 0, matcher, by: author(), reason, from: now, until: now + lasting };
    let fitting =
        store.load()?.kept.into_iter().filter(|k| k.raised.is_some() && silence.matcher.fits(&k.seen)).count();
    silence.id = store.order(&Order::Silence(silence.clone()), now)?.unwrap_or_default();
    let doc = json!({
        "schema": "peerdeck.silence/1",
        "silence": form(&silence, now),
        "fitting": fitting,
    });
    let text = format!("silence {}: {} ({fitting} raised now)\n", silence.id, words(&silence, now));
    say(context, &doc, &text)
}

fn list(context: &Context, file: &Path) -> anyhow::Result<Done> {
    let now = SystemClock::new().now();
    let silences = match Store::open_existing(file)? {
        Some(store) => store.book(now)?.silences,
        None => Vec::new(),
    };
    let forms: Vec<Value> = silences.iter().map(|s| form(s, now)).collect();
    let lines: Vec<String> = silences.iter().map(|s| format!("{:>4}  {}\n", s.id, words(s, now))).collect();
    let text = lines.concat();
    say(context, &json!({ "schema": "peerdeck.silences/1", "silences": forms }), &text)
}

fn end(context: &Context, file: &Path, id: u64) -> anyhow::Result<Done> {
    let now = SystemClock::new().now();
    let Some(mut store) = Store::open_existing(file)? else { return Ok(refused(&no_watch(file))) };
    let silences = store.silences()?;
    let Some(silence) = silences.iter().find(|s| s.id == id && s.holds(now)) else {
        let held: Vec<String> = silences.iter().filter(|s| s.holds(now)).map(|s| s.id.to_string()).collect();
        let there = if held.is_empty() { "none".to_owned() } else { held.join(", ") };
        return Ok(refused(&format!("no silence {id} holds (these do: {there})")));
    };
    store.order(&Order::Unsilence(id), now)?;
    let ended = Silence { until: now, ..silence.clone() };
    let doc = json!({ "schema": "peerdeck.silence/1", "silence": form(&ended, now) });
    say(context, &doc, &format!("silence {id} has ended\n"))
}

fn state(context: &Context, fleet: &Fleet, named: Option<&PathBuf>) -> PathBuf {
    named.cloned().unwrap_or_else(|| places::watch_state(&context.paths, fleet))
}

/// Who says it.
fn author() -> Line {
    let host = clean(&rustix::system::uname().nodename().to_string_lossy(), 255);
    Line::new(&format!("{}@{host}", own_user_name()))
}

fn no_watch(file: &Path) -> String {
    format!(
        "no watch of this fleet has run here: {} does not exist. Start `peerdeck watch`, or name its --state",
        file.display()
    )
}

/// Refuses the id of what nobody has seen.
fn check_finding(store: &Store, id: &FindingId) -> Result<(), String> {
    let memory = store.load().map_err(|e| e.to_string())?;
    let known: Vec<String> =
        memory.kept.iter().filter(|k| k.present || k.raised.is_some()).map(|k| k.seen.finding.id.to_string()).collect();
    if known.iter().any(|k| k == id.as_str()) {
        return Ok(());
    }
    if known.is_empty() {
        return Err(format!("there is no finding \"{id}\": the watch knows of none now"));
    }
    let hint = did_you_mean(id.as_str(), known.iter().map(String::as_str));
    Err(format!("there is no finding \"{id}\"{hint} (known now: {})", known.join(", ")))
}

fn matcher(context: &Context, fleet: &Fleet, store: &Store, args: &SilenceArgs) -> Result<Matcher, String> {
    let mut matcher =
        Matcher { cluster: context.global.cluster.as_deref().map(ClusterName::new), ..Matcher::default() };
    if let Some(text) = &args.finding {
        let id = FindingId::named(text);
        check_finding(store, &id)?;
        matcher.id = Some(id);
    }
    if let Some(word) = &args.kind {
        let kind = word.parse::<FindingKind>().map_err(|_| {
            let hint = did_you_mean(word, FindingKind::iter().map(FindingKind::as_str));
            format!("there is no kind of finding \"{}\"{hint}", clean(word, 60))
        })?;
        matcher.kind = Some(kind);
    }
    if let Some(name) = &args.host {
        matcher.host = Some(host(fleet, store, name)?);
    }
    Ok(matcher)
}

/// A host by its full name, or by its first label if that is unique among those that are known.
fn host(fleet: &Fleet, store: &Store, name: &str) -> Result<HostName, String> {
    let memory = store.load().map_err(|e| e.to_string())?;
    let seen = memory.kept.iter().flat_map(|k| k.seen.hosts.iter().map(ToString::to_string));
    let named = fleet.clusters.iter().flat_map(|c| c.peers.iter().map(|p| p.host.to_string()));
    let mut known: Vec<String> = seen.chain(named).collect();
    known.sort();
    known.dedup();
    if known.iter().any(|h| h == name) {
        return Ok(HostName::new(name));
    }
    let fitting: Vec<&String> = known.iter().filter(|h| h.split('.').next() == Some(name)).collect();
    match fitting.as_slice() {
        [one] => Ok(HostName::new(one)),
        [] => {
            let hint = did_you_mean(name, known.iter().map(String::as_str));
            Err(format!("no host \"{}\" is known{hint}", clean(name, 255)))
        }
        more => Err(format!("\"{name}\" is more than one host: {more:?}")),
    }
}

/// Waits a little for a watch that runs.
fn is_heard(store: &Store, id: &FindingId) -> anyhow::Result<bool> {
    let begin = std::time::Instant::now();
    loop {
        if store.asked()?.iter().all(|asked| asked.id != *id) {
            return Ok(true);
        }
        if begin.elapsed() > HEARD {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn heard_text(heard: bool) -> &'static str {
    if heard { "" } else { "; no watch has heard it yet: the next one that runs here does" }
}

fn form(silence: &Silence, now: Time) -> Value {
    let Matcher { id, kind, cluster, host } = &silence.matcher;
    json!({
        "id": silence.id,
        "finding": id.as_ref().map(FindingId::as_str),
        "kind": kind.map(FindingKind::as_str),
        "cluster": cluster.as_ref().map(ToString::to_string),
        "host": host.as_ref().map(ToString::to_string),
        "by": silence.by.as_str(),
        "reason": silence.reason.as_str(),
        "from": rfc3339(silence.from),
        "until": rfc3339(silence.until),
        "holds": silence.holds(now),
    })
}

fn words(silence: &Silence, now: Time) -> String {
    let Matcher { id, kind, cluster, host } = &silence.matcher;
    let parts = [
        id.as_ref().map(ToString::to_string),
        kind.map(|k| k.as_str().to_owned()),
        host.as_ref().map(|h| format!("about {h}")),
        cluster.as_ref().map(|c| format!("in {c}")),
    ];
    let what = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
    let left = if silence.holds(now) {
        format!("for {} more", human(silence.until.since(now)))
    } else {
        format!("ended {} ago", human(now.since(silence.until)))
    };
    format!("{what}, {left}, by {}: {}", silence.by, silence.reason)
}

fn say(context: &Context, doc: &Value, text: &str) -> anyhow::Result<Done> {
    emit(&if context.global.json { document(doc) } else { text.to_owned() })?;
    Ok(0)
}

fn refused(why: &str) -> Done {
    eprintln!("peerdeck: refused: {why}");
    REFUSED
}
