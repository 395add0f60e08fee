//! The audit log: what was done to peers from this machine, by whom, on which basis, and what came of it (rule 7).
//!
//! JSON lines (`peerdeck.audit/1`) in `audit.jsonl` of the state folder: one before a command is sent, one for each
//! state on its way, one when it is over. Each line is one write at the end of the file, so that several processes
//! may write. A command whose first line can't be written must not be sent.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::clock::{Clock, SystemClock};
use crate::config::Paths;
use crate::domain::command::Outcome;
use crate::domain::plan::Plan;
use crate::domain::snapshot::Cluster;
use crate::domain::text::Line;
use crate::domain::time::Time;
use crate::report::action::{self, BasisDoc, OutcomeDoc};
use crate::report::edits::EditDoc;
use crate::report::{line, rfc3339};

/// Name of the file in the state folder.
const FILE: &str = "audit.jsonl";

/// Others may write what has one of these bits.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// From where commands come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Face {
    /// The console.
    Console,
    /// A command such as `peerdeck disconnect`.
    OneShot,
}

/// Why nothing can be written.
#[derive(Debug, thiserror::Error)]
#[error("the audit log {} {what}", path.display())]
pub struct AuditError {
    path: PathBuf,
    what: String,
}

/// Who acts, as this machine knows it.
#[derive(Clone, Debug, Serialize)]
struct Who {
    user: Option<String>,
    uid: u32,
    /// Who became this user by sudo.
    sudo_user: Option<String>,
    host: String,
    tty: Option<String>,
    ssh_client: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Phase {
    Begin,
    Progress,
    End,
}

/// One line.
#[derive(Clone, Debug, Serialize)]
struct Record {
    schema: &'static str,
    at: String,
    /// The same in all lines of one command.
    id: String,
    phase: Phase,
    who: Who,
    face: Face,
    cluster: String,
    command: &'static str,
    peer: String,
    serial: String,
    reason: Option<String>,
    lasting_s: Option<u64>,
    class: &'static str,
    /// Of a commit: what it changes, without the values, which may be secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<Vec<EditDoc>>,
    basis: BasisDoc,
    outcome: Option<OutcomeDoc>,
}

/// A command whose beginning is written down.
#[derive(Clone, Debug)]
pub struct AuditId(Box<Record>);

impl AuditId {
    /// The word that stands in all lines of this command.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.id
    }
}

/// The log, open for one face of this process.
#[derive(Debug)]
pub struct Audit {
    path: PathBuf,
    face: Face,
    who: Who,
    clock: SystemClock,
}

impl Audit {
    /// Where the log is.
    #[must_use]
    pub fn path_in(paths: &Paths) -> PathBuf {
        paths.state.join(FILE)
    }

    /// Makes folder and file where they are missing, and tries whether the log can be written.
    ///
    /// # Errors
    /// When it can't, or when others could write it too.
    pub fn open(paths: &Paths, face: Face) -> Result<Self, AuditError> {
        let path = Self::path_in(paths);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&paths.state);
        let checked = made.map_err(|e| e.to_string()).and_then(|()| check_folder(&paths.state));
        checked.map_err(|what| failed(&path, format!("has no safe folder: {what}")))?;
        open(&path)?;
        Ok(Self { path, face, who: Who::new(), clock: SystemClock::new() })
    }

    /// Before `plan` is handed in. Without it, it must not be.
    ///
    /// # Errors
    /// When the line can't be written.
    pub fn begin(&self, cluster: &Cluster, plan: &Plan) -> Result<AuditId, AuditError> {
        let target = plan.command.target();
        let record = Record {
            schema: "peerdeck.audit/1",
            at: self.now(),
            id: format!("{:016x}", rand::random::<u64>()),
            phase: Phase::Begin,
            who: self.who.clone(),
            face: self.face,
            cluster: cluster.name.to_string(),
            command: plan.command.word(),
            peer: cluster.peer(target).map_or_else(|| target.to_string(), |p| p.host.to_string()),
            serial: target.to_string(),
            reason: action::reason(&plan.command),
            lasting_s: action::lasting_s(&plan.command),
            class: plan.class().into(),
            changes: action::changes(cluster, &plan.command)
                .map(|all| all.into_iter().map(EditDoc::without_value).collect()),
            basis: BasisDoc::new(cluster, &plan.basis),
            outcome: None,
        };
        self.write(&record)?;
        Ok(AuditId(Box::new(record)))
    }

    /// A state that is not the last one.
    ///
    /// # Errors
    /// When the line can't be written: the command is on its way all the same.
    pub fn progress(&self, id: &AuditId, outcome: &Outcome) -> Result<(), AuditError> {
        self.write(&self.of(id, Phase::Progress, outcome))
    }

    /// What came of it.
    ///
    /// # Errors
    /// When the line can't be written: what was done is done all the same, and the person must be told.
    pub fn end(&self, id: &AuditId, outcome: &Outcome) -> Result<(), AuditError> {
        self.write(&self.of(id, Phase::End, outcome))
    }

    fn of(&self, id: &AuditId, phase: Phase, outcome: &Outcome) -> Record {
        Record { at: self.now(), phase, outcome: Some(OutcomeDoc::from(outcome)), ..(*id.0).clone() }
    }

    /// The wall clock: this is compared with other logs.
    fn now(&self) -> String {
        rfc3339(Time::from_millis(self.clock.wall_ms()))
    }

    fn write(&self, record: &Record) -> Result<(), AuditError> {
        // Opened anew each time: the file may have been rotated, or its mode changed.
        let mut file = open(&self.path)?;
        let mut text = String::new();
        if is_torn(&mut file) {
            text.push('\n');
        }
        text.push_str(&line(record));
        let written = file.write(text.as_bytes()).map_err(|e| failed(&self.path, format!("can't be written: {e}")))?;
        if written < text.len() {
            return Err(failed(&self.path, "took only a part of the line: is the disk full?".into()));
        }
        Ok(())
    }
}

/// Whether the last line was cut short, by a full disk for example. What can't be read is taken as whole.
fn is_torn(file: &mut File) -> bool {
    let mut last = [b'\n'];
    let read = |file: &mut File, last: &mut [u8; 1]| -> io::Result<()> {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(last)
    };
    read(file, &mut last).is_ok() && last != [b'\n']
}

fn open(path: &Path) -> Result<File, AuditError> {
    let no_link = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0);
    let file = OpenOptions::new().create(true).append(true).read(true).mode(0o600).custom_flags(no_link).open(path);
    let file = file.map_err(|e| failed(path, format!("can't be opened: {e}")))?;
    let meta = file.metadata().map_err(|e| failed(path, format!("can't be looked at: {e}")))?;
    if !meta.is_file() {
        return Err(failed(path, "is not a file".into()));
    }
    if !is_own(meta.uid()) {
        return Err(failed(path, format!("belongs to user {}: it must be yours or root's", meta.uid())));
    }
    if meta.mode() & WRITABLE_BY_OTHERS != 0 {
        let mode = meta.mode() & 0o777;
        return Err(failed(path, format!("may be written by others (mode {mode:o}): chmod go-w {}", path.display())));
    }
    Ok(file)
}

fn check_folder(folder: &Path) -> Result<(), String> {
    let meta = fs::metadata(folder).map_err(|e| e.to_string())?;
    let shown = folder.display();
    if !is_own(meta.uid()) {
        return Err(format!("{shown} belongs to user {}: it must be yours or root's", meta.uid()));
    }
    if meta.mode() & WRITABLE_BY_OTHERS != 0 {
        return Err(format!("others may write {shown} (mode {:o}): chmod go-w {shown}", meta.mode() & 0o777));
    }
    Ok(())
}

fn is_own(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

fn failed(path: &Path, what: String) -> AuditError {
    AuditError { path: path.to_owned(), what }
}

/// Who sits here, as `user@host`: the author of what is written down about alerts.
#[must_use]
pub fn who() -> String {
    let who = Who::new();
    format!("{}@{}", who.user.as_deref().unwrap_or("somebody"), who.host)
}

impl Who {
    fn new() -> Self {
        let clean = |text: &str| Line::new(text).to_string();
        let tty = [rustix::stdio::stdin(), rustix::stdio::stderr()]
            .into_iter()
            .find_map(|fd| rustix::termios::ttyname(fd, Vec::new()).ok());
        let var = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        let ssh = var("SSH_CONNECTION").or_else(|| var("SSH_CLIENT"));
        let uid = rustix::process::getuid().as_raw();
        // What the system says comes before what the environment says.
        let user = name_of(uid).or_else(|| var("USER")).or_else(|| var("LOGNAME"));
        Self {
            user: user.map(|u| clean(&u)),
            uid,
            sudo_user: var("SUDO_USER").map(|u| clean(&u)),
            host: clean(&rustix::system::uname().nodename().to_string_lossy()),
            tty: tty.map(|name| clean(&name.to_string_lossy())),
            ssh_client: ssh.and_then(|s| s.split_whitespace().next().map(clean)),
        }
    }
}

/// The name of a local user.
fn name_of(uid: u32) -> Option<String> {
    let text = fs::read_to_string("/etc/passwd").ok()?;
    let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
    let fits = |f: &Vec<String>| f.get(2).is_some_and(|n| n.parse() == Ok(uid));
    text.lines().map(fields).find(fits).and_then(|f| f.into_iter().next())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;

    use super::*;
    use crate::domain::command::{Command, OutcomeState};
    use crate::domain::ids::{ClusterName, PeerId};
    use crate::domain::plan::Basis;
    use crate::domain::snapshot::Limits;

    fn paths(dir: &Path) -> Paths {
        Paths { home: dir.into(), config: dir.join("config"), state: dir.join("state/peerdeck") }
    }

    fn cluster() -> Cluster {
        Cluster {
            name: ClusterName::new("x"),
            groups: vec![],
            peers: vec![],
            index: Arc::default(),
            membership_revision: Some(3),
            verdicts: Arc::default(),
            findings: Arc::default(),
            settings: None,
            commits: Arc::default(),
            catalogue: Arc::default(),
            limits: Limits::default(),
            changes: 0,
        }
    }

    fn plan() -> Plan {
        let command = Command::Disconnect { peer: PeerId::new("A1"), reason: Line::new("disk \"change\"\nnow") };
        let basis = Basis {
            ha: None,
            membership: Some(3),
            detached: false,
            maintenance: false,
            links: BTreeMap::from([(PeerId::new("B2"), true)]),
            settings: BTreeMap::new(),
        };
        Plan { command, evidence: vec![], effects: vec![], obstacles: vec![], basis }
    }

    fn lines(path: &Path) -> Vec<serde_json::Value> {
        let text = fs::read_to_string(path).unwrap();
        text.lines().filter_map(|l| serde_json::from_str(l).ok()).collect()
    }

    fn outcome(state: OutcomeState) -> Outcome {
        Outcome { state, at: Time::from_millis(1000), detail: Line::new("seen") }
    }

    #[test]
    fn d7_each_command_stands_there_before_and_after_with_basis_and_outcome() {
        let dir = tempfile::tempdir().unwrap();
        let paths = paths(dir.path());
        let audit = Audit::open(&paths, Face::OneShot).unwrap();
        let id = audit.begin(&cluster(), &plan()).unwrap();
        let path = Audit::path_in(&paths);
        assert_eq!(lines(&path).len(), 1, "written before anything is sent");
        audit.progress(&id, &outcome(OutcomeState::Sent)).unwrap();
        audit.end(&id, &outcome(OutcomeState::Observed)).unwrap();
        let lines = lines(&path);
        let phases: Vec<_> = lines.iter().map(|l| l["phase"].as_str().unwrap()).collect();
        assert_eq!(phases, ["begin", "progress", "end"]);
        let ids: BTreeSet<_> = lines.iter().map(|l| l["id"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), 1);
        let end = &lines[2];
        assert_eq!(end["schema"], "peerdeck.audit/1");
        assert_eq!((&end["command"], &end["class"]), (&"disconnect".into(), &"disruptive".into()));
        assert_eq!((&end["serial"], &end["face"]), (&"A1".into(), &"one-shot".into()));
        assert_eq!(end["reason"], "disk \"change\" now", "on one line");
        assert_eq!((&end["basis"]["membership"], &end["basis"]["links"]["B2"]), (&3.into(), &true.into()));
        assert_eq!(end["outcome"]["state"], "observed");
        assert_eq!(end["outcome"]["observed_at"], "1970-01-01T00:00:01.000Z");
        assert!(end["who"]["uid"].is_u64() && end["who"]["host"].is_string(), "{end}");
        assert!(end["at"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
        let mode = |p: &Path| fs::metadata(p).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&paths.state)), (0o600, 0o700));
    }

    #[test]
    fn what_others_may_write_is_refused_before_anything_is_done() {
        let dir = tempfile::tempdir().unwrap();
        let paths = paths(dir.path());
        let audit = Audit::open(&paths, Face::Console).unwrap();
        let path = Audit::path_in(&paths);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o620)).unwrap();
        let refused = audit.begin(&cluster(), &plan()).unwrap_err().to_string();
        assert!(refused.contains("mode 620") && refused.contains("chmod go-w"), "{refused}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        audit.begin(&cluster(), &plan()).expect("others may read it, if its owner wants so");
        fs::set_permissions(&paths.state, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(Audit::open(&paths, Face::Console).is_err(), "others could put another file there");
        fs::set_permissions(&paths.state, fs::Permissions::from_mode(0o700)).unwrap();
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        assert!(Audit::open(&paths, Face::Console).is_err(), "it leads elsewhere");
    }

    #[test]
    fn a_line_that_was_cut_short_spoils_no_other_and_many_writers_none() {
        let dir = tempfile::tempdir().unwrap();
        let paths = paths(dir.path());
        let audit = Audit::open(&paths, Face::OneShot).unwrap();
        fs::write(Audit::path_in(&paths), "{\"schema\":\"peerd").unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let own = Audit::open(&paths, Face::Console).unwrap();
                    for _ in 0..25 {
                        let id = own.begin(&cluster(), &plan()).unwrap();
                        own.end(&id, &outcome(OutcomeState::Unknown)).unwrap();
                    }
                });
            }
        });
        audit.begin(&cluster(), &plan()).unwrap();
        assert_eq!(lines(&Audit::path_in(&paths)).len(), 401, "all but the torn one can be read");
    }
}
