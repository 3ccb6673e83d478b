//! `agentcheck explain`: why a service has the reply that it has, and what HAProxy makes of a line.

use super::screen::{self, Colour};
use super::{ConfigFile, DataDir, Failed, Output, StateDir, history, load_failure, status};
use crate::config::{self, Config, DerivedInput, Service};
use crate::decision::evaluate::{ServiceMemory, evaluate};
use crate::decision::observations::Observations;
use crate::filters::debounce::DebouncePolicy;
use crate::filters::derive;
use crate::reading::{Failure, Reading, Reason};
use crate::render::table::{Cell, Style, Table};
use crate::render::text::printable;
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
SERVICE is polled now, once, and twice where a rate needs it. Commands are run
as you; nothing is written. The memory (averages, timers, what held) is that of
the collector, where one is at work.

With --reply nothing is polled: what HAProxy does with each word, with the whole
line, and in which versions. `my-agent | agentcheck explain --reply -`

Exit status: 0 explained; 1 it failed, see standard error; 2 wrong command line.
Examples: agentcheck explain web; agentcheck explain --reply 'up#ok 50%'")]
pub(super) struct Arguments {
    /// The service
    #[arg(required_unless_present = "reply", conflicts_with = "reply")]
    service: Option<String>,
    /// A line instead, word by word; `-` reads stdin
    #[arg(long, value_name = "LINE", allow_hyphen_values = true)]
    reply: Option<String>,
    /// The reply of that time, from the history: 14:30 (UTC), 2026-11-21T14:30:00Z, or 10m for ten minutes ago
    #[arg(long, value_name = "TIME", requires = "service")]
    at: Option<String>,
    #[command(flatten)]
    config: ConfigFile,
    #[command(flatten)]
    state: StateDir,
    #[command(flatten)]
    data: DataDir,
    /// When to use colours
    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        hide_possible_values = true
    )]
    color: Colour,
}

/// The most bytes that are read from standard input: more than HAProxy takes.
const MOST_BYTES: u64 = 64 << 10;

/// From one poll to the other where a rate needs two.
const BETWEEN: Duration = Duration::from_secs(1);

/// How much longer than its timeout a poll may take: a network mount that has gone away holds it up.
const GRACE: Duration = Duration::from_secs(1);

pub(super) fn run(arguments: &Arguments) -> Result<Output, Failed> {
    if let (Some(service), Some(at)) = (&arguments.service, &arguments.at) {
        return history::explain_at(service, at, &arguments.data);
    }
    let lines = match (&arguments.reply, &arguments.service) {
        (Some(line), _) => explain_reply(line)?,
        (None, Some(service)) => explain_service(service, arguments)?,
        // The command line has seen to one of them.
        (None, None) => Lines::new(),
    };
    let mut table = Table::new();
    for (label, text) in lines {
        table.row(vec![Cell::new(Style::Name, label), text.into()]);
    }
    Ok(table.render(screen::page(arguments.color)).into())
}

fn explain_reply(line: &str) -> Result<Lines, Failed> {
    let mut bytes = Vec::new();
    if line == "-" {
        let read = std::io::stdin()
            .lock()
            .take(MOST_BYTES)
            .read_to_end(&mut bytes);
        read.map_err(|error| {
            Failed(format!(
                "agentcheck: standard input cannot be read: {error}\n"
            ))
        })?;
    } else {
        bytes.extend(line.as_bytes());
        bytes.push(b'\n');
    }
    Ok(dissect::told(&bytes))
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
        let (file, names) = (file.display(), names.join(", "));
        let name = printable(name);
        return Err(Failed(format!(
            "agentcheck: there is no service {name} in {file}; there is {names}\n"
        )));
    };
    let directory = &arguments.state.state_dir;
    // Read before polling, which may take some seconds: it is the memory of that moment that is gone on from.
    let looked = status::look(directory);
    let readings = poll(&config, service);
    let account = looked
        .as_ref()
        .ok()
        .and_then(|look| overview::overview(look, &[name.to_owned()]).ok());
    let known = account
        .as_ref()
        .and_then(|account| account.services.first()?.known.as_ref());
    let now = clock::now();
    let (memory, origin) = memory(service, account.as_ref(), directory, now);
    // There is no time to wait for more polls that say the same.
    let mut believing = config.clone();
    for source in &mut believing.sources {
        source.debounce = DebouncePolicy::default();
    }
    let started = readings.iter().map(|(_, reading)| reading.sent).min();
    let mut observed = Observations::new(&believing, started.unwrap_or(now));
    let wall = clock::unix_time_f64();
    observed.set_clock(&config.timezone, wall, now);
    for (index, reading) in &readings {
        observed.take(*index, reading.clone(), now);
    }
    let context = observed.context(now);
    let outcome = evaluate(service, &context, &memory, now);
    let evaluation = Evaluation {
        config: &config,
        service,
        readings: &readings,
        context: &context,
        before: &memory,
        origin,
        known,
        outcome: &outcome,
        now,
    };
    let mut lines = evaluation.explained();
    let unread = account
        .as_ref()
        .and_then(|account| match &account.liveness {
            Liveness::Unknown(why) => Some(why.clone()),
            _ => None,
        });
    if let Some(why) = looked.err().or(unread) {
        lines.insert(1, ("", why));
    }
    lines.extend(
        other_user(directory).filter(|_| account.is_some_and(|one| one.liveness.is_present())),
    );
    Ok(lines)
}

/// What the collector remembers of the service, as of its last account.
fn memory(
    service: &Service,
    account: Option<&Overview>,
    directory: &Path,
    now: BootTime,
) -> (ServiceMemory, Origin) {
    let known = account.and_then(|account| account.services.first()?.known.as_ref());
    let (Some(account), Some(known)) = (account, known) else {
        return (ServiceMemory::default(), Origin::Nobody);
    };
    let said = match clock::boot_id() {
        // What an override says is not what rules and weight led to.
        Ok(boot) if known.overrides.is_empty() => {
            state_file::current_reply(directory, &service.name, &boot, now)
        }
        _ => known.memory.last(),
    };
    let last = said.map(|reply| reply.described(Description::NONE));
    let mut memory = known.memory.restored(service, &known.rules, last, now);
    if !account.liveness.is_present() {
        return (memory, Origin::LeftBehind);
    }
    // Somebody is looking all the while: timers go on.
    for (truth, rule) in memory.rule_states.iter_mut().zip(&service.rules) {
        let told = known.rules.iter().find(|told| told.name == rule.name);
        if let (Some(truth), Some(since)) = (truth, told.and_then(|told| told.pending_since)) {
            truth.pending_since = Some(BootTime(since));
        }
    }
    let at = account.written.map_or(now, |(_, at)| at);
    (memory, Origin::Alive(now.since(at)))
}

/// Polls what the service needs, all at once; twice what rates are made from.
fn poll(config: &Config, service: &Service) -> Vec<(usize, Reading)> {
    let twice = rated(config, service);
    let (sender, readings) = mpsc::channel();
    let mut awaited = Vec::new();
    let mut longest = Duration::ZERO;
    for index in config.polled_for(service) {
        let Some(source) = config.sources.get(index).cloned() else {
            continue;
        };
        let times = if twice.contains(&index) { 2 } else { 1 };
        awaited.extend(std::iter::repeat_n(index, times));
        longest = longest.max((source.timeout + BETWEEN) * 2);
        let sender = sender.clone();
        // Not waited for: one that hangs ends with the process.
        thread::spawn(move || poll_one(index, &source, times, &sender));
    }
    drop(sender);
    let end = Instant::now() + longest + GRACE;
    let mut all: Vec<(usize, Reading)> = Vec::new();
    while let Ok(reading) = readings.recv_timeout(end.saturating_duration_since(Instant::now())) {
        all.push(reading);
    }
    for index in awaited {
        if !all.iter().any(|(of, _)| *of == index) {
            let failure = Failure::new(Reason::Overdue, "the poll hangs beyond its timeout");
            all.push((index, Reading::failed(clock::now(), longest, failure)));
        }
    }
    all.sort_by_key(|(_, reading)| reading.sent);
    all
}

fn poll_one(index: usize, source: &Source, times: usize, sender: &mpsc::Sender<(usize, Reading)>) {
    let mut poller = Poller::new(source);
    for time in 0..times {
        if time > 0 {
            thread::sleep(BETWEEN);
        }
        if sender
            .send((index, poller.poll(&Cancellation::new())))
            .is_err()
        {
            return;
        }
    }
}

/// The sources of which one poll says nothing.
fn rated(config: &Config, service: &Service) -> Vec<usize> {
    let used = service.sources.iter();
    let derived = used.filter_map(|index| {
        let derived = config
            .derived
            .get(index.checked_sub(config.sources.len())?)?;
        let rate = match &derived.input {
            DerivedInput::Number(_, memory) => matches!(memory, Some(derive::Aggregation::Rate(_))),
            DerivedInput::Rate(..) | DerivedInput::Histogram(..) => true,
        };
        rate.then_some(&derived.sources)
    });
    derived.flatten().copied().collect()
}

/// What the collector may read, and as whom commands run, is a matter of its user.
fn other_user(directory: &Path) -> Option<(&'static str, String)> {
    let owner = lock::path(directory).metadata().ok()?.uid();
    let me = rustix::process::geteuid().as_raw();
    (owner != me).then(|| {
        let text = format!(
            "you are user {me}, the collector is user {owner}: what each may read and run may differ"
        );
        ("mind", text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rates_are_made_from_is_polled_twice() {
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
        let polled: Vec<usize> = poll(&config, service)
            .iter()
            .map(|(index, _)| *index)
            .collect();
        assert_eq!(polled.iter().filter(|index| **index == 0).count(), 2);
        assert_eq!(polled.len(), 3);
    }
}
