//! Text for terminals: columns and colours. No text of an application in a cell can end a line, move the cursor or
//! change a colour. Pure.

use std::fmt::Write as _;

/// The emphasis of a cell, where there are colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Style {
    /// None.
    #[default]
    Plain,
    /// The name of a column or of an object.
    Name,
    /// Good.
    Good,
    /// Needs attention.
    Warning,
    /// Wrong.
    Bad,
    /// Less important.
    Faint,
}

impl Style {
    /// The parameter of the escape sequence (SGR, ECMA-48) that begins it; `None` for plain text.
    fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Name => Some("1"),
            Self::Good => Some("32"),
            Self::Warning => Some("33"),
            Self::Bad => Some("1;31"),
            Self::Faint => Some("2"),
        }
    }
}

/// One cell: printable text on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A cell with the printable form of `text`.
    #[must_use]
    pub fn new(style: Style, text: &str) -> Self {
        Self {
            text: crate::render::text::printable(text),
            style,
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::new(Style::Plain, text)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::new(Style::Plain, &text)
    }
}

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Page {
    /// With colours.
    pub colour: bool,
    /// The width in characters at which lines are cut; `None` cuts none.
    pub width: Option<usize>,
}

/// Lines, most of them in columns.
#[derive(Clone, Debug, Default)]
pub struct Table {
    lines: Vec<Line>,
}

#[derive(Clone, Debug)]
enum Line {
    Columns(Vec<Cell>),
    Whole(Vec<Cell>),
}

impl Table {
    /// A table without a line.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a line in columns, aligned with all other such lines. The last cell of a line takes the room that
    /// it needs.
    pub fn row(&mut self, cells: Vec<Cell>) {
        self.lines.push(Line::Columns(cells));
    }

    /// Adds a line of its own, which widens no column: its cells follow each other.
    pub fn line(&mut self, cells: Vec<Cell>) {
        self.lines.push(Line::Whole(cells));
    }

    /// Adds an empty line.
    pub fn gap(&mut self) {
        self.line(Vec::new());
    }

    /// The table as text, in whole lines.
    #[must_use]
    pub fn render(&self, page: Page) -> String {
        let widths = self.widths();
        let mut text = String::new();
        for line in &self.lines {
            let mut writer = LineWriter::new(page);
            match line {
                Line::Whole(cells) => cells.iter().for_each(|cell| writer.cell(cell)),
                Line::Columns(cells) => {
                    for (at, cell) in cells.iter().enumerate() {
                        writer.cell(cell);
                        if at + 1 < cells.len() {
                            let width = widths.get(at).copied().unwrap_or(0);
                            writer.blanks(width.saturating_sub(length(cell)) + 2);
                        }
                    }
                }
            }
            text.push_str(writer.text.trim_end());
            text.push('\n');
        }
        text
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = Vec::new();
        for line in &self.lines {
            let Line::Columns(cells) = line else {
                continue;
            };
            let padded = cells.len().saturating_sub(1);
            widths.resize(widths.len().max(padded), 0);
            for (width, cell) in widths.iter_mut().zip(cells.iter().take(padded)) {
                *width = length(cell).max(*width);
            }
        }
        widths
    }
}

fn length(cell: &Cell) -> usize {
    cell.text.chars().count()
}

/// A line in progress.
struct LineWriter {
    text: String,
    colour: bool,
    left: usize,
}

impl LineWriter {
    fn new(page: Page) -> Self {
        Self {
            text: String::new(),
            colour: page.colour,
            left: page.width.unwrap_or(usize::MAX),
        }
    }

    fn cell(&mut self, cell: &Cell) {
        let shown: String = cell.text.chars().take(self.left).collect();
        self.left -= shown.chars().count();
        match cell.style.code().filter(|_| self.colour) {
            // Writing to a String cannot fail.
            Some(code) if !shown.is_empty() => {
                let _ = write!(self.text, "\x1b[{code}m{shown}\x1b[0m");
            }
            _ => self.text.push_str(&shown),
        }
    }

    fn blanks(&mut self, count: usize) {
        let count = count.min(self.left);
        self.left -= count;
        self.text.extend(std::iter::repeat_n(' ', count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new();
        table.row(vec![Cell::new(Style::Name, "SERVICE"), "REPLY".into()]);
        table.row(vec!["web".into(), Cell::new(Style::Good, "up 73%")]);
        table.line(vec!["a line that is longer than a column".into()]);
        table.row(vec!["an-api".into(), "up 1%".into()]);
        table
    }

    #[test]
    fn columns_are_aligned() {
        assert_eq!(
            table().render(Page::default()),
            "SERVICE  REPLY\nweb      up 73%\na line that is longer than a column\nan-api   up 1%\n"
        );
    }

    #[test]
    fn colours_have_no_width() {
        let page = Page {
            colour: true,
            width: Some(12),
        };
        assert_eq!(
            table().render(page),
            "\x1b[1mSERVICE\x1b[0m  REP\nweb      \x1b[32mup \x1b[0m\na line that\nan-api   up\n"
        );
    }

    #[test]
    fn hostile_text_is_made_printable() {
        for (hostile, shown) in [
            ("a\nb\r\u{85}\u{2028}c", "a?b???c"),
            ("\x1b[31mred\x1b]0;title\x07", "?[31mred?]0;title?"),
            ("\u{9b}2J", "?2J"),
            ("\u{202e}drow\u{200b}\u{feff}", "?drow??"),
            ("tab\there \"it's\" \\ fine", "tab here \"it's\" \\ fine"),
            ("Zürich, 北京", "Zürich, 北京"),
        ] {
            assert_eq!(crate::render::text::printable(hostile), shown);
            let mut table = Table::new();
            table.row(vec![hostile.into(), hostile.to_owned().into()]);
            assert_eq!(table.render(Page::default()).lines().count(), 1);
        }
    }
}
