//! `agentcheck explain`: why a service has its reply, and what HAProxy does with a line.

use super::screen::{self, Color};
use super::{ConfigFile, DataDir, Failed, Output, StateDir, history, load_failure, status};
use crate::config::{self, Config, DerivedInput, Input, Service, SourceId};
use crate::decision::decide::decide;
use crate::decision::evaluate::ServiceMemory;
use crate::decision::observations::Observations;
use crate::filters::debounce::DebouncePolicy;
use crate::filters::derive;
use crate::overrides::Effective;
use crate::reading::{Failure, Reading, Reason};
use crate::render::table::{Cell, Style, Table};
use crate::reply::dissect;
use crate::report::explain::{Evaluation, Lines, Origin};
use crate::source::{Cancellation, Poller, Source};
use crate::status::overview::{self, Liveness, Overview};
use crate::sys::{clock, lock, state_file};
use agentcheck_common::{BootTime, Description};
use clap::Args;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

#[derive(Args)]
#[command(after_help = "\
Polls the sources of SERVICE as your user, and writes nothing. Averages, timers
and rule states come from the running collector. TIME: 10m (ago), 14:30,
'2026-11-21 14:30' or 2026-11-21T14:30:00Z.
Examples: agentcheck explain web; agentcheck explain --reply 'up#ok 50%'")]
pub(super) struct Arguments {
    /// Explain the reply of this service
    #[arg(required_unless_present = "reply", conflicts_with = "reply")]
    service: Option<String>,
    /// Explain a line; `-` reads stdin
    #[arg(long, value_name = "LINE", allow_hyphen_values = true)]
    reply: Option<String>,
    /// Show the reply at TIME, from the history
    #[arg(long, value_name = "TIME", requires = "service")]
    at: Option<String>,
    /// Read and show times in UTC
    #[arg(long, requires = "at")]
    utc: bool,
    #[command(flatten)]
    config: ConfigFile,
    #[command(flatten)]
    state: StateDir,
    #[command(flatten)]
    data: DataDir,
    #[command(flatten)]
    color: Color,
}

/// The most bytes read from standard input: more than HAProxy accepts.
const MAX_STDIN_BYTES: u64 = 64 << 10;

/// The time between the two polls for a rate.
const RATE_POLL_GAP: Duration = Duration::from_secs(1);

/// How long beyond its timeout a poll may take, such as on a hung network mount.
const POLL_GRACE: Duration = Duration::from_secs(1);

pub(super) fn run(arguments: &Arguments) -> Result<Output, Failed> {
    if let (Some(service), Some(at)) = (&arguments.service, &arguments.at) {
        return history::explain_at(service, at, arguments.utc, &arguments.data);
    }
    let lines = match (&arguments.reply, &arguments.service) {
        (Some(line), _) => explain_reply(line)?,
        (None, Some(service)) => explain_service(service, arguments)?,
        // The command line requires one of them.
        (None, None) => Lines::new(),
    };
    let mut table = Table::new();
    for (label, text) in lines {
        table.row(vec![Cell::new(Style::Name, label), text.into()]);
    }
    Ok(table.render(screen::page(&arguments.color)).into())
}

fn explain_reply(line: &str) -> Result<Lines, Failed> {
    let mut bytes = Vec::new();
    if line == "-" {
        let read = std::io::stdin()
            .lock()
            .take(MAX_STDIN_BYTES)
            .read_to_end(&mut bytes);
        read.map_err(|error| Failed::new(format!("cannot read standard input: {error}")))?;
    } else {
        bytes.extend(line.as_bytes());
        bytes.push(b'\n');
    }
    Ok(dissect::describe(&bytes))
}

fn explain_service(name: &str, arguments: &Arguments) -> Result<Lines, Failed> {
    let file = &arguments.config.config;
    let (config, _) = config::load(file).map_err(|error| load_failure(&error))?;
    let service = config
        .services
        .iter()
        .find(|service| service.name.as_str() == name);
    let Some(service) = service else {
        let names: Vec<&str> = config
            .services
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        let file = file.display();
        let names = match names.as_slice() {
            [] => "no service is configured".to_owned(),
            names => format!("services: {}", names.join(", ")),
        };
        return Err(Failed::new(format!("no service {name} in {file}; {names}")));
    };
    let directory = &arguments.state.state_dir;
    // Before the polls, which may take seconds: the evaluation continues from this memory.
    let input = status::read_state_dir(directory);
    let readings = poll(&config, service);
    let overview = input
        .as_ref()
        .ok()
        .and_then(|input| overview::overview(input, &[name.to_owned()]).ok());
    let known = overview
        .as_ref()
        .and_then(|overview| overview.services.first()?.snapshot.as_ref());
    let now = clock::now();
    let (memory, origin) = service_memory(service, overview.as_ref(), directory, now);
    // One failed poll counts.
    let mut without_debounce = config.clone();
    for source in &mut without_debounce.sources {
        source.debounce = DebouncePolicy::default();
    }
    let started = readings.iter().map(|(_, reading)| reading.sent).min();
    let mut observed = Observations::new(&without_debounce, started.unwrap_or(now));
    let wall = clock::unix_time_f64();
    observed.set_clock(&config.timezone, wall, now);
    for (source, reading) in &readings {
        observed.take(*source, reading.clone(), now);
    }
    let context = observed.context(now);
    let decision = decide(service, &context, &memory, &Effective::default(), now);
    let evaluation = Evaluation {
        config: &config,
        service,
        readings: &readings,
        context: &context,
        before: &memory,
        origin,
        snapshot: known,
        decision: &decision,
        now,
    };
    let mut lines = evaluation.lines();
    let unreadable = overview
        .as_ref()
        .and_then(|overview| match &overview.liveness {
            Liveness::Unknown(why) => Some(why.clone()),
            _ => None,
        });
    if let Some(why) = input.err().or(unreadable) {
        lines.insert(1, ("", why));
    }
    lines.extend(
        other_user(directory).filter(|_| overview.is_some_and(|one| one.liveness.is_present())),
    );
    Ok(lines)
}

/// The collector's memory of the service, from the status snapshot, and its origin.
fn service_memory(
    service: &Service,
    overview: Option<&Overview>,
    directory: &Path,
    now: BootTime,
) -> (ServiceMemory, Origin) {
    let known = overview.and_then(|overview| overview.services.first()?.snapshot.as_ref());
    let (Some(overview), Some(known)) = (overview, known) else {
        return (ServiceMemory::default(), Origin::Empty);
    };
    let last_reply = match clock::boot_id() {
        // The reply of an override is not that of rules and weight.
        Ok(boot) if known.overrides.is_empty() => {
            state_file::current_reply(directory, &service.name, &boot, now)
        }
        _ => known.memory.last_reply(),
    };
    let last = last_reply.map(|reply| reply.with_description(Description::EMPTY));
    let mut memory = known.memory.restore(service, &known.rules, last, now);
    if !overview.liveness.is_present() {
        return (memory, Origin::Stopped);
    }
    // The collector keeps polling, so its timers continue.
    for (state, rule) in memory.rule_states.iter_mut().zip(&service.rules) {
        let status = known.rules.iter().find(|status| status.name == rule.name);
        if let (Some(state), Some(since)) = (state, status.and_then(|one| one.pending_since)) {
            state.pending_since = Some(BootTime(since));
        }
    }
    let at = overview.snapshot_times.map_or(now, |(_, at)| at);
    (memory, Origin::Running(now.since(at)))
}

/// Polls the sources of the service at the same time; those of rates twice.
fn poll(config: &Config, service: &Service) -> Vec<(SourceId, Reading)> {
    let twice = rate_sources(config, service);
    let (sender, readings) = mpsc::channel();
    let mut awaited = Vec::new();
    let mut longest = Duration::ZERO;
    for id in config.polled_for(service) {
        let Some(source) = config.sources.get(id.0).cloned() else {
            continue;
        };
        let times = if twice.contains(&id) { 2 } else { 1 };
        awaited.extend(std::iter::repeat_n(id, times));
        longest = longest.max((source.timeout + RATE_POLL_GAP) * 2);
        let sender = sender.clone();
        // Not joined: a hung thread ends with the process.
        thread::spawn(move || poll_one(id, &source, times, &sender));
    }
    drop(sender);
    let end = Instant::now() + longest + POLL_GRACE;
    let mut all: Vec<(SourceId, Reading)> = Vec::new();
    while let Ok(reading) = readings.recv_timeout(end.saturating_duration_since(Instant::now())) {
        all.push(reading);
    }
    for id in awaited {
        if !all.iter().any(|(polled, _)| *polled == id) {
            let failure = Failure::new(Reason::Overdue, "the poll hangs beyond its timeout");
            all.push((id, Reading::failed(clock::now(), longest, failure)));
        }
    }
    all.sort_by_key(|(_, reading)| reading.sent);
    all
}

fn poll_one(
    id: SourceId,
    source: &Source,
    times: usize,
    sender: &mpsc::Sender<(SourceId, Reading)>,
) {
    let mut poller = Poller::new(source);
    for time in 0..times {
        if time > 0 {
            thread::sleep(RATE_POLL_GAP);
        }
        if sender
            .send((id, poller.poll(&Cancellation::new())))
            .is_err()
        {
            return;
        }
    }
}

/// The sources of rates, which need two polls.
fn rate_sources(config: &Config, service: &Service) -> Vec<SourceId> {
    let inputs = service.inputs.iter();
    let derived = inputs.filter_map(|input| {
        let Some(Input::Derived(derived)) = config.input(*input) else {
            return None;
        };
        let rate = match &derived.input {
            DerivedInput::Number(_, memory) => matches!(memory, Some(derive::Aggregation::Rate(_))),
            DerivedInput::Rate(..) | DerivedInput::Histogram(..) => true,
        };
        rate.then_some(&derived.sources)
    });
    derived.flatten().copied().collect()
}

/// A note if the collector runs as another user: files and commands can then have other results.
fn other_user(directory: &Path) -> Option<(&'static str, String)> {
    let owner = lock::path(directory).metadata().ok()?.uid();
    let me = rustix::process::geteuid().as_raw();
    (owner != me).then(|| {
        let text = format!(
            "you are user {me}, the collector is user {owner}: files and commands can have other results"
        );
        ("note", text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_of_rates_are_polled_twice() {
        let text = r#"
[source.a.file]
path = "/proc/uptime"

[source.b.file]
path = "/proc/uptime"

[derive.rise]
expression = "double(a.text.capture('(?P<up>[0-9.]+)').up)"
rate = "10s"

[service.web]
weight = "b.ok ? rise.value : 50"
"#;
        let (config, _) = config::parse(Path::new("test"), text).unwrap();
        let service = config.services.first().unwrap();
        let polled: Vec<SourceId> = poll(&config, service).iter().map(|(id, _)| *id).collect();
        assert_eq!(polled.iter().filter(|id| **id == SourceId(0)).count(), 2);
        assert_eq!(polled.len(), 3);
    }
}
