//! `[source.NAME.file]`

use super::super::raw::{Findings, Table};
use super::{absolute, format, max_bytes};
use crate::source::Kind;
use crate::source::file::File;

/// The keys of this kind, besides those of every kind.
pub(super) const KEYS: &[&str] = &["path", "format", "max_bytes"];

/// Keys that a later version will know.
pub(super) const LATER: &[&str] = &[];

pub(super) fn read(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Option<Kind> {
    let format = format(table, findings);
    let max_bytes = max_bytes(table, findings);
    let example = "\"/run/app/load\"";
    let path = table
        .need(findings, "path", example)?
        .text(findings, example)?;
    absolute(&path.value, path.span, "path", findings);
    Some(Kind::File(File {
        path: path.value.into(),
        format,
        max_bytes,
    }))
}
