//! The shell around all that decides: polling threads, the main loop, signals and the service manager.
//!
//! Sources are polled on other threads, so a hung source does not delay others. The threads pass readings to the
//! main loop, which alone decides and writes. Each part owns its state and receives the others that it needs as
//! arguments; [`Collector`] wires them.

mod active_overrides;
mod clock_jumps;
pub mod config_watcher;
mod counters;
mod eval_thread;
mod failure_log;
mod history_writer;
mod metrics_collector;
mod metrics_writer;
mod output;
mod override_watcher;
mod poll_task;
mod poll_threads;
mod poll_timer;
mod reading_slots;
mod records;
mod reload;
mod retirement;
mod scheduler;
mod service;
mod service_manager;
mod services;
mod shared_poller;
mod sources;
mod state_dir;
mod status_schedule;
mod status_writer;
mod usage;

use crate::config::Config;
use crate::render::text;
use crate::status::{history, snapshot};
use crate::sys::clock;
use crate::sys::lock::LockError;
use active_overrides::ActiveOverrides;
use agentcheck_common::{BootTime, ServiceName};
use clock_jumps::Clocks;
use counters::Counters;
use eval_thread::Evaluated;
use history_writer::HistoryWriter;
use log::info;
use metrics_writer::MetricsWriter;
use output::Output;
use override_watcher::Flags;
pub(crate) use poll_task::NewReadings;
pub(crate) use poll_threads::PollThreads;
use records::Records;
use reload::{Loaded, Reloader};
use retirement::Retirement;
use service_manager::ServiceManager;
use services::{Desk, Services};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use sources::Sources;
use state_dir::StateDir;
use status_schedule::StatusSchedule;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long running polls get to end when the collector stops.
const STOP_PATIENCE: Duration = Duration::from_secs(1);

/// The longest sleep of the loop: each turn checks the state directory, and renews the watchdog and the status snapshot. It is
/// longer than the default interval of a source, whose reading is the reason for a turn.
const LONGEST_SLEEP: Duration = Duration::from_millis(2500);

/// How many events may wait for the loop. A sender that finds no room waits.
const EVENTS: usize = 64;

/// Why the collector cannot start, or ends.
#[derive(Debug)]
pub enum StartError {
    /// The state directory cannot be locked.
    NotLocked(LockError),
    /// The kernel's boot id cannot be read.
    NoBootId(io::Error),
    /// A thread or signal handler cannot be created.
    NoThreads(io::Error),
    /// The state directory is lost, and a service manager can create it again.
    Lost(PathBuf),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLocked(error) => error.fmt(f),
            Self::NoBootId(error) => write!(f, "cannot read the boot id: {error}"),
            Self::NoThreads(error) => write!(
                f,
                "cannot create thread: {error}. Each source of kind http, tcp or command needs one; \
                 `ulimit -u` limits them, and TasksMax= in a unit"
            ),
            Self::Lost(directory) => write!(
                f,
                "lost the state directory {}; the collector exits, and the service manager creates it again",
                directory.display()
            ),
        }
    }
}

/// A callback with each configuration that takes effect.
pub type Configured = Box<dyn FnMut(&Config)>;

/// What wakes the loop.
enum Event {
    /// A reading is in its slot.
    Readings,
    /// The evaluation thread has finished a service.
    Evaluated(Box<Evaluated>),
    /// The directory of overrides was read.
    Overrides,
    /// The flag files were checked.
    Flags(Flags),
    /// A configuration was loaded, or refused.
    Loaded(Box<Loaded>),
    /// A signal asks the collector to stop.
    Stop,
}

/// Polls, decides and publishes until SIGTERM or SIGINT. `config` is the content of `file`; SIGHUP loads the file
/// again. A `dry` run writes nothing: it reads overrides and the status of another collector, and prints replies.
///
/// Calls `ready` when it works. Unless it is a dry run, calls `configured` with each configuration that takes effect.
///
/// # Errors
/// Where the collector cannot start.
pub fn run(
    config: Config,
    file: &Path,
    directory: &Path,
    data: &Path,
    dry: bool,
    ready: impl FnOnce(),
    mut configured: Configured,
) -> Result<(), StartError> {
    // Before the lock shows other processes where to send signals.
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(StartError::NoThreads)?;
    let (sender, events) = sync_channel(EVENTS);
    let reloader = Reloader::start(file, sender.clone()).map_err(StartError::NoThreads)?;
    let mut collector = Collector::start(config, directory, data, dry, &sender)?;
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                if signal == SIGHUP {
                    reloader.request();
                    continue;
                }
                // An error means that the loop has ended already.
                let _ = sender.send(Event::Stop);
                return;
            }
        })
        .map_err(StartError::NoThreads)?;

    if !dry {
        configured(&collector.config);
        collector.configured = Some(configured);
    }
    collector.records.add_event(history::Event::Started, "");
    collector.records.service_manager.ready();
    ready();
    info!(
        "collecting: {}, {}, into {}",
        text::counted(collector.config.sources.len(), "source"),
        text::counted(collector.config.services.len(), "service"),
        directory.display()
    );
    let end = collector.work(&events);
    ServiceManager::stopping();
    if end.is_ok() {
        info!("stopping; replies stay valid as scheduled, unless on_stop is set");
    }
    drop(events);
    collector.stop(end.is_ok());
    end
}

/// The parts of the collector.
struct Collector {
    config: Config,
    sources: Sources,
    overrides: ActiveOverrides,
    services: Services,
    output: Output,
    records: Records,
    /// Called with each configuration that takes effect; `None` in a dry run.
    configured: Option<Configured>,
}

impl Collector {
    fn start(
        config: Config,
        directory: &Path,
        data: &Path,
        dry: bool,
        sender: &SyncSender<Event>,
    ) -> Result<Self, StartError> {
        let boot = clock::boot_id().map_err(StartError::NoBootId)?;
        let state_dir = match dry {
            true => None,
            false => Some(StateDir::take(directory).map_err(StartError::NotLocked)?),
        };
        let started = clock::now();
        let no_threads = StartError::NoThreads;
        let before = snapshot::read_for_boot(directory, &boot);
        let before = before.as_ref();
        let sources =
            Sources::start(&config, before, sender.clone(), started).map_err(no_threads)?;
        let overrides =
            ActiveOverrides::new(&config, data, &boot, before, sender).map_err(no_threads)?;
        let history = match dry {
            true => None,
            false => Some(HistoryWriter::start(data, boot).map_err(no_threads)?),
        };
        let mut output = Output {
            path: directory.to_owned(),
            state_dir,
            boot,
            retirement: Retirement::new(directory, boot),
        };
        let writable = output.state_dir.as_ref().and_then(StateDir::directory);
        if let (Some(before), Some(_)) = (before, writable) {
            let is_configured = |name: &ServiceName| config.service(name).is_some();
            let retirement = &mut output.retirement;
            retirement.restore(before, is_configured, writable, started);
        }
        let services = Services::start(
            &config,
            &overrides,
            before,
            &output,
            sender.clone(),
            started,
        )
        .map_err(no_threads)?;
        let records = Records {
            history,
            counters: Counters::default(),
            snapshot: StatusSchedule::new(),
            metrics: MetricsWriter::new(config.metrics.as_ref()),
            service_manager: ServiceManager::new(),
            started,
            loaded: started,
            reload: None,
        };
        Ok(Self {
            configured: None,
            config,
            sources,
            overrides,
            services,
            output,
            records,
        })
    }

    /// Works until a signal asks it to stop, or until a restart is better.
    fn work(&mut self, events: &Receiver<Event>) -> Result<(), StartError> {
        let mut clocks = Clocks::now();
        loop {
            let sleep = self.sleep();
            let event = events.recv_timeout(sleep);
            clocks = clock_jumps::log_events(clocks, sleep, &mut self.records);
            let first = match event {
                Ok(event) => Some(event),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            let (mut orders_changed, mut moved) = (false, false);
            // Events that arrived meanwhile belong to the same turn. The bound keeps a turn short.
            for event in first.into_iter().chain(events.try_iter()).take(EVENTS) {
                match event {
                    Event::Readings => {}
                    Event::Evaluated(evaluated) => {
                        let now = clock::now();
                        let (services, mut desk) = self.desk();
                        moved |= services.take(*evaluated, &mut desk, now);
                    }
                    Event::Overrides => {
                        if let Some(read) = self.overrides.watcher.take() {
                            orders_changed |= self.overrides.take(&self.config, read);
                        }
                    }
                    Event::Flags(found) => {
                        orders_changed |= self.overrides.take_flags(&self.config, found);
                    }
                    Event::Loaded(loaded) => {
                        reload::apply(self, *loaded);
                        orders_changed = true;
                    }
                    Event::Stop => return Ok(()),
                }
            }
            self.turn(orders_changed, moved);
            let state_dir = self.output.state_dir.as_ref();
            if let Some(lost) = state_dir.and_then(|dir| dir.lost_for_good(clock::now())) {
                return Err(StartError::Lost(lost.to_owned()));
            }
        }
    }

    /// One turn of the loop: takes readings, evaluates and publishes services, and writes records.
    fn turn(&mut self, orders_changed: bool, mut moved: bool) {
        self.overrides.watcher.check_hangs();
        let now = clock::now();
        self.records.snapshot.changed |= self.output.remove_retired(now);
        let changed = self.sources.take(&self.config);
        self.records.snapshot.is_read |= !changed.is_empty();
        let now = clock::now();
        self.services.queue.inputs_changed(&changed, now);
        let rewrite = self.output.check(self.records.history.as_mut(), now);
        let wall = clock::unix_time_f64();
        let timezone = &self.config.timezone;
        self.sources.observed.set_clock(timezone, wall, now);
        let context = self.sources.observed.context(now);
        let reached = self
            .overrides
            .evaluate_conditions(&self.config, &context, &changed, now);
        let all = orders_changed || rewrite || reached;
        let (services, mut desk) = self.desk();
        moved |= services.evaluate(&mut desk, all, now);
        if !self.output.is_dry() {
            self.overrides.remove_expired(now);
        }
        // A command waits for the snapshot that shows its order; and a collector that is killed now must know
        // afterwards why a server is out.
        let whole = all || moved;
        if whole || self.records.snapshot.is_due() {
            self.write_status(whole, now);
        }
        if !self.output.is_dry() {
            let faults = || self.overrides.faults().len();
            let (config, sources) = (&self.config, &self.sources);
            metrics_collector::write_due(
                config,
                sources,
                &self.services,
                faults,
                &mut self.records,
            );
        }
        self.records.service_manager.keep_alive();
    }

    /// The services, and the parts that they may touch.
    fn desk(&mut self) -> (&mut Services, Desk<'_>) {
        let desk = Desk {
            config: &self.config,
            observed: &mut self.sources.observed,
            overrides: &self.overrides,
            output: &self.output,
            records: &mut self.records,
        };
        (&mut self.services, desk)
    }

    fn write_status(&mut self, whole: bool, now: BootTime) {
        let (config, sources, services) = (&self.config, &self.sources, &self.services);
        let faults = || self.overrides.faults();
        status_writer::write(
            config,
            sources,
            services,
            faults,
            &self.output,
            &mut self.records,
            whole,
            now,
        );
    }

    /// Publishes the replies of `on_stop`, if `publish`, and ends the threads.
    fn stop(mut self, publish: bool) {
        if publish && !self.output.is_dry() {
            let now = clock::now();
            self.records.add_event(history::Event::Stopping, "");
            self.output.check(self.records.history.as_mut(), now);
            self.write_status(true, now);
            self.services
                .publish_stop(&self.config, &self.overrides, &self.output, now);
        }
        let polling = &self.sources.polling;
        polling.stop();
        let latest = Instant::now() + STOP_PATIENCE;
        while !polling.is_over() && Instant::now() < latest {
            thread::sleep(Duration::from_millis(5));
        }
        if let Some(history) = self.records.history {
            history.end(latest);
        }
    }

    /// How long there is nothing to do.
    fn sleep(&self) -> Duration {
        if self.sources.is_waiting() {
            return Duration::ZERO;
        }
        let state_dir = self.output.state_dir.as_ref();
        let next = [
            self.services.queue.next(),
            self.output.retirement.next(),
            state_dir.and_then(StateDir::next),
        ];
        let wake = next.into_iter().flatten().min();
        let wake = wake.map_or(LONGEST_SLEEP, |at| at.since(clock::now()));
        let status = self.records.snapshot.next();
        let status = status.saturating_duration_since(Instant::now());
        let watchdog = self.records.service_manager.longest_sleep();
        let wake = wake.min(status).min(watchdog).min(LONGEST_SLEEP);
        // A dry run writes no metrics.
        match self.output.is_dry() {
            true => wake,
            false => wake.min(self.records.metrics.rest()),
        }
    }
}
