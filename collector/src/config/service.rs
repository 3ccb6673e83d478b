//! What a service is: the types that `[service.NAME]` is read into.

use crate::expression::Expression;
use crate::expression::template::Template;
use crate::filters::capacity::Terms;
use crate::filters::shape::Shaping;
use crate::render::text::counted;
use crate::reply::compose::ReplyStyle;
use crate::reply::state::{AdminState, DescriptionDetail, ServerState};
use agentcheck_common::{Maxconn, Percent, ServiceName};
use std::fmt;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

/// One service: what is said for it, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Its name, and the name of its state file.
    pub name: ServiceName,
    /// Indices, in the order of [`super::Config::names`], of the sources and derived numbers that it uses,
    /// each once.
    pub sources: Vec<usize>,
    /// Tried in order; the first that holds decides.
    pub rules: Vec<Rule>,
    /// The weight where no rule decides.
    pub weight: Weight,
    /// How that becomes the percentage that is said.
    pub shaping: Shaping,
    /// What tells that the application was started again without HAProxy seeing it.
    pub restarts: Restarts,
    /// The limit of connections, where the agent manages it.
    pub maxconn: Option<MaxconnLimit>,
    /// How long a reply is good without news.
    pub fresh_for: Duration,
    /// What is said after that, when the collector is dead or stuck.
    pub on_stale: ExpiryAction,
    /// How a way back to full goes when nobody decides.
    pub restore: Restore,
    /// What is said when a source that is needed fails.
    pub on_failure: OnFailure,
    /// What is said when the collector is told to stop.
    pub on_stop: ExpiryAction,
    /// How replies are worded.
    pub admin_state: AdminState,
    /// How replies are worded that operators' overrides lead to.
    pub override_admin_state: AdminState,
    /// How much descriptions tell.
    pub description_detail: DescriptionDetail,
    /// A file that, while it is there, has the service in maintenance.
    pub maintenance_file: Option<PathBuf>,
    /// The TCP port on which it alone is answered for, for balancers that cannot say a name; no two
    /// services have the same. Nothing listens because of it: `agentcheck generate` makes what does.
    pub port: Option<NonZeroU16>,
}

impl Service {
    /// A service without rules that always says full, with everything as it is by default.
    #[must_use]
    pub fn new(name: ServiceName) -> Self {
        Self {
            name,
            sources: Vec::new(),
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
            admin_state: AdminState::Preserve,
            override_admin_state: AdminState::Preserve,
            description_detail: DescriptionDetail::Full,
            maintenance_file: None,
            port: None,
        }
    }

    /// All its expressions, in no order that means anything.
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
        }
    }
}

impl fmt::Display for Service {
    /// One line for people: what it is made of, and the times that follow from it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules = counted(self.rules.len(), "rule");
        write!(f, "{}: {rules}, ", self.name)?;
        match &self.weight {
            Weight::Full => f.write_str("weight full")?,
            Weight::Expression(weight) => write!(f, "weight {}", weight.text())?,
            Weight::Capacity(capacity) => write!(
                f,
                "weight by capacity, {} requests a second are 100%",
                crate::render::text::number(capacity.terms.reference_rate)
            )?,
        }
        let Shaping {
            ewma: smooth,
            ramp,
            ceiling,
            floor,
            ..
        } = &self.shaping;
        if let Some(smooth) = smooth {
            write!(f, ", smoothed over {}", humantime::format_duration(*smooth))?;
        }
        if let Some(ramp) = ramp {
            write!(f, ", ramp {}", humantime::format_duration(ramp.window))?;
        }
        if *ceiling < Percent::FULL {
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
    /// For people: shown in the description and in the log.
    pub name: String,
    /// When it holds.
    pub when: Expression,
    /// When it holds no longer; none is when `when` is false.
    pub clear_when: Option<Expression>,
    /// How long `when` has to be true until it holds.
    pub enter_after: Duration,
    /// How long `clear_when` has to be true until it holds no longer.
    pub clear_after: Duration,
    /// What is said then.
    pub state: ServerState,
    /// How long what it says stands without a collector, where it takes the server out; none is for ever.
    pub hold_for: Option<Duration>,
    /// Why, in the operator's words.
    pub description: Option<Template>,
}

/// Where the weight comes from, in per cent.
#[derive(Clone, Debug, PartialEq)]
pub enum Weight {
    /// It is always full.
    Full,
    /// An expression.
    Expression(Expression),
    /// What the server has shown that it can do.
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

/// What tells that the application was started again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Restarts {
    /// Changes when it is started: a time.
    pub start: Option<Expression>,
    /// Falls when it is started: a counter, or how long it has been up.
    pub counter: Option<Expression>,
}

/// A limit of connections that the agent manages.
#[derive(Clone, Debug, PartialEq)]
pub struct MaxconnLimit {
    /// Over all balancers.
    pub total: Expression,
    /// Of each balancer when nothing limits it: what its own configuration says.
    pub normal: Maxconn,
    /// How many balancers share the total; at least 1.
    pub balancers: u32,
}

/// What is said when nobody decides any more: no collector renews a reply, or it is told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpiryAction {
    /// The last reply, for ever.
    Keep,
    /// Back to full, step by step.
    Restore,
    /// Something else.
    Reply(ServerState),
}

/// The way back to full when nobody decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restore {
    /// How long the last reply is kept first.
    pub after: Duration,
    /// How long the way takes.
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

/// What is said when a needed source fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// The last reply, with the reason.
    Keep,
    /// Something else.
    Reply(ServerState),
}
