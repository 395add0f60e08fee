//! The wall on a real terminal, over a real lab in another process.

use std::path::Path;

use peerdeck::ui::glyphs::Charset;
use peerdeck::ui::wall::big;
use portable_pty::CommandBuilder;
use rustix::process::Signal;
use serde_json::Value;

use crate::terminal::Pty;
use crate::whole::Whole;

const SIZE: (u16, u16) = (100, 30);

fn wall(home: &Path, args: &[&str]) -> CommandBuilder {
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_peerdeck"));
    command.args(["wall", "--unicode", "--rotate", "0s"]);
    command.args(args);
    command.env_clear();
    let vars = [("TERM", "xterm-256color"), ("LANG", "C.UTF-8"), ("TZ", "UTC"), ("RUST_BACKTRACE", "0")];
    for (name, value) in vars.into_iter().chain([("HOME", home.to_str().unwrap())]) {
        command.env(name, value);
    }
    command
}

/// Whether a line of the screen has the first line of `text` in one of the sizes.
fn shows(screen: &vt100::Screen, text: &str) -> bool {
    let contents = screen.contents();
    big::SIZES.iter().any(|size| {
        let rows = big::rows(text, *size, Charset::Unicode);
        rows.iter().all(|row| contents.contains(row.trim()))
    })
}

fn links(whole: &Whole) -> Value {
    let told: Value = serde_json::from_slice(&whole.run(&["list", "--json"]).stdout).unwrap();
    told["clusters"].clone()
}

#[test]
fn d9_shows_that_all_is_well_then_trouble_and_no_key_or_paste_does_anything() {
    let whole = Whole::start("3");
    let mut pty = Pty::run(wall(whole.dir.path(), &["--fleet", &whole.fleet]), SIZE);
    pty.until_text("All 3 peers see each other: 6 links are up.");
    pty.until("the alternate screen", |s| s.alternate_screen() && s.hide_cursor() && s.bracketed_paste());
    let before = links(&whole);
    // Every key but q and Ctrl-C, those of every action of the console among them, and pasted text.
    let keys: String = (1..=126u8).map(char::from).filter(|c| !matches!(c, 'q' | '\x03' | '\x1b')).collect();
    pty.press(&keys);
    pty.press("ad1\rad2\ry\r:disconnect lab1\ryy");
    pty.press("\x1b[200~q\x03:removemachine lab2\radq\x1b[201~");
    pty.press("\x1b[A\x1b[B\x1b[5~\x1bOP\x1b[15~");
    pty.until("still the same", |s| s.contents().contains("All 3 peers see each other: 6 links are up."));
    whole.fault(&["kill", "lab3"]);
    pty.until("trouble", |s| shows(s, "CRITICAL") && s.contents().contains("2/3 peers"));
    whole.fault(&["start", "lab3"]);
    pty.until_text("All 3 peers see each other: 6 links are up.");
    assert_eq!(links(&whole), before, "nobody was detached, moved or removed");
    let screen = pty.text();
    assert!(!screen.contains("Help") && !screen.contains("disconnect"), "{screen}");
    pty.press("q");
    pty.ended();
    pty.assert_restored();
}

#[test]
fn d9_starts_while_nobody_is_there_and_sees_the_fleet_when_it_comes() {
    let whole = Whole::start("3");
    whole.fault(&["isolate", "console"]);
    let pty = Pty::run(wall(whole.dir.path(), &["--fleet", &whole.fleet]), SIZE);
    pty.until("that it is cut off", |s| shows(s, "CUT OFF"));
    whole.fault(&["heal"]);
    pty.until_text("All 3 peers see each other: 6 links are up.");
}

#[test]
fn d9_a_hangup_and_a_signal_end_it_and_small_terminals_are_told() {
    let whole = Whole::start("2");
    for signal in [Signal::HUP, Signal::TERM, Signal::INT] {
        let mut pty = Pty::run(wall(whole.dir.path(), &["--fleet", &whole.fleet]), SIZE);
        pty.until_text("Both peers see each other");
        pty.resize((30, 8));
        pty.until_text("too small: 30x8");
        pty.resize(SIZE);
        pty.until_text("Both peers see each other");
        pty.signal(signal);
        pty.ended();
        pty.assert_restored();
    }
}
