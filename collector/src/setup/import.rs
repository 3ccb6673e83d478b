//! Moving over: the agentcheck.toml that does what another agent's configuration says. Text in, text out;
//! nothing is polled, looked up or started.
//!
//! Whatever has no equivalent, or behaves differently here, becomes a comment beside what it is about. What
//! comes in is not trusted: its size, depth and number of values are bounded, nothing of it can leave a
//! string or a comment of what comes out, and what comes out is loaded once before it is shown.

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
use std::fmt;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

/// The largest file that is read, in bytes.
pub const MAX_BYTES: usize = 256 * 1024;

/// Whose configuration it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agent {
    /// Helpshift's Herald: config.yml.
    Herald,
    /// Loadbalancer.org's feedback agent: config.xml up to 4.x, agent-config.json from 5.
    Loadbalancer,
}

/// Why there is nothing to show.
#[derive(Debug)]
pub enum ImportError {
    /// The file cannot be read.
    Unreadable(PathBuf, io::Error),
    /// It has errors.
    Wrong(Report),
    /// What came of it does not load, and why.
    Unfit(PathBuf, Report),
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(file, error) => {
                writeln!(f, "{}: error: cannot be read: {error}", file.display())
            }
            Self::Wrong(report) => report.fmt(f),
            Self::Unfit(file, report) => {
                let file = file.display();
                writeln!(f, "{file}: error: what comes of it does not load:")?;
                report.fmt(f)
            }
        }
    }
}

/// Reads a configuration of another agent.
///
/// # Errors
/// Where it cannot be read, every mistake in it, or why what came of it does not load.
pub fn load(agent: Agent, file: &Path) -> Result<String, ImportError> {
    let text = read(file).map_err(|error| ImportError::Unreadable(file.to_owned(), error))?;
    let made = convert(agent, file, &text).map_err(ImportError::Wrong)?;
    match config::parse(Path::new("agentcheck.toml"), &made) {
        Ok(_) => Ok(made),
        Err(report) => Err(ImportError::Unfit(file.to_owned(), report)),
    }
}

fn read(file: &Path) -> io::Result<String> {
    let wrong = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let most = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    let file = std::fs::File::open(file)?;
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_BYTES {
        return Err(wrong(format!("it has more than {MAX_BYTES} bytes")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        wrong(format!(
            "it is not UTF-8 from byte {at} on; iconv -t UTF-8 makes it so"
        ))
    })
}

/// The agentcheck.toml that does what `text`, the configuration of `agent`, says; `file` is what findings
/// name.
///
/// # Errors
/// Every mistake in it, in the order of the file.
pub fn convert(agent: Agent, file: &Path, text: &str) -> Result<String, Report> {
    let mut findings = Vec::new();
    // Editors of Windows put a byte order mark there.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.len() > MAX_BYTES {
        let large = format!("it has more than {MAX_BYTES} bytes");
        let large = Diagnostic::error(0..0, large).remedy("no agent's configuration is that long");
        return Err(Report::new(&Files::one(file, ""), vec![large]));
    }
    let made = match agent {
        Agent::Herald => herald::convert(file, text, &mut findings),
        Agent::Loadbalancer => loadbalancer::convert(file, text, &mut findings),
    };
    match made {
        Some(made) if findings.is_empty() => Ok(made),
        _ => Err(Report::new(&Files::one(file, text), findings)),
    }
}

/// Why `configuration` would not load, in one line; nothing where it would.
fn refused(configuration: &str) -> Option<String> {
    let report = config::parse(Path::new(""), configuration).err()?;
    let first = report.rendered.iter().find_map(|finding| {
        let (_, message) = finding.lines().next()?.split_once("error: ")?;
        Some(message.to_owned())
    });
    Some(first.unwrap_or_else(|| "it does not load".to_owned()))
}

/// The first lines of what comes out.
fn opening(output: &mut toml_writer::Output, of: &str, file: &Path) {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    output.comment(&format!(
        "From {} of {of}, by agentcheck import.",
        toml_writer::shown(&name)
    ));
    output.comment(
        "Read what begins with Differs, Not moved or Mind; then try it: agentcheck check --config FILE",
    );
}

/// Where one service is to be reached.
struct Reached<'t> {
    address: Option<&'t str>,
    port: Option<&'t str>,
    service: &'t str,
}

impl Reached<'_> {
    /// The address for --listen, where the other agent's can be read.
    fn at(&self) -> Option<SocketAddr> {
        let address = self.address.map(str::trim);
        let address = address
            .filter(|address| *address != "*")
            .unwrap_or("0.0.0.0");
        let port = self.port?.trim().parse().ok()?;
        Some(SocketAddr::new(address.parse::<IpAddr>().ok()?, port))
    }
}

/// How HAProxy reaches services that each have an address.
fn listening(output: &mut toml_writer::Output, services: &[Reached<'_>]) {
    let known: Vec<(SocketAddr, &str)> = services
        .iter()
        .filter_map(|reached| Some((reached.at()?, reached.service)))
        .collect();
    if known.is_empty() {
        output.comment(
            "agentcheck-responder answers HAProxy, by a socket of systemd, by xinetd or with --listen.",
        );
        return;
    }
    output.comment(
        "agentcheck-responder answers HAProxy, by a socket of systemd, by xinetd or by itself:",
    );
    for (at, service) in known {
        output.code(&format!("agentcheck-responder {service} --listen {at}"));
    }
}

/// What there is to say of a key that nothing here knows; never what may be a secret.
fn unknown(entry: &document::Entry, agent: &str) -> String {
    const SECRET: [&str; 6] = ["pass", "secret", "token", "key", "auth", "cred"];
    let name = entry.key.to_lowercase();
    let value = match SECRET.iter().any(|part| name.contains(part)) {
        true => "not shown".to_owned(),
        false => entry.node.shown(),
    };
    let key = toml_writer::shown(&entry.key);
    format!("{key} ({value}) is no option of {agent} that is known here.")
}
