//! The expected state of a server. Only the given fields are compared.

use crate::haproxy::{Haproxy, ServerState};

/// The expected values of a server.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    operational: Option<u8>,
    administrative: Option<u8>,
    weight: Option<u16>,
    status: Option<&'static str>,
    agent_status: Vec<&'static str>,
    text: Option<String>,
    session_limit: Option<u32>,
}

/// Running, nothing administrative, this weight.
pub fn running(weight: u16) -> Expected {
    server(2, 0, weight)
}

/// Down by the agent, nothing administrative.
pub fn down(weight: u16) -> Expected {
    server(0, 0, weight).status("DOWN (agent)")
}

/// In maintenance.
pub fn maintenance(weight: u16) -> Expected {
    server(0, 1, weight).status("MAINT")
}

/// Draining; the agent set the same bit that an operator sets.
pub fn draining(weight: u16) -> Expected {
    server(2, 8, weight)
}

fn server(operational: u8, administrative: u8, weight: u16) -> Expected {
    Expected {
        operational: Some(operational),
        administrative: Some(administrative),
        weight: Some(weight),
        ..Expected::default()
    }
}

impl Expected {
    /// The status column of `show stat` is exactly this.
    pub fn status(mut self, status: &'static str) -> Self {
        self.status = Some(status);
        self
    }

    /// The agent's status is one of these.
    pub fn agent(mut self, any_of: &[&'static str]) -> Self {
        self.agent_status = any_of.to_vec();
        self
    }

    /// The agent's text contains this.
    pub fn text(mut self, text: &str) -> Self {
        self.text = Some(text.to_owned());
        self
    }

    /// The limit of sessions is this.
    pub fn session_limit(mut self, limit: u32) -> Self {
        self.session_limit = Some(limit);
        self
    }

    /// What of `seen` is not as expected; nothing where all is. The agent's text is not there to be
    /// compared while the agent is being asked.
    pub fn differences(&self, seen: &ServerState) -> Vec<String> {
        let mut differences = Vec::new();
        let mut compare = |what: &str, expected: Option<String>, seen: String| {
            if let Some(expected) = expected
                && expected != seen
            {
                differences.push(format!("{what}: expected {expected}, seen {seen}"));
            }
        };
        let as_text = |number: Option<u8>| number.map(|number| number.to_string());
        compare(
            "op",
            as_text(self.operational),
            seen.operational.to_string(),
        );
        compare(
            "adm",
            as_text(self.administrative),
            seen.administrative.to_string(),
        );
        compare(
            "weight",
            self.weight.map(|weight| weight.to_string()),
            seen.weight.to_string(),
        );
        compare(
            "status",
            self.status.map(str::to_owned),
            seen.status.clone(),
        );
        compare(
            "slim",
            self.session_limit.map(|limit| format!("{:?}", Some(limit))),
            format!("{:?}", seen.session_limit),
        );
        let agent = seen.agent_status.as_str();
        if !self.agent_status.is_empty()
            && !self.agent_status.contains(&agent)
            && Haproxy::shows_agent_results()
        {
            differences.push(format!(
                "agent_status: expected {:?}, seen {agent}",
                self.agent_status
            ));
        }
        if let Some(text) = &self.text
            && !seen.agent_asked
            && Haproxy::shows_agent_results()
            && !seen.agent_text.contains(text.as_str())
        {
            differences.push(format!(
                "agent's text: expected {text:?} in it, seen {:?}",
                seen.agent_text
            ));
        }
        differences
    }
}
