//! A model of how `HAProxy` changes a server: by replies of the agent, results of health checks, commands of an
//! operator, and reloads. It is pure; `against_haproxy.rs` and `replay.rs` check it on the real `HAProxy`.
//!
//! It covers what these tests need: health checks with `rise 1 fall 1`, no tracking, no slowstart, no server that
//! the configuration disables, no address that is resolved.

use agentcheck_common::{AdministrativeState, OperationalState, Reply};
use agentcheck_tests::haproxy::Haproxy;

/// The weight on the server line.
pub(crate) const WEIGHT: u16 = 100;

/// `maxconn` on the server line.
pub(crate) const LIMIT: u32 = 50;

/// `HAProxy`'s own limit of weights.
const MOST: u32 = 256;

/// A server, as `HAProxy` knows it, and its application's health.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Server {
    /// Whether the server line has `check`.
    pub(crate) checked: bool,
    /// Whether the application passes health checks.
    pub(crate) passes: bool,
    /// What health checks have found so far.
    pub(crate) healthy: bool,
    /// The server's health by the agent so far.
    pub(crate) fine: bool,
    /// Whether the agent is asked: `disable agent` and `enable agent`.
    pub(crate) asked: bool,
    /// The operational state; in maintenance it is not running.
    pub(crate) running: bool,
    /// The administrative state.
    pub(crate) admin: Admin,
    /// The weight it has now.
    pub(crate) weight: u16,
    /// The limit of sessions it has now; 0 is none.
    pub(crate) limit: u32,
    /// Whether HAProxy knows the word `weight:N`: from 3.1 on.
    pub(crate) knows_weight: bool,
}

/// The administrative state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Admin {
    /// Neither drain nor maint.
    Ready,
    /// No new sessions.
    Drain,
    /// Out of service; the agent is asked nevertheless, health checks pause.
    Maint,
}

/// What can happen to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    /// A probe, and the agent's reply.
    Sends(Reply),
    /// A probe without a reply.
    Loses(Fault),
    /// Whether the application passes health checks from now on.
    Passes(bool),
    /// A command of an operator on the balancer.
    Commands(Command),
    /// The balancer is reloaded, with or without its servers' state saved.
    Reload {
        /// Whether there is a server-state file.
        saved: bool,
    },
}

/// Ways for a probe to come to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The responder has no state file, or one that it refuses: a word that `HAProxy` does not know.
    Freezes,
    /// The connection is closed without a byte.
    Closes,
    /// The connection is reset.
    Resets,
    /// A line without its end, cut off.
    Breaks,
}

/// All ways for a probe to come to nothing.
pub(crate) const FAULTS: [Fault; 4] = [Fault::Freezes, Fault::Closes, Fault::Resets, Fault::Breaks];

/// What an operator can do on the balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// `set server … state ready`
    Ready,
    /// `set server … state drain`
    Drain,
    /// `set server … state maint`
    Maint,
    /// `enable server`
    EnableServer,
    /// `disable server`
    DisableServer,
    /// `enable agent`
    EnableAgent,
    /// `disable agent`
    DisableAgent,
    /// `set server … agent up`
    AgentUp,
    /// `set server … agent down`
    AgentDown,
    /// `set server … health up`
    HealthUp,
    /// `set server … health down`
    HealthDown,
    /// `set server … weight`
    Weight(u16),
    /// `set maxconn server`
    Limit(u32),
}

impl Command {
    /// The command for the server `NAME` of the backend `NAME`.
    pub(crate) fn line(self, name: &str) -> String {
        let server = format!("{name}/{name}");
        match self {
            Self::Ready => format!("set server {server} state ready"),
            Self::Drain => format!("set server {server} state drain"),
            Self::Maint => format!("set server {server} state maint"),
            Self::EnableServer => format!("enable server {server}"),
            Self::DisableServer => format!("disable server {server}"),
            Self::EnableAgent => format!("enable agent {server}"),
            Self::DisableAgent => format!("disable agent {server}"),
            Self::AgentUp => format!("set server {server} agent up"),
            Self::AgentDown => format!("set server {server} agent down"),
            Self::HealthUp => format!("set server {server} health up"),
            Self::HealthDown => format!("set server {server} health down"),
            Self::Weight(weight) => format!("set server {server} weight {weight}"),
            Self::Limit(limit) => format!("set maxconn server {server} {limit}"),
        }
    }
}

impl Server {
    /// A server after start.
    pub(crate) fn new(checked: bool) -> Self {
        Self {
            checked,
            passes: true,
            healthy: true,
            fine: !Haproxy::agent_health_begins_at_zero(),
            knows_weight: Haproxy::version() >= (3, 1),
            asked: true,
            running: true,
            admin: Admin::Ready,
            weight: WEIGHT,
            limit: LIMIT,
        }
    }

    /// The server after `step` and after the next results of the health checks.
    #[must_use]
    pub(crate) fn after(mut self, step: &Move) -> Self {
        match step {
            Move::Sends(reply) if self.asked => self.apply_reply(reply),
            Move::Sends(_) | Move::Loses(_) => {}
            Move::Passes(passes) => self.passes = *passes,
            Move::Commands(command) => self.obey(*command),
            Move::Reload { saved } => self = self.reloaded(*saved),
        }
        self.check();
        self
    }

    /// Applied in this order, regardless of the order of the words: administrative state, weight, limit, health.
    fn apply_reply(&mut self, reply: &Reply) {
        match reply.administrative {
            Some(AdministrativeState::Ready) => self.set(Admin::Ready),
            Some(AdministrativeState::Drain) => self.set(Admin::Drain),
            Some(AdministrativeState::Maint) => self.set(Admin::Maint),
            None => {}
        }
        if let Some(percent) = reply.percent {
            self.weight = match reply.absolute {
                true if !self.knows_weight => self.weight,
                true => percent.get(),
                false => weight(percent.get()),
            };
        }
        if let Some(limit) = reply.maxconn {
            self.limit = limit.get();
        }
        match reply.operational {
            Some(OperationalState::Up) => {
                self.fine = true;
                self.run_if(self.is_healthy());
            }
            Some(OperationalState::Down | OperationalState::Stopped | OperationalState::Fail) => {
                self.fine = false;
                self.running = false;
            }
            None => {}
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Ready | Command::EnableServer => self.set(Admin::Ready),
            Command::Drain => self.set(Admin::Drain),
            Command::Maint | Command::DisableServer => self.set(Admin::Maint),
            Command::EnableAgent => self.asked = true,
            Command::DisableAgent => self.asked = false,
            // Refused where the agent is disabled.
            Command::AgentUp if self.asked => {
                self.fine = true;
                self.run_if(true);
            }
            Command::AgentDown if self.asked => {
                self.fine = false;
                self.running = false;
            }
            Command::AgentUp | Command::AgentDown => {}
            Command::HealthUp => {
                self.healthy = true;
                self.run_if(true);
            }
            Command::HealthDown => {
                self.healthy = false;
                self.running = false;
            }
            Command::Weight(weight) => self.weight = weight,
            Command::Limit(limit) => self.limit = limit,
        }
    }

    /// A new administrative state; leaving maintenance, a server is taken for healthy until the next check.
    fn set(&mut self, admin: Admin) {
        let before = std::mem::replace(&mut self.admin, admin);
        if admin == Admin::Maint {
            self.running = false;
        } else if before == Admin::Maint {
            self.healthy = true;
            self.run_if(!self.asked || self.fine);
        }
    }

    /// The health check, again and again.
    fn check(&mut self) {
        if !self.checked || self.admin == Admin::Maint {
            return;
        }
        self.healthy = self.passes;
        if self.passes {
            self.run_if(!self.asked || self.fine);
        } else {
            self.running = false;
        }
    }

    fn is_healthy(&self) -> bool {
        !self.checked || self.healthy
    }

    /// Nothing runs in maintenance.
    fn run_if(&mut self, allowed: bool) {
        self.running |= allowed && self.admin != Admin::Maint;
    }

    /// The state of a new process: without a server-state file nothing; with it all but `maxconn` and the agent's
    /// health, which is only in the operational state.
    fn reloaded(&self, saved: bool) -> Self {
        let new = Self {
            passes: self.passes,
            knows_weight: self.knows_weight,
            ..Self::new(self.checked)
        };
        if !saved {
            return new;
        }
        Self {
            asked: self.asked,
            admin: self.admin,
            weight: self.weight,
            running: self.running,
            healthy: self.running,
            ..new
        }
    }
}

/// A percentage of the weight on the server line, as `HAProxy` takes it.
fn weight(percent: u16) -> u16 {
    let weight = (u32::from(WEIGHT) * u32::from(percent) / 100).min(MOST);
    u16::try_from(weight).expect("it is at most 256")
}
