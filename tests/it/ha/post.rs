//! A private Postfix and a private Dovecot, as Debian has them: on this machine, or on a host of a network of tests.
//! Need root.

use std::fmt::Write as _;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Where programs run.
#[derive(Clone, Debug)]
pub enum Place {
    /// Where the test does.
    Here,
    /// In this network namespace.
    Host(String),
}

impl Place {
    fn command(&self, program: &str) -> Command {
        match self {
            Self::Here => Command::new(program),
            Self::Host(name) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", name, program]);
                command
            }
        }
    }
}

/// Whom mail belongs to.
pub const OWNER: u32 = 65534;

/// A Postfix; it is stopped with this.
pub struct Postfix {
    place: Place,
    conf: PathBuf,
}

impl Postfix {
    /// Listens on `listen` (address and port). What it accepts for `example.com` goes into a maildir below `store`; without
    /// one it only greets.
    pub fn start(place: Place, dir: &Path, listen: &str, store: Option<&Path>) -> Self {
        open(dir);
        let sub = |name: &str| {
            let path = dir.join(name);
            std::fs::create_dir_all(&path).unwrap();
            path
        };
        let (conf, queue, data) = (sub("conf"), sub("queue"), sub("data"));
        let uid = Command::new("id").args(["-u", "postfix"]).output().unwrap().stdout;
        chown(&data, Some(String::from_utf8(uid).unwrap().trim().parse().unwrap()), None).unwrap();
        // No names are looked up: there is nobody to ask.
        let mut main = format!(
            "compatibility_level = 3.6\nqueue_directory = {}\ndata_directory = {}\nmyhostname = post.example.com\n\
             mydestination =\ninet_interfaces = all\ninet_protocols = ipv4\nmynetworks = 127.0.0.0/8\nalias_maps =\n\
             alias_database =\nsmtpd_peername_lookup = no\nmaillog_file = {}\nmaillog_file_prefixes = {}\n",
            queue.display(),
            data.display(),
            dir.join("mail.log").display(),
            dir.display(),
        );
        let mut master = format!("{listen} inet n - n - - smtpd\npostlog unix-dgram n - n - 1 postlogd\n");
        master += "rewrite unix - - n - - trivial-rewrite\ncleanup unix n - n - 0 cleanup\nanvil unix - - n - 1 anvil\n\
                   proxymap unix - - n - - proxymap\n";
        if let Some(store) = store {
            let _ = writeln!(
                main,
                "virtual_mailbox_domains = example.com\nvirtual_mailbox_base = {}\nvirtual_mailbox_maps = static:box/\n\
                 virtual_uid_maps = static:{OWNER}\nvirtual_gid_maps = static:{OWNER}\nminimal_backoff_time = 1s",
                store.display()
            );
            master += "pickup unix n - n 60 1 pickup\nqmgr unix n - n 300 1 qmgr\nvirtual unix - n n - - virtual\nretry unix - - n - - error\n\
                       error unix - - n - - error\nbounce unix - - n - 0 bounce\ndefer unix - - n - 0 bounce\n\
                       showq unix n - n - - showq\nflush unix n - n 1000? 0 flush\n";
        }
        std::fs::write(conf.join("main.cf"), main).unwrap();
        std::fs::write(conf.join("master.cf"), master).unwrap();
        let postfix = Self { place, conf };
        postfix.tell("start");
        postfix
    }

    /// `postfix start`, `reload`, `stop`; panics with what it says if it fails.
    #[track_caller]
    pub fn tell(&self, what: &str) {
        self.run("postfix", &[what]);
    }

    /// Accepted mail stays in the queue, or goes on.
    pub fn hold(&self, hold: bool) {
        self.run("postconf", &["-e", if hold { "defer_transports=virtual" } else { "defer_transports=" }]);
        self.tell("reload");
        if !hold {
            self.run("postqueue", &["-f"]);
        }
    }

    /// How many messages are in the queue.
    pub fn queued(&self) -> usize {
        self.run("postqueue", &["-j"]).lines().count()
    }

    #[track_caller]
    fn run(&self, program: &str, args: &[&str]) -> String {
        let done = self.place.command(program).arg("-c").arg(&self.conf).args(args).output().unwrap();
        let log = || {
            let log = std::fs::read_to_string(self.conf.with_file_name("mail.log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            lines[lines.len().saturating_sub(20)..].join("\n")
        };
        assert!(
            done.status.success(),
            "{program} {args:?}: {}; its log ends with\n{}",
            String::from_utf8_lossy(&done.stderr),
            log()
        );
        String::from_utf8(done.stdout).unwrap()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let _ = self.place.command("postfix").arg("-c").arg(&self.conf).arg("stop").output();
    }
}

/// A Dovecot; it ends with this.
pub struct Dovecot(Child);

impl Dovecot {
    /// Speaks IMAP and POP3 on `listen`, for the maildir `mail` of `owner`; everybody may log in.
    pub fn start(place: &Place, dir: &Path, listen: &str, [imap, pop3]: [u16; 2], mail: &Path, owner: u32) -> Self {
        let conf = dir.join("dovecot.conf");
        open(dir);
        let listener = |port: u16| format!("{{\n address = {listen}\n port = {port}\n }}\n");
        let text = format!(
            "base_dir = {0}/run\nstate_dir = {0}/state\nlog_path = {0}/dovecot.log\nprotocols = imap pop3\nssl = no\n\
             disable_plaintext_auth = no\n\
             service imap-login {{\n inet_listener imap {1}inet_listener imaps {{\n port = 0\n }}\n}}\n\
             service pop3-login {{\n inet_listener pop3 {2}inet_listener pop3s {{\n port = 0\n }}\n}}\n\
             mail_location = maildir:{3}\npassdb {{\n driver = static\n args = nopassword=y\n}}\n\
             userdb {{\n driver = static\n args = uid={owner} gid={owner} home={3}\n}}\n",
            dir.display(),
            listener(imap),
            listener(pop3),
            mail.display(),
        );
        std::fs::write(&conf, text).unwrap();
        let log = std::fs::File::create(dir.join("started.log")).unwrap();
        let mut command = place.command("dovecot");
        command.args(["-F", "-c"]).arg(&conf).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Self(command.spawn().unwrap_or_else(|e| panic!("dovecot: {e}")))
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Processes of others must come through.
fn open(dir: &Path) {
    std::fs::create_dir_all(dir).unwrap();
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).unwrap();
}
