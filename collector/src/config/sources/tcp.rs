//! `[source.NAME.tcp]`

use super::super::diagnostics::Diagnostic;
use super::super::toml_reader::{Findings, Table, Text};
use super::{format, max_bytes, unix_socket};
use crate::source::Kind;
use crate::source::tcp::{Conversation, End, Peer, Tcp};
use regex::bytes::RegexBuilder;

/// The largest compiled pattern, in bytes.
const MAX_PATTERN: usize = 256 * 1024;

pub(super) fn read(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Option<Kind> {
    let conversation = conversation(table, findings);
    let peer = peer(table, findings)?;
    Some(Kind::Tcp(Box::new(Tcp { peer, conversation })))
}

fn peer(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Option<Peer> {
    let example = "\"127.0.0.1:6379\"";
    if let Some(path) = unix_socket(table, findings) {
        if let Some(address) = table.take("address") {
            let message = "address and unix_socket exclude each other";
            findings.push(Diagnostic::error(address.key_span(), message));
        }
        return Some(Peer::Unix(path));
    }
    let address = table
        .need(findings, "address", example)?
        .text(findings, example)?;
    match Peer::parse(&address.value) {
        Ok(peer) => Some(peer),
        Err(wrong) => {
            let remedy = format!("write it as in {example}, \"db:5432\" or \"[::1]:6379\"");
            let message = format!("address {wrong}");
            findings.push(Diagnostic::error(address.span, message).remedy(remedy));
            None
        }
    }
}

/// `send`, `until`, `bytes` and `format`: with any of them the source reads a response.
fn conversation(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Option<Conversation> {
    let keys = ["send", "until", "bytes", "format"];
    let talks = keys.iter().any(|key| table.span_of(key).is_some());
    if !talks {
        for key in ["text", "max_bytes"] {
            if let Some(span) = table.span_of(key) {
                let message = format!("{key} has no effect: the source reads no response");
                let remedy = "add send, until, bytes or format";
                findings.push(Diagnostic::error(span, message).remedy(remedy));
            }
        }
    }
    let format = format(table, findings);
    let max_bytes = max_bytes(table, findings);
    let mut text = |key, example| {
        table
            .take(key)
            .and_then(|entry| entry.text(findings, example))
    };
    let send = text("send", "\"INFO replication\\r\\n\"");
    let until = text("until", "\"END\\r\\n\"");
    let bytes = table.take("bytes");
    if let (Some(until), Some(_)) = (&until, &bytes) {
        let message = "until and bytes exclude each other";
        findings.push(Diagnostic::error(until.span.clone(), message));
    }
    let end = match (until, bytes) {
        (Some(until), _) => pattern(&until, findings),
        (None, Some(bytes)) => {
            let most = i64::try_from(max_bytes).unwrap_or(i64::MAX);
            let bytes = bytes.integer(findings, 1, most);
            End::Bytes(
                bytes
                    .and_then(|bytes| usize::try_from(bytes).ok())
                    .unwrap_or(1),
            )
        }
        (None, None) => End::Close,
    };
    talks.then(|| Conversation {
        send: send.map(|text| text.value).unwrap_or_default().into(),
        end,
        format,
        max_bytes,
    })
}

fn pattern(until: &Text, findings: &mut Findings<'_>) -> End {
    let pattern = RegexBuilder::new(&until.value)
        .size_limit(MAX_PATTERN)
        .build();
    match pattern {
        Ok(pattern) if !pattern.is_match(b"") => End::Match(pattern),
        other => {
            let message = match other {
                Ok(_) => "invalid until: the pattern matches an empty text",
                Err(_) => "invalid until: this is not a regular expression",
            };
            let remedy = "write a pattern for the end of the response, as in \"END\\r\\n\"";
            findings.push(Diagnostic::error(until.span.clone(), message).remedy(remedy));
            End::Close
        }
    }
}
