//! The command line: what can be asked for, and with which exit status it ends.

mod collect;
mod decommission;
mod doctor;
mod explain;
mod generate;
mod history;
mod import;
mod overrides;
mod record;
mod reload;
mod replay;
mod report;
mod screen;
mod status;

use crate::config::{self, Config, LoadError};
use crate::overrides::{Action, MAX_SPAN};
use crate::render::text::counted;
use crate::setup::version_notes::version_notes;
use crate::simulation::blind_spots;
use crate::simulation::sample;
use agentcheck_common::STATE_DIR;
use clap::{Args, CommandFactory, Parser, Subcommand};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Where the configuration is, unless told otherwise.
pub const CONFIG_FILE: &str = "/etc/agentcheck/agentcheck.toml";

/// Where what has to survive a reboot is, unless told otherwise: overrides and history.
pub const DATA_DIR: &str = "/var/lib/agentcheck";

/// The help of the whole, which fits on a screen: commands that belong together share a line.
const HELP: &str = "\
Load feedback and health checks for HAProxy's agent-check

Usage: agentcheck COMMAND [OPTION]...; agentcheck COMMAND --help tells more

  collect          poll, evaluate and publish, until stopped; --dry-run prints
  check            load the configuration, and say what is wrong with it
  reload           have the collector load it again, without a gap
  status           what is being said, and why
  explain          why a service has its reply; what HAProxy makes of a line
  history          past replies, and why they changed
  doctor           look over the whole path, from the sources to HAProxy
  report           a page to look at
  drain            no new sessions; existing ones go on
  maint, down      out of service on purpose; not working
  force-up, limit  in, whatever the rules say; a ceiling on the weight
  resume           end an override: what is beneath it holds again
  ready            lift a drain or maint that was set on the balancers
  decommission     reset every service's server to full weight
  record, replay   keep readings; put them through a configuration
  import           convert another agent's configuration
  generate         print files for systemd, xinetd, inetd or haproxy.cfg

Exit status: 0 done; 1 failed, standard error says why; 2 wrong command line.
The manual is agentcheck(1); --version tells the version.
";

// Its help fits on a screen; what the parts are is told in the man pages and in the README.
/// Load feedback and health checks for HAProxy's agent-check
#[derive(Parser)]
#[command(
    name = "agentcheck",
    version,
    disable_help_subcommand = true,
    override_help = HELP
)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Poll, evaluate and publish until SIGTERM or SIGINT; load again at SIGHUP
    #[command(after_help = "Example: agentcheck collect --config /etc/agentcheck/agentcheck.toml")]
    Collect(collect::Collect),
    /// Load the configuration as `collect` does, and say what is wrong
    #[command(
        after_help = "Example: agentcheck check --config agentcheck.toml --sample sample.json"
    )]
    Check {
        #[command(flatten)]
        config: ConfigFile,
        /// Put a sample of readings through it, too: a JSON file
        #[arg(long, value_name = "FILE")]
        sample: Option<PathBuf>,
    },
    /// Have the collector load its configuration again, without a gap
    Reload(reload::Reload),
    /// What was said, when, and why
    #[command(after_help = "Example: agentcheck history web --since 2h")]
    History(history::History),
    /// A page to look at, as one HTML file: what is said and why, and what was said
    #[command(after_help = "Example: agentcheck report -o status.html --since 2h")]
    Report(report::Report),
    /// Look for what is wrong with the installation, and say what to do about it
    #[command(after_help = "Example: agentcheck doctor --haproxy /run/haproxy/admin.sock")]
    Doctor(doctor::Doctor),
    /// Poll as `collect` does, and keep the readings in a file
    #[command(after_help = "Example: agentcheck record --for 1h peak")]
    Record(record::Record),
    /// Put recorded readings through a configuration
    #[command(
        after_help = "Example: agentcheck replay --config new.toml --against old.toml --svg p.svg peak"
    )]
    Replay(replay::Replay),
    /// Show what is being said, and why
    Status(status::Arguments),
    /// Say why a service has its reply, or what HAProxy makes of a line
    Explain(explain::Arguments),
    /// No new sessions; existing ones go on
    #[command(
        after_help = "Example: agentcheck drain web --until 'app.value == 0' --deadline 10m --wait"
    )]
    Drain(overrides::Drain),
    /// Out of service, on purpose
    #[command(after_help = "Example: agentcheck maint web --for 2h --reason 'kernel update'")]
    Maint(overrides::Plain),
    /// Not working
    #[command(after_help = "Example: agentcheck down web --reason 'disk errors'")]
    Down(overrides::Plain),
    /// In, whatever the rules say, for a time
    #[command(after_help = "Example: agentcheck force-up web --for 30m")]
    ForceUp(overrides::ForceUp),
    /// A ceiling on the weight; it never raises one
    #[command(after_help = "Example: agentcheck limit web api --percent 50 --for 1h")]
    Limit(overrides::Limit),
    /// End an override: what is beneath it holds again
    #[command(after_help = "Example: agentcheck resume web")]
    Resume(overrides::Target),
    /// Lift, for a moment, a drain or maint that was set on the balancers
    #[command(after_help = "Example: agentcheck ready web")]
    Ready(overrides::Ready),
    /// Take back what was said of all services, before agentcheck goes
    Decommission(decommission::Decommission),
    /// Turn another agent's configuration into an agentcheck.toml
    #[command(after_help = "Example: agentcheck import herald config.yml > agentcheck.toml")]
    Import(import::Import),
    /// Files that have systemd, xinetd or inetd answer for the services
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
    /// Where the state files are
    #[arg(long, value_name = "DIR", default_value = STATE_DIR)]
    state_dir: PathBuf,
}

#[derive(Args)]
struct DataDir {
    /// Overrides, history
    #[arg(long, value_name = "DIR", default_value = DATA_DIR)]
    data_dir: PathBuf,
}

/// What is said to whoever asked, on standard output: whole lines, or nothing; and the exit status.
struct Output {
    text: String,
    status: u8,
}

impl From<String> for Output {
    fn from(text: String) -> Self {
        Self { text, status: 0 }
    }
}

/// What went wrong, for standard error: one or more whole lines. The exit status is 1.
struct Failed(String);

/// A span of time on the command line.
fn span(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text.trim()) {
        Ok(span) if span >= Duration::from_millis(100) && span <= MAX_SPAN => Ok(span),
        Ok(_) => Err("it goes from 100ms to a year".to_owned()),
        Err(_) => Err("a time looks like 30s, 10m, 1h 30m".to_owned()),
    }
}

/// The command line, for completions and the manual.
#[must_use]
pub fn command() -> clap::Command {
    CommandLine::command()
}

/// Runs what the process's arguments ask for.
#[must_use]
pub fn run() -> ExitCode {
    let line = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(error) => {
            // Help and version are no errors and go to standard output; nobody reads a failure of that.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let outcome = match line.command {
        Command::Collect(collect) => collect.run(),
        Command::Check { config, sample } => check(&config, sample.as_deref()).map(Output::from),
        Command::Reload(reload) => reload.ask(),
        Command::History(given) => history::list(&given),
        Command::Report(given) => report::write(&given),
        Command::Doctor(doctor) => doctor.run(),
        Command::Record(record) => record::record(&record),
        Command::Replay(given) => replay::replay(&given),
        Command::Drain(drain) => drain.set(),
        Command::Maint(maint) => maint.set(Action::Maint),
        Command::Down(down) => down.set(Action::Down),
        Command::ForceUp(force) => force.set(),
        Command::Limit(limit) => limit.set(),
        Command::Resume(target) => overrides::resume(&target),
        Command::Ready(release) => overrides::release(&release),
        Command::Decommission(retire) => retire.say(),
        Command::Import(import) => import.print(),
        Command::Generate(units) => units.make(),
        Command::Status(arguments) => status::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
    };
    match outcome {
        Ok(said) => {
            let _ = std::io::stdout().write_all(said.text.as_bytes());
            ExitCode::from(said.status)
        }
        Err(Failed(said)) => {
            let _ = std::io::stderr().write_all(said.as_bytes());
            ExitCode::FAILURE
        }
    }
}

fn check(file: &ConfigFile, sample: Option<&Path>) -> Result<String, Failed> {
    let loaded = config::load_with(&file.config, blind_spots::find);
    let (config, warnings) = loaded.map_err(|error| load_failure(&error))?;
    let mut said = warnings.to_string();
    for source in &config.sources {
        said.push_str(&format!("source {source}\n"));
    }
    for service in &config.services {
        said.push_str(&format!("service {service}\n"));
        for note in version_notes(service) {
            said.push_str(&format!("{note}\n"));
        }
    }
    let files = match config.files.len() {
        0 | 1 => String::new(),
        several => format!("{}, ", counted(several, "file")),
    };
    said.push_str(&format!(
        "{}: ok, {files}{}, {}, {}\n",
        file.config.display(),
        counted(config.sources.len(), "source"),
        counted(config.services.len(), "service"),
        counted(warnings.rendered.len(), "warning")
    ));
    match sample {
        None => Ok(said),
        Some(sample) => try_sample(&config, &file.config, sample).map(|tried| said + &tried),
    }
}

fn try_sample(config: &Config, file: &Path, sample: &Path) -> Result<String, Failed> {
    let wrong = |error: String| Failed(format!("{}: error: {error}\n", sample.display()));
    let text = std::fs::read_to_string(sample)
        .map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let tried = sample::try_out(config, &text).map_err(wrong)?;
    if tried.findings.is_empty() {
        return Ok(tried.text);
    }
    let files = config::read_files(file).map_err(|error| load_failure(&error))?;
    let report = config::report(&files, &tried.findings);
    let errors = counted(report.errors, "error");
    Err(Failed(format!(
        "{}{report}agentcheck: {errors} with this sample\n",
        tried.text
    )))
}

fn load_failure(error: &LoadError) -> Failed {
    let mut said = error.to_string();
    if let LoadError::Wrong(report) = error {
        let errors = counted(report.errors, "error");
        said.push_str(&format!("agentcheck: {errors}, nothing was started\n"));
    }
    Failed(said)
}
