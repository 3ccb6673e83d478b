//! `[source.NAME.command]`

use super::super::diagnostics::Diagnostic;
use super::super::toml_reader::{Findings, Table};
use super::{absolute, absolute_path, max_bytes};
use crate::source::command::{Command, Environment, Reads, User};
use crate::source::{Format, Kind, Ranges};

pub(super) fn read(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Option<Kind> {
    let reads = reads(table, findings);
    let expect_exit = expect_exit(table, reads, findings);
    let command = program(table, findings)?;
    Some(Kind::Command(Box::new(Command {
        reads,
        expect_exit,
        ..command
    })))
}

/// The keys that a command and a stream have in common.
pub(super) fn program(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Option<Command> {
    let max_bytes = max_bytes(table, findings);
    let env = environment(table, findings);
    let directory = absolute_path(table, "directory", "\"/var/lib/app\"", findings);
    let user = user(table, findings);
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
                "invalid argument: it contains a NUL",
            ));
        }
    }
    Some(Command {
        argv: argv.into_iter().map(|text| text.value).collect(),
        max_bytes,
        env,
        directory,
        user,
        ..Command::new(&[])
    })
}

/// `expect_exit`: the exit statuses that are a success.
fn expect_exit(table: &mut Table<'_>, reads: Reads, findings: &mut Findings<'_>) -> Ranges {
    let example = "\"0,3\"";
    let Some(entry) = table.take("expect_exit") else {
        return Ranges::zero();
    };
    if reads == Reads::Nagios {
        findings.push(
            Diagnostic::error(
                entry.key_span(),
                "expect_exit has no effect with format = \"nagios\"",
            )
            .remedy("remove expect_exit: 0, 1 and 2 are a success, and all others a failure"),
        );
    }
    let Some((text, span)) = entry.integer_or_text(findings, example) else {
        return Ranges::zero();
    };
    Ranges::exits(&text).unwrap_or_else(|wrong| {
        findings.push(
            Diagnostic::error(span, format!("expect_exit {wrong}"))
                .remedy(format!("write exit statuses and ranges, as in {example}")),
        );
        Ranges::zero()
    })
}

/// `format`: the formats of a file, and that of monitoring plugins.
fn reads(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Reads {
    let formats = Format::ALL.map(|format| (format.name(), Reads::Format(format)));
    let choices: Vec<(&str, Reads)> = formats
        .into_iter()
        .chain([("nagios", Reads::Nagios)])
        .collect();
    table
        .take("format")
        .and_then(|entry| entry.choice(findings, &choices))
        .unwrap_or(Reads::Format(Format::default()))
}

fn environment(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Environment {
    let entries = table
        .take("env")
        .and_then(|entry| entry.table(findings, "env = { LANG = \"C\" }"))
        .map(|mut variables| variables.take_all())
        .unwrap_or_default();
    let mut environment = Environment::default();
    for entry in entries {
        let Some(value) = entry.text(findings, "\"C\"") else {
            continue;
        };
        if entry.key.is_empty() || entry.key.contains(['=', '\0']) {
            // Not the name: with the value in it, it would be a secret.
            let message = "invalid variable name: it is empty or contains = or NUL";
            findings.push(Diagnostic::error(entry.key_span(), message));
        } else if value.value.contains('\0') {
            findings.push(Diagnostic::error(
                value.span,
                "invalid value of a variable: it contains a NUL",
            ));
        } else {
            environment.insert(entry.key.to_owned(), value.value.into());
        }
    }
    environment
}

fn user(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Option<User> {
    let mut name = |key: &str, example| {
        let text = table.take(key)?.text(findings, example)?;
        let is_name =
            !text.value.is_empty() && text.value.chars().all(|c| c.is_ascii_graphic() && c != ':');
        if !is_name {
            let message = format!("invalid {key} {:?}", text.value);
            findings.push(
                Diagnostic::error(text.span.clone(), message)
                    .remedy(format!("write a name or a number, as in {key} = {example}")),
            );
        }
        Some(text)
    };
    let user = name("user", "\"nagios\"");
    let group = name("group", "\"adm\"");
    match (user, group) {
        (Some(user), group) => Some(User {
            user: user.value,
            group: group.map(|group| group.value),
        }),
        (None, Some(group)) => {
            findings.push(
                Diagnostic::error(group.span, "group requires user")
                    .remedy("add user = \"nagios\""),
            );
            None
        }
        (None, None) => None,
    }
}
