//! Something that is being typed: a value or a name.

use ratatui::layout::Rect;

use crate::app::settings::Form;
use crate::app::settings::form::Kind;
use crate::ui::acts;
use crate::ui::pen::{Pen, piece};
use crate::ui::text;
use crate::ui::theme::Role;

/// Lines that a single JSON field takes.
const JSON_LINES: usize = 6;

/// Draws the form.
pub fn draw(pen: &mut Pen<'_>, area: Rect, form: &Form) {
    let json = form.fields.len() == 1 && form.fields[0].kind == Kind::Json;
    let lines = if json { JSON_LINES } else { form.fields.len() };
    let inner = acts::panel(pen, area, lines + 2, &form.title, Role::Border);
    let room = usize::from(inner.height.saturating_sub(2));
    if json {
        json_field(pen, inner, form.fields[0].text.as_str(), room);
    } else {
        let names = form.fields.iter().map(|f| text::width(&f.name)).max().unwrap_or(4).min(24);
        let first = form.at.saturating_sub(room.saturating_sub(1));
        for (y, (at, field)) in
            (inner.y..inner.bottom().saturating_sub(2)).zip(form.fields.iter().enumerate().skip(first))
        {
            let focused = at == form.at;
            let name = text::pad(&text::cut_middle(&field.name, names, pen.glyphs().ellipsis), names);
            let pointer = if focused { pen.glyphs().pointer } else { " " };
            let x = pen.line(
                Rect { y, height: 1, ..inner },
                &[
                    piece(format!("{pointer} "), Role::Accent),
                    piece(format!("{name}  "), if focused { Role::Accent } else { Role::Muted }),
                ],
            );
            let left = inner.right().saturating_sub(x);
            let shown = acts::tail(field.text.as_str(), usize::from(left.saturating_sub(2)));
            let x = pen.put(x, y, left, shown, Role::Text);
            if focused {
                let x = pen.put(x, y, 1, " ", Role::Selection);
                if !field.options.is_empty() {
                    let words = format!(" {}", field.options.join("  "));
                    pen.put_cut(x, y, inner.right().saturating_sub(x), &words, Role::Muted);
                }
            }
        }
    }
    let foot = inner.bottom().saturating_sub(2);
    if !form.told.is_empty() {
        pen.put_cut(inner.x, foot, inner.width, &form.told, Role::Warn);
    }
    let (does, json) = if form.is_value() { (" stages it   ", true) } else { (" does it   ", false) };
    let offers = form.fields.get(form.at).is_some_and(|f| !f.options.is_empty());
    let mut keys = vec![
        piece("Enter", Role::Key),
        piece(does, Role::Muted),
        piece("Esc", Role::Key),
        piece(" cancels   ", Role::Muted),
    ];
    if form.fields.len() > 1 {
        keys.extend([piece("Tab", Role::Key), piece(" next field   ", Role::Muted)]);
    }
    if offers {
        keys.extend([piece("Up Down", Role::Key), piece(" choose   ", Role::Muted)]);
    }
    if json {
        keys.extend([piece("Ctrl-e", Role::Key), piece(" fields or JSON", Role::Muted)]);
    }
    pen.line(Rect { y: inner.bottom().saturating_sub(1), height: 1, ..inner }, &keys);
}

/// The end of a long text over several lines: where the cursor stands.
fn json_field(pen: &mut Pen<'_>, inner: Rect, typed: &str, room: usize) {
    let columns = usize::from(inner.width.saturating_sub(1)).max(1);
    let mut lines: Vec<String> = vec![String::new()];
    let mut used = 0;
    for c in typed.chars() {
        let mut buf = [0; 4];
        let wide = text::width(c.encode_utf8(&mut buf));
        if used + wide > columns {
            lines.push(String::new());
            used = 0;
        }
        if let Some(line) = lines.last_mut() {
            line.push(c);
        }
        used += wide;
    }
    let first = lines.len().saturating_sub(room);
    let last = lines.len() - 1;
    for (y, (n, line)) in (inner.y..).zip(lines.iter().enumerate().skip(first).take(room)) {
        let x = pen.put(inner.x, y, inner.width, line, Role::Text);
        if n == last {
            pen.put(x, y, 1, " ", Role::Selection);
        }
    }
}
