//! `agentcheck import`.

use super::{Failed, Output};
use crate::render::text::counted;
use crate::setup::import::{Agent, load};
use clap::{Args, ValueEnum};
use std::io::Write as _;
use std::path::PathBuf;

#[derive(Args)]
pub(super) struct Import {
    /// The agent that reads FILE
    agent: AgentName,
    /// Configuration file: config.yml, config.xml or agent-config.json
    file: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum AgentName {
    /// Helpshift's Herald
    Herald,
    /// Loadbalancer.org's feedback agent, 4.x and 5.x
    Loadbalancer,
}

impl Import {
    /// Prints the translation. The status is 1 where a person has to decide a part of it.
    pub(super) fn print(&self) -> Result<Output, Failed> {
        let agent = match self.agent {
            AgentName::Herald => Agent::Herald,
            AgentName::Loadbalancer => Agent::Loadbalancer,
        };
        let imported = load(agent, &self.file).map_err(|error| Failed(error.to_string()))?;
        if imported.undecided > 0 {
            let _ = writeln!(
                std::io::stderr(),
                "agentcheck: {} left for you to decide: see Undecided in the new file; agentcheck check refuses it until then",
                counted(imported.undecided, "part")
            );
        }
        Ok(Output {
            text: imported.toml,
            status: u8::from(imported.undecided > 0),
        })
    }
}
