//! The source of a plugin: a URL, a file, or the result of the operator's own class.

use crate::config::diagnostics::Diagnostic;
use crate::setup::import::document::{Findings, Table, Text};
use crate::setup::import::load_error;
use crate::setup::import::service::Note;
use crate::setup::import::toml_writer::{Output, excerpt, string};

/// Writes the header of the source's table, and the keys of its kind.
pub(super) fn write(
    table: &mut Table<'_>,
    class: &Text<'_>,
    source: &str,
    output: &mut Output,
    notes: &mut Vec<Note>,
    findings: &mut Findings,
) -> Option<()> {
    let (key, example, kind) = match class.text {
        "herald_http" => ("url", "http://127.0.0.1:8081/health_check", "http"),
        "herald_file" => ("file_path", "/run/app/state", "file"),
        _ => {
            let program = format!("/usr/local/lib/agentcheck/{source}");
            notes.push(Note::NotMoved(format!(
                "the plugin class {} is a Python program. Write {program}, which prints the result of its run() as \
                 JSON or text.",
                excerpt(class.text)
            )));
            output.table("source", source, ".command");
            output.raw("argv", &format!("[{}]", string(&program)));
            return Some(());
        }
    };
    let value = table.need(key, example, findings)?;
    output.table("source", source, &format!(".{kind}"));
    if kind == "file" {
        output.string("path", value.text);
    } else {
        let (url, credentials) = without_credentials(value.text);
        output.string("url", &url);
        if credentials {
            let file = format!("/etc/agentcheck/{source}.credentials");
            notes.push(Note::NotMoved(format!(
                "the user and the password in url. Write user:password into {file}, which only the collector can \
                 read."
            )));
            output.string("basic_file", &file);
        }
        // Herald's library follows up to 30 redirects.
        output.raw("redirects", "10");
    }
    let made = output.so_far();
    if let Some(error) = load_error(&format!("{made}[service.s]\nweight = '{source}.age'\n")) {
        let remedy = format!("fix it in a copy of the file, as in {key}: {example}");
        findings.push(Diagnostic::error(value.span, format!("{key}: {error}")).remedy(remedy));
        return None;
    }
    Some(())
}

/// A URL without user and password, and whether it had them.
fn without_credentials(url: &str) -> (String, bool) {
    let Some((scheme, rest)) = url.split_once("://") else {
        return (url.to_owned(), false);
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match host.rfind('@') {
        Some(at) => {
            let rest = rest.get(at + 1..).unwrap_or_default();
            (format!("{scheme}://{rest}"), true)
        }
        None => (url.to_owned(), false),
    }
}
