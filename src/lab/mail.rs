//! Small mail services of a unit: enough of SMTP, POP3, IMAP and HTTP for a monitor or a person to speak to.
//!
//! They stand for the mail system beside a peer: a peer that is killed or stands still leaves them alone.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use strum::IntoEnumIterator;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::net::Faults;
use crate::domain::ha::Service;

/// Callers at a time, for each service of an address; more are turned away.
const CALLERS_MAX: usize = 64;

/// Longest line that is read.
const LINE_MAX: u64 = 4096;

/// A caller that says nothing for so long is left.
const IDLE: Duration = Duration::from_mins(1);

/// Connections that wait to be accepted.
const BACKLOG: u32 = 64;

/// Where a service of a lab listens: ports that need no rights.
#[must_use]
pub fn port(service: Service) -> u16 {
    match service {
        Service::Smtp => 2025,
        Service::Pop3 => 2110,
        Service::Imap => 2143,
        Service::Http => 2080,
    }
}

/// The mail system of one unit.
pub(super) struct Mail {
    name: String,
    faults: Arc<Faults>,
    off: Mutex<Vec<Service>>,
    stands: Mutex<Vec<Weak<Stand>>>,
}

/// The services of a unit at one address; closed when dropped.
pub(super) struct Stand {
    name: String,
    ip: IpAddr,
    /// The port's own address: while that is down, nobody is greeted.
    port: IpAddr,
    faults: Arc<Faults>,
    counters: Mutex<BTreeMap<Service, Counter>>,
}

/// One service that listens.
struct Counter {
    listener: Arc<Mutex<Option<TcpListener>>>,
    serving: AbortHandle,
}

impl Drop for Counter {
    fn drop(&mut self) {
        lock(&self.listener).take(); // At once, not when its task gets round to it.
        self.serving.abort();
    }
}

impl Mail {
    /// Of the unit that calls itself `name`.
    pub fn new(name: &str, faults: Arc<Faults>) -> Self {
        Self { name: name.to_owned(), faults, off: Mutex::default(), stands: Mutex::default() }
    }

    /// Serves at `ip` what is on, as long as the stand lives. `port` is the address of the port that it is on: while
    /// that is down nobody is greeted.
    ///
    /// # Errors
    /// When a port is taken by somebody who does not share it.
    pub fn open(&self, ip: IpAddr, port: IpAddr) -> io::Result<Arc<Stand>> {
        let stand = Arc::new(Stand {
            name: self.name.clone(),
            ip,
            port,
            faults: Arc::clone(&self.faults),
            counters: Mutex::default(),
        });
        let off = lock(&self.off);
        for service in Service::iter().filter(|s| !off.contains(s)) {
            stand.open(service)?;
        }
        let mut stands = lock(&self.stands);
        stands.retain(|s| s.strong_count() > 0);
        stands.push(Arc::downgrade(&stand));
        Ok(stand)
    }

    /// Switches a service off or on, at all addresses.
    ///
    /// # Errors
    /// When a port was taken meanwhile.
    pub fn switch(&self, service: Service, on: bool) -> io::Result<()> {
        let mut off = lock(&self.off);
        off.retain(|s| *s != service);
        if !on {
            off.push(service);
        }
        let stands: Vec<Arc<Stand>> = lock(&self.stands).iter().filter_map(Weak::upgrade).collect();
        for stand in stands {
            if on {
                stand.open(service)?;
            } else {
                lock(&stand.counters).remove(&service);
            }
        }
        Ok(())
    }
}

impl Stand {
    fn open(&self, service: Service) -> io::Result<()> {
        let mut counters = lock(&self.counters);
        if counters.contains_key(&service) {
            return Ok(());
        }
        let listener = Arc::new(Mutex::new(Some(listen(SocketAddr::new(self.ip, port(service)))?)));
        let serving = tokio::spawn(attend(
            Arc::clone(&listener),
            service,
            self.name.clone(),
            self.port,
            Arc::clone(&self.faults),
        ));
        counters.insert(service, Counter { listener, serving: serving.abort_handle() });
        Ok(())
    }
}

/// Two units that both hold an address share its port, as two machines would both answer for it.
fn listen(on: SocketAddr) -> io::Result<TcpListener> {
    let socket = if on.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(on)?;
    socket.listen(BACKLOG)
}

async fn attend(
    listener: Arc<Mutex<Option<TcpListener>>>,
    service: Service,
    name: String,
    port: IpAddr,
    faults: Arc<Faults>,
) {
    // Callers end with the service.
    let mut callers = JoinSet::new();
    loop {
        let accepted = poll_fn(|cx| match &*lock(&listener) {
            Some(listener) => listener.poll_accept(cx).map(Some),
            None => Poll::Ready(None),
        });
        let stream = match accepted.await {
            None => return,
            Some(Ok((stream, _))) => stream,
            Some(Err(error)) => {
                tracing::warn!("{} of {name}: {error}", service.as_str());
                sleep(Duration::from_millis(100)).await; // Out of files, most likely.
                continue;
            }
        };
        while callers.try_join_next().is_some() {}
        if callers.len() < CALLERS_MAX {
            let (name, faults) = (name.clone(), Arc::clone(&faults));
            callers.spawn(async move {
                faults.until_up(port).await;
                // A caller that goes away or talks nonsense is its own fault.
                drop(talk(stream, service, &name).await);
            });
        }
    }
}

async fn talk(stream: TcpStream, service: Service, name: &str) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let greeting = match service {
        Service::Smtp => format!("220 {name} ESMTP peerdeck lab\r\n"),
        Service::Pop3 => format!("+OK {name} ready\r\n"),
        Service::Imap => format!("* OK [CAPABILITY IMAP4rev1] {name} ready\r\n"),
        Service::Http => String::new(),
    };
    stream.write_all(greeting.as_bytes()).await?;
    loop {
        stream.flush().await?;
        let mut line = Vec::new();
        let read = timeout(IDLE, (&mut stream).take(LINE_MAX).read_until(b'\n', &mut line)).await;
        if !matches!(read, Ok(Ok(n)) if n > 0) || line.last() != Some(&b'\n') {
            return Ok(());
        }
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        let (answer, ends) = match service {
            Service::Smtp => smtp(&line, name),
            Service::Pop3 => pop3(&line),
            Service::Imap => imap(&line),
            Service::Http => http(&line, name),
        };
        stream.write_all(answer.as_bytes()).await?;
        if ends {
            return stream.shutdown().await;
        }
    }
}

/// What is answered, and whether that was all.
type Answer = (String, bool);

fn is(line: &str, command: &str) -> bool {
    line.split(' ').next().is_some_and(|word| word.eq_ignore_ascii_case(command))
}

fn smtp(line: &str, name: &str) -> Answer {
    match line {
        l if is(l, "EHLO") => (format!("250-{name}\r\n250 8BITMIME\r\n"), false),
        l if is(l, "HELO") => (format!("250 {name}\r\n"), false),
        l if is(l, "NOOP") || is(l, "RSET") => ("250 2.0.0 Ok\r\n".into(), false),
        l if is(l, "QUIT") => ("221 2.0.0 Bye\r\n".into(), true),
        _ => ("502 5.5.1 This is a lab: it takes no mail\r\n".into(), false),
    }
}

fn pop3(line: &str) -> Answer {
    match line {
        l if is(l, "CAPA") => ("+OK\r\nUIDL\r\n.\r\n".into(), false),
        l if is(l, "NOOP") => ("+OK\r\n".into(), false),
        l if is(l, "QUIT") => ("+OK bye\r\n".into(), true),
        _ => ("-ERR this is a lab: nobody has mail here\r\n".into(), false),
    }
}

fn imap(line: &str) -> Answer {
    let (tag, command) = line.split_once(' ').unwrap_or((line, ""));
    match command {
        c if is(c, "CAPABILITY") => (format!("* CAPABILITY IMAP4rev1\r\n{tag} OK done\r\n"), false),
        c if is(c, "NOOP") => (format!("{tag} OK done\r\n"), false),
        c if is(c, "LOGOUT") => (format!("* BYE\r\n{tag} OK bye\r\n"), true),
        _ => (format!("{tag} NO this is a lab: nobody has mail here\r\n"), false),
    }
}

/// Everything is answered with the name of the unit, after the empty line.
fn http(line: &str, name: &str) -> Answer {
    if !line.is_empty() {
        return (String::new(), false);
    }
    let text = format!("{name}\n");
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    );
    (answer, true)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
