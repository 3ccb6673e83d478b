//! Loadbalancer.org's feedback agent: config.xml of the versions up to 4, agent-config.json of version 5.

mod version4;
mod version5;

use super::document::Findings;
use crate::config::diagnostics::Diagnostic;
use std::path::Path;

/// Whose it is, in what comes out.
const AGENT: &str = "the Loadbalancer.org feedback agent";

pub(super) fn convert(file: &Path, text: &str, findings: &mut Findings) -> Option<String> {
    match text.trim_start().chars().next() {
        Some('<') => version4::convert(file, text, findings),
        Some('{') => version5::convert(file, text, findings),
        _ => {
            findings.push(
                Diagnostic::error(0..0, "this is neither XML nor JSON").remedy(
                    "config.xml (lbfbaconfig.xml on Linux) up to 4.x, agent-config.json from 5 on",
                ),
            );
            None
        }
    }
}
