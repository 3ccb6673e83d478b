//! The command line: its commands, their output and exit status.

mod collect;
mod decommission;
mod doctor;
mod explain;
mod generate;
mod history;
mod import;
mod local_time;
mod overrides;
mod page;
mod probe;
mod record;
mod reload;
mod replay;
mod report;
mod screen;
mod status;

use crate::config::{self, Config, LoadError};
use crate::overrides::{Action, MAX_SPAN};
use crate::render::text::{counted, printable, without_byte_order_mark};
use crate::setup::version_notes::version_notes;
use crate::simulation::blind_spots;
use crate::simulation::sample;
use crate::status::overview;
use crate::sys::state_file;
use agentcheck_common::DEFAULT_STATE_DIR;
use clap::{Args, CommandFactory, Parser, Subcommand};
use rustix::fs::OFlags;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// The default configuration file.
pub const CONFIG_FILE: &str = "/etc/agentcheck/agentcheck.toml";

/// The default directory for overrides and history, which survive a reboot.
pub const DATA_DIR: &str = "/var/lib/agentcheck";

/// The largest sample that `check --sample` reads, in bytes.
const MAX_SAMPLE: u64 = 64 << 20;

/// The help of the program, on one screen of 80 columns and 24 lines.
const HELP: &str = "\
Load feedback and health checks for HAProxy's agent-check

Usage: agentcheck COMMAND [OPTION]...; agentcheck COMMAND --help for details

  collect          Poll the sources and write each service's reply
  check            Check the configuration; --sample FILE tries readings
  reload           Load the changed configuration without a gap
  status           Show the current replies and what decided them
  explain          Explain the reply of a service, or any reply line
  history          List past replies and their reasons
  doctor           Check every step from the sources to HAProxy
  probe            Probe agents as HAProxy does
  report           Write a web page with status and history
  drain            Take servers out: no new sessions
  maint, down      Take servers out: maintenance, or failed
  force-up, limit  Let servers in regardless of the rules; limit the weight
  resume           End overrides; rules and weight apply again
  ready            Lift a drain or maintenance set on the balancers
  decommission     Reset every service's server to full weight
  record, replay   Record readings; evaluate them with a configuration
  import, generate Convert a configuration; print launcher files

Exit status: 0 done; 1 failed, see standard error; 2 wrong command line.
Manual: man agentcheck. Version: agentcheck --version.
";

// `override_help` keeps the program's help on one screen; the man page has the details.
/// Load feedback and health checks for HAProxy's agent-check
#[derive(Parser)]
#[command(name = "agentcheck", version, override_help = HELP)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Poll the sources and write each service's reply, until SIGTERM or SIGINT
    #[command(after_help = "\
SIGHUP reloads the configuration. AGENTCHECK_LOG sets the log level: error,
warn, info or debug.
Example: agentcheck collect --config /etc/agentcheck/agentcheck.toml")]
    Collect(collect::Collect),
    /// Check the configuration and print its errors and warnings
    #[command(
        after_help = "Example: agentcheck check --config agentcheck.toml --sample sample.json"
    )]
    Check {
        #[command(flatten)]
        config: ConfigFile,
        /// Evaluate sample readings: a JSON file
        #[arg(long, value_name = "FILE")]
        sample: Option<PathBuf>,
    },
    /// Load the changed configuration into the running collector, without a gap
    Reload(reload::Reload),
    /// List past replies and their reasons
    History(history::History),
    /// Write a web page with status and history: one HTML file
    #[command(after_help = "Example: agentcheck report -o status.html --since 2h")]
    Report(report::Report),
    /// Check every step from the sources to HAProxy, and print remedies
    #[command(after_help = "\
Also probes over HTTP the ports of launchers with --http. With --haproxy, sends
the requests of HAProxy's HTTP health checks to these ports.
Example: agentcheck doctor --haproxy /run/haproxy/admin.sock")]
    Doctor(doctor::Doctor),
    /// Probe agents as HAProxy does
    Probe(probe::Probe),
    /// Record the readings of the sources in a file
    #[command(after_help = "Example: agentcheck record --for 1h peak")]
    Record(record::Record),
    /// Evaluate recorded readings with a configuration
    #[command(
        after_help = "Example: agentcheck replay --config new.toml --against old.toml --svg p.svg peak"
    )]
    Replay(replay::Replay),
    /// Show the current replies and what decided them
    Status(status::Arguments),
    /// Explain the reply of a service, or what HAProxy does with a line
    Explain(explain::Arguments),
    /// Take servers out: no new sessions; existing sessions continue
    #[command(
        after_help = "Example: agentcheck drain web --until 'app.value == 0' --deadline 10m --wait"
    )]
    Drain(overrides::Drain),
    /// Take servers out for maintenance
    #[command(after_help = "Example: agentcheck maint web --for 2h --reason 'kernel update'")]
    Maint(overrides::Plain),
    /// Mark servers as failed
    #[command(after_help = "Example: agentcheck down web --reason 'disk errors'")]
    Down(overrides::Plain),
    /// Let servers in at 100%, regardless of the rules, for a time
    #[command(after_help = "Example: agentcheck force-up web --for 30m")]
    ForceUp(overrides::ForceUp),
    /// Limit the weight of servers; a limit never raises a weight
    #[command(after_help = "Example: agentcheck limit web api --percent 50 --for 1h")]
    Limit(overrides::Limit),
    /// End overrides; rules and weight apply again
    #[command(after_help = "Example: agentcheck resume web")]
    Resume(overrides::Target),
    /// Send ready for a time: it lifts a drain or maintenance set on the balancers
    #[command(after_help = "Example: agentcheck ready web")]
    Ready(overrides::Ready),
    /// Reset every service's server to full weight, before you remove agentcheck
    Decommission(decommission::Decommission),
    /// Convert another agent's configuration into an agentcheck.toml
    #[command(after_help = "Example: agentcheck import herald config.yml > agentcheck.toml")]
    Import(import::Import),
    /// Print launcher files for the services of the configuration
    #[command(
        after_help = "Example: agentcheck generate systemd --address 10.0.0.11 --allow 10.0.0.0/24"
    )]
    Generate(generate::Generate),
}

#[derive(Args)]
struct ConfigFile {
    /// Config
    #[arg(long, value_name = "FILE", default_value = CONFIG_FILE)]
    config: PathBuf,
}

#[derive(Args)]
struct StateDir {
    /// Directory of state files
    #[arg(long, value_name = "DIR", default_value = DEFAULT_STATE_DIR)]
    state_dir: PathBuf,
}

#[derive(Args)]
struct DataDir {
    /// Overrides and history
    #[arg(long, value_name = "DIR", default_value = DATA_DIR)]
    data_dir: PathBuf,
}

/// What a command prints on standard output, in whole lines, and its exit status.
struct Output {
    text: String,
    status: u8,
}

impl From<String> for Output {
    fn from(text: String) -> Self {
        Self { text, status: 0 }
    }
}

/// Why a command failed: whole lines for standard error. The exit status is 1.
struct Failed(String);

impl Failed {
    /// One printable line, with the program's name before it.
    fn new(reason: impl AsRef<str>) -> Self {
        Self(format!("agentcheck: {}\n", printable(reason.as_ref())))
    }

    /// Lines that come first, such as what was done before.
    fn after(self, lines: &str) -> Self {
        Self(format!("{lines}{}", self.0))
    }
}

/// What to do about an error of reading or writing the project's own files.
fn permission_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "; be root or in group agentcheck",
        _ => "",
    }
}

/// Parses a duration of the command line.
fn span(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text.trim()) {
        Ok(span) if span >= Duration::from_millis(100) && span <= MAX_SPAN => Ok(span),
        Ok(_) => Err("a duration is between 100ms and a year".to_owned()),
        Err(_) => Err("write a duration with a unit, such as 30s, 10m or \"1h 30m\"".to_owned()),
    }
}

/// The definition of the command line, for completions and the manual.
#[must_use]
pub fn command() -> clap::Command {
    CommandLine::command()
}

/// Runs the command of the process's arguments.
#[must_use]
pub fn run() -> ExitCode {
    let line = match parse() {
        Ok(line) => line,
        Err(error) => {
            // If it cannot be printed, the exit status still counts.
            let _ = match error.use_stderr() {
                // It repeats words of the command line.
                true => io::stderr().write_all(printable_lines(&error.to_string()).as_bytes()),
                false => error.print(),
            };
            return ExitCode::from(match error.use_stderr() {
                true if is_health_check(std::env::args_os()) => overview::Level::Unknown as u8,
                true => 2,
                false => 0,
            });
        }
    };
    let outcome = match line.command {
        Command::Collect(collect) => collect.run(),
        Command::Check { config, sample } => check(&config, sample.as_deref()).map(Output::from),
        Command::Reload(reload) => reload.run(),
        Command::History(given) => history::list(&given),
        Command::Report(given) => report::write(&given),
        Command::Doctor(doctor) => doctor.run(),
        Command::Probe(probe) => probe.run(),
        Command::Record(record) => record::record(&record),
        Command::Replay(given) => replay::replay(&given),
        Command::Drain(drain) => drain.set(),
        Command::Maint(maint) => maint.set(Action::Maint),
        Command::Down(down) => down.set(Action::Down),
        Command::ForceUp(force) => force.set(),
        Command::Limit(limit) => limit.set(),
        Command::Resume(target) => overrides::resume(&target),
        Command::Ready(ready) => overrides::ready(&ready),
        Command::Decommission(decommission) => decommission.run(),
        Command::Import(import) => import.print(),
        Command::Generate(units) => units.make(),
        Command::Status(arguments) => status::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
    };
    match outcome {
        Ok(output) => {
            let _ = io::stdout().write_all(output.text.as_bytes());
            ExitCode::from(output.status)
        }
        Err(Failed(lines)) => {
            let _ = io::stderr().write_all(printable_lines(&lines).as_bytes());
            ExitCode::FAILURE
        }
    }
}

/// Parses the command line on a thread of its own. This takes 150 KB of stack, which would stay resident on the main thread.
fn parse() -> Result<CommandLine, clap::Error> {
    let parsing = std::thread::Builder::new().spawn(CommandLine::try_parse);
    match parsing.map(std::thread::JoinHandle::join) {
        Ok(Ok(parsed)) => parsed,
        // There is no thread, or it panicked, which ends the process in a release build.
        Ok(Err(_)) | Err(_) => CommandLine::try_parse(),
    }
}

/// The printable form of several lines.
fn printable_lines(text: &str) -> String {
    let lines = text.split('\n').map(printable);
    lines.collect::<Vec<_>>().join("\n")
}

/// Whether the command line is that of a monitoring plugin, whose status 2 is CRITICAL.
fn is_health_check(mut arguments: impl Iterator<Item = OsString>) -> bool {
    let command = arguments.nth(1);
    let is = |name: &str| command.as_ref().is_some_and(|command| command == name);
    arguments.any(|one| {
        let nagios = one == "nagios" || one == "--exit=nagios";
        (is("status") && one == "--check") || (is("probe") && nagios)
    })
}

fn check(file: &ConfigFile, sample: Option<&Path>) -> Result<String, Failed> {
    let loaded = config::load_with(&file.config, blind_spots::find);
    let (config, warnings) = loaded.map_err(|error| load_failure(&error))?;
    let mut text = warnings.to_string();
    for source in &config.sources {
        text.push_str(&format!("source {source}\n"));
    }
    for service in &config.services {
        text.push_str(&format!("service {service}\n"));
        for note in version_notes(service) {
            text.push_str(&format!("{note}\n"));
        }
    }
    if config.services.is_empty() {
        text.push_str(&format!("{}\n", overview::NO_SERVICE));
    }
    let files = match config.files.len() {
        0 | 1 => String::new(),
        several => format!("{}, ", counted(several, "file")),
    };
    text.push_str(&format!(
        "{}: ok, {files}{}, {}, {}\n",
        printable(&file.config.display().to_string()),
        counted(config.sources.len(), "source"),
        counted(config.services.len(), "service"),
        counted(warnings.rendered.len(), "warning")
    ));
    match sample {
        None => Ok(text),
        Some(sample) => try_sample(&config, &file.config, sample).map(|tried| text + &tried),
    }
}

fn try_sample(config: &Config, file: &Path, sample: &Path) -> Result<String, Failed> {
    let wrong = |error: String| Failed(format!("{}: error: {error}\n", sample.display()));
    let text =
        read_text(sample).map_err(|error| wrong(format!("cannot read the sample: {error}")))?;
    let tried = sample::try_out(config, &text).map_err(wrong)?;
    if tried.findings.is_empty() {
        return Ok(tried.text);
    }
    let files = config::Files::read(file).map_err(|error| load_failure(&error))?;
    let report = config::report(&files, &tried.findings);
    let errors = counted(report.errors, "error");
    let lines = format!("{}{report}", tried.text);
    Err(Failed::new(format!("{errors} with this sample")).after(&lines))
}

/// Reads a regular file of at most [`MAX_SAMPLE`] bytes; a FIFO or device is refused and cannot block.
fn read_text(file: &Path) -> io::Result<String> {
    use io::{Error, ErrorKind};
    let file = state_file::open_regular(file, OFlags::empty())?;
    let mut bytes = Vec::new();
    file.take(MAX_SAMPLE + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_SAMPLE) {
        let reason = format!("more than {MAX_SAMPLE} bytes");
        return Err(Error::new(ErrorKind::FileTooLarge, reason));
    }
    let text = without_byte_order_mark(&bytes);
    String::from_utf8(text.to_vec()).map_err(|_| Error::new(ErrorKind::InvalidData, "not UTF-8"))
}

fn load_failure(error: &LoadError) -> Failed {
    match error {
        LoadError::Unreadable(..) => Failed(error.to_string()),
        LoadError::Wrong(report) => {
            Failed::new(counted(report.errors, "error")).after(&error.to_string())
        }
    }
}
