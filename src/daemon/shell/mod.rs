//! The command line that a peer offers to people: exec requests, and a terminal with line editing and history.

mod asyncos;
mod change;
mod line;
mod typing;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use russh::ChannelWriteHalf;
use russh::server::Msg;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

use super::rpc::close;
use super::session::{Columns, Stream, Visitor};
use super::shared::Shared;
use typing::{Input, Typing};

/// How long an answer may take to leave.
const WRITE_LIMIT: Duration = Duration::from_secs(20);

/// A session ends after so long without a key.
const IDLE: Duration = Duration::from_mins(30);

/// What a command printed.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Output {
    /// With plain line ends.
    text: String,
    /// 0 done, 1 not.
    status: u32,
    /// Whether the session ends.
    leave: bool,
}

impl Output {
    fn done(text: String) -> Self {
        Self { text, status: 0, leave: false }
    }

    fn failed(text: String) -> Self {
        Self { text, status: 1, leave: false }
    }
}

/// Carries out one command line of an exec request; several commands are separated by `;`.
pub(super) async fn exec(shared: Arc<Shared>, visitor: Visitor, stream: Stream, command: String, terminal: bool) {
    let _listed = shared.operator(&visitor.name, &visitor.from.to_string(), "a command");
    let (half, gone) = (stream.half(), stream.gone());
    // Commands read nothing: what comes in is thrown away.
    let throwing = tokio::spawn(async move {
        let mut stream = stream;
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        stream // Dropping it would close the channel before the answer.
    });
    let work = async {
        let mut status = 0;
        for part in command.split(';').map(str::trim).filter(|p| !p.is_empty()) {
            shared.thawed().await;
            let Some(output) = run(&shared, &visitor, part).await else { break };
            status = output.status;
            if !print(&half, &output.text, terminal).await || output.leave {
                break;
            }
        }
        status
    };
    tokio::select! {
        () = shared.over.cancelled() => {}
        () = gone.cancelled() => {}
        status = work => close(&half, status).await,
    }
    throwing.abort();
}

async fn run(shared: &Shared, visitor: &Visitor, line: &str) -> Option<Output> {
    let view = shared.view().await?;
    if let Some(output) = change::run(shared, visitor, &view, line).await {
        return Some(output);
    }
    let routes = shared.routes().await?;
    let facts = asyncos::Facts {
        id: &shared.keys.id,
        view: &view,
        routes: &routes,
        wall_ms: shared.env.clock.wall_ms(),
        fresh: shared.setup.ping_interval * (shared.setup.ping_failures + 1) * 2,
        operators: shared.operators().len(),
    };
    Some(asyncos::run(line, &facts))
}

async fn print(half: &ChannelWriteHalf<Msg>, text: &str, terminal: bool) -> bool {
    let text = if terminal { text.replace('\n', "\r\n") } else { text.to_owned() };
    show(half, text.into_bytes()).await
}

async fn show(half: &ChannelWriteHalf<Msg>, bytes: Vec<u8>) -> bool {
    matches!(timeout(WRITE_LIMIT, half.data_bytes(bytes)).await, Ok(Ok(())))
}

/// A session of a person (or of a script that reads prompts) until it leaves.
pub(super) async fn interactive(shared: Arc<Shared>, visitor: Visitor, stream: Stream, terminal: Option<Columns>) {
    let _listed = shared.operator(&visitor.name, &visitor.from.to_string(), "command line");
    let (half, gone) = (stream.half(), stream.gone());
    let mut stream = stream;
    let mut person = Person { shared: &shared, visitor: &visitor, half: &half, terminal };
    let status = tokio::select! {
        () = shared.over.cancelled() => 0,
        () = gone.cancelled() => return,
        status = person.converse(&mut stream) => status,
    };
    close(&half, status).await;
}

/// One interactive session.
struct Person<'a> {
    shared: &'a Shared,
    visitor: &'a Visitor,
    half: &'a ChannelWriteHalf<Msg>,
    terminal: Option<Columns>,
}

impl Person<'_> {
    async fn converse(&mut self, input: &mut (impl AsyncRead + Unpin)) -> u32 {
        let banner = format!(
            "{} at {}\n\nNOTE: This session will expire if left idle for {} minutes.\n",
            super::VERSION_TEXT,
            self.shared.setup.host,
            IDLE.as_secs() / 60
        );
        let mut typing = Typing::new(self.terminal.as_ref().map(|c| c.load(Ordering::Relaxed)));
        if !self.print(&banner).await || !self.prompt(&mut typing).await {
            return 1;
        }
        let mut status = 0;
        let mut bytes = [0; 1024];
        loop {
            // The end of the input, an idle session, or more input than is taken.
            let Ok(Ok(n @ 1..)) = timeout(IDLE, input.read(&mut bytes)).await else { return status };
            self.shared.thawed().await;
            if let Some(columns) = &self.terminal {
                typing.resize(columns.load(Ordering::Relaxed));
            }
            for byte in &bytes[..n] {
                let mut echo = Vec::new();
                let done = typing.feed(*byte, &mut echo);
                if !echo.is_empty() && !show(self.half, echo).await {
                    return 1;
                }
                let Some(done) = done else { continue };
                match self.carry_out(done, status).await {
                    Some(output) => {
                        status = output.status;
                        if !self.print(&output.text).await || output.leave {
                            return status;
                        }
                    }
                    None => return 1,
                }
                if !self.prompt(&mut typing).await {
                    return 1;
                }
            }
        }
    }

    /// `None` when the peer has ended.
    async fn carry_out(&self, input: Input, status: u32) -> Option<Output> {
        match input {
            Input::End => Some(Output { text: String::new(), status, leave: true }),
            Input::Interrupt => Some(Output { text: String::new(), status, leave: false }),
            Input::Line(line) if line.trim().is_empty() => Some(Output { text: String::new(), status, leave: false }),
            Input::Line(line) => run(self.shared, self.visitor, line.trim()).await,
        }
    }

    async fn print(&self, text: &str) -> bool {
        print(self.half, text, self.terminal.is_some()).await
    }

    async fn prompt(&self, typing: &mut Typing) -> bool {
        let Some(view) = self.shared.view().await else { return false };
        let text = asyncos::prompt(&view);
        // Only its last line is drawn again while somebody types.
        let (before, last) = text.rsplit_once('\n').map_or(("", text.as_str()), |(before, last)| (before, last));
        if text.contains('\n') && !self.print(&format!("{before}\n")).await {
            return false;
        }
        let mut shown = Vec::new();
        typing.prompt(last, &mut shown);
        show(self.half, shown).await
    }
}
