//! What is said to each service, and what it must answer (F10).

use std::net::SocketAddr;

use super::talk::Talk;
use crate::daemon::VERSION_TEXT;

/// Who we say to be (RFC 2606 keeps the name from being anybody's): well formed, so that no rule about names refuses it.
const HELO: &str = "peerdeck.invalid";

/// RFC 5321: greeting, EHLO, NOOP, QUIT.
pub(super) async fn smtp(mut talk: Talk) -> Result<(), String> {
    smtp_reply(&mut talk, b"220").await?;
    talk.say("EHLO", &format!("EHLO {HELO}")).await?;
    smtp_reply(&mut talk, b"250").await?;
    talk.say("NOOP", "NOOP").await?;
    smtp_reply(&mut talk, b"250").await?;
    talk.bye("QUIT").await;
    Ok(())
}

/// A reply of one or more lines; all of them begin with `code`.
async fn smtp_reply(talk: &mut Talk, code: &[u8]) -> Result<(), String> {
    loop {
        let line = talk.line().await?;
        match line.as_bytes().split_at_checked(code.len()) {
            Some((begins, [b'-', ..])) if begins == code => {}
            Some((begins, [] | [b' ', ..])) if begins == code => return Ok(()),
            Some(_) | None => return Err(talk.said(&line)),
        }
    }
}

/// RFC 1939 and 2449: greeting, CAPA, QUIT.
pub(super) async fn pop3(mut talk: Talk) -> Result<(), String> {
    let greeting = talk.line().await?;
    if !is_word(&greeting, "+OK") {
        return Err(talk.said(&greeting));
    }
    talk.say("CAPA", "CAPA").await?;
    let answer = talk.line().await?;
    if is_word(&answer, "+OK") {
        while talk.line().await? != "." {}
    } else if !is_word(&answer, "-ERR") {
        return Err(talk.said(&answer)); // A server of before 1998 refuses CAPA, and serves.
    }
    talk.bye("QUIT").await;
    Ok(())
}

/// RFC 3501 and 9051: greeting, CAPABILITY, LOGOUT.
pub(super) async fn imap(mut talk: Talk) -> Result<(), String> {
    let greeting = talk.line().await?;
    if !is_word(&greeting, "* OK") && !is_word(&greeting, "* PREAUTH") {
        return Err(talk.said(&greeting));
    }
    talk.say("CAPABILITY", "a CAPABILITY").await?;
    loop {
        let line = talk.line().await?;
        if is_word(&line, "a OK") {
            break;
        }
        if !line.starts_with("* ") || is_word(&line, "* BYE") {
            return Err(talk.said(&line));
        }
    }
    talk.bye("b LOGOUT").await;
    Ok(())
}

/// RFC 9110: GET of the first page. Any status below 500 is a service that works: many want a login first.
pub(super) async fn http(mut talk: Talk, to: SocketAddr) -> Result<(), String> {
    let ask = format!(
        "GET / HTTP/1.1\r\nHost: {to}\r\nUser-Agent: {}\r\nAccept: */*\r\nConnection: close\r\n",
        VERSION_TEXT.replace(' ', "/")
    );
    talk.say("GET /", &ask).await?;
    loop {
        let line = talk.line().await?;
        match status(&line) {
            Some(100..200) => while !talk.line().await?.is_empty() {}, // An interim answer (RFC 9110, 15.2).
            Some(200..500) => return Ok(()),
            Some(_) | None => return Err(talk.said(&line)),
        }
    }
}

/// `HTTP/1.1 200 OK`
fn status(line: &str) -> Option<u16> {
    let mut words = line.strip_prefix("HTTP/")?.split(' ');
    words.next()?;
    words.next().filter(|code| code.len() == 3)?.parse().ok()
}

/// Whether `line` begins with this, as a word, however it is written.
fn is_word(line: &str, word: &str) -> bool {
    let (line, word) = (line.as_bytes(), word.as_bytes());
    let begins = line.get(..word.len()).is_some_and(|l| l.eq_ignore_ascii_case(word));
    begins && line.get(word.len()).is_none_or(|b| *b == b' ')
}
