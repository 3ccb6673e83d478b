//! The weight, the limit of connections, and what begins a ramp.

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
                    // The first sample is taken as it is: what was said before was nothing measured.
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

    /// The number of an expression, and with it its age.
    fn number(&mut self, expression: &Expression) -> Result<f64, String> {
        self.of = self.of.min(self.polled.age_of(expression));
        let number = match self.polled.overdue_content(expression) {
            Some(unknown) => Err(unknown),
            None => expression.number(self.scope),
        };
        number.map_err(|unknown| self.polled.reason(expression, &unknown))
    }

    /// How many connections each balancer may open now; none where the agent does not manage that.
    pub(super) fn limit(&mut self) -> Result<Option<Maxconn>, String> {
        let Some(limit) = &self.service.maxconn else {
            return Ok(None);
        };
        let each = rounding::floor(self.number(&limit.total)? / f64::from(limit.balancers));
        // To HAProxy 0 is no limit at all, which is the contrary of what is meant.
        let each = each.clamp(1.0, f64::from(Maxconn::MAX));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped
        let each = each as u32;
        Ok(Maxconn::new(each))
    }

    /// The limit when nothing limits it.
    pub(super) fn normal(&self) -> Option<Maxconn> {
        self.service.maxconn.as_ref().map(|limit| limit.normal)
    }

    /// Whether the application was started again without having been taken out: HAProxy's slow start sees
    /// only what it saw fail. What has no value now says nothing.
    pub(super) fn look_for_restarts(&self, memory: &mut ServiceMemory) {
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

    /// The value of an expression, where it has one that is not overdue.
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

/// Whether two times of a start are of two starts. A time that is computed, from now and how long something
/// is up, is not always the same to the second.
fn other(before: &Simple, now: &Simple) -> bool {
    match (before, now) {
        (Simple::Number(before), Simple::Number(now)) => (before - now).abs() > 1.0,
        _ => before != now,
    }
}
