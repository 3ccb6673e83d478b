//! Standard output as people have it: colours or none, and how large it is.

use crate::render::table::Page;
use clap::ValueEnum;
use std::io::IsTerminal;

/// When there are colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Colour {
    /// On a terminal, unless NO_COLOR is set or TERM is `dumb`
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Colour {
    fn wanted(self) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            // https://no-color.org: set, and not empty.
            Self::Auto => {
                let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
                is_terminal()
                    && set("NO_COLOR").is_none()
                    && set("TERM").is_none_or(|t| t != "dumb")
            }
        }
    }
}

/// Whether a terminal shows what is written.
pub(super) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// The page for whole answers: the terminal wraps lines that are too long.
pub(super) fn page(colour: Colour) -> Page {
    Page {
        colour: colour.wanted(),
        width: None,
    }
}

/// The same page, for what has to stay in its place: lines that are cut where the terminal ends, and how
/// many of them there is room for.
pub(super) fn fitted(page: Page) -> (Page, Option<usize>) {
    match rustix::termios::tcgetwinsize(std::io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 1 => {
            let width = Some(usize::from(size.ws_col));
            (Page { width, ..page }, Some(usize::from(size.ws_row) - 1))
        }
        _ => (page, None),
    }
}

/// What puts `text` in the place of what was there before (ECMA-48: cursor home, erase to the end of the
/// line, erase what is below), the first time on an empty screen.
pub(super) fn in_place(text: &str, rows: Option<usize>, first: bool) -> String {
    let mut shown = if first { "\x1b[2J\x1b[H" } else { "\x1b[H" }.to_owned();
    for line in text.lines().take(rows.unwrap_or(usize::MAX)) {
        shown.push_str(line);
        shown.push_str("\x1b[K\n");
    }
    shown.push_str("\x1b[J");
    shown
}
