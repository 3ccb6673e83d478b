//! The shell around everything that decides: threads that poll, the loop that evaluates and publishes,
//! signals, and what the service manager is told.
//!
//! Sources are polled on other threads, so that one that hangs delays nobody. They hand their readings to
//! one loop, which alone evaluates and writes.

mod active_overrides;
mod clock_jumps;
mod counters;
mod evaluate;
mod failure_log;
mod history_writer;
mod metrics_writer;
mod override_watcher;
mod poll_task;
mod poll_threads;
mod reload;
mod retirement;
mod scheduler;
mod service;
mod service_manager;
mod shared_poller;
mod state_dir;
mod status_snapshot;
mod status_writer;

use crate::config::Config;
use crate::decision::observations::Observations;
use crate::reading::{Reading, Reason};
use crate::render::text;
use crate::status::history;
use crate::status::snapshot::{self, ReloadStatus, SourceStatus};
use crate::sys::clock;
use crate::sys::lock::LockError;
use crate::sys::log_throttle::FailureThrottle;
use active_overrides::ActiveOverrides;
use agentcheck_common::{BootId, BootTime, ServiceName};
use clock_jumps::Clocks;
use counters::Counters;
use history_writer::HistoryWriter;
use log::info;
use metrics_writer::MetricsWriter;
use override_watcher::Flags;
pub(crate) use poll_threads::PollThreads;
use reload::{Loaded, Loading};
use retirement::Retirement;
use scheduler::EvalQueue;
use service::ServiceTask;
use service_manager::ServiceManager;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use state_dir::StateDir;
use status_snapshot::StatusSchedule;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long polls that are under way get to end when the collector stops.
const PATIENCE: Duration = Duration::from_secs(1);

/// The longest that the loop sleeps, so that it proves to the watchdog that it lives.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// Why the collector does not run.
#[derive(Debug)]
pub enum StartError {
    /// The state directory is not to be had.
    NotLocked(LockError),
    /// The kernel's boot id cannot be read.
    NoBootId(io::Error),
    /// Signals or threads are not to be had.
    NoThreads(io::Error),
    /// The state directory went away while it was at work, and a service manager can bring it back.
    Lost(PathBuf),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLocked(error) => error.fmt(f),
            Self::NoBootId(error) => write!(f, "no boot id, and so no time to go by: {error}"),
            Self::NoThreads(error) => write!(
                f,
                "no threads are to be had: {error}. Each source of kind http, tcp or command takes one; what \
                 limits them are `ulimit -u` and, in a unit, TasksMax="
            ),
            Self::Lost(directory) => write!(
                f,
                "the state directory {} is lost: ends, so that the service manager makes it again",
                directory.display()
            ),
        }
    }
}

/// What wakes the loop.
enum Event {
    /// A poll of the source with this number has finished.
    Read(usize, Reading),
    /// The overrides, as they are in their directory.
    Overrides,
    /// What a look for flag files has found.
    Flags(Flags),
    /// A configuration was loaded that somebody has asked for.
    Loaded(Box<Loaded>),
    /// The collector is to stop.
    Stop,
}

/// How many readings may wait for the loop, where there are not that many sources: others may come with
/// another configuration.
const READINGS: usize = 256;

/// Polls, evaluates and publishes until told to stop by SIGTERM or SIGINT; loads `file` again, of which
/// `config` is what it says now, at SIGHUP. A `dry` run writes nothing: it reads what an operator has said and
/// where another collector is, and prints what it would say.
///
/// Calls `ready` when it is at work. Unless it is a dry run, calls `configured` with each configuration that is in
/// effect.
///
/// # Errors
/// Where it cannot begin.
pub fn run(
    config: Config,
    file: &Path,
    directory: &Path,
    data: &Path,
    dry: bool,
    ready: impl FnOnce(),
    mut configured: Box<dyn FnMut(&Config)>,
) -> Result<(), StartError> {
    let boot = clock::boot_id().map_err(StartError::NoBootId)?;
    // Before anybody can find out by the lock whom to send one.
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(StartError::NoThreads)?;
    let place = if dry {
        None
    } else {
        Some(StateDir::take(directory).map_err(StartError::NotLocked)?)
    };

    // As many as can be waiting: a thread that finds it full waits, and polls no more meanwhile.
    let most = config.sources.len().max(READINGS) + 2;
    let (sender, events) = sync_channel(most);
    let read = sender.clone();
    let take = move |number, reading| read.send(Event::Read(number, reading)).is_ok();
    let polling = PollThreads::start(&config.sources, take).map_err(StartError::NoThreads)?;
    let loading = Loading::start(file, sender.clone()).map_err(StartError::NoThreads)?;
    let mut collector = Collector::new(config, polling, directory, place, data, boot, &sender)
        .map_err(StartError::NoThreads)?;
    let signalled = sender;
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                if signal == SIGHUP {
                    loading.ask();
                    continue;
                }
                // An error means that the loop has ended already.
                let _ = signalled.send(Event::Stop);
                return;
            }
        })
        .map_err(StartError::NoThreads)?;

    if !dry {
        configured(&collector.config);
        collector.configured = Some(configured);
    }
    collector.record(history::Event::Started, "");
    collector.service_manager.ready();
    ready();
    info!(
        "collecting: {}, {}, into {}",
        text::counted(collector.config.sources.len(), "source"),
        text::counted(collector.config.services.len(), "service"),
        directory.display()
    );
    let end = collector.work(&events, most);

    ServiceManager::stopping();
    if end.is_ok() {
        info!("stopping; what was said last stands as scheduled, but where on_stop says otherwise");
        collector.publish_stop();
    }
    drop(events);
    collector.polling.stop();
    let patience = Instant::now() + PATIENCE;
    while !collector.polling.is_over() && Instant::now() < patience {
        thread::sleep(Duration::from_millis(5));
    }
    if let Some(history) = collector.history.take() {
        history.end(patience);
    }
    end
}

struct Collector {
    config: Config,
    /// When it was loaded.
    loaded: BootTime,
    /// How the latest attempt to load another one ended.
    reloaded: Option<ReloadStatus>,
    polling: PollThreads,
    /// Where replies are read.
    directory: PathBuf,
    /// Where replies are written; none in a dry run.
    state_dir: Option<StateDir>,
    boot: BootId,
    started: BootTime,
    observed: Observations,
    overrides: ActiveOverrides,
    services: Vec<ServiceTask>,
    retirement: Retirement,
    queue: EvalQueue,
    /// The latest poll of each source.
    sources: Vec<Option<SourceStatus>>,
    /// What the log has told of each source.
    throttles: Vec<FailureThrottle<Reason>>,
    snapshot: StatusSchedule,
    /// None in a dry run.
    history: Option<HistoryWriter>,
    /// Called with each configuration that takes effect.
    configured: Option<Box<dyn FnMut(&Config)>>,
    counters: Counters,
    metrics: MetricsWriter,
    service_manager: ServiceManager,
}

impl Collector {
    fn new(
        config: Config,
        polling: PollThreads,
        directory: &Path,
        place: Option<StateDir>,
        data: &Path,
        boot: BootId,
        sender: &SyncSender<Event>,
    ) -> io::Result<Self> {
        let started = clock::now();
        let before = snapshot::read_for_boot(directory, &boot);
        let overriding = ActiveOverrides::new(&config, data, &boot, before.as_ref(), sender)?;
        let running = config
            .services
            .iter()
            .map(|service| {
                let overridden = !overriding
                    .of_service(&config, service, started)
                    .1
                    .is_empty();
                let before = before.as_ref();
                ServiceTask::new(service, before, overridden, directory, &boot, started)
            })
            .collect();
        let mut observed = Observations::new(&config, started);
        for (name, derived) in before.iter().flat_map(|before| &before.derived) {
            observed.restore(name, &derived.to_memory(), started);
        }
        let mut retiring = Retirement::new(directory, boot);
        let writable = place.as_ref().and_then(StateDir::directory);
        if let (Some(before), Some(_)) = (&before, writable) {
            let is_configured = |name: &ServiceName| config.service(name).is_some();
            retiring.restore(before, is_configured, writable, started);
        }
        let history = match place {
            Some(_) => Some(HistoryWriter::start(data, boot)?),
            None => None,
        };
        Ok(Self {
            observed,
            overrides: overriding,
            queue: EvalQueue::new(&config, started),
            throttles: vec![FailureThrottle::default(); config.sources.len()],
            sources: vec![None; config.sources.len()],
            snapshot: StatusSchedule::new(),
            history,
            configured: None,
            counters: Counters::default(),
            metrics: MetricsWriter::new(config.metrics.as_ref()),
            service_manager: ServiceManager::default(),
            loaded: started,
            reloaded: None,
            polling,
            retirement: retiring,
            directory: directory.to_owned(),
            config,
            state_dir: place,
            boot,
            started,
            services: running,
        })
    }

    /// Until told to stop, or until it is better to be started again; of `events`, at most so many are waiting.
    fn work(&mut self, events: &Receiver<Event>, most: usize) -> Result<(), StartError> {
        let mut clocks = Clocks::now();
        loop {
            let sleep = self.sleep();
            let event = events.recv_timeout(sleep);
            clocks = self.log_clock_events(clocks, sleep);
            let first = match event {
                Ok(event) => Some(event),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            let (mut touched, mut said) = (Vec::new(), false);
            // What else has come meanwhile is evaluated together with it, and all of it: where a turn takes
            // longer than the sources do, what were left would be older with each turn. But sources that come
            // faster than they are taken in must not keep all replies from being written.
            for event in first.into_iter().chain(events.try_iter()).take(most) {
                match event {
                    Event::Read(index, reading) => touched.extend(self.take(index, reading)),
                    Event::Overrides => {
                        if let Some(read) = self.overrides.watcher.take() {
                            said |= self.overrides.take(&self.config, read);
                        }
                    }
                    Event::Flags(found) => said |= self.overrides.take_flags(&self.config, found),
                    Event::Loaded(loaded) => {
                        self.reload(*loaded);
                        // What was touched before has other indices now, and is evaluated.
                        touched.clear();
                    }
                    Event::Stop => return Ok(()),
                }
            }
            self.overrides.watcher.check_hangs();
            let place = self.state_dir.as_ref().and_then(StateDir::directory);
            self.snapshot.changed |= self.retirement.remove(place, clock::now());
            self.evaluate(&touched, said);
            self.write_metrics();
            self.service_manager.keep_alive();
            let place = self.state_dir.as_ref();
            if let Some(lost) = place.and_then(|place| place.lost_for_good(clock::now())) {
                return Err(StartError::Lost(lost.to_owned()));
            }
        }
    }

    /// Whether nothing is to be written.
    fn is_dry(&self) -> bool {
        self.state_dir.is_none()
    }

    /// Records an event of the collector in the history.
    fn record(&mut self, event: history::Event, detail: &str) {
        if let Some(history) = &mut self.history {
            history.event(event, detail);
        }
    }

    /// The last words.
    fn publish_stop(&mut self) {
        let now = clock::now();
        if self.is_dry() {
            return;
        }
        self.record(history::Event::Stopping, "");
        self.check_state_dir(now);
        self.write_status(now);
        let Some(directory) = self.state_dir.as_ref().and_then(StateDir::directory) else {
            return;
        };
        for (service, running) in self.config.services.iter().zip(&self.services) {
            running.publish_stop(service, directory, &self.boot, now);
        }
    }

    /// How long nothing has to be done.
    fn sleep(&self) -> Duration {
        let retiring = self.retirement.next();
        let wake = self
            .queue
            .next()
            .into_iter()
            .chain(retiring)
            .min()
            .map_or(LONGEST_SLEEP, |at| at.since(clock::now()));
        let status = self
            .snapshot
            .next()
            .saturating_duration_since(Instant::now());
        wake.min(status).min(self.metrics.rest()).min(LONGEST_SLEEP)
    }
}
