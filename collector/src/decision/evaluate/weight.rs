//! The weight, the connection limit, and the start of a ramp.

use super::{DecisionSource, ServiceMemory, Undecided, Walk, Weighed};
use crate::config::{Capacity, Weight};
use crate::expression::{Expression, Simple, Unknown};
use crate::filters::capacity::{self, Basis, Sample};
use crate::filters::rounding;
use crate::filters::shape::shape;
use agentcheck_common::Maxconn;

impl Walk<'_> {
    pub(super) fn weigh(&mut self, memory: &mut ServiceMemory) -> DecisionSource {
        let weighed = match &self.service.weight {
            Weight::Full => Ok((100.0, None)),
            Weight::Expression(expression) => self.number(expression).map(|number| {
                memory.fraction.observe(number);
                (number, None)
            }),
            Weight::Capacity(capacity) => self.seen(capacity).map(|seen| {
                if memory.was_out {
                    memory.capacity.start_again();
                }
                let terms = &capacity.terms;
                let known = memory.capacity.held.is_some();
                let weight = capacity::weight(terms, &mut memory.capacity, seen, self.now);
                if weight.basis == Basis::Measured && !known {
                    // The first sample counts in full: the reply before it was not measured.
                    memory.shape.smoothed = None;
                }
                (weight.percent(), Some(weight))
            }),
        };
        let (raw, capacity) = match weighed {
            Ok(weighed) => weighed,
            Err(reason) => return DecisionSource::Failure(Undecided::because(reason)),
        };
        let shaping = &self.service.shaping;
        if memory.was_out && shaping.ramp.is_some() {
            memory.shape.begin_ramp(self.now);
        }
        let shaped = shape(shaping, &mut memory.shape, raw, self.now);
        DecisionSource::Weight(Weighed {
            shaped,
            capacity,
            ramping: memory.shape.ramp.is_some(),
        })
    }

    fn seen(&mut self, capacity: &Capacity) -> Result<Sample, String> {
        Ok(Sample {
            rate: self.number(&capacity.rate)?,
            utilization: self.number(&capacity.utilization)?,
            errors: match &capacity.errors {
                Some(errors) => self.number(errors)?,
                None => 0.0,
            },
        })
    }

    /// The number of an expression. Its age becomes that of the verdict.
    fn number(&mut self, expression: &Expression) -> Result<f64, String> {
        self.of = self.of.min(self.polled.age_of(expression));
        let number = match self.polled.overdue_content(expression) {
            Some(unknown) => Err(unknown),
            None => expression.number(self.scope),
        };
        number.map_err(|unknown| self.polled.reason(expression, &unknown))
    }

    /// The number of connections that each balancer may open; `None` if the service does not manage it.
    pub(super) fn limit(&mut self) -> Result<Option<Maxconn>, String> {
        let Some(limit) = &self.service.maxconn else {
            return Ok(None);
        };
        let each = rounding::floor(self.number(&limit.total)? / f64::from(limit.balancers));
        // HAProxy reads 0 as no limit.
        let each = each.clamp(1.0, f64::from(Maxconn::MAX));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped
        let each = each as u32;
        Ok(Maxconn::new(each))
    }

    /// The limit without load.
    pub(super) fn normal(&self) -> Option<Maxconn> {
        self.service.maxconn.as_ref().map(|limit| limit.normal)
    }

    /// Notes a restart of the application that HAProxy did not notice: its slow start needs a failed check. An
    /// unknown value shows no restart.
    pub(super) fn note_restart(&self, memory: &mut ServiceMemory) {
        let restarts = &self.service.restarts;
        let mut restarted = false;
        if let Some(start) = restarts.start.as_ref().and_then(|start| {
            let known = self.known(start, Expression::simple)?;
            Some(known)
        }) {
            restarted |= memory
                .start
                .as_ref()
                .is_some_and(|before| other(before, &start));
            memory.start = Some(start);
        }
        let counter = restarts.counter.as_ref();
        if let Some(counter) = counter.and_then(|counter| self.known(counter, Expression::number)) {
            restarted |= memory.counter.is_some_and(|before| counter < before);
            memory.counter = Some(counter);
        }
        if restarted {
            memory.capacity.start_again();
            if self.service.shaping.ramp.is_some() {
                memory.shape.begin_ramp(self.now);
            }
        }
    }

    /// The value of an expression, if no source of it is overdue.
    pub(super) fn known<T>(
        &self,
        expression: &Expression,
        value: impl Fn(&Expression, &crate::expression::Scope) -> Result<T, Unknown>,
    ) -> Option<T> {
        if self.polled.overdue_content(expression).is_some() {
            return None;
        }
        value(expression, self.scope).ok()
    }
}

/// Whether two start times belong to two starts. A start time that is computed from an uptime varies by a second.
fn other(before: &Simple, now: &Simple) -> bool {
    match (before, now) {
        (Simple::Number(before), Simple::Number(now)) => (before - now).abs() > 1.0,
        _ => before != now,
    }
}
