//! Who may use whom: the table of `src/lib.rs`, held against every path in every file under `src/`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// One layer: a module of the crate's root, or one file of it that may more.
struct Layer {
    /// Path under `src/`, without `.rs`; the longest that fits counts.
    at: &'static str,
    /// Modules of ours that it may name.
    ours: &'static [&'static str],
    /// Of [`GUARDED`], what it may name.
    outside: &'static [&'static str],
}

/// What not every layer may name.
const GUARDED: &[(&str, &[&str])] = &[
    ("tokio", &["tokio::", "tokio_util::", "futures::"]),
    ("russh", &["russh::"]),
    ("hickory", &["hickory_resolver::", "hickory_server::"]),
    ("ratatui", &["ratatui::"]),
    ("crossterm", &["crossterm::"]),
    ("files", &["std::fs", "rustix::fs"]),
    ("system", &["std::env", "std::process", "std::io", "std::thread", "rustix::"]),
    ("sockets", &["std::net::TcpStream", "std::net::TcpListener", "std::net::UdpSocket"]),
    ("clock", &["SystemTime", "time::Instant", "jiff::Timestamp::now", "jiff::Zoned::now", "rustix::time"]),
    // Seeded generators are pure; these draw from the system.
    ("random", &["rand::random", "rand::rng", "rand::rngs::SysRng", "rand::rngs::ThreadRng"]),
    ("sqlite", &["rusqlite::"]),
    ("serde", &["serde::", "serde_json::", "toml::"]),
    (
        "http",
        &["reqwest::", "hyper::", "hyper_util::", "http_body_util::", "tokio_rustls::", "rustls_platform_verifier::"],
    ),
    ("mail", &["lettre::"]),
    ("cli", &["clap::", "anyhow::", "tracing_subscriber::"]),
];

const IO: &[&str] = &["tokio", "russh", "hickory", "files", "system", "sockets", "clock", "random", "serde"];

const LAYERS: &[Layer] = &[
    Layer { at: "domain", ours: &[], outside: &[] },
    Layer { at: "proto", ours: &["domain"], outside: &["serde"] },
    Layer { at: "clock", ours: &["domain"], outside: &["clock", "system"] },
    Layer { at: "engine", ours: &["domain"], outside: &[] },
    // Only tokio's channels and timers: it reads the clock through ours, but sleeps on tokio's.
    Layer { at: "engine/runtime", ours: &["domain", "clock"], outside: &["tokio", "clock"] },
    Layer { at: "alerts", ours: &["domain"], outside: &[] },
    Layer {
        at: "alerts/sinks",
        ours: &["domain"],
        outside: &["tokio", "files", "system", "sockets", "clock", "random", "serde", "http", "mail"],
    },
    Layer {
        at: "alerts/store",
        ours: &["domain", "proto"],
        outside: &["files", "system", "sqlite", "random", "serde"],
    },
    Layer { at: "record", ours: &["domain", "proto"], outside: &["files", "system", "sqlite", "serde"] },
    Layer { at: "ssh", ours: &["domain", "proto", "clock"], outside: IO },
    Layer { at: "dns", ours: &["domain", "proto", "clock"], outside: IO },
    Layer { at: "drivers", ours: &["domain", "proto", "ssh", "dns", "clock"], outside: IO },
    Layer { at: "daemon", ours: &["domain", "proto", "ssh", "dns", "clock"], outside: IO },
    Layer { at: "daemon/disk", ours: &["domain"], outside: &["files", "system", "sqlite", "tokio"] },
    Layer { at: "daemon/cluster", ours: &["domain", "proto"], outside: &["serde"] },
    Layer { at: "daemon/ha/core", ours: &["domain", "proto"], outside: &[] },
    Layer { at: "daemon/replica", ours: &["domain", "proto"], outside: &["serde"] },
    // Two threads, and nothing else of the system: what comes out is the same as with one.
    Layer { at: "daemon/replica/load", ours: &["domain", "proto"], outside: &["serde", "system"] },
    Layer { at: "report", ours: &["domain"], outside: &["serde"] },
    Layer { at: "app", ours: &["domain"], outside: &[] },
    Layer { at: "ui", ours: &["app", "domain"], outside: &["ratatui", "serde"] },
    Layer { at: "term", ours: &[], outside: &["crossterm", "ratatui", "tokio", "files", "system", "clock"] },
    Layer { at: "config", ours: &["alerts", "app", "domain"], outside: &["files", "system", "serde"] },
    Layer { at: "lab", ours: &["daemon", "ssh", "dns", "proto", "domain", "clock"], outside: IO },
    Layer {
        at: "cli",
        ours: &[
            "alerts", "app", "clock", "config", "daemon", "dns", "domain", "drivers", "engine", "lab", "proto",
            "record", "report", "ssh", "term", "ui",
        ],
        outside: &[
            "tokio",
            "russh",
            "hickory",
            "ratatui",
            "crossterm",
            "files",
            "system",
            "sockets",
            "clock",
            "random",
            "serde",
            "cli",
            "http",
        ],
    },
    Layer { at: "main", ours: &["cli"], outside: &["cli", "system"] },
    Layer { at: "lib", ours: &[], outside: &[] },
];

/// Of a layer that is otherwise out of bounds, the parts that are not: the console makes the engine's plans.
const PARTS: &[(&str, &str)] =
    &[("app", "crate::engine::plans"), ("app", "crate::engine::bulk"), ("app", "crate::engine::settings")];

#[test]
fn every_layer_uses_only_what_the_table_allows() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = String::new();
    let files = rust_files(&src);
    assert!(files.len() > 30, "the test looks into the wrong folder");
    for file in files {
        let relative = file.strip_prefix(&src).unwrap().to_string_lossy().replace('\\', "/");
        let text = std::fs::read_to_string(&file).unwrap();
        for (line, what) in violations(&relative, &text) {
            writeln!(wrong, "src/{relative}:{line}: {what}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "layers are crossed (the table stands in src/lib.rs):\n{wrong}");
}

#[test]
fn planted_violations_are_caught_with_their_line() {
    let caught = |at: &str, text: &str| violations(at, text).into_iter().map(|(line, _)| line).collect::<Vec<_>>();
    assert_eq!(caught("domain/x.rs", "//! Doc.\nuse crate::engine::Engine;\n"), [2]);
    assert_eq!(caught("app/x.rs", "use crate::{\n    domain::Time,\n    ssh::client,\n};\n"), [1]);
    assert_eq!(caught("app/mod.rs", "use super::engine::Engine;\n"), [1], "by way of super");
    assert_eq!(caught("app/x.rs", "use crate::engine::runtime::spawn;\nuse crate::engine::plans;\n"), [1]);
    assert_eq!(caught("ui/x.rs", "use crate::engine::bulk::Bulk;\n"), [1], "only the console's state makes plans");
    assert_eq!(caught("app/deep/x.rs", "use super::super::super::ssh::net;\n"), [1]);
    assert_eq!(caught("engine/rules.rs", "fn f() { tokio::spawn(async {}); }\n"), [1], "a path in code");
    assert_eq!(caught("ui/x.rs", "\nlet t = std::time::Instant::now();\n"), [2]);
    assert_eq!(caught("ui/x.rs", "use std::time::{Duration, Instant};\n"), [1], "in braces");
    assert_eq!(caught("domain/x.rs", "use std::{fmt, fs::File};\n"), [1]);
    assert_eq!(caught("domain/x.rs", "use serde::Serialize;\n"), [1]);
    assert_eq!(caught("nowhere/x.rs", "\n"), [1], "a module that the table does not know");
    for innocent in [
        "// use crate::engine::Engine;\n",
        "/* tokio::spawn */\n",
        "let s = \"russh::client\";\n",
        "let s = r#\"crate::ui\"#;\n",
        "use super::text::Line;\nuse crate::domain::Time;\n",
        "#[cfg(test)]\nmod tests {\n    use crate::engine::Engine;\n}\n",
    ] {
        assert_eq!(caught("domain/deep/x.rs", innocent), [] as [usize; 0], "{innocent}");
    }
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") && path.file_name().is_some_and(|n| n != "tests.rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// What a file names and may not, with line numbers.
fn violations(relative: &str, text: &str) -> Vec<(usize, String)> {
    let module = relative.trim_end_matches(".rs").trim_end_matches("/mod");
    let fits = |l: &&Layer| module == l.at || module.starts_with(&format!("{}/", l.at));
    let Some(layer) = LAYERS.iter().filter(fits).max_by_key(|l| l.at.len()) else {
        return vec![(1, format!("{module} stands in no row of the table"))];
    };
    let root = module.split('/').next().unwrap();
    let code = without_tests(&without_comments_and_texts(text));
    let mut found = Vec::new();
    for (line, path) in paths(&code) {
        if let Some(name) = ours(&path, module)
            && name != root
            && !layer.ours.contains(&name.as_str())
            && !PARTS.iter().any(|(at, part)| *at == layer.at && names(&path, part))
            && LAYERS.iter().any(|l| l.at == name)
        {
            found.push((line, format!("{} may not use {name}: {path}", layer.at)));
        }
        for (guard, prefixes) in GUARDED {
            let named = prefixes.iter().any(|p| names(&path, p));
            if named && !layer.outside.contains(guard) {
                found.push((line, format!("{} may not use {guard}: {path}", layer.at)));
            }
        }
    }
    found
}

/// Whether `path` is or begins with `guard`; where that begins with a capital letter or a module, anywhere in it.
fn names(path: &str, guard: &str) -> bool {
    let whole = format!("{path}::");
    let guard = format!("{}::", guard.trim_end_matches("::"));
    whole.starts_with(&guard)
        || (guard.starts_with("SystemTime") || guard.starts_with("time::Instant")) && whole.contains(&guard)
}

/// The module of our root that a path leads to, if it leaves its own.
fn ours(path: &str, module: &str) -> Option<String> {
    let segments: Vec<&str> = path.split("::").collect();
    match segments.first() {
        Some(&"crate" | &"peerdeck") => segments.get(1).map(|s| (*s).to_owned()),
        Some(&"super") => {
            let up = segments.iter().take_while(|s| **s == "super").count();
            let depth = module.split('/').count();
            (up >= depth).then(|| segments.get(up).map(|s| (*s).to_owned())).flatten()
        }
        Some(_) | None => None,
    }
}

/// Every path in the code, braces of `use` unfolded, with the line where its statement begins.
fn paths(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut chars = code.char_indices().peekable();
    let mut line = 1;
    let mut before = ' ';
    while let Some((at, c)) = chars.next() {
        if c == '\n' {
            line += 1;
        }
        let begins = (c.is_alphabetic() || c == '_') && !(before.is_alphanumeric() || before == '_' || before == ':');
        before = c;
        if !begins {
            continue;
        }
        let mut end = at;
        let unfolded = unfold(&code[at..], &mut end);
        if unfolded.iter().any(|p| p.contains("::")) {
            found.extend(unfolded.into_iter().map(|p| (line, p)));
        }
        // Only what stands inside the same statement was consumed; lines go on counting.
        while chars.peek().is_some_and(|(i, _)| *i < end) {
            if let Some((_, c)) = chars.next() {
                if c == '\n' {
                    line += 1;
                }
                before = c;
            }
        }
    }
    found
}

/// `a::{b, c::d}` into `a::b` and `a::c::d`; moves `end` behind it.
fn unfold(text: &str, end: &mut usize) -> Vec<String> {
    let start = *end;
    let mut path = String::new();
    let mut rest = text;
    loop {
        let word: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        path.push_str(&word);
        rest = &rest[word.len()..];
        let Some(after) = rest.strip_prefix("::") else { break };
        if let Some(inside) = after.strip_prefix('{') {
            let mut found = Vec::new();
            let mut depth = 1;
            let mut item = String::new();
            let mut length = 0;
            for c in inside.chars() {
                length += c.len_utf8();
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    _ => {}
                }
                if depth == 0 || (depth == 1 && c == ',') {
                    let name = item.trim();
                    if !name.is_empty() {
                        let mut ignored = 0;
                        found.extend(unfold(name, &mut ignored).into_iter().map(|p| format!("{path}::{p}")));
                    }
                    item.clear();
                } else {
                    item.push(c);
                }
                if depth == 0 {
                    break;
                }
            }
            *end = start + (text.len() - inside.len()) + length;
            return found;
        }
        if !after.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            rest = after;
            break;
        }
        path.push_str("::");
        rest = after;
    }
    *end = start + (text.len() - rest.len());
    vec![path]
}

/// The same number of lines, without comments, and texts emptied.
fn without_comments_and_texts(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let bytes: Vec<char> = text.chars().collect();
    let mut i = 0;
    let skip = |out: &mut String, from: usize, to: usize| {
        out.extend(bytes[from..to.min(bytes.len())].iter().filter(|c| **c == '\n'));
    };
    while i < bytes.len() {
        let at = |k: usize| bytes.get(i + k).copied().unwrap_or(' ');
        let end = if at(0) == '/' && at(1) == '/' {
            (i..bytes.len()).find(|k| bytes[*k] == '\n').unwrap_or(bytes.len())
        } else if at(0) == '/' && at(1) == '*' {
            (i + 2..bytes.len()).find(|k| bytes[*k] == '/' && bytes[*k - 1] == '*').map_or(bytes.len(), |k| k + 1)
        } else if at(0) == 'r' && (at(1) == '"' || (at(1) == '#' && (at(2) == '"' || at(2) == '#'))) {
            let hashes = (i + 1..bytes.len()).take_while(|k| bytes[*k] == '#').count();
            let closing: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
            let from = i + 2 + hashes;
            (from..bytes.len()).find(|k| bytes[*k..].starts_with(&closing)).map_or(bytes.len(), |k| k + 1 + hashes)
        } else if at(0) == '"' {
            let mut k = i + 1;
            while k < bytes.len() && bytes[k] != '"' {
                k += if bytes[k] == '\\' { 2 } else { 1 };
            }
            k + 1
        } else if at(0) == '\'' && (at(2) == '\'' || at(1) == '\\') {
            let from = if at(1) == '\\' { i + 3 } else { i + 2 };
            (from..bytes.len()).find(|k| bytes[*k] == '\'').map_or(bytes.len(), |k| k + 1)
        } else {
            out.push(bytes[i]);
            i += 1;
            continue;
        };
        skip(&mut out, i, end);
        out.push(' ');
        i = end;
    }
    out
}

/// Without the modules of unit tests, which may use what they test with.
fn without_tests(code: &str) -> String {
    let mut out = String::new();
    let mut rest = code;
    while let Some(at) = rest.find("#[cfg(test)]") {
        out.push_str(&rest[..at]);
        let after = &rest[at..];
        let open = after.find(['{', ';']).unwrap_or(after.len());
        let mut end = (open + 1).min(after.len());
        if after[open..].starts_with('{') {
            let mut depth = 1;
            for c in after[end..].chars() {
                end += c.len_utf8();
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
            }
        }
        out.extend(after[..end].chars().filter(|c| *c == '\n'));
        rest = &after[end..];
    }
    out.push_str(rest);
    out
}
