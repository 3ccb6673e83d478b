//! `app.metrics('name{label="x"}', 'other_name')`: the numbers of a Prometheus scrape, as a list.

use super::functions::{Result, fail};
use crate::reading::prometheus::{Exposition, Selector};
use cel::extractors::Arguments;
use cel::objects::Opaque;
use cel::{Context, ExecutionError, Value};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The function behind `source.metrics(...)`; its first argument is the scrape.
pub(super) const SELECT: &str = "@metrics";

/// A scrape, as a value.
#[derive(Debug)]
pub(super) struct Scrape(pub(super) Arc<Exposition>);

impl PartialEq for Scrape {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Scrape {}

impl Opaque for Scrape {
    fn runtime_type_name(&self) -> &str {
        "scrape"
    }
}

/// Puts the function into `context`.
pub(super) fn add_to(context: &mut Context<'_, '_>) {
    let known: Mutex<BTreeMap<String, Selector>> = Mutex::default();
    // As in the other functions, an error would mean that CEL has a function of that name.
    let _ = context.add_function(SELECT, move |Arguments(arguments): Arguments| {
        select(&known, &arguments)
    });
}

fn select(known: &Mutex<BTreeMap<String, Selector>>, arguments: &[Value]) -> Result {
    let Some((Value::Opaque(scrape), selectors)) = arguments.split_first() else {
        return fail(SELECT, "no scrape");
    };
    let Some(Scrape(exposition)) = scrape.downcast_ref::<Scrape>() else {
        return fail(SELECT, "no scrape");
    };
    // A map of whole selectors cannot be left half-written, so a poisoned lock is as good as any.
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    let mut taken = Vec::new();
    for selector in selectors {
        let Value::String(text) = selector else {
            return fail(SELECT, "needs a selector in quotes");
        };
        let selector = match known.get(text.as_str()) {
            Some(selector) => selector.clone(),
            None => {
                let selector = Selector::parse(text)
                    .map_err(|wrong| ExecutionError::function_error(SELECT, wrong))?;
                known.insert(text.to_string(), selector.clone());
                selector
            }
        };
        taken.push(selector);
    }
    let numbers = exposition.values(&taken);
    Ok(Value::List(Arc::new(
        numbers.into_iter().map(Value::Float).collect(),
    )))
}
