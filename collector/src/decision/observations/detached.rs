//! Readings for the evaluation of one service on another thread.

use super::{Clock, set_time};
use crate::config::InputId;
use crate::decision::evaluate::{EvalContext, LatestPoll};
use crate::expression::{Scope, Values};
use crate::reading::Reading;
use agentcheck_common::BootTime;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The readings for the evaluation of one service on another thread.
pub struct DetachedContext {
    pub(super) names: Arc<Vec<String>>,
    pub(super) latest: Vec<Option<LatestPoll>>,
    /// The readings of the service's inputs, and when the latest good poll of each was sent.
    pub(super) readings: Vec<(InputId, Arc<Reading>, Option<BootTime>)>,
    pub(super) started: BootTime,
    pub(super) behind: Arc<[Box<[InputId]>]>,
    pub(super) clock: Option<Clock>,
}

/// The scope of a thread that evaluates [`DetachedContext`]s. It has the values of one of them.
#[derive(Default)]
pub struct DetachedScope {
    scope: Scope<'static>,
    readings: BTreeMap<String, Arc<Reading>>,
}

impl DetachedScope {
    /// The context at `now`. Values that the previous context had, too, are kept.
    pub fn context<'c>(
        &'c mut self,
        detached: &'c DetachedContext,
        now: BootTime,
    ) -> EvalContext<'c> {
        let mut before = std::mem::take(&mut self.readings);
        for (input, reading, good_since) in &detached.readings {
            let Some(name) = detached.names.get(input.0) else {
                continue;
            };
            let same = before.remove(name);
            if !same.is_some_and(|same| Arc::ptr_eq(&same, reading)) {
                self.scope.forget(name);
                self.scope.apply(name, Values::of(Arc::clone(reading)));
                if let Some(sent) = good_since {
                    self.scope.set_good_since(name, *sent);
                }
            }
            self.readings.insert(name.clone(), Arc::clone(reading));
        }
        for name in before.keys() {
            self.scope.forget(name);
        }
        let unix = set_time(&mut self.scope, detached.clock.as_ref(), now);
        EvalContext {
            names: &detached.names,
            latest: &detached.latest,
            scope: &self.scope,
            started: detached.started,
            behind: &detached.behind,
            unix,
        }
    }
}
