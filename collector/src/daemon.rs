//! The shell around everything that decides: threads that poll, the loop that evaluates and publishes,
//! signals, and what the service manager is told.
//!
//! Sources are polled on other threads, so that one that hangs delays nobody. They hand their readings to
//! one loop, which alone evaluates and writes.

mod agenda;
mod counting;
mod exposing;
mod lapse;
mod manager;
mod overriding;
mod place;
mod polling;
mod recording;
mod reloading;
mod retiring;
mod running;
mod snapshot;
mod telling;
mod turns;

use crate::clock;
use crate::config::Config;
use crate::fold::Fold;
use crate::lock::NotLocked;
use crate::observe::Observed;
use crate::overrides::Effective;
use crate::overrides::watch::Watch;
use crate::overrule::decide;
use crate::reading::{Reading, Reason};
use crate::status::{self, ReloadStatus, SourceStatus, Status};
use crate::text;
use agenda::Agenda;
use agentcheck_common::{BootId, BootTime, ServiceName};
use counting::{Counting, Published};
use exposing::Exposing;
use lapse::Clocks;
use log::info;
use manager::Manager;
use overriding::Overriding;
use place::Place;
use polling::Polling;
use recording::Recording;
use reloading::{Loaded, Loading};
use retiring::Retiring;
use running::Running;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use snapshot::Snapshot;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};
use telling::{log_source, show};

/// How long polls that are under way get to end when the collector stops.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often flag files are looked for.
const FLAGS_EVERY: Duration = Duration::from_millis(500);

/// The longest that the loop sleeps, so that it proves to the watchdog that it lives.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// How many characters of a mistake the service manager shows.
const MOST_TOLD: usize = 200;

/// Why the collector does not run.
#[derive(Debug)]
pub enum NotRun {
    /// The state directory is not to be had.
    NotLocked(NotLocked),
    /// The kernel's boot id cannot be read.
    NoBootId(io::Error),
    /// Signals or threads are not to be had.
    NoThreads(io::Error),
    /// The state directory went away while it was at work, and a service manager can bring it back.
    Lost(PathBuf),
}

impl fmt::Display for NotRun {
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
    /// There may be something new among the overrides.
    Overrides,
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
/// Calls `ready` when it is at work.
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
) -> Result<(), NotRun> {
    let boot = clock::boot_id().map_err(NotRun::NoBootId)?;
    // Before anybody can find out by the lock whom to send one.
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(NotRun::NoThreads)?;
    let place = if dry {
        None
    } else {
        Some(Place::take(directory).map_err(NotRun::NotLocked)?)
    };

    // As many as can be waiting: a thread that finds it full waits, and polls no more meanwhile.
    let (sender, events) = sync_channel(config.sources.len().max(READINGS) + 2);
    let polling = Polling::start(&config.sources, sender.clone()).map_err(NotRun::NoThreads)?;
    let loading = Loading::start(file, sender.clone()).map_err(NotRun::NoThreads)?;
    let mut collector =
        Collector::new(config, polling, directory, place, data, boot).map_err(NotRun::NoThreads)?;
    let mut watch = Watch::new(collector.overriding.directory());
    let changed = sender.clone();
    thread::Builder::new()
        .name("overrides".to_owned())
        .spawn(move || {
            // Changes may have been made before the watch was there.
            while changed.send(Event::Overrides).is_ok() {
                watch.wait();
            }
        })
        .map_err(NotRun::NoThreads)?;
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
        .map_err(NotRun::NoThreads)?;

    collector.record("starts");
    Manager::ready();
    ready();
    info!(
        "collecting: {}, {}, into {}",
        text::counted(collector.config.sources.len(), "source"),
        text::counted(collector.config.services.len(), "service"),
        directory.display()
    );
    let end = collector.work(&events);

    Manager::stopping();
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
    polling: Polling,
    /// Where replies are read.
    directory: PathBuf,
    /// Where replies are written; none in a dry run.
    place: Option<Place>,
    boot: BootId,
    started: BootTime,
    observed: Observed,
    overriding: Overriding,
    running: Vec<Running>,
    retiring: Retiring,
    agenda: Agenda,
    /// The latest poll of each source.
    sources: Vec<Option<SourceStatus>>,
    /// What the log has told of each source.
    told: Vec<Fold<Reason>>,
    /// When flag files were last looked for.
    flags_seen: Instant,
    snapshot: Snapshot,
    /// None in a dry run.
    history: Option<Recording>,
    counting: Counting,
    exposing: Exposing,
    manager: Manager,
}

impl Collector {
    fn new(
        config: Config,
        polling: Polling,
        directory: &Path,
        place: Option<Place>,
        data: &Path,
        boot: BootId,
    ) -> io::Result<Self> {
        let started = clock::now();
        let before = status::left_behind(directory, &boot);
        let overriding = Overriding::new(&config, data, &boot, before.as_ref());
        let running = config
            .services
            .iter()
            .map(|service| {
                let overridden = !overriding.standing(&config, service, started).is_empty();
                let before = before.as_ref();
                Running::new(service, before, overridden, directory, &boot, started)
            })
            .collect();
        let mut retiring = Retiring::new(directory, boot);
        let writable = place.as_ref().and_then(Place::directory);
        if let (Some(before), Some(_)) = (&before, writable) {
            let is_configured = |name: &ServiceName| config.service(name).is_some();
            retiring.go_on(before, is_configured, writable, started);
        }
        let history = match place {
            Some(_) => Some(Recording::start(data, boot)?),
            None => None,
        };
        Ok(Self {
            observed: Observed::new(&config, started),
            overriding,
            flags_seen: Instant::now(),
            agenda: Agenda::new(&config, started),
            told: vec![Fold::default(); config.sources.len()],
            sources: vec![None; config.sources.len()],
            snapshot: Snapshot::new(),
            history,
            counting: Counting::default(),
            exposing: Exposing::new(config.metrics.as_ref()),
            manager: Manager::default(),
            loaded: started,
            reloaded: None,
            polling,
            retiring,
            directory: directory.to_owned(),
            config,
            place,
            boot,
            started,
            running,
        })
    }

    /// Until told to stop, or until it is better to be started again.
    fn work(&mut self, events: &Receiver<Event>) -> Result<(), NotRun> {
        let mut clocks = Clocks::now();
        loop {
            let mut said = false;
            let sleep = self.sleep();
            let event = events.recv_timeout(sleep);
            clocks = self.tell_lapses(clocks, sleep);
            let touched = match event {
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Ok(Event::Read(index, reading)) => {
                    let mut touched = self.take(index, reading);
                    // What else has come meanwhile is evaluated together with it; but sources that
                    // come faster than they are taken in must not keep all replies from being written.
                    for _ in 1..self.config.sources.len() {
                        match events.try_recv() {
                            Ok(Event::Read(index, reading)) => {
                                touched.extend(self.take(index, reading));
                            }
                            Ok(Event::Overrides) => said |= self.overriding.read(&self.config),
                            Ok(Event::Loaded(loaded)) => {
                                self.reload(*loaded);
                                // What was touched before has other indices now, and is evaluated.
                                touched.clear();
                            }
                            Ok(Event::Stop) | Err(TryRecvError::Disconnected) => return Ok(()),
                            Err(TryRecvError::Empty) => break,
                        }
                    }
                    touched
                }
                Ok(Event::Loaded(loaded)) => {
                    self.reload(*loaded);
                    Vec::new()
                }
                Ok(Event::Overrides) => {
                    said |= self.overriding.read(&self.config);
                    Vec::new()
                }
                Err(RecvTimeoutError::Timeout) => Vec::new(),
            };
            if self.flags_seen.elapsed() >= FLAGS_EVERY {
                self.flags_seen = Instant::now();
                said |= self.overriding.look_at_flags(&self.config);
            }
            let place = self.place.as_ref().and_then(Place::directory);
            self.snapshot.changed |= self.retiring.remove(place, clock::now());
            self.evaluate(&touched, said);
            self.expose();
            self.manager.goes_on();
            let place = self.place.as_ref();
            if let Some(lost) = place.and_then(|place| place.lost_for_good(clock::now())) {
                return Err(NotRun::Lost(lost.to_owned()));
            }
        }
    }

    /// Whether nothing is to be written.
    fn is_dry(&self) -> bool {
        self.place.is_none()
    }

    /// What happens to the collector itself belongs to the history.
    fn record(&mut self, what: &str) {
        if let Some(history) = &mut self.history {
            history.collector(what);
        }
    }

    /// The last words.
    fn publish_stop(&mut self) {
        let now = clock::now();
        if self.is_dry() {
            return;
        }
        self.record("is told to stop");
        self.look_at_place(now);
        self.write_status(now);
        let Some(directory) = self.place.as_ref().and_then(Place::directory) else {
            return;
        };
        for (service, running) in self.config.services.iter().zip(&self.running) {
            running.publish_stop(service, directory, &self.boot, now);
        }
    }

    /// How long nothing has to be done.
    fn sleep(&self) -> Duration {
        let retiring = self.retiring.next();
        let wake = self
            .agenda
            .next()
            .into_iter()
            .chain(retiring)
            .min()
            .map_or(LONGEST_SLEEP, |at| at.since(clock::now()));
        let status = self
            .snapshot
            .next()
            .saturating_duration_since(Instant::now());
        wake.min(status)
            .min(self.exposing.rest())
            .min(LONGEST_SLEEP)
    }

    /// Takes a reading of the source with this number in; what else is known now, by index.
    fn take(&mut self, number: usize, reading: Reading) -> Vec<usize> {
        // The source may have been taken out while it was polled.
        let Some(index) = self.polling.index(number) else {
            return Vec::new();
        };
        if let (Some(source), Some(told)) =
            (self.config.sources.get(index), self.told.get_mut(index))
        {
            log_source(&source.name, &reading, told);
            self.counting.polled(&source.name, &reading);
            if let Some(slot) = self.sources.get_mut(index) {
                *slot = Some(SourceStatus::of(&reading));
            }
        }
        self.observed.take(index, reading, clock::now())
    }

    /// Evaluates the services that use one of the sources `touched`, or that have asked for it by now; all of
    /// them where an operator has said something.
    fn evaluate(&mut self, touched: &[usize], said: bool) {
        let now = clock::now();
        let said = self.look_at_place(now) || said;
        let world = self.observed.world(now);
        let reached = self
            .overriding
            .look_at_conditions(&self.config, &world, now);
        let all = said || reached;
        let mut urgent = all;
        let quiet = self.overriding.is_empty();
        let due = if all {
            (0..self.running.len()).collect()
        } else {
            self.agenda.due(touched, now)
        };
        for index in due {
            let (Some(service), Some(running)) =
                (self.config.services.get(index), self.running.get_mut(index))
            else {
                continue;
            };
            let (began, name) = (Instant::now(), service.name.as_str());
            let standing = if quiet {
                Vec::new()
            } else {
                self.overriding.standing(&self.config, service, now)
            };
            let effective = Effective::of(standing.iter().cloned());
            let lift = if quiet {
                None
            } else {
                self.overriding.lift(service, now)
            };
            let decision = decide(service, &world, &running.memory, &effective, lift, now);
            running.memory = decision.memory;
            running.overrides = self.overriding.statuses(&standing);
            running.lift = self.overriding.lift_id(service);
            self.agenda.set(index, decision.wake_at);
            let Some(overruled) = decision.overruled else {
                self.counting.evaluated(name, began.elapsed(), None);
                continue;
            };
            let until = overruled.verdict.until;
            let (reply, decided) = (overruled.verdict.reply, overruled.verdict.decided.clone());
            let was_out = running.is_out();
            let directory = self.place.as_ref().and_then(Place::directory);
            let changed = running.publish(service, overruled, directory, &self.boot, now);
            self.snapshot.changed |= changed;
            urgent |= was_out != running.is_out();
            let published = Published {
                changed,
                written: directory.is_some() && !running.writing.is_failing(),
                until,
            };
            self.counting
                .evaluated(name, began.elapsed(), Some(published));
            match &mut self.history {
                Some(history) => history.note(service, &reply, &decided, now),
                None if changed => show(name, &reply),
                None => {}
            }
        }
        if !self.is_dry() {
            self.overriding.forget(now);
        }
        // Whoever said something waits for the snapshot that shows it; and a collector that is killed now must
        // not have forgotten why a server is out.
        if urgent || self.snapshot.next() <= Instant::now() {
            self.write_status(now);
        }
    }

    fn write_status(&mut self, now: BootTime) {
        let sources = self.config.sources.iter().zip(&self.sources);
        let services = self.config.services.iter().zip(&self.running);
        let status = || Status {
            version: status::VERSION,
            boot: self.boot.to_string(),
            pid: std::process::id(),
            started: self.started.0,
            at: now.0,
            sources: sources
                .filter_map(|(source, latest)| Some((source.name.clone(), latest.clone()?)))
                .collect(),
            services: services
                .map(|(service, running)| {
                    let mut status = running.status(service);
                    status.configured(&self.config, service);
                    (service.name.to_string(), status)
                })
                .collect(),
            override_faults: self.overriding.faults().to_vec(),
            loaded: Some(self.loaded.0),
            reload: self.reloaded.clone(),
            retiring: self.retiring.statuses(),
        };
        match self.place.as_ref().and_then(Place::directory) {
            Some(directory) => self.snapshot.write(directory, status),
            None => self.snapshot.passed(),
        }
        self.tell_summary();
    }

    /// Tells the service manager what it is to show, where that is something else.
    fn tell_summary(&mut self) {
        let polled = self.sources.iter().flatten();
        let failing = polled.filter(|source| !source.ok).count();
        let refused = self.reloaded.as_ref().filter(|reload| !reload.ok);
        let refused = refused.map_or_else(String::new, |reload| {
            let first = reload.said.lines().next().unwrap_or_default();
            let first: String = text::printable(first).chars().take(MOST_TOLD).collect();
            format!("NOT reloaded: {first}; still as before: ")
        });
        let summary = format!(
            "{refused}{}, {}, {failing} failing",
            text::counted(self.config.services.len(), "service"),
            text::counted(self.config.sources.len(), "source")
        );
        self.manager.show(summary);
    }
}
