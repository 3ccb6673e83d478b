//! How numbers, counts and spans of time are written for people.

use std::time::{Duration, UNIX_EPOCH};

/// A number as a description shows it: short, and the same for the same number.
#[must_use]
pub fn number(number: f64) -> String {
    let magnitude = number.abs();
    if magnitude >= 1e12 {
        format!("{number:.3e}")
    } else if number.fract() == 0.0 {
        format!("{number:.0}")
    } else if magnitude >= 100.0 {
        format!("{number:.1}")
    } else if magnitude >= 1.0 {
        format!("{number:.2}")
    } else {
        format!("{number:.4}")
    }
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

/// What of a text can be shown on one line: a character that moves, hides, turns round or ends a line is a
/// `?`, a tab is a blank.
#[must_use]
pub fn printable(text: &str) -> String {
    let shown = |character: char| match character {
        '\t' => ' ',
        '\'' | '"' | '\\' => character,
        // What Rust would have to escape is what cannot be printed: control and format characters (with
        // those that turn the direction of text), line ends of all kinds, unassigned ones.
        _ if character.escape_debug().len() == 1 => character,
        _ => '?',
    };
    text.chars().map(shown).collect()
}

/// A moment of the wall clock, in seconds since 1970, UTC, as in `2026-11-21T14:30:00Z`. After the year 9999
/// there is none that could be written.
#[must_use]
pub fn moment(wall: u64) -> String {
    let time = Some(wall)
        .filter(|wall| *wall < 253_402_300_800)
        .and_then(|wall| UNIX_EPOCH.checked_add(Duration::from_secs(wall)));
    match time {
        Some(time) => humantime::format_rfc3339_seconds(time).to_string(),
        None => "a time that is none".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn moments_that_cannot_be_written_are_none() {
        assert_eq!(moment(1_700_000_000), "2023-11-14T22:13:20Z");
        assert_eq!(moment(253_402_300_799), "9999-12-31T23:59:59Z");
        for wall in [253_402_300_800, 1 << 62, u64::MAX] {
            assert_eq!(moment(wall), "a time that is none");
        }
    }

    #[test]
    fn what_could_steer_a_terminal_is_not_shown() {
        assert_eq!(printable("a\tb \u{e9}'\"\\"), "a b \u{e9}'\"\\");
        assert_eq!(printable("\u{1b}[31m\n\u{202e}\u{200b}x"), "?[31m???x");
    }
}
