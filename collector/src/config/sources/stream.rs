//! `[source.NAME.stream]`

use super::super::diagnostics::Diagnostic;
use super::super::toml_reader::{Findings, Table};
use super::command::program;
use super::format;
use crate::source::command::{Command, Reads};
use crate::source::stream::Stream;
use crate::source::{Format, Kind};

pub(super) fn read(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Option<Kind> {
    let format_at = table.value_span_of("format");
    let format = format(table, findings);
    if format == Format::Csv {
        findings.push(
            Diagnostic::error(
                format_at.unwrap_or_else(|| table.span.clone()),
                "a stream has no format csv: each line is a record of its own",
            )
            .remedy("use text, number, json or prometheus"),
        );
    }
    let newline = table
        .choice(findings, "poll", [false, true])
        .unwrap_or(false);
    let command = program(table, findings)?;
    Some(Kind::Stream(Box::new(Stream {
        command: Command {
            reads: Reads::Format(format),
            ..command
        },
        newline,
    })))
}
