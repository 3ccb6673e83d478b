//! The paths that the collector reads, and those that its unit's sandbox hides.

use super::host_facts;
use crate::config::Service;
use crate::setup::doctor::Finding;
use crate::setup::doctor::sandbox::{self, Needed};
use crate::source::tcp::Peer;
use crate::source::{Kind, Source};
use std::fs;
use std::path::{Path, PathBuf};

/// The findings about the unit's sandbox. `live` is the process id of the running collector.
pub(super) fn findings(
    sources: &[Source],
    services: &[&Service],
    live: Option<u32>,
) -> Vec<Finding> {
    let needed = needed(sources, services);
    if needed.is_empty() {
        return Vec::new();
    }
    let units = host_facts::units(sandbox::PROPERTIES, &[sandbox::UNIT]);
    let found = units
        .iter()
        .map(|unit| sandbox::findings(unit, live, &needed));
    found.flatten().collect()
}

fn needed(sources: &[Source], services: &[&Service]) -> Vec<Needed> {
    let need = |by: String, path: &Path| Needed {
        by,
        path: path.to_owned(),
        real: fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()),
    };
    let of_sources = sources.iter().flat_map(|source| {
        let paths = paths(&source.kind).into_iter();
        paths.map(|path| need(format!("source {}", source.name), &path))
    });
    let flags = services.iter().filter_map(|service| {
        let path = service.maintenance_file.as_deref()?;
        Some(need(format!("maintenance_file of {}", service.name), path))
    });
    of_sources.chain(flags).collect()
}

/// The paths that a source reads. For a command: its program, its directory, and arguments that are files.
fn paths(kind: &Kind) -> Vec<PathBuf> {
    match kind {
        Kind::File(file) => vec![file.path.clone()],
        Kind::Command(command) => {
            let words = command.argv.iter().map(PathBuf::from).enumerate();
            let files = words.filter(|(index, path)| {
                path.is_absolute()
                    && (*index == 0 || fs::metadata(path).is_ok_and(|data| data.is_file()))
            });
            let files = files.map(|(_, path)| path);
            files.chain(command.directory.clone()).collect()
        }
        Kind::Http(http) => http.unix.iter().cloned().collect(),
        Kind::Tcp(tcp) => match &tcp.peer {
            Peer::Unix(path) => vec![path.clone()],
            Peer::Address { .. } => Vec::new(),
        },
        Kind::Stream(stream) => paths(&Kind::Command(Box::new(stream.command.clone()))),
        Kind::System(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::command::Command;

    #[test]
    fn command_needs_its_program_directory_and_files() {
        let mut command =
            Command::new(&["/nowhere/run", "-o", "/nowhere/out", "/etc/passwd", "/etc"]);
        command.directory = Some("/nowhere".into());
        let found = paths(&Kind::Command(Box::new(command)));
        assert_eq!(
            found,
            ["/nowhere/run", "/etc/passwd", "/nowhere"].map(PathBuf::from)
        );
        // A program from PATH, which no sandbox hides.
        assert_eq!(
            paths(&Kind::Command(Box::new(Command::new(&["true"])))),
            [""; 0].map(PathBuf::from)
        );
    }
}
