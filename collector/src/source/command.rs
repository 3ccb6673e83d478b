//! The command source.
use super::{Deadline, Format, Found, Stop, stopped};
use std::fmt;

/// `[source.NAME.command]`
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// The program and its arguments; never a shell, unless the first is one.
    pub argv: Vec<String>,
    /// How the output is read.
    pub format: Format,
    /// The largest output that is taken, in bytes.
    pub max_bytes: usize,
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "command {:?} as {}", self.argv, self.format)
    }
}

#[derive(Debug)]
pub(super) struct Runner {
    command: Command,
}

impl Runner {
    pub(super) fn new(command: Command) -> Self {
        Self { command }
    }
    pub(super) fn poll(&mut self, _deadline: Deadline, _stop: &Stop) -> Found {
        let _ = &self.command;
        stopped().into()
    }
}
