//! The types of `[service.NAME]`.

use super::InputId;
use crate::expression::Expression;
use crate::expression::template::Template;
use crate::filters::capacity::Terms;
use crate::filters::shape::Shaping;
use crate::render::text::{counted, number};
use crate::reply::compose::ReplyStyle;
use crate::reply::state::{AdminStatePolicy, DescriptionDetail, ServerState, WeightForm};
use agentcheck_common::{Maxconn, Percent, ServiceName};
use std::fmt;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

/// One service: its rules, its weight, and how they become replies.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Its name, and the name of its state file.
    pub name: ServiceName,
    /// The sources and derived numbers that it reads, each once.
    pub inputs: Vec<InputId>,
    /// The rules in order; the first active one decides.
    pub rules: Vec<Rule>,
    /// The weight if no rule decides.
    pub weight: Weight,
    /// How the weight becomes the percentage of the reply.
    pub shaping: Shaping,
    /// How the collector notices a restart of the application that HAProxy did not notice.
    pub restarts: Restarts,
    /// The connection limit, if the service manages it.
    pub maxconn: Option<MaxconnLimit>,
    /// How long a reply is valid after its oldest poll was sent.
    pub fresh_for: Duration,
    /// The reply after `fresh_for`, if no collector renews it.
    pub on_stale: ExpiryAction,
    /// The times of a restore.
    pub restore: Restore,
    /// The reply while a source that the decision needs has failed.
    pub on_failure: OnFailure,
    /// The reply after the collector is stopped.
    pub on_stop: ExpiryAction,
    /// Whether replies set the administrative state in HAProxy.
    pub admin_state: AdminStatePolicy,
    /// Whether replies of overrides set it.
    pub override_admin_state: AdminStatePolicy,
    /// How much descriptions contain.
    pub description_detail: DescriptionDetail,
    /// How replies set the weight.
    pub weight_form: WeightForm,
    /// While this file exists, the service is in maintenance.
    pub maintenance_file: Option<PathBuf>,
    /// The TCP port that serves this service alone, for balancers that cannot send a name. No two services have the
    /// same. The collector does not listen; `agentcheck generate` writes the files of the listener.
    pub port: Option<NonZeroU16>,
}

impl Service {
    /// A service with the weight 100, without rules, with all defaults.
    #[must_use]
    pub fn new(name: ServiceName) -> Self {
        Self {
            name,
            inputs: Vec::new(),
            rules: Vec::new(),
            weight: Weight::Full,
            shaping: Shaping::default(),
            restarts: Restarts::default(),
            maxconn: None,
            fresh_for: Duration::from_secs(10),
            on_stale: ExpiryAction::Keep,
            restore: Restore::default(),
            on_failure: OnFailure::Keep,
            on_stop: ExpiryAction::Keep,
            admin_state: AdminStatePolicy::Preserve,
            override_admin_state: AdminStatePolicy::Preserve,
            description_detail: DescriptionDetail::Full,
            weight_form: WeightForm::Percent,
            maintenance_file: None,
            port: None,
        }
    }

    /// All its expressions, in any order.
    pub fn expressions(&self) -> impl Iterator<Item = &Expression> {
        let rules = self.rules.iter().flat_map(|rule| {
            let description = rule.description.iter().flat_map(Template::expressions);
            [Some(&rule.when), rule.clear_when.as_ref()]
                .into_iter()
                .flatten()
                .chain(description)
        });
        rules
            .chain(self.weight.expressions())
            .chain(&self.restarts.start)
            .chain(&self.restarts.counter)
            .chain(self.maxconn.iter().map(|limit| &limit.total))
    }
}

impl Service {
    /// How its replies are composed, with the `maxconn` of a server without a limit.
    #[must_use]
    pub fn reply_style(&self) -> ReplyStyle {
        ReplyStyle {
            floor: self.shaping.floor,
            admin_state: self.admin_state,
            description_detail: self.description_detail,
            maxconn: self.maxconn.as_ref().map(|limit| limit.normal),
            weight_form: self.weight_form,
        }
    }
}

impl fmt::Display for Service {
    /// One line for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules = counted(self.rules.len(), "rule");
        write!(f, "{}: {rules}, ", self.name)?;
        match &self.weight {
            Weight::Full => f.write_str("weight full")?,
            Weight::Expression(weight) => write!(f, "weight {}", weight.text())?,
            Weight::Capacity(capacity) => {
                let (rate, exponent) = (
                    capacity.terms.reference_rate,
                    capacity.terms.headroom_exponent,
                );
                f.write_str("weight by capacity")?;
                if exponent > 0.0 {
                    write!(f, " and headroom^{}", number(exponent))?;
                }
                write!(f, ", 100% is {} requests per second", number(rate))?;
            }
        }
        let Shaping {
            ewma,
            ramp,
            ceiling,
            floor,
            ..
        } = &self.shaping;
        if let Some(ewma) = ewma {
            write!(f, ", EWMA of {}", humantime::format_duration(*ewma))?;
        }
        if let Some(ramp) = ramp {
            write!(f, ", ramp {}", humantime::format_duration(ramp.window))?;
        }
        if *ceiling != Percent::FULL {
            write!(f, ", ceiling {}%", ceiling.get())?;
        }
        if let Some(limit) = &self.maxconn {
            write!(f, ", maxconn {}", limit.total.text())?;
        }
        write!(
            f,
            ", floor {}%, fresh for {}",
            floor.get(),
            humantime::format_duration(self.fresh_for)
        )
    }
}

/// One rule of a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Its name in descriptions, log and status.
    pub name: String,
    /// The condition that makes it active.
    pub when: Expression,
    /// The condition that makes it inactive; none: `when` is false.
    pub clear_when: Option<Expression>,
    /// How long `when` has to stay true before the rule is active.
    pub enter_after: Duration,
    /// How long `clear_when` has to stay true before the rule is inactive.
    pub clear_after: Duration,
    /// The reply while it decides.
    pub state: ServerState,
    /// How long a reply that takes the server out remains without a collector; none: until a collector runs again.
    pub hold_for: Option<Duration>,
    /// The description, as configured.
    pub description: Option<Template>,
}

/// The source of the weight, in percent.
#[derive(Clone, Debug, PartialEq)]
pub enum Weight {
    /// Always 100.
    Full,
    /// An expression.
    Expression(Expression),
    /// The measured capacity of the server.
    Capacity(Box<Capacity>),
}

impl Weight {
    /// The expressions in it.
    pub fn expressions(&self) -> impl Iterator<Item = &Expression> {
        let (one, capacity) = match self {
            Self::Full => (None, None),
            Self::Expression(expression) => (Some(expression), None),
            Self::Capacity(capacity) => (None, Some(capacity)),
        };
        let more = capacity.into_iter().flat_map(|capacity| {
            [&capacity.rate, &capacity.utilization]
                .into_iter()
                .chain(&capacity.errors)
        });
        one.into_iter().chain(more)
    }
}

/// A weight by [`crate::filters::capacity`].
#[derive(Clone, Debug, PartialEq)]
pub struct Capacity {
    /// Requests served a second.
    pub rate: Expression,
    /// How busy the server is; 1 is all of it, and it may be more.
    pub utilization: Expression,
    /// Requests a second that failed.
    pub errors: Option<Expression>,
    /// The rest of the formula.
    pub terms: Terms,
}

/// How the collector notices a restart of the application.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Restarts {
    /// A start time: it changes at a restart.
    pub start: Option<Expression>,
    /// A counter or an uptime: it falls at a restart.
    pub counter: Option<Expression>,
}

/// A managed connection limit.
#[derive(Clone, Debug, PartialEq)]
pub struct MaxconnLimit {
    /// Over all balancers.
    pub total: Expression,
    /// The limit of each balancer by its own configuration.
    pub normal: Maxconn,
    /// How many balancers share the total; at least 1.
    pub balancers: u32,
}

/// The reply when no collector renews the last one, or after the collector is stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpiryAction {
    /// The last reply remains.
    Keep,
    /// Back to 100% in steps.
    Restore,
    /// Another reply.
    Reply(ServerState),
}

/// The times of a restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restore {
    /// How long the last reply remains first.
    pub after: Duration,
    /// How long the steps to 100% take.
    pub over: Duration,
}

impl Default for Restore {
    fn default() -> Self {
        Self {
            after: Duration::from_secs(300),
            over: Duration::from_secs(300),
        }
    }
}

/// The reply while a needed source has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// The last reply, with the reason in its description.
    Keep,
    /// Another reply.
    Reply(ServerState),
}
