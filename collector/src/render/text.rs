//! Numbers, counts, spans of time and foreign text in a form for people. The one place that decides what is
//! printable. Pure.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

/// A number as in a description: short, and the same for the same number.
#[must_use]
pub fn number(number: f64) -> String {
    let mut text = String::new();
    append_number(&mut text, number);
    text
}

/// Appends a number as in a description.
pub fn append_number(text: &mut String, number: f64) {
    let magnitude = number.abs();
    let decimals = if magnitude >= 1e12 {
        let _ = write!(text, "{number:.3e}");
        return;
    } else if number.fract() == 0.0 && number.is_sign_positive() {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        // a natural number below 1e12
        let natural = number as u64;
        // Formatting a floating-point number takes several times as long.
        let _ = write!(text, "{natural}");
        return;
    } else if number.fract() == 0.0 {
        0
    } else if magnitude >= 100.0 {
        1
    } else if magnitude >= 1.0 {
        2
    } else {
        4
    };
    let _ = write!(text, "{number:.decimals$}");
}

/// A count of things: `1 rule`, `2 rules`.
#[must_use]
pub fn counted(count: usize, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}

/// A span of time: `3ms`, `0.8s`, `12s`, `3m 20s`, `2h 5m`, `3d 4h`.
#[must_use]
pub fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let two = |large: u64, unit: &str, small: u64, part: &str| match small {
        0 => format!("{large}{unit}"),
        _ => format!("{large}{unit} {small}{part}"),
    };
    match seconds {
        0 if span.as_millis() < 100 => format!("{}ms", span.as_millis()),
        0..10 => format!("{seconds}.{}s", span.subsec_millis() / 100),
        10..60 => format!("{seconds}s"),
        60..3_600 => two(seconds / 60, "m", seconds % 60, "s"),
        3_600..86_400 => two(seconds / 3_600, "h", seconds % 3_600 / 60, "m"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

/// The printable form of a text on one line: each character that moves, hides, reverses or ends text becomes
/// `?`, and a tab becomes a blank.
#[must_use]
pub fn printable(text: &str) -> String {
    let shown = |character: char| match character {
        '\t' => ' ',
        _ if is_printable(character) => character,
        _ => '?',
    };
    text.chars().map(shown).collect()
}

/// A text without the byte order mark that some programs put before their UTF-8.
#[must_use]
pub fn without_byte_order_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// The same without loss, for a log: unprintable characters are escaped as in Rust (`\n`, `\u{1b}`). At most
/// `most` bytes, of which three are dots where text is cut.
#[must_use]
pub fn one_line(text: &str, most: usize) -> String {
    const DOTS: &str = "...";
    let mut line = String::with_capacity(text.len().min(most));
    // Where the line may be cut, so that dots still fit.
    let mut cut = 0;
    for character in text.chars() {
        if is_printable(character) {
            line.push(character);
        } else {
            line.extend(character.escape_debug());
        }
        if line.len() > most {
            line.truncate(cut);
            line.push_str(DOTS.get(..most.min(DOTS.len())).unwrap_or_default());
            return line;
        }
        if line.len() + DOTS.len() <= most {
            cut = line.len();
        }
    }
    line
}

/// Rust escapes exactly the unprintable characters: control and format characters (with those that reverse the
/// direction of text), line ends of all kinds, unassigned ones. Quotes are printable.
#[must_use]
pub fn is_printable(character: char) -> bool {
    matches!(character, '\'' | '"' | '\\') || character.escape_debug().len() == 1
}

/// A moment of the wall clock, in seconds since 1970, UTC, as in `2026-11-21T14:30:00Z`. Times after the year
/// 9999 have no such form.
#[must_use]
pub fn moment(wall: u64) -> String {
    let time = Some(wall)
        .filter(|wall| *wall < 253_402_300_800)
        .and_then(|wall| UNIX_EPOCH.checked_add(Duration::from_secs(wall)));
    match time {
        Some(time) => humantime::format_rfc3339_seconds(time).to_string(),
        None => "an invalid time".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spans_are_short() {
        for (millis, text) in [
            (0, "0ms"),
            (99, "99ms"),
            (870, "0.8s"),
            (9_990, "9.9s"),
            (59_999, "59s"),
            (200_000, "3m 20s"),
            (7_500_000, "2h 5m"),
            (7_200_000, "2h"),
            (273_600_000, "3d 4h"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (1890.0, "1890"),
            (97.254, "97.25"),
            (0.123_456, "0.1235"),
            (1234.56, "1234.6"),
            (-0.5, "-0.5000"),
            (1.8e19, "1.800e19"),
            (0.0, "0"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn times_out_of_range_are_invalid() {
        assert_eq!(moment(1_700_000_000), "2023-11-14T22:13:20Z");
        assert_eq!(moment(253_402_300_799), "9999-12-31T23:59:59Z");
        for wall in [253_402_300_800, 1 << 62, u64::MAX] {
            assert_eq!(moment(wall), "an invalid time");
        }
    }

    #[test]
    fn log_line_loses_only_its_end() {
        let text = "a\tb\n<0>c\r\u{85}\u{2028}\u{2029}\u{1b}[2J\u{202e}\u{200f}\u{0} \u{e9}'\"\\";
        let line =
            "a\\tb\\n<0>c\\r\\u{85}\\u{2028}\\u{2029}\\u{1b}[2J\\u{202e}\\u{200f}\\0 \u{e9}'\"\\";
        assert_eq!(one_line(text, 960), line);
        for (most, line) in [
            (8, "12345678"),
            (7, "1234..."),
            (3, "..."),
            (2, ".."),
            (0, ""),
        ] {
            assert_eq!(one_line("12345678", most), line);
        }
        // Neither a character nor an escape is cut in two.
        assert_eq!(one_line("12\u{e9}\u{e9}\u{e9}", 7), "12\u{e9}...");
        assert_eq!(one_line("1\u{202e}678", 8), "1...");
    }

    proptest! {
        #[test]
        fn no_text_ends_a_line(text in any::<String>(), most in 0_usize..200) {
            let line = one_line(&text, most);
            prop_assert!(line.len() <= most);
            prop_assert!(!line.chars().any(char::is_control));
            prop_assert_eq!(printable(&line), line.clone());
            // A shortened text shows it.
            let whole = one_line(&text, usize::MAX);
            prop_assert!(whole == line || line.ends_with(&"..."[..most.min(3)]));
            prop_assert!(!printable(&text).eq(&text) || whole == text);
        }

        #[test]
        fn no_control_character_ends_a_line(text in "[\u{0}-\u{20}\u{7f}-\u{9f}\u{200b}-\u{2069}<0-9>a\u{feff}]{0,40}") {
            let line = one_line(&text, 960);
            let steers = |c: char| {
                c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
            };
            prop_assert!(!line.chars().any(steers), "{:?}", line);
        }
    }

    #[test]
    fn control_characters_are_not_printed() {
        assert_eq!(printable("a\tb \u{e9}'\"\\"), "a b \u{e9}'\"\\");
        assert_eq!(printable("\u{1b}[31m\n\u{202e}\u{200b}x"), "?[31m???x");
    }
}
