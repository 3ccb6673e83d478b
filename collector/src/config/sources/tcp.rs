//! `[source.NAME.tcp]`

use super::super::diagnostics::Diagnostic;
use super::super::toml_reader::{Findings, Table};
use super::unix_socket;
use crate::source::Kind;
use crate::source::tcp::Tcp;

/// The keys of this kind, besides those of every kind.
pub(super) const KEYS: &[&str] = &["address", "unix_socket"];

pub(super) fn read(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Option<Kind> {
    let example = "\"127.0.0.1:6379\"";
    let unix = unix_socket(table, findings);
    let Some(path) = unix else {
        let address = table
            .need(findings, "address", example)?
            .text(findings, example)?;
        return match Tcp::parse(&address.value) {
            Ok(tcp) => Some(Kind::Tcp(tcp)),
            Err(wrong) => {
                findings.push(
                    Diagnostic::error(address.span, format!("address {wrong}")).remedy(format!(
                        "write it as in {example}, \"db:5432\" or \"[::1]:6379\""
                    )),
                );
                None
            }
        };
    };
    if let Some(address) = table.take("address") {
        findings.push(Diagnostic::error(
            address.key_span(),
            "address and unix_socket exclude each other",
        ));
    }
    Some(Kind::Tcp(Tcp::Unix(path)))
}
