//! Selectors of series, in Prometheus's own form: `name{label="x",code=~"5..",path!~"/a|/b",kind!="z"}`.

use super::{parse_labels, string};
use regex::{Regex, RegexBuilder};
use std::borrow::Cow;

/// A set of series.
#[derive(Clone, Debug, PartialEq)]
pub struct Selector {
    name: String,
    matchers: Vec<Matcher>,
}

#[derive(Clone, Debug, PartialEq)]
struct Matcher {
    label: String,
    condition: Condition,
}

/// An absent label equals the empty text, as in Prometheus.
#[derive(Clone, Debug)]
enum Condition {
    Equal(String),
    NotEqual(String),
    Matches(Regex),
    MatchesNot(Regex),
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Equal(one), Self::Equal(two)) | (Self::NotEqual(one), Self::NotEqual(two)) => {
                one == two
            }
            (Self::Matches(one), Self::Matches(two))
            | (Self::MatchesNot(one), Self::MatchesNot(two)) => one.as_str() == two.as_str(),
            _ => false,
        }
    }
}

/// The largest compiled pattern, in bytes.
const MAX_PATTERN: usize = 256 * 1024;

impl Selector {
    /// Parses a selector.
    ///
    /// # Errors
    /// The error, on one line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let length = text
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '.')))
            .unwrap_or(text.len());
        let (name, rest) = text.split_at(length);
        let rest = rest.trim_start();
        let inside = match rest.strip_prefix('{') {
            Some(inside) => inside
                .strip_suffix('}')
                .ok_or("the braces of the selector are not closed")?,
            None if rest.is_empty() => "",
            None => return Err(format!("{rest:?} is no part of a selector")),
        };
        let (quoted, matchers) = matchers(inside)?;
        let name = match (name.is_empty(), quoted) {
            (false, None) => name.to_owned(),
            (true, Some(name)) => name,
            _ => return Err("a selector names one metric, as in up{job=\"x\"}".to_owned()),
        };
        Ok(Self { name, matchers })
    }

    /// The metric's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a series of that name with these labels (as between the braces) matches.
    #[must_use]
    pub fn matches(&self, labels: &str) -> bool {
        if self.matchers.is_empty() {
            return true;
        }
        let Ok((_, labels)) = parse_labels(labels) else {
            return false;
        };
        self.matchers.iter().all(|matcher| {
            let value = labels
                .iter()
                .find(|(label, _)| *label == matcher.label)
                .map_or(Cow::Borrowed(""), |(_, value)| value.clone());
            match &matcher.condition {
                Condition::Equal(wanted) => value == *wanted,
                Condition::NotEqual(unwanted) => value != *unwanted,
                Condition::Matches(pattern) => pattern.is_match(&value),
                Condition::MatchesNot(pattern) => !pattern.is_match(&value),
            }
        })
    }
}

/// The quoted name, if there is one, and the conditions between the braces.
fn matchers(inside: &str) -> Result<(Option<String>, Vec<Matcher>), String> {
    let mut name = None;
    let mut found = Vec::new();
    let mut rest = inside.trim();
    while !rest.is_empty() {
        let (label, after, quoted) = if rest.starts_with('"') {
            let (label, after) = string(rest)?;
            (label.into_owned(), after, true)
        } else {
            let length = rest
                .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                .unwrap_or(rest.len());
            let (label, after) = rest.split_at(length);
            if label.is_empty() {
                return Err(format!("no label at {rest:?}"));
            }
            (label.to_owned(), after, false)
        };
        let after = after.trim_start();
        let operators = ["=~", "!~", "!=", "="];
        let operator = operators
            .iter()
            .find_map(|operator| Some((*operator, after.strip_prefix(operator)?)));
        rest = match operator {
            Some((operator, value)) => {
                let (value, after) = string(value.trim_start())?;
                found.push(Matcher {
                    label,
                    condition: condition(operator, &value)?,
                });
                after
            }
            None if quoted && name.is_none() && found.is_empty() => {
                name = Some(label);
                after
            }
            None => return Err(format!("the label {label} needs =, !=, =~ or !~")),
        };
        rest = rest.trim_start();
        rest = match rest.strip_prefix(',') {
            Some(after) => after.trim_start(),
            None if rest.is_empty() => rest,
            None => return Err("no comma between labels".to_owned()),
        };
    }
    Ok((name, found))
}

fn condition(operator: &str, value: &str) -> Result<Condition, String> {
    let pattern = || {
        let build = |pattern: &str| {
            RegexBuilder::new(pattern)
                .size_limit(MAX_PATTERN)
                .build()
                .map_err(|_| format!("{value:?} is no pattern"))
        };
        // Checked alone first: `a)|(b` would leave the group and match parts.
        build(value)?;
        // A pattern matches a whole value, as in Prometheus.
        build(&format!("^(?s:{value})$"))
    };
    Ok(match operator {
        "=" => Condition::Equal(value.to_owned()),
        "!=" => Condition::NotEqual(value.to_owned()),
        "=~" => Condition::Matches(pattern()?),
        _ => Condition::MatchesNot(pattern()?),
    })
}
