//! The commented template that `config template` prints.

use super::keys::{ALERTS, Key, RECORD, RULE, SETTINGS, SINK, SINKS, Scope, WATCH};

/// A fleet file in which every line is a comment: explanations begin with `##`, settings with `#`.
/// With the first `#` of every line taken away it is a valid fleet file.
#[must_use]
pub fn template() -> String {
    let mut out = String::new();
    explain(
        &mut out,
        "Fleet file of peerdeck: ~/.config/peerdeck/fleet.toml, or --fleet FILE, or NAME.toml there and --fleet NAME.",
    );
    explain(
        &mut out,
        "Take away the # before the lines that you want; lines with ## explain. `peerdeck config check` reads it.",
    );
    explain(
        &mut out,
        "Times are written \"250ms\", \"5s\", \"2m\", \"1h30m\". Only you may write this file, or it is not read.",
    );
    out.push_str("#\n#[defaults]\n");
    explain(&mut out, "These hold for all clusters and peers; a [[cluster]] and a [[cluster.peer]] can set their own.");
    for key in SETTINGS.iter().filter(|k| k.scope == Scope::Peer) {
        explain(&mut out, key.help);
        line(&mut out, &format!("{} = {}", key.name, key.example));
    }
    explain(&mut out, "How a whole cluster is judged: here or in a [[cluster]].");
    for key in SETTINGS.iter().filter(|k| k.scope == Scope::Cluster) {
        explain(&mut out, key.help);
        line(&mut out, &format!("{} = {}", key.name, key.example));
    }
    out.push_str("#\n#[[cluster]]\n");
    line(&mut out, "name = \"americas\"");
    explain(&mut out, "Theme of the console while this cluster is shown.");
    line(&mut out, "theme = \"dark\"");
    explain(&mut out, "Ask any peer for its fellows and connect to them too.");
    line(&mut out, "discover = true");
    out.push_str("#\n#[[cluster.peer]]\n");
    line(&mut out, "host = \"lab1.example.com\"");
    explain(&mut out, "Every key that says how to connect may stand here as well.");
    line(&mut out, "port = 2222");
    out.push_str("#\n#[[cluster.peer]]\n");
    line(&mut out, "host = \"lab2.example.com\"");
    section(&mut out, "[alerts]", "What is told of findings, and when.", ALERTS);
    let rules = "What holds for some of them; the first rule that fits and says something about a matter counts.";
    section(&mut out, "[[alerts.rule]]", rules, RULE);
    section(&mut out, "[watch]", "How the headless watch tells it.", WATCH);
    for (i, sink) in SINKS.iter().enumerate() {
        if i == 0 {
            section(&mut out, "[[watch.sink]]", "Where alerts go, beside standard output. For all types:", SINK);
            explain(&mut out, sink.help);
        } else {
            section(&mut out, "[[watch.sink]]", sink.help, &[]);
            line(&mut out, &format!("type = \"{}\"", sink.word));
        }
        settings(&mut out, sink.keys);
    }
    section(&mut out, "[record]", "What is kept of the picture for looking back.", RECORD);
    out
}

fn section(out: &mut String, header: &str, help: &str, keys: &[Key]) {
    out.push_str("#\n#");
    out.push_str(header);
    out.push('\n');
    explain(out, help);
    settings(out, keys);
}

fn settings(out: &mut String, keys: &[Key]) {
    for key in keys {
        explain(out, key.help);
        line(out, &format!("{} = {}", key.name, key.example));
    }
}

fn line(out: &mut String, text: &str) {
    out.push('#');
    out.push_str(text);
    out.push('\n');
}

fn explain(out: &mut String, text: &str) {
    let mut width = 0;
    for word in text.split_whitespace() {
        if width > 0 && width + 1 + word.len() > 96 {
            out.push('\n');
            width = 0;
        }
        if width == 0 {
            out.push_str("## ");
        } else {
            out.push(' ');
            width += 1;
        }
        out.push_str(word);
        width += word.len();
    }
    out.push('\n');
}
