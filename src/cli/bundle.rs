//! `bundle`: a span of what is recorded, in one signed file (B6).

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};

use serde::{Deserialize, Serialize};

use super::args::Bundle as Args;
use super::audit::Audit;
use super::connect::own_user_name;
use super::output::emit;
use super::replay::moment;
use super::{Context, Done, record};
use crate::clock::{Clock, SystemClock};
use crate::config::Paths;
use crate::domain::text::clean;
use crate::domain::time::{Time, human};
use crate::record::bundle::{About, export};
use crate::record::{Reader, Signer, Source};
use crate::report::{self, rfc3339};

/// So much of the end of the audit log is looked at, bytes.
const AUDIT_MAX: u64 = 16 * 1024 * 1024;

#[derive(Serialize)]
struct Doc<'a> {
    schema: &'static str,
    file: String,
    fingerprint: &'a str,
    from: String,
    until: String,
    frames: u64,
    bytes: u64,
}

/// Writes the bundle: 0 done, 3 not.
///
/// # Errors
/// When nothing is recorded of that span, the file is there already, or the system refuses.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Done> {
    let fleet = context.fleet()?;
    let folder = record::folder(&context.paths, &fleet);
    let source = match Source::open(&folder) {
        Ok(source) => source,
        Err(error) if !fleet.record.on => {
            anyhow::bail!("{error}; recording is off (\"on = false\" under [record] of the fleet file)")
        }
        Err(error) => anyhow::bail!("{error}; a console or a watch on this fleet records it while it runs"),
    };
    let reader = Reader::new(source);
    let (oldest, newest) = reader.span()?;
    let from = match (args.last, &args.from) {
        (Some(last), _) => newest.before(last),
        (None, Some(text)) => moment(text, newest)?,
        (None, None) => oldest,
    };
    let until = args.until.as_deref().map(|text| moment(text, newest)).transpose()?.unwrap_or(newest);
    if from > until {
        anyhow::bail!("the span ends before it begins: {} to {}", rfc3339(from), rfc3339(until));
    }
    let signer = Signer::of_machine(&context.paths.state)?;
    let about = About {
        made: SystemClock::new().now(),
        by: clean(&own_user_name(), 100),
        host: clean(&rustix::system::uname().nodename().to_string_lossy(), 253),
        note: clean(&args.note, 1_000),
        decisions: decisions(&context.paths, from, until),
    };
    let done = export(reader.into_source(), &args.file, (from, until), about, &signer)?;
    let file = args.file.display();
    emit(&if context.global.json {
        let (from, until) = (rfc3339(done.from), rfc3339(done.until));
        let (frames, bytes) = (done.frames, done.bytes);
        let (fingerprint, file) = (done.fingerprint.as_str(), file.to_string());
        report::document(&Doc { schema: "peerdeck.bundle/1", file, fingerprint, from, until, frames, bytes })
    } else {
        format!(
            "{file}: {} from {} to {}, {} pictures, {} KiB\nsigned by {}\n",
            human(done.until.since(done.from)),
            rfc3339(done.from),
            rfc3339(done.until),
            done.frames,
            done.bytes.div_ceil(1024),
            done.fingerprint
        )
    })?;
    Ok(0)
}

#[derive(Deserialize)]
struct Dated {
    at: String,
}

/// Lines of the audit log of that span: what people did. It holds no values of settings.
fn decisions(paths: &Paths, from: Time, until: Time) -> Vec<String> {
    let Ok(mut file) = File::open(Audit::path_in(paths)) else { return Vec::new() };
    let length = file.metadata().map_or(0, |m| m.len());
    let skip = length.saturating_sub(AUDIT_MAX);
    if file.seek(SeekFrom::Start(skip)).is_err() {
        return Vec::new();
    }
    let lines = BufReader::new(file.take(AUDIT_MAX)).lines().map_while(Result::ok);
    let within = |line: &String| {
        let at = serde_json::from_str::<Dated>(line).ok().and_then(|d| d.at.parse::<jiff::Timestamp>().ok());
        let at = at.and_then(|at| u64::try_from(at.as_millisecond()).ok()).map(Time::from_millis);
        at.is_some_and(|at| at >= from && at <= until)
    };
    lines.filter(within).collect()
}
