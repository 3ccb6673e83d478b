//! Regular expressions over text: `matches` and `capture`. A pattern is a literal, so `check` finds its mistakes, and
//! it is compiled once.

use super::functions::{Result, fail};
use cel::extractors::This;
use cel::objects::{Key, Map};
use cel::{Context, Value};
use regex::{Regex, RegexBuilder};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// The largest compiled pattern, in bytes.
const MAX_PATTERN: usize = 256 * 1024;

/// Puts the functions into `context`.
pub(super) fn add_to(context: &mut Context<'_, '_>) {
    let compiled = Arc::new(Compiled::default());
    let patterns = Arc::clone(&compiled);
    // As in the other functions, an error would mean that CEL has a function of that name.
    let _ = context.add_function(
        "matches",
        move |This(text): This<Arc<String>>, pattern: Arc<String>| -> Result<bool> {
            Ok(patterns.get("matches", &pattern)?.is_match(&text))
        },
    );
    let patterns = compiled;
    let _ = context.add_function(
        "capture",
        move |This(text): This<Arc<String>>, pattern: Arc<String>| {
            captured(&patterns.get("capture", &pattern)?, &text)
        },
    );
}

/// The patterns compiled so far.
#[derive(Default)]
struct Compiled {
    patterns: Mutex<BTreeMap<String, Regex>>,
}

impl Compiled {
    fn get(&self, function: &str, pattern: &str) -> Result<Regex> {
        // A map of whole patterns cannot be left half-written, so a poisoned lock is as good as any.
        let mut patterns = self.patterns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = patterns.get(pattern) {
            return Ok(known.clone());
        }
        match compile(pattern) {
            Ok(compiled) => {
                patterns.insert(pattern.to_owned(), compiled.clone());
                Ok(compiled)
            }
            Err(message) => fail(function, &message),
        }
    }
}

/// Compiles a pattern.
///
/// # Errors
/// The mistake, in one line.
pub(super) fn compile(pattern: &str) -> std::result::Result<Regex, String> {
    RegexBuilder::new(pattern)
        .size_limit(MAX_PATTERN)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "the pattern is too large".to_owned(),
            // The library prints the pattern over several lines; the last line has the mistake.
            other => other
                .to_string()
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error: ")
                .to_owned(),
        })
}

/// The named groups of the first match, as a map of texts, without the groups that did not take part.
fn captured(pattern: &Regex, text: &str) -> Result {
    let Some(found) = pattern.captures(text) else {
        return fail("capture", "the pattern does not match");
    };
    let groups: HashMap<Key, Value> = pattern
        .capture_names()
        .flatten()
        .filter_map(|name| {
            let group = found.name(name)?.as_str().to_owned();
            Some((
                Key::String(Arc::new(name.to_owned())),
                Value::String(Arc::new(group)),
            ))
        })
        .collect();
    Ok(Value::Map(Map {
        map: Arc::new(groups),
    }))
}
