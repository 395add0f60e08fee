//! The command line that a peer offers to people: exec requests, and a terminal with a small line editor.

mod asyncos;
mod editor;

use std::sync::Arc;
use std::time::Duration;

use russh::server::Msg;
use russh::{Channel, ChannelMsg, ChannelWriteHalf};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::rpc::close;
use super::session::Visitor;
use super::shared::Shared;
use editor::{Editor, Key};

/// How long an answer may take to leave.
const WRITE_LIMIT: Duration = Duration::from_secs(20);

/// A session ends after so long without a key.
const IDLE: Duration = Duration::from_mins(30);

/// Chunks of input that may wait.
const INPUT_MAX: usize = 256;

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

/// Carries out one command line of an exec request; several commands are separated by `;`.
pub(super) async fn exec(
    shared: Arc<Shared>,
    visitor: Visitor,
    channel: Channel<Msg>,
    command: String,
    terminal: bool,
) {
    let _listed = shared.operator(&visitor.name, &visitor.from.to_string(), "a command");
    let (mut reader, writer) = channel.split();
    // Nobody reads what comes in, but an unread channel would hold up the whole session.
    let drain = tokio::spawn(async move { while reader.wait().await.is_some() {} });
    let mut status = 0;
    for part in command.split(';').map(str::trim).filter(|p| !p.is_empty()) {
        shared.thawed().await;
        let Some(output) = run(&shared, part).await else { break };
        status = output.status;
        if !print(&writer, &output.text, terminal).await || output.leave {
            break;
        }
    }
    close(&writer, status).await;
    drain.abort();
}

async fn run(shared: &Shared, line: &str) -> Option<Output> {
    let view = shared.view().await?;
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

async fn print(writer: &ChannelWriteHalf<Msg>, text: &str, terminal: bool) -> bool {
    let text = if terminal { text.replace('\n', "\r\n") } else { text.to_owned() };
    let write = async {
        let mut out = Box::pin(writer.make_writer());
        out.write_all(text.as_bytes()).await?;
        out.flush().await
    };
    matches!(timeout(WRITE_LIMIT, write).await, Ok(Ok(())))
}

/// A session of a person (or of a script that reads prompts) until it leaves.
pub(super) async fn interactive(shared: Arc<Shared>, visitor: Visitor, channel: Channel<Msg>, terminal: bool) {
    let _listed = shared.operator(&visitor.name, &visitor.from.to_string(), "command line");
    let (mut reader, writer) = channel.split();
    let (tx, keys) = mpsc::channel(INPUT_MAX);
    let drain = tokio::spawn(async move {
        while let Some(message) = reader.wait().await {
            let ends = match message {
                // Who pastes faster than commands run loses the rest; the session lives on.
                ChannelMsg::Data { data } => {
                    let _ = tx.try_send(data);
                    false
                }
                ChannelMsg::Eof | ChannelMsg::Close => true,
                _ => false, // Messages of russh that don't concern a shell.
            };
            if ends {
                return;
            }
        }
    });
    let status = tokio::select! {
        () = shared.over.cancelled() => 0,
        status = converse(&shared, &writer, keys, terminal) => status,
    };
    drain.abort();
    close(&writer, status).await;
}

async fn converse<B: AsRef<[u8]>>(
    shared: &Shared,
    writer: &ChannelWriteHalf<Msg>,
    mut input: mpsc::Receiver<B>,
    terminal: bool,
) -> u32 {
    let banner = format!(
        "{} at {}\n\nNOTE: This session will expire if left idle for {} minutes.\n",
        super::VERSION_TEXT,
        shared.setup.host,
        IDLE.as_secs() / 60
    );
    if !print(writer, &banner, terminal).await || !prompt(shared, writer, terminal).await {
        return 1;
    }
    let mut editor = Editor::new(terminal);
    let mut status = 0;
    loop {
        let Ok(Some(bytes)) = timeout(IDLE, input.recv()).await else { return status };
        for byte in bytes.as_ref() {
            shared.thawed().await;
            let (echo, key) = editor.take(*byte);
            if !echo.is_empty() && !print(writer, &echo, terminal).await {
                return 1;
            }
            let output = match key {
                Key::Editing => continue,
                Key::Leave => return status,
                Key::Cancel => Output { text: String::new(), status, leave: false },
                Key::Line(line) if line.trim().is_empty() => Output { text: String::new(), status, leave: false },
                Key::Line(line) => match run(shared, line.trim()).await {
                    Some(output) => output,
                    None => return 1,
                },
            };
            status = output.status;
            if !print(writer, &output.text, terminal).await || output.leave {
                return status;
            }
            if !prompt(shared, writer, terminal).await {
                return 1;
            }
        }
    }
}

async fn prompt(shared: &Shared, writer: &ChannelWriteHalf<Msg>, terminal: bool) -> bool {
    let Some(view) = shared.view().await else { return false };
    print(writer, &asyncos::prompt(&view), terminal).await
}
