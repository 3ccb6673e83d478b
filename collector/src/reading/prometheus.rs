//! Prometheus text (exposition format 0.0.4 and OpenMetrics 1.0): parsed whole or refused whole, and queried by
//! selectors. Pure.
//!
//! Own code: the crates for it are ten times slower, or silently drop what they do not understand. Ignored:
//! types, help, units and exemplars. Not supported: native histograms, which have no text form.

pub mod histogram;
mod selector;

pub use selector::Selector;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::ops::Range;

/// The largest number of series; a larger scrape is a failure.
pub const MOST_SERIES: usize = 100_000;

/// All series of one scrape.
#[derive(Clone, Debug, PartialEq)]
pub struct Exposition {
    text: String,
    series: Vec<Series>,
}

/// One series: its places in the text, and its value.
#[derive(Clone, Debug, PartialEq)]
struct Series {
    name: Name,
    labels: Labels,
    value: f64,
}

/// The labels of a series in one form: sorted by name, without blanks. The order of a scrape has no meaning.
#[derive(Clone, Debug, PartialEq)]
enum Labels {
    /// They have this form in the text.
    Bare(Range<usize>),
    /// They had another form.
    Sorted(Box<str>),
}

/// The name of a series.
#[derive(Clone, Debug, PartialEq)]
enum Name {
    Bare(Range<usize>),
    /// In quotes between the braces, where it may have any characters.
    Quoted(String),
}

/// The first line that cannot be parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The line's number, counted from 1.
    pub line: usize,
    /// The reason.
    pub message: &'static str,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

/// A label and its value.
pub(crate) type Label<'t> = (Cow<'t, str>, Cow<'t, str>);

impl Exposition {
    /// Reads a whole scrape.
    ///
    /// # Errors
    /// The first line that is none of the format: part of a scrape would be other numbers than those that
    /// were asked for.
    pub fn parse(text: String) -> Result<Self, ParseError> {
        let mut series = Vec::new();
        let mut times = Vec::new();
        let mut start = 0;
        let mut has_ended = false;
        for (index, line) in text.split('\n').enumerate() {
            let wrong = |message| ParseError {
                line: index + 1,
                message,
            };
            let offset = start;
            start += line.len() + 1;
            let line = line.strip_suffix('\r').unwrap_or(line);
            let visible = line.trim_start_matches(BLANKS);
            if visible.is_empty() {
                continue;
            }
            if has_ended {
                return Err(wrong("there is content after # EOF"));
            }
            if visible.starts_with('#') {
                has_ended = line == "# EOF";
                continue;
            }
            if series.len() == MOST_SERIES {
                return Err(wrong("too many series"));
            }
            let offset = offset + (line.len() - visible.len());
            let (one, time) = parse_line(visible, offset).map_err(wrong)?;
            series.push(one);
            times.push(time);
        }
        let mut exposition = Self { text, series };
        exposition.keep_latest_points(&times);
        Ok(exposition)
    }

    /// Keeps one point of each series: the one with the latest timestamp, or the last one in the text. They are
    /// several values of one thing (OpenMetrics), and never to be summed.
    fn keep_latest_points(&mut self, times: &[Option<f64>]) {
        let mut order: Vec<usize> = (0..self.series.len()).collect();
        let key = |index: &usize| {
            let series = self.series.get(*index);
            series.map(|series| (self.name_of(series), self.labels_of(series)))
        };
        order.sort_by(|one, other| key(one).cmp(&key(other)));
        let mut dropped = BTreeSet::new();
        for same in order.chunk_by(|one, other| key(one) == key(other)) {
            let time = |index: usize| times.get(index).copied().flatten();
            // Stable, so that of equal times the last one in the text remains.
            let latest = same.iter().copied().reduce(|latest, next| {
                let is_older = matches!((time(latest), time(next)), (Some(a), Some(b)) if b < a);
                if is_older { latest } else { next }
            });
            dropped.extend(same.iter().copied().filter(|index| Some(*index) != latest));
        }
        if !dropped.is_empty() {
            let mut index = 0;
            self.series.retain(|_| {
                index += 1;
                !dropped.contains(&(index - 1))
            });
        }
    }

    /// The number of series.
    #[must_use]
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether there are no series.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// The finite values of the series that one of the selectors takes: the first selector that takes any
    /// counts, so that an exporter which renamed a metric can be named twice. A series without a number
    /// (NaN, as of a summary that saw nothing) is passed over.
    #[must_use]
    pub fn values(&self, selectors: &[Selector]) -> Vec<f64> {
        for selector in selectors {
            let found: Vec<f64> = self.matching(selector).map(|(_, value)| value).collect();
            if !found.is_empty() {
                return found;
            }
        }
        Vec::new()
    }

    /// The same values, each with the labels that identify its series: sorted by name, so that the order in a
    /// scrape has no effect.
    #[must_use]
    pub fn labelled(&self, selectors: &[Selector]) -> Vec<(&str, f64)> {
        for selector in selectors {
            let found: Vec<(&str, f64)> = self
                .matching(selector)
                .map(|(series, value)| (self.labels_of(series), value))
                .collect();
            if !found.is_empty() {
                return found;
            }
        }
        Vec::new()
    }

    fn matching<'a>(&'a self, selector: &Selector) -> impl Iterator<Item = (&'a Series, f64)> {
        self.series
            .iter()
            .filter(|series| series.value.is_finite() && self.name_of(series) == selector.name())
            .filter(|series| selector.matches(self.labels_of(series)))
            .map(|series| (series, series.value))
    }

    fn labels_of<'a>(&'a self, series: &'a Series) -> &'a str {
        match &series.labels {
            Labels::Bare(place) => self.text.get(place.clone()).unwrap_or_default(),
            Labels::Sorted(labels) => labels,
        }
    }

    fn name_of<'a>(&'a self, series: &'a Series) -> &'a str {
        match &series.name {
            Name::Bare(place) => self.text.get(place.clone()).unwrap_or_default(),
            Name::Quoted(name) => name,
        }
    }
}

const BLANKS: [char; 2] = [' ', '\t'];

/// One line, which begins at `offset` of the text: a series, and the timestamp of its point.
fn parse_line(line: &str, offset: usize) -> Result<(Series, Option<f64>), &'static str> {
    let length = line
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '.')))
        .unwrap_or(line.len());
    let (name, rest) = line.split_at(length);
    if name.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Err("a name cannot begin so");
    }
    if name.is_empty() && !rest.starts_with('{') {
        return Err("there is no name");
    }
    let rest = rest.trim_start_matches(BLANKS);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => {
            let length = braces_end(inside)?;
            let start = offset + (line.len() - inside.len());
            let (_, after) = inside.split_at(length);
            (start..start + length, after.get(1..).unwrap_or_default())
        }
        None if rest.len() == line.len() - length && !rest.is_empty() => {
            return Err("no blank behind the name");
        }
        None => (offset..offset, rest),
    };
    let inside = line
        .get(labels.start - offset..labels.end - offset)
        .unwrap_or_default();
    let (quoted, parsed) = parse_labels(inside)?;
    let name = match (name.is_empty(), quoted) {
        (false, None) => Name::Bare(offset..offset + length),
        (true, Some(name)) => Name::Quoted(name.into_owned()),
        (true, None) => return Err("there is no name"),
        (false, Some(_)) => return Err("there are two names"),
    };
    let mut words = rest.split(BLANKS).filter(|word| !word.is_empty());
    let value = number(words.next().ok_or("there is no value")?).ok_or("the value is no number")?;
    let time = match words.next() {
        // An OpenMetrics exemplar: one observation, which is not a point of the series.
        None => None,
        Some(word) if word.starts_with('#') => None,
        Some(time) => {
            let time = number(time).ok_or("the timestamp is no number")?;
            if words.next().is_some_and(|word| !word.starts_with('#')) {
                return Err("there is something behind the timestamp");
            }
            Some(time)
        }
    };
    let labels = match canonical(parsed) {
        sorted if sorted == inside => Labels::Bare(labels),
        sorted => Labels::Sorted(sorted.into()),
    };
    let series = Series {
        name,
        labels,
        value,
    };
    Ok((series, time))
}

/// Labels in their one form. A quoted name of the series is no label.
fn canonical(mut labels: Vec<Label<'_>>) -> String {
    labels.sort();
    let mut text = String::new();
    for (index, (label, value)) in labels.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '.');
        // Writing to a String cannot fail.
        let _ = match label.chars().all(plain) && !label.is_empty() {
            true => write!(text, "{comma}{label}="),
            false => write!(text, "{comma}\"{}\"=", escaped(label)),
        };
        let _ = write!(text, "\"{}\"", escaped(value));
    }
    text
}

fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(['\\', '"', '\n']) {
        return Cow::Borrowed(text);
    }
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    Cow::Owned(text.replace('\n', "\\n"))
}

/// The end of the braces that were opened before `inside`; quotes may contain braces.
fn braces_end(inside: &str) -> Result<usize, &'static str> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in inside.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'}' if !quoted => return Ok(at),
            _ => {}
        }
    }
    Err("the braces are not closed")
}

/// The quoted name, if there is one, and the labels between the braces.
pub(crate) fn parse_labels(
    inside: &str,
) -> Result<(Option<Cow<'_, str>>, Vec<Label<'_>>), &'static str> {
    let mut name = None;
    let mut labels = Vec::new();
    let mut rest = inside.trim_matches(BLANKS);
    while !rest.is_empty() {
        let (key, after, quoted) = if rest.starts_with('"') {
            let (key, after) = string(rest)?;
            (key, after, true)
        } else {
            let length = rest
                .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '.')))
                .unwrap_or(rest.len());
            let (key, after) = rest.split_at(length);
            if key.is_empty() {
                return Err("a label has no name");
            }
            (Cow::Borrowed(key), after, false)
        };
        let after = after.trim_start_matches(BLANKS);
        rest = match after.strip_prefix('=') {
            Some(value) => {
                let (value, after) = string(value.trim_start_matches(BLANKS))?;
                labels.push((key, value));
                after
            }
            // Only the name of the series has no value, and it comes first.
            None if quoted && name.is_none() && labels.is_empty() => {
                name = Some(key);
                after
            }
            None => return Err("a label has no value"),
        };
        rest = rest.trim_start_matches(BLANKS);
        rest = match rest.strip_prefix(',') {
            Some(after) => after.trim_start_matches(BLANKS),
            None if rest.is_empty() => rest,
            None => return Err("no comma between labels"),
        };
    }
    Ok((name, labels))
}

/// The upper bound of a histogram bucket (`le`) among these labels.
#[must_use]
pub fn bucket_bound(labels: &str) -> Option<f64> {
    let (_, labels) = parse_labels(labels).ok()?;
    let (_, bound) = labels.iter().find(|(label, _)| label == "le")?;
    number(bound)
}

/// A quoted string at the beginning of `text`, and the text after it.
pub(crate) fn string(text: &str) -> Result<(Cow<'_, str>, &str), &'static str> {
    let inside = text
        .strip_prefix('"')
        .ok_or("a label's value is not in quotes")?;
    let mut decoded = String::new();
    let mut characters = inside.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => {
                let (raw, after) = inside.split_at(at);
                let value = if raw.contains('\\') {
                    Cow::Owned(decoded)
                } else {
                    Cow::Borrowed(raw)
                };
                return Ok((value, after.get(1..).unwrap_or_default()));
            }
            '\\' => match characters.next().map(|(_, escaped)| escaped) {
                Some('n') => decoded.push('\n'),
                Some(escaped @ ('\\' | '"')) => decoded.push(escaped),
                _ => return Err("an escape that is none"),
            },
            other => decoded.push(other),
        }
    }
    Err("the quotes are not closed")
}

/// A number in Prometheus's form: decimal, or `NaN`, `Inf`, `+Inf`, `-Inf` in any case.
fn number(word: &str) -> Option<f64> {
    word.parse().ok()
}

#[cfg(test)]
mod tests;
