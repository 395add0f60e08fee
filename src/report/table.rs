//! Tables of text that fit the terminal.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// How text may look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Style {
    /// Columns of the terminal; `None` when it is none, then nothing is cut.
    pub width: Option<usize>,
    /// Whether to colour. The words say the same without.
    pub color: bool,
    /// More columns and rows.
    pub verbose: bool,
}

/// What a cell says, apart from its words.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Tone {
    /// Nothing.
    #[default]
    Plain,
    /// Good.
    Good,
    /// Needs a look.
    Warn,
    /// Bad.
    Bad,
    /// Not known, or of no weight.
    Dim,
    /// A heading.
    Head,
}

impl Tone {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Good => "\x1b[32m",
            Self::Warn => "\x1b[33m",
            Self::Bad => "\x1b[1;31m",
            Self::Dim => "\x1b[2m",
            Self::Head => "\x1b[1m",
        }
    }
}

/// `text` in a tone, if colours are wanted.
#[must_use]
pub fn paint(text: &str, tone: Tone, style: Style) -> String {
    if style.color && tone != Tone::Plain { format!("{}{text}\x1b[0m", tone.code()) } else { text.to_owned() }
}

/// A cell.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    text: String,
    tone: Tone,
}

/// A cell in a tone.
pub fn cell(text: impl Into<String>, tone: Tone) -> Cell {
    Cell { text: text.into(), tone }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, tone: Tone::Plain }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), tone: Tone::Plain }
    }
}

/// Rows under headings.
pub struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

/// Columns are not made narrower than this.
const NARROW: usize = 6;
const GAP: usize = 2;

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new(headings: &[&'static str]) -> Self {
        Self { headings: headings.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; one cell a heading.
    pub fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        self.rows.push(cells.into());
    }

    /// Whether it has no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as text; the widest columns give way until it fits.
    #[must_use]
    pub fn render(&self, style: Style) -> String {
        let mut widths: Vec<usize> = self.headings.iter().map(|h| h.width()).collect();
        for row in &self.rows {
            for (w, c) in widths.iter_mut().zip(row) {
                *w = (*w).max(c.text.width());
            }
        }
        if let Some(total) = style.width {
            shrink(&mut widths, total);
        }
        let mut out = String::new();
        let head: Vec<Cell> = self.headings.iter().map(|h| cell(*h, Tone::Head)).collect();
        for row in std::iter::once(&head).chain(&self.rows) {
            let mut line = String::new();
            let mut pad = 0;
            for (c, width) in row.iter().zip(&widths) {
                let text = fit(&c.text, *width);
                line.push_str(&" ".repeat(pad));
                line.push_str(&paint(&text, c.tone, style));
                pad = width - text.width() + GAP;
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

fn shrink(widths: &mut [usize], total: usize) {
    let gaps = GAP * widths.len().saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > total {
        let Some(widest) = widths.iter_mut().max() else { return };
        if *widest <= NARROW {
            return;
        }
        *widest -= 1;
    }
}

/// `text` in at most `width` columns, with an ellipsis where something is missing.
#[must_use]
pub fn fit(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for g in text.graphemes(true) {
        if used + g.width() + 1 > width {
            break;
        }
        out.push_str(g);
        used += g.width();
    }
    out.push('…');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_line_is_wider_than_the_terminal(
            rows in prop::collection::vec(("\\PC{0,40}", "[a-z]{0,60}", "[a-z界]{0,30}"), 0..8),
            width in 30usize..120,
        ) {
            let mut table = Table::new(&["ONE", "TWO", "THREE"]);
            for (a, b, c) in rows {
                table.row([crate::domain::text::clean(&a, 40).into(), b.into(), c.into()]);
            }
            let text = table.render(Style { width: Some(width), ..Style::default() });
            for line in text.lines() {
                prop_assert!(line.width() <= width, "{line:?} is wider than {width}");
            }
        }
    }
}
