//! Where replies are written: the state directory, and the services that are being removed from it.

use super::history_writer::HistoryWriter;
use super::retirement::Retirement;
use super::state_dir::{CheckResult, StateDir};
use crate::status::history::Event;
use agentcheck_common::{BootId, BootTime};
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

/// The state directory and what belongs to it.
pub(super) struct Output {
    /// Where replies are read.
    pub(super) path: PathBuf,
    /// Where replies are written; `None` in a dry run.
    pub(super) state_dir: Option<StateDir>,
    pub(super) boot: BootId,
    pub(super) retirement: Retirement,
}

impl Output {
    /// The directory to write to, if there is one.
    pub(super) fn directory(&self) -> Option<BorrowedFd<'_>> {
        self.state_dir.as_ref().and_then(StateDir::directory)
    }

    /// Whether nothing is written.
    pub(super) fn is_dry(&self) -> bool {
        self.state_dir.is_none()
    }

    /// Checks the state directory; returns whether all replies must be written again.
    pub(super) fn check(&mut self, history: Option<&mut HistoryWriter>, now: BootTime) -> bool {
        let result = self
            .state_dir
            .as_mut()
            .map(|state_dir| state_dir.check(now));
        let event = match result {
            None | Some(CheckResult::Same) => return false,
            Some(CheckResult::Lost) => Event::StateDirLost,
            Some(CheckResult::Again) => Event::StateDirRestored,
        };
        if let Some(history) = history {
            history.event(event, "");
        }
        result == Some(CheckResult::Again)
    }

    /// Writes due release replies and removes due state files; returns whether there was one.
    pub(super) fn remove_retired(&mut self, now: BootTime) -> bool {
        let directory = self.state_dir.as_ref().and_then(StateDir::directory);
        self.retirement.remove(directory, now)
    }
}
