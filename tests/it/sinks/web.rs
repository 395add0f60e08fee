//! A web server that answers as it is told to, well or badly.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

use super::Certificates;

/// What it does with a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// `500 Internal Server Error` and so on, with more lines of the head.
    Status(&'static str, String),
    /// Says what was sent to it, with a status.
    Echo(&'static str),
    /// Not HTTP.
    Garbage,
    /// Nothing, for ever.
    Hang,
    /// The end, without a word.
    Close,
}

#[derive(Clone, Debug)]
pub struct Asked {
    pub line: String,
    /// Names in lower case.
    pub head: BTreeMap<String, String>,
    pub body: String,
}

impl Asked {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

pub struct Web {
    pub address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    answer: Arc<Mutex<Answer>>,
}

pub fn ok() -> Answer {
    Answer::Status("200 OK", String::new())
}

impl Web {
    pub async fn start(answer: Answer) -> Self {
        Self::on(answer, None).await
    }

    pub async fn on(answer: Answer, tls: Option<&Certificates>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (asked, answer) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(answer)));
        let tls = tls.map(|t| tokio_rustls::TlsAcceptor::from(t.server.clone()));
        let (notes, says) = (asked.clone(), answer.clone());
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (notes, says, tls) = (notes.clone(), says.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => attend(socket, notes, says).await,
                        Some(tls) => {
                            if let Ok(socket) = tls.accept(socket).await {
                                attend(socket, notes, says).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, asked, answer }
    }

    pub fn answer(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    /// All that was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// What was asked since, and nothing else from now on.
    pub fn take(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

async fn attend(
    mut socket: impl AsyncRead + AsyncWrite + Unpin,
    notes: Arc<Mutex<Vec<Asked>>>,
    says: Arc<Mutex<Answer>>,
) {
    while let Some(asked) = read(&mut socket).await {
        notes.lock().unwrap().push(asked.clone());
        let answer = says.lock().unwrap().clone();
        let text = match answer {
            Answer::Status(status, head) => format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n{head}\r\n"),
            Answer::Echo(status) => {
                let said = format!("{} {asked:?}", asked.body);
                format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{said}", said.len())
            }
            Answer::Garbage => "\u{1b}[31m220 smtp.example.com ESMTP\r\n\r\n\0\0\0".to_owned(),
            Answer::Hang => return std::future::pending().await,
            Answer::Close => return,
        };
        if socket.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read(socket: &mut (impl AsyncRead + Unpin)) -> Option<Asked> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break end;
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8(bytes[..head].to_vec()).unwrap();
    let mut lines = text.lines();
    let line = lines.next()?.to_owned();
    let head_lines: BTreeMap<String, String> =
        lines.filter_map(|l| l.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()))).collect();
    let length: usize = head_lines.get("content-length").map_or(0, |l| l.parse().unwrap());
    let mut body = bytes.split_off(head + 4);
    while body.len() < length {
        if socket.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some(Asked { line, head: head_lines, body: String::from_utf8(body).unwrap() })
}
