//! Descriptions: the reason of a reply, with the numbers that led to it.

use super::{ServiceMemory, Walk, Weighed, good_for};
use crate::config::Rule;
use crate::expression::Expression;
use crate::expression::template::Template;
use crate::filters::capacity::Basis;
use crate::render::text;
use agentcheck_common::{BootTime, Description};

/// A value in a description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownValue {
    /// Its expression, as the configuration has it.
    pub expression: String,
    /// The value, for people.
    pub value: String,
    /// When the oldest poll that it uses was sent.
    pub of: BootTime,
}

/// A reason, in full and in short.
pub(super) struct Why {
    pub(super) full: String,
    pub(super) state: String,
}

impl Walk<'_> {
    pub(super) fn why_of_rule(
        &self,
        rule: &Rule,
        kept: Option<&str>,
        memory: &mut ServiceMemory,
    ) -> Why {
        let state = format!("rule={}", rule.name);
        let mut full = match &rule.description {
            Some(description) => self.filled(description, memory),
            None => {
                let mut full = state.clone();
                self.append_numbers(&mut full, &rule.when);
                full
            }
        };
        if let Some(reason) = kept {
            full.push_str(&format!(" kept: {reason}"));
        }
        Why { full, state }
    }

    pub(super) fn why_of_weight(&self, weighed: &Weighed) -> Why {
        let mut full = String::with_capacity(Description::MAX);
        let mut state = String::new();
        if weighed.ramping {
            state.push_str("ramp");
        }
        match weighed.capacity.map(|weight| weight.basis) {
            Some(Basis::Held) => state.push_str(" held, no traffic"),
            Some(Basis::Unmeasured) => state.push_str(" not measured"),
            Some(Basis::Measured) | None => {}
        }
        full.push_str(&state);
        for expression in self.service.weight.expressions() {
            self.append_numbers(&mut full, expression);
        }
        Why { full, state }
    }

    /// A description with its values. An unknown value is its last one with a mark, `42?`, while that is fresh; then
    /// `?`.
    fn filled(&self, description: &Template, memory: &mut ServiceMemory) -> String {
        let mut shown = Vec::new();
        let filled = description.fill(|expression| {
            if let Some(value) = self.known(expression, Expression::shown) {
                shown.push(ShownValue {
                    expression: expression.text().to_owned(),
                    value: value.clone(),
                    of: self.polled.age_of(expression),
                });
                return value;
            }
            let mut before = memory.last_shown.iter();
            let last = before.find(|last| {
                last.expression == expression.text()
                    && self.now < last.of.after(good_for(self.service))
            });
            let marked = last.map(|last| {
                shown.push(last.clone());
                format!("{}?", last.value)
            });
            marked.unwrap_or_else(|| "?".to_owned())
        });
        memory.last_shown = shown;
        filled
    }

    /// The numbers that led to the weight. A description has room for three.
    fn append_numbers(&self, why: &mut String, expression: &Expression) {
        if self.polled.overdue_content(expression).is_some() {
            // Their present values are unknown.
            return;
        }
        for (label, number) in expression.numbers_used(self.scope).take(3) {
            why.push(' ');
            why.push_str(label);
            why.push('=');
            text::append_number(why, number);
        }
    }
}
