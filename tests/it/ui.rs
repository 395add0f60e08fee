//! Drawing: every view and dialog at several sizes, with its styles.

pub mod scene;

use std::sync::Arc;
use std::time::Duration;

use peerdeck::app::keys::Key;
use peerdeck::app::{App, Msg, Options};
use peerdeck::domain::{Snapshot, Time};
use peerdeck::ui::{Depth, Look, Themes, glyphs};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use scene::{NOW, Scene};

/// A look: theme, signs and depth.
pub fn look(theme: &str, ascii: bool, depth: Depth) -> Look {
    let (themes, _) = Themes::load(&[]);
    Look {
        theme: themes.get(themes.position(theme).unwrap(), depth),
        glyphs: if ascii { glyphs::ASCII } else { glyphs::UNICODE },
        zone: jiff::tz::TimeZone::UTC,
    }
}

/// The console over a scene, after some keys.
pub fn app(snapshot: Snapshot, size: (u16, u16), keys: &str) -> App {
    let options = Options { lab: true, themes: 6, width: size.0, height: size.1, ..Options::default() };
    let mut app = App::new(options, Arc::new(snapshot), NOW);
    press(&mut app, keys, NOW);
    app
}

/// Types `keys`: words of one character or `<name>` are keys, longer ones are typed.
pub fn press(app: &mut App, keys: &str, now: Time) -> Vec<peerdeck::app::Cmd> {
    let mut cmds = Vec::new();
    for word in keys.split_whitespace() {
        let typed: Vec<Key> = match word.strip_prefix('<').and_then(|w| w.strip_suffix('>')) {
            Some(name) => vec![name.parse().unwrap()],
            None => word.chars().map(|c| c.to_string().parse().unwrap()).collect(),
        };
        for key in typed {
            cmds.extend(app.update(Msg::Key(key), now));
        }
    }
    cmds
}

pub fn render(app: &App, size: (u16, u16), look: &Look, now: Time) -> Buffer {
    let mut buf = Buffer::empty(Rect::new(0, 0, size.0, size.1));
    peerdeck::ui::draw(&mut buf, app, look, now);
    buf
}

pub fn text(buf: &Buffer) -> String {
    let mut out = String::new();
    for y in 0..buf.area.height {
        let mut line = String::new();
        let mut skip = 0;
        for x in 0..buf.area.width {
            if skip > 0 {
                skip -= 1;
                continue;
            }
            let symbol = buf[(x, y)].symbol();
            skip = peerdeck::ui::text::width(symbol).saturating_sub(1);
            line.push_str(symbol);
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[test]
#[ignore = "for looking at screens"]
fn show() {
    let size =
        (std::env::var("W").map_or(80, |w| w.parse().unwrap()), std::env::var("H").map_or(24, |w| w.parse().unwrap()));
    let n: usize = std::env::var("N").map_or(6, |w| w.parse().unwrap());
    let keys = std::env::var("K").unwrap_or_default();
    let ascii = std::env::var("A").is_ok();
    let mut scene = if n == 6 { scene::one_sided() } else { Scene::lab(n) };
    if n > 6 {
        scene.cut(2, 8, 30).late(4).stale(6, 20).detach(3);
    }
    let app = app(scene.build(), size, &keys);
    print!("{}", text(&render(&app, size, &look("terminal", ascii, Depth::True), NOW + Duration::from_millis(100))));
}
