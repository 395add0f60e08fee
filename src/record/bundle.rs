//! Bundles: a span of a recording in one signed file.
//!
//! ```text
//! peerdeck-bundle 1\n
//! {"v":1,"key":"…","parts":[{"kind":"block","bytes":…,"sha256":"…"},…],…}\n
//! part part part … signature (64 bytes, Ed25519)
//! ```
//!
//! The signature is over the SHA-256 of all that stands before it, so that no byte can be another one, be missing or be
//! added. All of it is checked before anything is shown, and each part once more when it is read.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use super::signer::fingerprint;
use super::source::Block;
use super::{Reader, RecordError, Signer, Source, hex, sum};
use crate::domain::finding::Severity;
use crate::domain::past::Mark;
use crate::domain::text::{Line, clean};
use crate::domain::time::Time;
use crate::proto::record::WireHappened;
use crate::proto::write;

/// The first line.
pub const MAGIC: &str = "peerdeck-bundle 1\n";

/// What is signed begins so: a signature means a bundle and nothing else.
const CONTEXT: &[u8] = b"peerdeck bundle\0";

const VERSION: u32 = 1;

const SIGNATURE: usize = 64;

/// Longest manifest, in bytes.
const MANIFEST_MAX: usize = 32 * 1024 * 1024;

/// Largest part, in bytes.
const PART_MAX: u64 = 256 * 1024 * 1024;

/// Most parts.
const PARTS_MAX: usize = 100_000;

/// Most decisions and events that go along, the newest.
const LINES_MAX: usize = 10_000;

/// What a bundle says of itself.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Manifest {
    /// Of these forms.
    pub v: u32,
    /// When it was made, milliseconds since 1970.
    pub made: u64,
    /// By whom.
    pub by: String,
    /// On which host.
    pub host: String,
    /// By which version.
    pub peerdeck: String,
    /// The clusters in it.
    pub clusters: Vec<String>,
    /// Its first picture.
    pub from: u64,
    /// Its last.
    pub until: u64,
    /// What somebody wrote on it.
    pub note: String,
    /// The public key that signed it, in letters.
    pub key: String,
    /// What follows, in order.
    pub parts: Vec<Part>,
    /// Findings that came and went.
    pub marks: Vec<WireMark>,
    /// What happened.
    pub events: Vec<WireHappened>,
    /// What people and rules did: lines of the audit log and of the watch.
    pub decisions: Vec<String>,
}

/// A part of the file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Part {
    /// `block` or `tree`.
    pub kind: String,
    /// How long it is.
    pub bytes: u64,
    /// SHA-256 of these bytes, in letters.
    pub sha256: String,
    /// Of a tree: the name under which pictures know it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Of a block: its first frame,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// its last,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// and how many it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames: Option<u64>,
}

/// See [`Mark`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[expect(missing_docs, reason = "as in the domain")]
pub struct WireMark {
    pub at: u64,
    pub severity: String,
    pub raised: bool,
    pub text: String,
}

/// What the one who exports says of it.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Now.
    pub made: Time,
    /// By whom.
    pub by: String,
    /// On which host.
    pub host: String,
    /// What it is about.
    pub note: String,
    /// Lines of the audit log and of the watch.
    pub decisions: Vec<String>,
}

/// What was exported.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exported {
    /// Of the key that signed it.
    pub fingerprint: String,
    /// Its first picture.
    pub from: Time,
    /// Its last.
    pub until: Time,
    /// Pictures in it.
    pub frames: u64,
    /// Length of the file.
    pub bytes: u64,
}

/// Writes the blocks that have a part in `from` to `until` into a new file.
///
/// # Errors
/// When nothing is recorded of that span, or the system refuses; no file is left behind then.
pub fn export(
    source: Source,
    path: &Path,
    (from, until): (Time, Time),
    about: About,
    signer: &Signer,
) -> Result<Exported, RecordError> {
    let mut reader = Reader::new(source);
    reader.source().hold(true)?;
    let (manifest, ids) = manifest(&mut reader, (from, until), about, signer)?;
    let mut source = reader.into_source();
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let file = file.map_err(|e| RecordError::io(path, e))?;
    let done = pour(&mut source, &manifest, &ids, signer, file, path);
    if done.is_err() {
        let _ = fs::remove_file(path); // Ours, and not complete.
    }
    let bytes = done?;
    source.hold(false)?;
    let frames = manifest.parts.iter().filter_map(|p| p.frames).sum();
    let (from, until) = (Time::from_millis(manifest.from), Time::from_millis(manifest.until));
    Ok(Exported { fingerprint: signer.fingerprint(), from, until, frames, bytes })
}

/// What a part is read from.
enum Id {
    Block(i64),
    Tree(String),
}

fn fetch(source: &mut Source, id: &Id) -> Result<Vec<u8>, RecordError> {
    match id {
        Id::Block(id) => source.load(*id),
        Id::Tree(digest) => source.packed_tree(digest),
    }
}

fn manifest(
    reader: &mut Reader,
    (from, until): (Time, Time),
    about: About,
    signer: &Signer,
) -> Result<(Manifest, Vec<Id>), RecordError> {
    let blocks = reader.source().blocks()?;
    let blocks: Vec<Block> = blocks.into_iter().filter(|b| b.ended >= from && b.began <= until).collect();
    let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else {
        return Err(RecordError::nothing(reader.source().path(), "nothing is recorded of that span"));
    };
    let (first, until) = (first.began, last.ended);
    let last = reader.at(until)?;
    let mut ids: Vec<Id> = Vec::new();
    for block in &blocks {
        for digest in reader.source().trees_of(block.id)? {
            if !ids.iter().any(|id| matches!(id, Id::Tree(d) if *d == digest)) {
                ids.push(Id::Tree(digest));
            }
        }
    }
    ids.extend(blocks.iter().map(|b| Id::Block(b.id)));
    let within = |at: Time| at >= first && at <= until;
    let marks = reader.marks()?;
    let marks = marks.iter().filter(|m| within(m.at)).map(|m| WireMark {
        at: m.at.as_millis(),
        severity: m.severity.as_str().to_owned(),
        raised: m.raised,
        text: m.text.to_string(),
    });
    let marks = marks.collect();
    let mut parts = Vec::new();
    for id in &ids {
        let bytes = fetch(reader.source_mut(), id)?;
        let part = Part { bytes: bytes.len() as u64, sha256: sum(&bytes), ..Part::default() };
        parts.push(match id {
            Id::Tree(name) => Part { kind: "tree".into(), name: name.clone(), ..part },
            Id::Block(id) => {
                let block = blocks.iter().find(|b| b.id == *id);
                let (began, ended) = (block.map(|b| b.began.as_millis()), block.map(|b| b.ended.as_millis()));
                Part { kind: "block".into(), from: began, until: ended, frames: block.map(|b| b.frames), ..part }
            }
        });
    }
    let events = last.events.iter().filter(|e| within(e.at)).map(WireHappened::from_domain).collect();
    let skip = about.decisions.len().saturating_sub(LINES_MAX);
    let manifest = Manifest {
        v: VERSION,
        made: about.made.as_millis(),
        by: about.by,
        host: about.host,
        peerdeck: env!("CARGO_PKG_VERSION").to_owned(),
        clusters: last.clusters.iter().map(|c| c.name.to_string()).collect(),
        from: first.as_millis(),
        until: until.as_millis(),
        note: about.note,
        key: hex(signer.public()),
        parts,
        marks,
        events,
        decisions: about.decisions.into_iter().skip(skip).collect(),
    };
    Ok((manifest, ids))
}

/// Writes the file; its length.
fn pour(
    source: &mut Source,
    manifest: &Manifest,
    ids: &[Id],
    signer: &Signer,
    file: File,
    path: &Path,
) -> Result<u64, RecordError> {
    let io = |e| RecordError::io(path, e);
    let mut sum = Context::new(&SHA256);
    let mut out = BufWriter::new(file);
    let mut length = SIGNATURE as u64;
    let mut add = |out: &mut BufWriter<File>, sum: &mut Context, bytes: &[u8]| {
        sum.update(bytes);
        length += bytes.len() as u64;
        out.write_all(bytes)
    };
    let mut line = write(manifest);
    line.push(b'\n');
    add(&mut out, &mut sum, MAGIC.as_bytes()).map_err(io)?;
    add(&mut out, &mut sum, &line).map_err(io)?;
    for (part, id) in manifest.parts.iter().zip(ids) {
        let bytes = fetch(source, id)?;
        if super::sum(&bytes) != part.sha256 {
            let why = "what is recorded has changed meanwhile: try again";
            return Err(RecordError::nothing(source.path(), why));
        }
        add(&mut out, &mut sum, &bytes).map_err(io)?;
    }
    out.write_all(&signer.sign(&message(sum))).map_err(io)?;
    let file = out.into_inner().map_err(|e| io(e.into_error()))?;
    file.sync_all().map_err(io)?;
    Ok(length)
}

fn message(sum: Context) -> Vec<u8> {
    [CONTEXT, sum.finish().as_ref()].concat()
}

/// A bundle that was verified.
pub struct Bundle {
    file: File,
    path: PathBuf,
    manifest: Manifest,
    fingerprint: String,
    marks: Vec<Mark>,
    /// Where each part begins.
    places: Vec<u64>,
}

impl Bundle {
    /// Opens a bundle and verifies all of it.
    ///
    /// # Errors
    /// When a single byte is not as it was signed, something is missing or added, or it is over the limits.
    pub fn open(path: &Path) -> Result<Self, RecordError> {
        let io = |e| RecordError::io(path, e);
        let refused = |why: &str| RecordError::refused(path, why);
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let mut reader = BufReader::new(file);
        let mut all = Context::new(&SHA256);
        let mut magic = vec![0; MAGIC.len()];
        reader.read_exact(&mut magic).map_err(|_| refused("it is cut off"))?;
        if magic != MAGIC.as_bytes() {
            return Err(refused("it is no bundle of a version that is known here"));
        }
        let mut line = Vec::new();
        reader.by_ref().take(MANIFEST_MAX as u64).read_until(b'\n', &mut line).map_err(io)?;
        if line.last() != Some(&b'\n') {
            return Err(refused("its manifest is cut off or too long"));
        }
        all.update(&magic);
        all.update(&line);
        let manifest: Manifest = serde_json::from_slice(&line).map_err(|_| refused("its manifest was changed"))?;
        if manifest.v != VERSION {
            return Err(refused("it is of another version of peerdeck"));
        }
        let mut at = (magic.len() + line.len()) as u64;
        let mut places = Vec::new();
        if manifest.parts.len() > PARTS_MAX {
            return Err(refused("it has too many parts"));
        }
        for part in &manifest.parts {
            if part.bytes > PART_MAX {
                return Err(refused("one of its parts is too large"));
            }
            places.push(at);
            at += part.bytes;
        }
        // Before anything is read that need not be there.
        match length.checked_sub(SIGNATURE as u64) {
            Some(end) if end == at => {}
            Some(end) if end > at => return Err(refused("bytes were added to it")),
            Some(_) | None => return Err(refused("it is cut off")),
        }
        for part in &manifest.parts {
            let mut bytes = Vec::new();
            reader.by_ref().take(part.bytes).read_to_end(&mut bytes).map_err(io)?;
            if bytes.len() as u64 != part.bytes {
                return Err(refused("it is cut off"));
            }
            if sum(&bytes) != part.sha256 {
                return Err(refused("a part of it is not what was signed: it was changed or damaged"));
            }
            all.update(&bytes);
        }
        let mut signature = [0; SIGNATURE];
        reader.read_exact(&mut signature).map_err(io)?;
        let key = data_encoding::HEXLOWER.decode(manifest.key.as_bytes());
        let key = key.map_err(|_| refused("its manifest has no key"))?;
        let verified = UnparsedPublicKey::new(&ED25519, &key).verify(&message(all), &signature);
        verified.map_err(|_| refused("its signature does not fit: it was changed after it was signed"))?;
        let mark = |m: &WireMark| Mark {
            at: Time::from_millis(m.at),
            severity: m.severity.parse().unwrap_or(Severity::Warning),
            raised: m.raised,
            text: Line::new(&m.text),
        };
        let mut marks: Vec<Mark> = manifest.marks.iter().map(mark).collect();
        marks.sort_by_key(|m| m.at);
        let fingerprint = fingerprint(&key);
        Ok(Self { file: reader.into_inner(), path: path.to_owned(), manifest, fingerprint, marks, places })
    }

    /// Which file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Of the key that signed it.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// What it says of itself, as somebody wrote it: not cleaned.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What it says of itself, in lines for people.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let m = &self.manifest;
        let text = |t: &str| clean(t, 200);
        let mut lines = vec![
            format!("signed by {}", self.fingerprint),
            format!("made by {} on {} with peerdeck {}", text(&m.by), text(&m.host), text(&m.peerdeck)),
        ];
        if !m.note.is_empty() {
            lines.push(format!("note: {}", clean(&m.note, 1_000)));
        }
        lines
    }

    pub(super) fn blocks(&self) -> Vec<Block> {
        let block = |(i, part): (usize, &Part)| {
            let time = |ms: Option<u64>| Time::from_millis(ms.unwrap_or_default());
            let id = i64::try_from(i).unwrap_or(i64::MAX);
            Block { id, began: time(part.from), ended: time(part.until), frames: part.frames.unwrap_or_default() }
        };
        self.manifest.parts.iter().enumerate().filter(|(_, p)| p.kind == "block").map(block).collect()
    }

    pub(super) fn trees(&self) -> Vec<String> {
        self.manifest.parts.iter().filter(|p| p.kind == "tree").map(|p| p.name.clone()).collect()
    }

    pub(super) fn marks(&self) -> &[Mark] {
        &self.marks
    }

    pub(super) fn load(&mut self, id: i64) -> Result<Vec<u8>, RecordError> {
        let at = usize::try_from(id).unwrap_or(usize::MAX);
        self.part(at)
    }

    pub(super) fn tree(&mut self, name: &str) -> Result<Vec<u8>, RecordError> {
        let at = self.manifest.parts.iter().position(|p| p.kind == "tree" && p.name == name);
        self.part(at.unwrap_or(usize::MAX))
    }

    fn part(&mut self, at: usize) -> Result<Vec<u8>, RecordError> {
        let (Some(part), Some(place)) = (self.manifest.parts.get(at), self.places.get(at)) else {
            return Err(RecordError::refused(&self.path, "a part that a picture names is missing"));
        };
        let io = |e| RecordError::io(&self.path, e);
        self.file.seek(SeekFrom::Start(*place)).map_err(io)?;
        let mut bytes = Vec::new();
        (&mut self.file).take(part.bytes).read_to_end(&mut bytes).map_err(io)?;
        // Somebody may write into the file while it is open.
        if sum(&bytes) == part.sha256 {
            Ok(bytes)
        } else {
            Err(RecordError::refused(&self.path, "it was changed while it was open"))
        }
    }
}
