//! The server line of haproxy.cfg for a service.

use agentcheck_common::ServiceName;
use std::num::NonZeroU16;

/// How HAProxy asks for one service.
#[derive(Clone, Copy, Debug)]
pub struct ServerLine<'s> {
    /// The service.
    pub service: &'s ServiceName,
    /// The port that HAProxy connects to.
    pub agent_port: NonZeroU16,
    /// Whether several services share the port, so that HAProxy sends the name of the service.
    pub sends_name: bool,
}

impl ServerLine<'_> {
    /// The options after the address, for a `server` or a `default-server` line.
    #[must_use]
    pub fn options(&self) -> String {
        let mut options = format!(
            "check weight 100 agent-check agent-port {} agent-inter 2s",
            self.agent_port
        );
        if self.sends_name {
            options.push_str(&format!(" agent-send \"{}\\n\"", self.service));
        }
        options
    }

    /// A complete line, for the application's port `PORT` on `host`.
    #[must_use]
    pub fn line(&self, host: &str) -> String {
        format!("server {} {host}:PORT {}", self.service, self.options())
    }
}
