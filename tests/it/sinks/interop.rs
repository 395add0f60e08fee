//! Programs that people run, as Debian packs them: each is started here, on free ports and in a folder of its own.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use peerdeck::alerts::sinks::{
    AlertmanagerSpec, Beat, Facility, JournaldSpec, MailSpec, MailTls, Mailbox, Remote, Spec, SyslogSpec, Url, Way,
};
use peerdeck::domain::alert::Told;
use peerdeck::domain::finding::Severity;
use peerdeck::domain::text::Line;
use serde_json::Value;

use super::serve::{get, served};
use super::{EVIL, certificates, give, raised, sink, telling};
use crate::support::{PATIENCE, free_port, wait_until};

/// A program that ends with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(dir: &Path, program: &str, args: &[String]) -> Program {
    let log = std::fs::File::create(dir.join(format!("{}.log", program.replace('/', "_")))).unwrap();
    let command = Command::new(program)
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn();
    Program(command.unwrap_or_else(|e| panic!("{program}: {e}")))
}

/// What `url` answers, once it is there.
async fn json(address: &str, path: &str) -> Option<Value> {
    tokio::net::TcpStream::connect(address).await.ok()?;
    let (status, head, body) = get(address, path).await;
    if status != 200 {
        return None;
    }
    let chunked = head.to_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { body.split("\r\n").skip(1).step_by(2).collect::<String>() } else { body };
    serde_json::from_str(&body).ok()
}

/// Asks until the answer fits.
async fn until(address: &str, path: &str, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let end = std::time::Instant::now() + PATIENCE;
    let mut last = Value::Null;
    while std::time::Instant::now() < end {
        if let Some(value) = json(address, path).await {
            if fits(&value) {
                return value;
            }
            last = value;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}: {last:#}");
}

fn alertmanager(dir: &Path, n: usize, web: u16, cluster: u16, fellow: u16) -> Program {
    let home = dir.join(n.to_string());
    std::fs::create_dir_all(&home).unwrap();
    std::fs::write(home.join("am.yml"), "route:\n  receiver: none\nreceivers:\n- name: none\n").unwrap();
    let args = [
        format!("--config.file={}", home.join("am.yml").display()),
        format!("--storage.path={}", home.join("data").display()),
        format!("--web.listen-address=127.0.0.1:{web}"),
        format!("--cluster.listen-address=127.0.0.1:{cluster}"),
        format!("--cluster.peer=127.0.0.1:{fellow}"),
    ];
    start(&home, "prometheus-alertmanager", &args)
}

fn names(alerts: &Value) -> Vec<String> {
    let mut names: Vec<String> =
        alerts.as_array().unwrap().iter().map(|a| a["labels"]["alertname"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
#[ignore = "needs prometheus-alertmanager"]
async fn b5_two_real_alertmanagers_show_an_alert_once_and_resolve_it() {
    const ALERTS: &str = "/api/v2/alerts";
    let dir = tempfile::tempdir().unwrap();
    let ports = [free_port(), free_port(), free_port(), free_port()];
    let web = [format!("127.0.0.1:{}", ports[0]), format!("127.0.0.1:{}", ports[1])];
    let _first = alertmanager(dir.path(), 1, ports[0], ports[2], ports[3]);
    let second = alertmanager(dir.path(), 2, ports[1], ports[3], ports[2]);
    for address in &web {
        until(address, ALERTS, "it is up", |v| v.as_array().is_some_and(Vec::is_empty)).await;
    }
    let urls: Vec<Url> = web.iter().map(|a| Url::parse(&format!("http://{a}")).unwrap()).collect();
    let to = |watcher: &str| {
        let spec = AlertmanagerSpec { urls: urls.clone(), remote: Remote::default() };
        peerdeck::alerts::sinks::build(&Spec::Alertmanager(spec), watcher).unwrap()
    };
    let (mut one, mut two) = (to("noc1"), to("noc2"));
    let mut first = raised(1);
    first.notice.alert.seen.finding.advice = Line::new(EVIL);
    // Two watchers tell the same, one of them twice.
    give(&mut one, std::slice::from_ref(&first)).await.unwrap();
    give(&mut one, std::slice::from_ref(&first)).await.unwrap();
    give(&mut two, std::slice::from_ref(&first)).await.unwrap();
    one.beat(&Beat { json: "{}".into(), text: "alive".into() }).await.unwrap();
    for address in &web {
        let alerts = until(address, ALERTS, "both are there", |v| v.as_array().unwrap().len() == 2).await;
        assert_eq!(names(&alerts), ["PeerdeckWatchdog", "peer-unreachable"], "one alert, whoever told it");
        let alert = alerts.as_array().unwrap().iter().find(|a| a["labels"]["peer"] == "lab7.example.com").unwrap();
        assert_eq!(alert["annotations"]["advice"], Line::new(EVIL).as_str());
        assert_eq!(alert["status"]["state"], "active");
    }
    // Another severity: the old one goes.
    let mut milder = first.clone();
    (milder.notice.seq, milder.notice.told, milder.notice.before) = (2, Told::Changed, Some(Severity::Critical));
    milder.notice.alert.seen.finding.severity = Severity::Warning;
    give(&mut one, std::slice::from_ref(&milder)).await.unwrap();
    for address in &web {
        let severity = |v: &Value| v.as_array().unwrap().iter().any(|a| a["labels"]["severity"] == "warning");
        let alerts = until(address, ALERTS, "milder", |v| severity(v) && v.as_array().unwrap().len() == 2).await;
        assert_eq!(names(&alerts), ["PeerdeckWatchdog", "peer-unreachable"]);
    }
    // One member is away while it ends: it is told when it is back.
    drop(second);
    (milder.notice.seq, milder.notice.told, milder.notice.before) = (3, Told::Cleared, None);
    milder.notice.at = super::wall();
    give(&mut one, &[milder]).await.unwrap();
    assert!(one.trouble().unwrap().contains(&web[1]));
    until(&web[0], ALERTS, "gone", |v| names(v) == ["PeerdeckWatchdog"]).await;
    let _second = alertmanager(dir.path(), 2, ports[1], ports[3], ports[2]);
    until(&web[1], ALERTS, "it is up again", Value::is_array).await;
    give(&mut one, &[raised(4)]).await.unwrap();
    assert_eq!(one.trouble(), None);
    for address in &web {
        until(address, ALERTS, "raised again", |v| names(v).contains(&"peer-unreachable".to_owned())).await;
    }
}

#[tokio::test]
#[ignore = "needs prometheus"]
async fn d9_a_real_prometheus_reads_the_metrics_and_promtool_finds_nothing_to_say() {
    let served = served().await;
    let (_, _, text) = get(&served.address, "/metrics").await;
    let mut tool = Command::new("promtool");
    tool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = tool.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && said.trim().is_empty(), "{said}");

    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let scrape = format!(
        "scrape_configs:\n- job_name: peerdeck\n  scrape_interval: 200ms\n  scrape_timeout: 200ms\n  static_configs:\n  \
         - targets: ['{}']\n",
        served.address
    );
    std::fs::write(dir.path().join("p.yml"), scrape).unwrap();
    let args = [
        "--config.file=p.yml".to_owned(),
        format!("--web.listen-address=127.0.0.1:{port}"),
        "--storage.tsdb.path=data".to_owned(),
    ];
    let _prometheus = start(dir.path(), "prometheus", &args);
    let address = format!("127.0.0.1:{port}");
    let query = |q: &str| format!("/api/v1/query?query={q}");
    let result = |v: &Value| v["data"]["result"].as_array().cloned().unwrap_or_default();
    let links = until(&address, &query("sum(peerdeck_links)"), "links", |v| !result(v).is_empty()).await;
    assert_eq!(result(&links)[0]["value"][1], "132");
    let up = until(&address, &query("up"), "up", |v| !result(v).is_empty()).await;
    assert_eq!(result(&up)[0]["value"][1], "1");
    let sinks = until(&address, &query("peerdeck_sink_waiting"), "sinks", |v| result(v).len() == 2).await;
    assert!(result(&sinks).iter().any(|s| s["metric"]["sink"] == "say \"hi\"\\" && s["value"][1] == "7"), "{sinks}");
}

/// The lines of a file as JSON, once there are so many.
async fn lines(path: &Path, count: usize) -> Vec<Value> {
    let read = || std::fs::read_to_string(path).unwrap_or_default();
    wait_until(PATIENCE, &format!("{count} lines in {}", path.display()), || read().lines().count() >= count).await;
    read().lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect()
}

#[tokio::test]
#[ignore = "needs rsyslog, rsyslog-gnutls"]
async fn b5_a_real_rsyslog_reads_the_fields_over_udp_tcp_and_tls() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().display();
    let ours = certificates(dir.path());
    std::fs::write(dir.path().join("cert.pem"), &ours.certificate).unwrap();
    std::fs::write(dir.path().join("key.pem"), &ours.key).unwrap();
    let (udp, tcp, tls) = (free_port(), free_port(), free_port());
    let mut conf = format!(
        "global(workDirectory=\"{home}\" defaultNetstreamDriverCAFile=\"{home}/ca.pem\" \
         defaultNetstreamDriverCertFile=\"{home}/cert.pem\" defaultNetstreamDriverKeyFile=\"{home}/key.pem\")\n\
         module(load=\"imudp\")\nmodule(load=\"imtcp\")\nmodule(load=\"mmpstrucdata\")\n\
         input(type=\"imudp\" address=\"127.0.0.1\" port=\"{udp}\" ruleset=\"all\")\n\
         input(type=\"imtcp\" address=\"127.0.0.1\" port=\"{tcp}\" ruleset=\"all\")\n\
         input(type=\"imtcp\" address=\"127.0.0.1\" port=\"{tls}\" ruleset=\"all\" streamDriver.name=\"gtls\" \
         streamDriver.mode=\"1\" streamDriver.authMode=\"anon\")\n"
    );
    let _ = write!(
        conf,
        "template(name=\"j\" type=\"string\" string=\"%jsonmesg%\\n\")\n\
         ruleset(name=\"all\") {{\n action(type=\"mmpstrucdata\")\n \
         action(type=\"omfile\" file=\"{home}/out.json\" template=\"j\")\n}}\n"
    );
    std::fs::write(dir.path().join("r.conf"), conf).unwrap();
    let args = ["-n", "-f", "r.conf", "-i"].map(str::to_owned).into_iter().chain([format!("{home}/pid")]);
    let _rsyslog = start(dir.path(), "rsyslogd", &args.collect::<Vec<_>>());
    for port in [tcp, tls] {
        let up = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        wait_until(PATIENCE, "rsyslog listens", up).await;
    }
    let mut all = Vec::new();
    for (n, (way, port)) in [(Way::Udp, udp), (Way::Tcp, tcp), (Way::Tls, tls)].into_iter().enumerate() {
        let ca_file = (way == Way::Tls).then(|| ours.ca_file.clone());
        let host = "127.0.0.1".to_owned();
        let mut sink = sink(&Spec::Syslog(SyslogSpec { way, host, port, facility: Facility::Local3, ca_file }));
        let mut one = raised(n as u64 + 1);
        one.notice.alert.seen.finding.advice = Line::new(EVIL);
        give(&mut sink, &[one]).await.unwrap();
        all = lines(&dir.path().join("out.json"), n + 1).await;
    }
    for (n, line) in all.iter().enumerate() {
        let data = &line["$!"]["rfc5424-sd"]["peerdeck@32473"];
        assert_eq!(data["event-id"], format!("w1-{}", n + 1), "{line:#}");
        assert_eq!(data["kind"], "peer-unreachable");
        assert_eq!(data["hosts"], "lab7.example.com");
        assert_eq!(data["advice"], Line::new(EVIL).as_str(), "as it was, through both escapes");
        assert_eq!((&line["app-name"], &line["hostname"]), (&"peerdeck".into(), &"noc1".into()));
        assert_eq!((&line["syslogfacility"], &line["syslogseverity"]), (&"19".into(), &"2".into()), "{line:#}");
        assert_eq!(line["msg"].as_str().unwrap().trim(), "raised americas nobody reaches lab7");
    }
}

/// A mail server with its own configuration, queue and mailbox.
struct Postfix {
    conf: PathBuf,
    port: u16,
    mails: PathBuf,
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let _ = Command::new("postfix").arg("-c").arg(&self.conf).arg("stop").output();
    }
}

fn id(flag: &str, user: &str) -> String {
    String::from_utf8(Command::new("id").args([flag, user]).output().unwrap().stdout).unwrap().trim().to_owned()
}

fn postfix(dir: &Path, certificate: &str, key: &str) -> Postfix {
    use std::os::unix::fs::{PermissionsExt, chown};
    let port = free_port();
    let sub = |name: &str| {
        let path = dir.join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    };
    let (conf, queue, data, mails) = (sub("conf"), sub("queue"), sub("data"), sub("mail"));
    // Its processes are not root and must come through.
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    let (uid, gid) = (id("-u", "postfix"), id("-g", "postfix"));
    let owner = Some(uid.parse().unwrap());
    chown(&data, owner, None).unwrap();
    chown(&mails, owner, Some(gid.parse().unwrap())).unwrap();
    std::fs::write(conf.join("cert.pem"), format!("{certificate}{key}")).unwrap();
    std::fs::set_permissions(conf.join("cert.pem"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let main = format!(
        "compatibility_level = 3.6\nqueue_directory = {}\ndata_directory = {}\nmyhostname = post.example.com\n\
         mydestination =\ninet_interfaces = loopback-only\nmynetworks = 127.0.0.0/8\nalias_maps =\nalias_database =\n\
         virtual_mailbox_domains = example.com\nvirtual_mailbox_maps = inline:{{ oncall@example.com=oncall/ }}\n\
         virtual_mailbox_base = {}\nvirtual_minimum_uid = 1\nvirtual_uid_maps = static:{uid}\n\
         virtual_gid_maps = static:{gid}\nsmtpd_tls_cert_file = {}\nsmtpd_tls_security_level = may\nsmtpd_tls_received_header = yes\n\
         maillog_file = {}\nmaillog_file_prefixes = {}\n",
        queue.display(),
        data.display(),
        mails.display(),
        conf.join("cert.pem").display(),
        dir.join("mail.log").display(),
        dir.display(),
    );
    std::fs::write(conf.join("main.cf"), main).unwrap();
    let mut master = format!("127.0.0.1:{port} inet n - n - - smtpd\npostlog unix-dgram n - n - 1 postlogd\n");
    for (name, kind, wake, max, command) in [
        ("pickup", "unix", "60", "1", "pickup"),
        ("cleanup", "unix", "-", "0", "cleanup"),
        ("qmgr", "unix", "300", "1", "qmgr"),
        ("rewrite", "unix", "-", "-", "trivial-rewrite"),
        ("bounce", "unix", "-", "0", "bounce"),
        ("defer", "unix", "-", "0", "bounce"),
        ("trace", "unix", "-", "0", "bounce"),
        ("virtual", "unix", "-", "-", "virtual"),
        ("error", "unix", "-", "-", "error"),
        ("retry", "unix", "-", "-", "error"),
        ("discard", "unix", "-", "-", "discard"),
        ("anvil", "unix", "-", "1", "anvil"),
        ("tlsmgr", "unix", "1000?", "1", "tlsmgr"),
        ("scache", "unix", "-", "1", "scache"),
        ("proxymap", "unix", "-", "-", "proxymap"),
    ] {
        let private = if name == "cleanup" || name == "pickup" || name == "qmgr" { "n" } else { "-" };
        let unprivileged = if name == "virtual" { "n" } else { "-" };
        let _ = writeln!(master, "{name} {kind} {private} {unprivileged} n {wake} {max} {command}");
    }
    std::fs::write(conf.join("master.cf"), master).unwrap();
    let done = Command::new("postfix").arg("-c").arg(&conf).arg("start").output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Postfix { conf, port, mails }
}

#[tokio::test]
#[ignore = "needs postfix, root"]
async fn b5_a_real_postfix_puts_the_mail_into_a_mailbox() {
    let dir = tempfile::tempdir().unwrap();
    let ours = certificates(dir.path());
    let post = postfix(dir.path(), &ours.certificate, &ours.key);
    wait_until(PATIENCE, "postfix listens", || std::net::TcpStream::connect(("127.0.0.1", post.port)).is_ok()).await;
    let to = |tls, to: &[&str]| {
        sink(&Spec::Mail(MailSpec {
            host: "localhost".into(),
            port: post.port,
            tls,
            from: Mailbox::parse("peerdeck <noc@example.com>").unwrap(),
            to: to.iter().map(|m| Mailbox::parse(m).unwrap()).collect(),
            login: None,
            ca_file: Some(ours.ca_file.clone()),
            timeout: Duration::from_secs(20),
        }))
    };
    let mut first = raised(1);
    first.notice.alert.seen.finding.evidence.push(Line::new(EVIL));
    give(&mut to(MailTls::None, &["oncall@example.com"]), &[first]).await.unwrap();
    let mut safe = to(MailTls::Starttls, &["oncall@example.com", "nobody@example.com"]);
    give(&mut safe, &[telling(2, Told::Cleared)]).await.unwrap();
    assert!(safe.trouble().unwrap().contains("nobody@example.com"), "refused by the real one too");
    let refused = give(&mut to(MailTls::None, &["nobody@example.com"]), &[raised(3)]).await;
    assert!(super::never(refused).contains("550"));
    let new = post.mails.join("oncall/new");
    let all = || -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(&new) else { return Vec::new() };
        entries.map(|e| std::fs::read_to_string(e.unwrap().path()).unwrap()).collect()
    };
    wait_until(PATIENCE, "two mails are delivered", || all().len() == 2).await;
    let mails = all();
    let find = |what: &str| mails.iter().find(|m| m.contains(what)).unwrap_or_else(|| panic!("{what}: {mails:#?}"));
    let raised = find("Subject: [peerdeck] CRITICAL americas: nobody reaches lab7\n");
    assert!(raised.contains("Message-ID: <w1-1@example.com>\n"));
    assert!(raised.contains("look at the machine"));
    let cleared = find("Subject: [peerdeck] CLEARED americas: nobody reaches lab7\n");
    assert!(cleared.contains("TLSv1.3"), "the Received line says how it came");
}

#[tokio::test]
#[ignore = "needs systemd, root"]
async fn b5_a_real_journal_finds_an_alert_by_its_fields() {
    let name = format!("peerdeck{}", std::process::id());
    let dir = tempfile::tempdir().unwrap();
    let args = [name.clone()];
    let journal = start(dir.path(), "/lib/systemd/systemd-journald", &args);
    let run = PathBuf::from(format!("/run/systemd/journal.{name}"));
    let socket = run.join("socket");
    wait_until(PATIENCE, "the journal listens", || socket.exists()).await;
    let mut sink = sink(&Spec::Journald(JournaldSpec { socket }));
    let mut large = raised(2);
    large.notice.alert.seen.finding.evidence = vec![Line::new(&"long ".repeat(79)); 1_000];
    give(&mut sink, &[raised(1), large, telling(3, Told::Cleared)]).await.unwrap();
    let asked = |field: &str| -> Vec<Value> {
        let done = Command::new("journalctl")
            .args([
                "--namespace",
                &name,
                "--output=json",
                "--all",
                "--no-pager",
                "PEERDECK_KIND=peer-unreachable",
                field,
            ])
            .output()
            .unwrap();
        String::from_utf8_lossy(&done.stdout).lines().filter_map(|l| serde_json::from_str(l).ok()).collect()
    };
    wait_until(PATIENCE, "the journal has all", || asked("PEERDECK_CLUSTER=americas").len() == 3).await;
    let cleared = asked("PEERDECK_TRANSITION=cleared");
    assert_eq!(cleared.len(), 1);
    assert_eq!((&cleared[0]["PRIORITY"], &cleared[0]["PEERDECK_EVENT_ID"]), (&"6".into(), &"w1-3".into()));
    let large = asked("PEERDECK_EVENT_ID=w1-2");
    assert_eq!(large[0]["PEERDECK_EVIDENCE"].as_str().map(|e| e.lines().count()), Some(1_000));
    drop(journal);
    let machine = std::fs::read_to_string("/etc/machine-id").unwrap();
    for left in [
        run,
        format!("/run/log/journal/{}.{name}", machine.trim()).into(),
        format!("/var/log/journal/{}.{name}", machine.trim()).into(),
    ] {
        let _ = std::fs::remove_dir_all(left); // Only one of the last two is there.
    }
}
