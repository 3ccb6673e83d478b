//! Loadbalancer.org's feedback agent: config.xml up to version 4, agent-config.json from version 5.

mod version4;
mod version5;

use super::Imported;
use super::document::Findings;
use crate::config::diagnostics::Diagnostic;
use std::path::Path;

/// The name of the agent in comments.
const AGENT: &str = "the Loadbalancer.org feedback agent";

pub(super) fn convert(file: &Path, text: &str, findings: &mut Findings) -> Option<Imported> {
    match text.trim_start().chars().next() {
        Some('<') => version4::convert(file, text, findings),
        Some('{') => version5::convert(file, text, findings),
        _ => {
            findings.push(
                Diagnostic::error(0..0, "the file is neither XML nor JSON").remedy(
                    "name config.xml (lbfbaconfig.xml on Linux) up to 4.x, or agent-config.json from 5 on",
                ),
            );
            None
        }
    }
}
