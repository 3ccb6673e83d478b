//! Translates the configuration of another agent into agentcheck.toml. Text in, text out: nothing is polled,
//! resolved or started.
//!
//! What has no equivalent, or behaves differently, becomes a comment beside the translation. Nothing that depends
//! on an untranslated condition is active in the result: `agentcheck check` refuses the result until a person has
//! decided. The input is not trusted: its size, depth and number of values are bounded, and none of its text can
//! end a string or a comment of the result.

mod document;
mod herald;
mod identifiers;
mod json;
mod loadbalancer;
mod python;
mod service;
mod toml_writer;
mod xml;
mod yaml;

use crate::config;
use crate::config::diagnostics::Diagnostic;
use crate::config::{Files, Report};
use crate::sys::state_file::read_bounded;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

/// The largest file that is read, in bytes.
pub const MAX_BYTES: usize = 256 * 1024;

/// The agent that the configuration belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agent {
    /// Helpshift's Herald: config.yml.
    Herald,
    /// Loadbalancer.org's feedback agent: config.xml up to 4.x, agent-config.json from 5.
    Loadbalancer,
}

/// A translation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The new agentcheck.toml.
    pub toml: String,
    /// How many rules and keys a person has to decide before `agentcheck check` accepts the file.
    pub undecided: usize,
}

/// Why there is no translation.
#[derive(Debug)]
pub enum ImportError {
    /// The file cannot be read.
    Unreadable(PathBuf, ReadError),
    /// The file has errors.
    Invalid(Report),
    /// The result does not load, which is a fault of this program.
    Unloadable(PathBuf, Report),
}

/// Why a file cannot be read.
#[derive(Debug)]
pub enum ReadError {
    /// The system's error.
    Io(io::Error),
    /// The file has more than [`MAX_BYTES`] bytes.
    TooLarge,
    /// The file is not UTF-8.
    NotUtf8 {
        /// The first byte that is not.
        offset: usize,
    },
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::TooLarge => write!(f, "it has more than {MAX_BYTES} bytes"),
            Self::NotUtf8 { offset } => write!(
                f,
                "it is not UTF-8 from byte {offset} on: convert it with iconv -t UTF-8"
            ),
        }
    }
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(file, error) => {
                writeln!(
                    f,
                    "{}: error: cannot read the file: {error}",
                    file.display()
                )
            }
            Self::Invalid(report) => report.fmt(f),
            Self::Unloadable(file, report) => {
                let file = file.display();
                writeln!(
                    f,
                    "{file}: error: cannot translate it: the result does not load:"
                )?;
                report.fmt(f)
            }
        }
    }
}

/// Reads and translates a configuration of another agent.
///
/// # Errors
/// The file cannot be read, it has mistakes, or the result does not load.
pub fn load(agent: Agent, file: &Path) -> Result<Imported, ImportError> {
    let text = read(file).map_err(|error| ImportError::Unreadable(file.to_owned(), error))?;
    let imported = convert(agent, file, &text).map_err(ImportError::Invalid)?;
    match config::parse(Path::new("agentcheck.toml"), &imported.toml) {
        Err(report) if imported.undecided == 0 => {
            Err(ImportError::Unloadable(file.to_owned(), report))
        }
        _ => Ok(imported),
    }
}

/// The text of a regular file. A FIFO would block for ever.
fn read(file: &Path) -> Result<String, ReadError> {
    // Links are followed: this runs with the rights of the user who names the file.
    let path = std::fs::canonicalize(file).map_err(ReadError::Io)?;
    let bytes = read_bounded(&path, MAX_BYTES).map_err(ReadError::Io)?;
    if bytes.len() > MAX_BYTES {
        return Err(ReadError::TooLarge);
    }
    String::from_utf8(bytes).map_err(|error| ReadError::NotUtf8 {
        offset: error.utf8_error().valid_up_to(),
    })
}

/// Translates `text`, the configuration of `agent`. Findings name it `file`.
///
/// # Errors
/// Every mistake in it, in the order of the file.
pub fn convert(agent: Agent, file: &Path, text: &str) -> Result<Imported, Report> {
    let mut findings = Vec::new();
    // Editors on Windows begin a file with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.len() > MAX_BYTES {
        let large = Diagnostic::error(0..0, ReadError::TooLarge.to_string())
            .remedy("no agent's configuration is that long");
        return Err(Report::new(&Files::foreign(file, ""), vec![large]));
    }
    let imported = match agent {
        Agent::Herald => herald::convert(file, text, &mut findings),
        Agent::Loadbalancer => loadbalancer::convert(file, text, &mut findings),
    };
    match imported {
        Some(imported) if findings.is_empty() => Ok(imported),
        _ => Err(Report::new(&Files::foreign(file, text), findings)),
    }
}

/// The message of the first error with which `configuration` does not load; `None` where it loads.
fn load_error(configuration: &str) -> Option<String> {
    let report = config::parse(Path::new(""), configuration).err()?;
    let first = report.headlines().find_map(|line| {
        let (_, message) = line.split_once("error: ")?;
        Some(message.to_owned())
    });
    Some(first.unwrap_or_else(|| "it does not load".to_owned()))
}

/// The first lines of the result.
fn write_opening(output: &mut toml_writer::Output, agent: &str, file: &Path) {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    output.comment(&format!(
        "From {} of {agent}, by agentcheck import.",
        toml_writer::excerpt(&name)
    ));
    output.comment(
        "Read the comments that begin with Undecided, Differs, Not moved or Mind. Then try it: agentcheck check \
         --config FILE",
    );
}

/// The address on which the other agent serves one service.
struct Endpoint<'t> {
    address: Option<&'t str>,
    port: Option<&'t str>,
    /// The responder's arguments for the service.
    arguments: &'t str,
}

impl Endpoint<'_> {
    /// The address for --listen; `None` where the other agent's is not an IP address with a port.
    fn socket_address(&self) -> Option<SocketAddr> {
        let address = self.address.map(str::trim);
        let address = address
            .filter(|address| *address != "*")
            .unwrap_or("0.0.0.0");
        let port = self.port?.trim().parse().ok()?;
        Some(SocketAddr::new(address.parse::<IpAddr>().ok()?, port))
    }
}

/// Writes how the responder serves HAProxy on the other agent's addresses.
fn write_endpoints(output: &mut toml_writer::Output, endpoints: &[Endpoint<'_>]) {
    let known: Vec<(SocketAddr, &str)> = endpoints
        .iter()
        .filter_map(|endpoint| Some((endpoint.socket_address()?, endpoint.arguments)))
        .collect();
    if known.is_empty() {
        output.comment(
            "agentcheck-responder answers HAProxy, started by a systemd socket, by xinetd or with --listen.",
        );
        return;
    }
    output.comment(
        "agentcheck-responder answers HAProxy, started by a systemd socket, by xinetd or by hand:",
    );
    for (address, arguments) in known {
        output.code(&format!(
            "agentcheck-responder {arguments} --listen {address}"
        ));
    }
}

/// The comment on an unknown key. It never contains the value of what may be a secret.
fn unknown_option(entry: &document::Entry, agent: &str) -> String {
    const SECRET: [&str; 6] = ["pass", "secret", "token", "key", "auth", "cred"];
    let name = entry.key.to_lowercase();
    let value = match SECRET.iter().any(|part| name.contains(part)) {
        true => "value hidden".to_owned(),
        false => entry.node.excerpt(),
    };
    let key = toml_writer::excerpt(&entry.key);
    format!("{key} ({value}) is not a known option of {agent}.")
}
