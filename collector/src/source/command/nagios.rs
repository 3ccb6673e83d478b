//! The output of monitoring plugins: `TEXT | label=value;warn;crit;min;max ...`, as Nagios defines it. Pure.
//!
//! Not here: the thresholds in the data (rules replace them); units, which are dropped and not converted.

use std::collections::BTreeMap;

/// The largest number of values; further ones are ignored.
const MOST: usize = 1000;
/// The longest label within quotes, in bytes.
const LONGEST: usize = 256;

/// The output of a plugin.
#[derive(Debug, PartialEq)]
pub(super) struct PluginOutput {
    /// The first line, without performance data.
    pub(super) text: String,
    /// The values of the performance data, by label. A value that is not a number (`U`: not measured) is left
    /// out.
    pub(super) perf: BTreeMap<String, f64>,
}

/// Reads a plugin's output. Unreadable data is ignored: performance data must not change a status.
///
/// The first line may have performance data after a `|`. In the lines after it, everything after another `|` is
/// performance data too.
pub(super) fn read(output: &str) -> PluginOutput {
    let (first, rest) = output.split_once('\n').unwrap_or((output, ""));
    let (text, data) = first.split_once('|').unwrap_or((first, ""));
    let mut perf = BTreeMap::new();
    values(data, &mut perf);
    if let Some((_, data)) = rest.split_once('|') {
        values(data, &mut perf);
    }
    PluginOutput {
        text: text.trim().to_owned(),
        perf,
    }
}

/// Adds each `label=value` and `'a label'=value` of a text with blanks between them.
fn values(data: &str, perf: &mut BTreeMap<String, f64>) {
    let mut rest = data.trim_start();
    while !rest.is_empty() {
        let Some((label, behind)) = label(rest) else {
            // Not of this form; the next word may be.
            rest = after_word(rest);
            continue;
        };
        let word = behind.split_whitespace().next().unwrap_or_default();
        let is_here = !behind.starts_with(char::is_whitespace);
        if let Some(value) = number(word).filter(|_| is_here)
            && (perf.len() < MOST || perf.contains_key(&label))
        {
            perf.insert(label, value);
        }
        rest = after_word(behind);
    }
}

/// The text after the first word and its blanks.
fn after_word(text: &str) -> &str {
    text.split_once(char::is_whitespace)
        .map_or("", |(_, rest)| rest.trim_start())
}

/// A label, and the text after its `=`.
fn label(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('\'') else {
        // Only in this word: a search to the end of a long text for each word would be quadratic.
        let word = text.split_whitespace().next().unwrap_or_default();
        let (label, _) = word
            .split_once('=')
            .filter(|(label, _)| !label.is_empty())?;
        let behind = text.get(label.len() + 1..)?;
        return Some((label.to_owned(), behind));
    };
    // Within quotes, two quotes mean one.
    let mut label = String::new();
    let mut rest = quoted;
    loop {
        let (part, behind) = rest.split_once('\'')?;
        label.push_str(part);
        if label.len() > LONGEST {
            return None;
        }
        match behind.strip_prefix('\'') {
            Some(more) => {
                label.push('\'');
                rest = more;
            }
            None => return Some((label, behind.strip_prefix('=')?)),
        }
    }
}

/// The number at the beginning of `value[unit];warn;crit;min;max`, finite.
fn number(word: &str) -> Option<f64> {
    let value = word.split(';').next().unwrap_or_default();
    // Some plugins print the locale's comma.
    let digits: String = value
        .chars()
        .take_while(|c| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | ','))
        .map(|c| if c == ',' { '.' } else { c })
        .collect();
    let unit = value.get(digits.len()..).unwrap_or_default();
    // A few plugins use the notation `1e5`.
    let exponent = unit
        .strip_prefix(['e', 'E'])
        .filter(|rest| rest.bytes().any(|byte| byte.is_ascii_digit()));
    let number = match exponent {
        Some(_) => value.parse().ok(),
        None => digits.parse().ok(),
    };
    number.filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn perf(output: &str) -> Vec<(String, f64)> {
        read(output).perf.into_iter().collect()
    }

    fn pairs(pairs: &[(&str, f64)]) -> Vec<(String, f64)> {
        pairs
            .iter()
            .map(|(label, value)| ((*label).to_owned(), *value))
            .collect()
    }

    /// Lines of real plugins.
    #[test]
    fn plugins() {
        for (output, text, expected) in [
            (
                "OK - load average: 0.10, 0.20, 0.30|load1=0.100;5.000;10.000;0; load5=0.200;4.000;6.000;0; load15=0.300;3;4;0;\n",
                "OK - load average: 0.10, 0.20, 0.30",
                &[("load1", 0.1), ("load15", 0.3), ("load5", 0.2)][..],
            ),
            (
                "DISK OK - free space: / 3326 MB (56%); | /=2643MB;5948;5958;0;5968\n\
                 / 15272 MB (77%);\n\
                 /boot 68 MB (69%); | /boot=68MB;88;93;0;98\n\
                 '/home dir'=69357MB;253404;253409;0;253414\n",
                "DISK OK - free space: / 3326 MB (56%);",
                &[("/", 2643.0), ("/boot", 68.0), ("/home dir", 69357.0)],
            ),
            (
                "PING OK - Packet loss = 0%, RTA = 0.80 ms|rta=0.800000ms;3000;5000;0 pl=0%;80;100;0",
                "PING OK - Packet loss = 0%, RTA = 0.80 ms",
                &[("pl", 0.0), ("rta", 0.8)],
            ),
            ("CRITICAL", "CRITICAL", &[]),
            ("", "", &[]),
            (" up \r\nlong text without a bar\n", "up", &[]),
        ] {
            let plugin = read(output);
            assert_eq!(plugin.text, text);
            assert_eq!(perf(output), pairs(expected), "{output:?}");
        }
    }

    #[test]
    fn labels_and_values() {
        for (data, expected) in [
            ("'it''s'=1", &[("it's", 1.0)][..]),
            ("'a=b'=2c", &[("a=b", 2.0)]),
            ("a=1 a=2", &[("a", 2.0)]),
            ("a=U b=U;1;2 c=3", &[("c", 3.0)]),
            (
                "a=-1.5s b=+2% c=1,5 d=.5 e=1e3",
                &[
                    ("a", -1.5),
                    ("b", 2.0),
                    ("c", 1.5),
                    ("d", 0.5),
                    ("e", 1000.0),
                ],
            ),
            ("nothing =1 a= b=x c=1..2 d=4", &[("d", 4.0)]),
            ("a=1e999 b=nan c=inf d=1", &[("d", 1.0)]),
            ("'never closed=1 b=2", &[("b", 2.0), ("closed", 1.0)]),
            ("a= b=2", &[("b", 2.0)]),
            ("ä=1", &[("ä", 1.0)]),
        ] {
            assert_eq!(perf(&format!("x|{data}")), pairs(expected), "{data:?}");
        }
    }

    #[test]
    fn number_of_values_is_bounded() {
        let data: String = (0..5000).map(|number| format!("l{number}=1 ")).collect();
        assert_eq!(read(&format!("x|{data}")).perf.len(), MOST);
        let hostile = "'".repeat(100_000) + &"=".repeat(100_000) + &" '".repeat(10_000);
        read(&format!("x|{hostile}\n|{hostile}"));
        read(&format!("x|{}", "a ".repeat(500_000)));
        read(&format!("x|{}", "'a'' ".repeat(200_000)));
    }
}
