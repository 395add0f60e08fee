//! Looking at any moment of what was recorded: one block is unpacked for it, and no more than one picture is kept.

use std::path::Path;
use std::sync::Arc;

use super::block::Lines;
use super::decode::{Decoder, frame_of};
use super::source::Block;
use super::{RecordError, Source};
use crate::domain::past::{Glance, Mark, Moment};
use crate::domain::snapshot::Snapshot;
use crate::domain::time::Time;

/// Reads pictures.
pub struct Reader {
    source: Source,
    decoder: Decoder,
    cursor: Option<Cursor>,
    /// The newest mark that was read, and all of them.
    marks: Option<(i64, Arc<[Mark]>)>,
}

/// Where we are in the block that is open.
struct Cursor {
    block: Block,
    lines: Lines,
    /// The line with which the next frame begins, and when that is.
    next: Option<(Time, Vec<u8>)>,
    /// Frames that were read; the picture is that of the last.
    read: u64,
    picture: Option<Arc<Snapshot>>,
}

impl Reader {
    /// See [`Source::open`].
    ///
    /// # Errors
    /// When it can't be opened or believed.
    pub fn open(path: &Path) -> Result<Self, RecordError> {
        Source::open(path).map(Self::new)
    }

    /// Of what was opened.
    #[must_use]
    pub fn new(source: Source) -> Self {
        Self { source, decoder: Decoder::default(), cursor: None, marks: None }
    }

    /// What is read.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    pub(super) fn source_mut(&mut self) -> &mut Source {
        &mut self.source
    }

    /// Gives what is read back.
    #[must_use]
    pub fn into_source(self) -> Source {
        self.source
    }

    /// The oldest and the newest moment.
    ///
    /// # Errors
    /// When there is none.
    pub fn span(&self) -> Result<(Time, Time), RecordError> {
        let blocks = self.blocks()?;
        let from = blocks.iter().map(|b| b.began).min().unwrap_or_default();
        Ok((from, blocks.iter().map(|b| b.ended).max().unwrap_or_default()))
    }

    fn blocks(&self) -> Result<Vec<Block>, RecordError> {
        let blocks = self.source.blocks()?;
        if blocks.is_empty() {
            return Err(RecordError::nothing(self.source.path(), "nothing is recorded yet"));
        }
        Ok(blocks)
    }

    /// The newest picture of `time` or before; before the first, that one.
    ///
    /// # Errors
    /// When there is none or it can't be read.
    pub fn at(&mut self, time: Time) -> Result<Arc<Snapshot>, RecordError> {
        let blocks = self.blocks()?;
        // A clock that was put back makes two blocks of one moment: the newer one counts.
        let of = blocks.iter().rev().find(|b| b.began <= time).or(blocks.first());
        let Some(block) = of.copied() else {
            return Err(RecordError::nothing(self.source.path(), "nothing is recorded"));
        };
        let on =
            self.cursor.as_ref().is_some_and(|c| c.block == block && c.picture.as_ref().is_some_and(|p| p.at <= time));
        if !on {
            self.enter(block)?;
        }
        while self.cursor.as_ref().and_then(|c| c.next.as_ref()).is_some_and(|(at, _)| *at <= time) {
            self.advance()?;
        }
        self.picture()
    }

    /// The picture `n` frames after the last one that was told; before it, if negative. At the ends it stays there.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn step(&mut self, n: i32) -> Result<Arc<Snapshot>, RecordError> {
        let Some(cursor) = &self.cursor else { return self.at(Time::from_millis(u64::MAX)) };
        let (here, read) = (cursor.block, cursor.read);
        let blocks = self.blocks()?;
        // It may have been let go meanwhile.
        let at = blocks.iter().position(|b| b.id >= here.id).unwrap_or(blocks.len() - 1);
        let (mut at, mut frame) = (at, read.max(1).cast_signed() - 1 + i64::from(n));
        if blocks[at].id != here.id {
            frame = 0;
        }
        while frame < 0 && at > 0 {
            at -= 1;
            frame += blocks[at].frames.cast_signed();
        }
        while at + 1 < blocks.len() && frame >= blocks[at].frames.cast_signed() {
            frame -= blocks[at].frames.cast_signed();
            at += 1;
        }
        let (block, frame) = (blocks[at], frame.max(0).cast_unsigned());
        if block.id != here.id || block.frames != here.frames || frame + 1 < read {
            self.enter(block)?;
        }
        while self.cursor.as_ref().is_some_and(|c| c.read <= frame && c.next.is_some()) {
            self.advance()?;
        }
        self.picture()
    }

    /// Findings that came and went, oldest first.
    ///
    /// # Errors
    /// When they can't be read.
    pub fn marks(&mut self) -> Result<Arc<[Mark]>, RecordError> {
        let newest = self.source.newest_mark()?;
        if let Some((_, marks)) = self.marks.as_ref().filter(|(known, _)| *known == newest) {
            return Ok(Arc::clone(marks));
        }
        let marks: Arc<[Mark]> = self.source.marks()?.into();
        self.marks = Some((newest, Arc::clone(&marks)));
        Ok(marks)
    }

    /// The moment that is asked for, with all that a time line shows; `None` for the present.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn glance(&mut self, glance: Glance) -> Result<Option<Moment>, RecordError> {
        let marks = self.marks()?;
        let shown = self.cursor.as_ref().and_then(|c| c.picture.as_ref()).map(|p| p.at);
        let snapshot = match glance {
            Glance::Live => {
                self.cursor = None;
                self.decoder.clear();
                return Ok(None);
            }
            Glance::At(time) => self.at(time)?,
            Glance::Step(n) => self.step(n)?,
            Glance::Mark(n) => {
                let here = shown.map_or_else(|| self.span().map(|(_, until)| until), Ok)?;
                let to = mark(&marks, here, n).ok_or_else(|| {
                    let why = if n < 0 { "no finding came or went before" } else { "no finding came or went after" };
                    RecordError::nothing(self.source.path(), why)
                })?;
                self.at(to)?
            }
        };
        let (from, until) = self.span()?;
        Ok(Some(Moment { at: snapshot.at, snapshot, from, until, marks }))
    }

    /// Opens a block and reads its key frame.
    fn enter(&mut self, block: Block) -> Result<(), RecordError> {
        self.cursor = None;
        self.decoder.clear();
        let mut lines = Lines::new(self.source.load(block.id)?);
        let first = lines.next_line().map_err(|e| self.refused(e))?.unwrap_or_default();
        let Some(at) = frame_of(&first).map_err(|e| self.refused(e))? else {
            return Err(self.refused("a block does not begin with a frame".into()));
        };
        self.cursor = Some(Cursor { block, lines, next: Some((at, first)), read: 0, picture: None });
        self.advance()
    }

    /// Reads the next frame, if there is one.
    fn advance(&mut self) -> Result<(), RecordError> {
        let Some(mut cursor) = self.cursor.take() else { return Ok(()) };
        let read = self.read_frame(&mut cursor);
        match read {
            Ok(()) => {
                self.cursor = Some(cursor);
                Ok(())
            }
            Err(why) => {
                self.decoder.clear();
                Err(self.refused(why))
            }
        }
    }

    fn read_frame(&mut self, cursor: &mut Cursor) -> Result<(), String> {
        let Some((_, first)) = cursor.next.take() else { return Ok(()) };
        let source = &mut self.source;
        let mut blobs = |digest: &str| source.tree(digest).map_err(|e| e.to_string());
        self.decoder.line(&first, &mut blobs)?;
        while let Some(line) = cursor.lines.next_line()? {
            if let Some(at) = frame_of(&line)? {
                cursor.next = Some((at, line));
                break;
            }
            self.decoder.line(&line, &mut blobs)?;
        }
        cursor.read += 1;
        cursor.picture = None;
        Ok(())
    }

    /// The picture of the frame that was read last.
    fn picture(&mut self) -> Result<Arc<Snapshot>, RecordError> {
        if let Some(picture) = self.cursor.as_ref().and_then(|c| c.picture.clone()) {
            return Ok(picture);
        }
        let picture = self.decoder.picture().map_err(|e| self.refused(e))?;
        if let Some(cursor) = &mut self.cursor {
            cursor.picture = Some(Arc::clone(&picture));
        }
        Ok(picture)
    }

    fn refused(&self, why: String) -> RecordError {
        RecordError::refused(self.source.path(), why)
    }
}

/// When the mark `n` places from `here` was; several of one moment are one place.
fn mark(marks: &[Mark], here: Time, n: i32) -> Option<Time> {
    let mut times: Vec<Time> = marks.iter().map(|m| m.at).collect();
    times.dedup();
    let many = n.unsigned_abs().max(1) as usize - 1;
    if n < 0 {
        let before: Vec<Time> = times.into_iter().filter(|t| *t < here).collect();
        before.iter().rev().nth(many).or(before.first()).copied()
    } else {
        let after: Vec<Time> = times.into_iter().filter(|t| *t > here).collect();
        after.get(many).or(after.last()).copied()
    }
}
