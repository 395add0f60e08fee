//! What the console does with its terminal besides drawing: widths of signs, copies, mouse, dumps, shells,
//! and what terminals of other types are sent.

use std::fmt::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use peerdeck::cli::console::ConsoleOptions;
use peerdeck::cli::shell::Shells;
use rustix::process::Signal;

use crate::terminal::{DEADLINE, Pty, SIZE, WELL};

/// A folder for dumps, told to the program inside the pseudo terminal.
const DUMPS: &str = "PEERDECK_TEST_DUMPS";
/// The test answers what the terminal is asked.
const ANSWERS: &str = "PEERDECK_TEST_ANSWERS";
/// What its shell runs.
const SHELL: &str = "PEERDECK_TEST_SHELL";

/// The options of the program inside the pseudo terminal.
pub fn options() -> ConsoleOptions {
    let shell = std::env::var(SHELL).ok().map(|script| {
        Shells::new(move |_, _| match script.as_str() {
            "none" => Ok(Command::new("/nonexistent/ssh")),
            script => {
                let mut command = Command::new("/bin/sh");
                command.args(["-c", script]);
                Ok(command)
            }
        })
    });
    // A test that answers is waited for, however busy the machine is.
    let patience = std::env::var_os(ANSWERS).map(|_| DEADLINE);
    ConsoleOptions {
        patience,
        dumps: std::env::var_os(DUMPS).map(Into::into),
        shells: shell,
        ..ConsoleOptions::default()
    }
}

/// Waits for the questions and answers them as a terminal would that draws signs `width` columns wide; what is in
/// `keys` comes between the answers, one each.
fn answer(pty: &mut Pty, width: impl Fn(&str) -> usize, keys: &[&str]) {
    let end = Instant::now() + DEADLINE;
    let asked = loop {
        let raw = String::from_utf8_lossy(&pty.raw()).into_owned();
        if let Some(at) = raw.find("\x1b[2K") {
            break raw[..at].to_owned();
        }
        assert!(Instant::now() < end, "nothing was asked: {raw:?}");
        std::thread::sleep(Duration::from_millis(1));
    };
    let mut answers = String::new();
    let mut keys = keys.iter();
    for part in asked.split("\x1b[1;1H").filter_map(|part| part.split_once("\x1b[6n")) {
        write!(answers, "\x1b[1;{}R{}", 1 + width(part.0), keys.next().unwrap_or(&"")).unwrap();
    }
    assert!(answers.len() > 100, "{asked:?}");
    pty.press(&answers);
}

fn end(mut pty: Pty) {
    pty.press("q");
    pty.ended();
    pty.assert_restored();
}

#[test]
fn c15_signs_are_those_that_the_terminal_draws_one_column_wide() {
    let mut pty = Pty::start("plain", SIZE, &[("LANG", "ja_JP.UTF-8"), (ANSWERS, "1")]);
    answer(&mut pty, |_| 1, &[]);
    pty.until_text(WELL);
    assert!(pty.text().contains('●'), "{}", pty.text());
    end(pty);
}

#[test]
fn c15_a_terminal_with_wide_ambiguous_signs_gets_none_of_them() {
    let mut pty = Pty::start("plain", SIZE, &[("LANG", "zh_CN.UTF-8"), (ANSWERS, "1")]);
    let asked = |sign: &str| if sign == "✗" { 1 } else { 2 };
    answer(&mut pty, asked, &[]);
    pty.until_text(WELL);
    let before = pty.raw().len();
    for (keys, shown) in
        [("4", "Nothing is wrong"), ("5", "following"), ("1", WELL), ("\r", "fellows connected"), ("?", "Keys:")]
    {
        pty.press(keys);
        pty.until_text(shown);
    }
    pty.press("q");
    pty.until("no help", |s| !s.contents().contains("Keys:"));
    let raw = pty.raw();
    let drawn = String::from_utf8_lossy(&raw).into_owned();
    let after = drawn.rfind("\x1b[2K\x1b[?2026l").unwrap();
    let odd: String = drawn[after..].chars().filter(|c| !c.is_ascii()).collect();
    assert_eq!(odd, "", "after {before} bytes:\n{}", pty.text());
    end(pty);
}

#[test]
fn c15_keys_typed_between_the_answers_are_all_taken() {
    let mut pty = Pty::start("plain", SIZE, &[(ANSWERS, "1")]);
    answer(&mut pty, |_| 1, &["j", "\x1b[B", "", "/", "l", "\x1b[200~ab\x1b[201~"]);
    pty.until_text("/lab");
    pty.press("\r\x1b");
    pty.until("the third row", |s| s.contents().contains("lab3 → lab1") && !s.contents().contains("filter: lab"));
    end(pty);
}

#[test]
fn c15_a_terminal_that_never_answers_is_not_waited_for_and_loses_no_key() {
    // Where signs may be wide and nobody says, ASCII is safe.
    let mut pty = Pty::start("plain", SIZE, &[("LANG", "ja_JP.UTF-8")]);
    pty.press("/lab");
    pty.until_text("/lab");
    pty.press("\x1b");
    // Escape and another key at once would be Alt and that key.
    pty.until("no filter", |s| s.contents().contains(WELL) && !s.contents().contains("/lab"));
    assert!(pty.text().is_ascii(), "{}", pty.text());
    end(pty);
}

#[test]
fn c15_copies_a_cell_a_row_and_a_table_and_y_alone_does_nothing() {
    let mut pty = Pty::start("plain", SIZE, &[("TMUX", "/tmp/tmux-0/default,1,0"), ("TERM", "tmux-256color")]);
    pty.until_text(WELL);
    let copied = |pty: &Pty| {
        let raw = String::from_utf8_lossy(&pty.raw()).into_owned();
        let all: Vec<String> = raw
            .split("\x1b]52;c;")
            .skip(1)
            .map(|rest| {
                String::from_utf8(BASE64.decode(rest.split('\x07').next().unwrap().as_bytes()).unwrap()).unwrap()
            })
            .collect();
        (all, raw.contains("\x1bPtmux;\x1b\x1b]52;"))
    };
    pty.press("ly");
    pty.until("the chord", |s| s.contents().contains("y …"));
    assert_eq!(copied(&pty).0.len(), 0);
    pty.press("c");
    pty.until_text("copied the link lab1 -> lab2");
    let (texts, through_tmux) = copied(&pty);
    assert!(texts[0].starts_with("lab1.example.com -> lab2.example.com: connected for "), "{texts:?}");
    assert!(through_tmux);
    pty.press("yt");
    pty.until_text("copied 3 lines with titles");
    let table = "from\tlab1\tlab2\tlab3\nlab1\t-\tconnected\tconnected\nlab2\tconnected\t-\tconnected\n\
                 lab3\tconnected\tconnected\t-\n";
    assert_eq!(copied(&pty).0.last().unwrap(), table);
    pty.press("yr");
    pty.until_text("copied a line");
    assert_eq!(copied(&pty).0.last().unwrap(), "lab1\t-\tconnected\tconnected");
    end(pty);
}

#[test]
fn c15_the_mouse_selects_only_when_it_is_on_and_is_always_switched_off() {
    let mut pty = Pty::start("plain", SIZE, &[]);
    pty.until_text(WELL);
    let sent = |pty: &Pty, what: &str| String::from_utf8_lossy(&pty.raw()).matches(what).count();
    assert_eq!(sent(&pty, "\x1b[?1000"), 0, "off by default");
    pty.press("M");
    pty.until_text("mouse on");
    assert_eq!(sent(&pty, "\x1b[?1000h"), 1);
    let (x, y) = {
        let text = pty.text();
        let y = text.lines().position(|l| l.contains(" lab3 ") && l.contains('●')).unwrap();
        let x = text.lines().nth(y).unwrap().chars().position(|c| c == '●').unwrap();
        (x + 1, y + 1)
    };
    pty.press(&format!("\x1b[<0;{x};{y}M\x1b[<0;{x};{y}m"));
    pty.until_text("lab3 → lab1");
    pty.press("\x1b[<64;5;5M");
    pty.until_text("lab2 → lab1");
    let tab = pty.text().lines().nth(1).unwrap().find("5 Events").unwrap() + 2;
    pty.press(&format!("\x1b[<0;{tab};2M"));
    pty.until_text("following; newest at the bottom");
    #[cfg(target_os = "linux")]
    {
        pty.signal(Signal::TSTP);
        pty.until("a stopped process", |s| !s.alternate_screen());
        assert_eq!(sent(&pty, "\x1b[?1000l"), 1, "off while somebody else has the terminal");
        while pty.process_state() != 'T' {
            std::thread::sleep(Duration::from_millis(5));
        }
        pty.signal(Signal::CONT);
        pty.until("the console again", |s| s.alternate_screen() && s.contents().contains("following"));
        assert_eq!(sent(&pty, "\x1b[?1000h"), 2);
    }
    pty.press("q");
    pty.ended();
    pty.assert_restored();
    let raw = String::from_utf8_lossy(&pty.raw()).into_owned();
    assert!(raw.rfind("\x1b[?1000l") > raw.rfind("\x1b[?1000h"), "the mouse is left on");
}

#[test]
fn c15_a_screen_dump_is_written_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut pty = Pty::start("plain", SIZE, &[(DUMPS, folder.path().to_str().unwrap())]);
    pty.until_text(WELL);
    pty.press("SS");
    pty.until_text("screen written to ");
    let end_of = Instant::now() + DEADLINE;
    let files = loop {
        let mut files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        // Made and written are two things.
        if files.len() == 4 && files.iter().all(|f| f.metadata().is_ok_and(|m| m.len() > 0)) {
            break files;
        }
        assert!(Instant::now() < end_of, "{files:?}");
        std::thread::sleep(Duration::from_millis(5));
    };
    let text = std::fs::read_to_string(files.iter().find(|f| f.extension().unwrap() == "txt").unwrap()).unwrap();
    assert!(text.contains(WELL) && !text.contains('\x1b'), "{text}");
    let colours = std::fs::read_to_string(files.iter().find(|f| f.extension().unwrap() == "ansi").unwrap()).unwrap();
    assert!(colours.contains("\x1b[0;"), "{colours}");
    end(pty);
}

#[test]
fn c15_a_shell_has_the_terminal_and_its_keys_and_then_the_console_is_whole() {
    let script = "echo in the shell; read answer; echo got $answer; stty -a | grep -q ' icanon' && read more";
    let mut pty = Pty::start("plain", SIZE, &[(SHELL, script)]);
    pty.until_text(WELL);
    pty.press("!");
    pty.until("the shell on the usual screen", |s| !s.alternate_screen() && s.contents().contains("in the shell"));
    // None of these keys is the console's.
    pty.press("qqM?\r");
    pty.until_text("got qqM?");
    pty.press("\r");
    pty.until("the console again", |s| s.alternate_screen() && s.contents().contains(WELL));
    pty.until_text("the shell on lab1.example.com has ended");
    pty.press("j");
    pty.until_text("lab2 → lab1");
    end(pty);
}

#[test]
fn c15_a_shell_that_fails_can_be_read_before_the_console_comes_back() {
    let mut pty = Pty::start("plain", SIZE, &[(SHELL, "echo Permission denied; exit 255")]);
    pty.until_text(WELL);
    pty.press("!");
    pty.until("the question", |s| {
        s.contents().contains("Permission denied") && s.contents().contains("Enter brings the console back")
    });
    pty.press("\r");
    pty.until("the console again", |s| s.alternate_screen() && s.contents().contains(WELL));
    end(pty);
}

#[test]
fn c15_without_ssh_that_is_said_and_a_read_only_console_has_no_shell() {
    let mut pty = Pty::start("plain", SIZE, &[(SHELL, "none")]);
    pty.until_text(WELL);
    pty.press("!");
    pty.until_text("there is no `ssh` here");
    pty.until("the console again", |s| s.alternate_screen() && s.contents().contains(WELL));
    end(pty);
    let mut pty = Pty::start("read-only", SIZE, &[(SHELL, "echo in the shell")]);
    pty.until_text(WELL);
    pty.press("!");
    pty.until_text("no shell from a read-only console");
    end(pty);
}

#[test]
#[cfg(target_os = "linux")]
fn c15_a_shell_that_stops_stops_the_job_and_both_go_on() {
    let mut pty = Pty::start("plain", SIZE, &[(SHELL, "kill -STOP $$; echo went on; read x")]);
    pty.until_text(WELL);
    pty.press("!");
    let end_of = Instant::now() + DEADLINE;
    while pty.process_state() != 'T' {
        assert!(Instant::now() < end_of, "the console does not stop with its shell:\n{}", pty.text());
        std::thread::sleep(Duration::from_millis(5));
    }
    pty.signal(Signal::CONT);
    pty.until_text("went on");
    pty.press("\r");
    pty.until("the console again", |s| s.alternate_screen() && s.contents().contains(WELL));
    end(pty);
}

#[test]
fn c15_old_terminals_are_sent_only_what_they_understand() {
    for term in ["vt100", "linux"] {
        let mut pty = Pty::start("plain", SIZE, &[("TERM", term)]);
        pty.until_text(WELL);
        pty.press("yc");
        pty.until_text("this terminal has no clipboard");
        assert!(pty.text().is_ascii(), "{}", pty.text());
        pty.press("q");
        pty.ended();
        let raw = String::from_utf8_lossy(&pty.raw()).into_owned();
        for sent in ["\x1b]", "\x1b[22;0t", "\x1bP", ";5;", "\x1b[6n"] {
            assert!(!raw.contains(sent), "{term} is sent {sent:?}");
        }
        assert!(raw.bytes().all(|b| b < 0x80), "{term}");
    }
}

#[test]
fn c15_a_terminal_that_was_smaller_for_a_moment_is_drawn_whole() {
    let pty = Pty::start("plain", SIZE, &[]);
    pty.until_text(WELL);
    // The console may see only the last size, which is the one that it knows.
    for _ in 0..20 {
        pty.resize((45, 12));
        pty.resize(SIZE);
    }
    pty.until("the last line", |s| s.contents().lines().last().is_some_and(|l| l.contains("q quit  ? help")));
    pty.until("the header", |s| s.contents().lines().next().is_some_and(|l| l.contains("live")));
    end(pty);
}
