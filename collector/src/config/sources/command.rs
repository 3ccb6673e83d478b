//! `[source.NAME.command]`

use super::super::diagnostic::Diagnostic;
use super::super::raw::{Findings, Table};
use super::{absolute, format, max_bytes};
use crate::source::Kind;
use crate::source::command::Command;

/// The keys of this kind, besides those of every kind.
pub(super) const KEYS: &[&str] = &["argv", "format", "max_bytes"];

/// Keys that a later version will know.
pub(super) const LATER: &[&str] = &["nagios", "env", "directory", "user"];

pub(super) fn read(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Option<Kind> {
    let format = format(table, findings);
    let max_bytes = max_bytes(table, findings);
    let example = "[\"/usr/local/bin/depth\", \"--queue\", \"mail\"]";
    let argv = table
        .need(findings, "argv", example)?
        .texts(findings, example)?;
    if let Some(program) = argv.first() {
        absolute(
            &program.value,
            program.span.clone(),
            "the program",
            findings,
        );
    }
    for argument in &argv {
        if argument.value.contains('\0') {
            findings.push(Diagnostic::error(
                argument.span.clone(),
                "an argument cannot hold a NUL",
            ));
        }
    }
    Some(Kind::Command(Command {
        argv: argv.into_iter().map(|text| text.value).collect(),
        format,
        max_bytes,
    }))
}
