//! `agentcheck import`.

use super::{Failed, Output};
use crate::setup::import::{Agent, load};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

#[derive(Args)]
pub(super) struct Import {
    /// Whose configuration it is
    agent: Foreign,
    /// Its file: config.yml, config.xml or agent-config.json
    file: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Foreign {
    /// Helpshift's Herald
    Herald,
    /// Loadbalancer.org's feedback agent, 4.x and 5.x
    Loadbalancer,
}

impl Import {
    pub(super) fn print(&self) -> Result<Output, Failed> {
        let agent = match self.agent {
            Foreign::Herald => Agent::Herald,
            Foreign::Loadbalancer => Agent::Loadbalancer,
        };
        let made = load(agent, &self.file).map_err(|error| Failed(error.to_string()))?;
        Ok(made.into())
    }
}
