//! Properties of standard output: colours and size.

use crate::render::table::Page;
use clap::{Args, ValueEnum};
use std::io::IsTerminal;

/// The option of commands that print colours.
#[derive(Args)]
pub(super) struct Color {
    /// Use colours: auto, always, never
    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        hide_possible_values = true
    )]
    color: ColorChoice,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, ValueEnum)]
enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set or TERM is `dumb`
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl ColorChoice {
    fn is_enabled(self) -> bool {
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

/// Whether standard output is a terminal.
pub(super) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// The page format for complete output; the terminal wraps long lines.
pub(super) fn page(colour: &Color) -> Page {
    Page {
        colour: colour.color.is_enabled(),
        width: None,
    }
}

/// The page format for output in place: lines are cut at the terminal's width; also the number of rows.
pub(super) fn fitted(page: Page) -> (Page, Option<usize>) {
    match rustix::termios::tcgetwinsize(std::io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 1 => {
            let width = Some(usize::from(size.ws_col));
            (Page { width, ..page }, Some(usize::from(size.ws_row) - 1))
        }
        _ => (page, None),
    }
}

/// `text` with the escape sequences that replace the previous output (ECMA-48: cursor home, erase line, erase
/// below), and clear the screen the first time.
pub(super) fn in_place(text: &str, rows: Option<usize>, first: bool) -> String {
    let mut shown = if first { "\x1b[2J\x1b[H" } else { "\x1b[H" }.to_owned();
    for line in text.lines().take(rows.unwrap_or(usize::MAX)) {
        shown.push_str(line);
        shown.push_str("\x1b[K\n");
    }
    shown.push_str("\x1b[J");
    shown
}
