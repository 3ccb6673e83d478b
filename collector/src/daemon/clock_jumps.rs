//! Events that clocks show afterwards: the machine was suspended, the collector did not run, or the wall clock was
//! set. Pure, except for the reading of the clocks.

use super::records::Records;
use crate::status::history::Event;
use crate::sys::clock;
use agentcheck_common::BootTime;
use log::{info, warn};
use std::fmt;
use std::time::{Duration, Instant};

/// Shorter events are not logged.
const LEAST: Duration = Duration::from_secs(2);

/// Seconds.
const DAY: u64 = 86_400;

/// All clocks at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clocks {
    /// Runs while the machine is suspended.
    pub(super) boot: BootTime,
    /// Stops while the machine is suspended.
    pub(super) running: Instant,
    /// Since 1970; can be set.
    pub(super) wall: Duration,
}

/// An event between two moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClockEvent {
    /// The machine was suspended for this long.
    Suspended(Duration),
    /// The collector slept this much longer than intended.
    Stalled(Duration),
    /// The wall clock was set forward by this much.
    Forward(Duration),
    /// The wall clock was set back by this much.
    Back(Duration),
}

impl Clocks {
    /// Reads the clocks.
    pub(super) fn now() -> Self {
        Self {
            boot: clock::now(),
            running: Instant::now(),
            wall: clock::unix_time(),
        }
    }

    /// The events since `before`, where the collector intended to sleep for `sleep`.
    pub(super) fn since(&self, before: &Self, sleep: Duration) -> impl Iterator<Item = ClockEvent> {
        let boot = self.boot.since(before.boot);
        let running = self.running.saturating_duration_since(before.running);
        let expected = before.wall + boot;
        [
            ClockEvent::Suspended(boot.saturating_sub(running)),
            ClockEvent::Stalled(running.saturating_sub(sleep)),
            ClockEvent::Forward(self.wall.saturating_sub(expected)),
            ClockEvent::Back(expected.saturating_sub(self.wall)),
        ]
        .into_iter()
        .filter(|event| event.span() >= LEAST)
    }
}

impl ClockEvent {
    fn span(self) -> Duration {
        match self {
            Self::Suspended(span)
            | Self::Stalled(span)
            | Self::Forward(span)
            | Self::Back(span) => span,
        }
    }

    /// Whether replies may have become stale meanwhile.
    pub(super) fn is_serious(self) -> bool {
        matches!(self, Self::Suspended(_) | Self::Stalled(_))
    }
}

/// Logs the events since `before`; returns the present clocks.
pub(super) fn log_events(before: Clocks, sleep: Duration, records: &mut Records) -> Clocks {
    let now = Clocks::now();
    for event in now.since(&before, sleep) {
        if event.is_serious() {
            warn!("{event}");
        } else {
            info!("{event}");
        }
        records.add_event(Event::ClockChanged, &event.to_string());
    }
    now
}

impl fmt::Display for ClockEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.span().as_secs();
        let span = if seconds < 2 * DAY {
            humantime::format_duration(Duration::from_secs(seconds)).to_string()
        } else {
            // humantime would print months and years of a fixed length.
            format!("{} days", (seconds + DAY / 2) / DAY)
        };
        match self {
            Self::Suspended(_) => write!(
                f,
                "the machine was suspended for {span}: replies that expired meanwhile were stale until now"
            ),
            Self::Stalled(_) => write!(
                f,
                "the collector did not run for {span} (stopped, no processor time, or a hung disk): \
                 no reply was renewed"
            ),
            Self::Forward(_) => write!(
                f,
                "the wall clock was set forward by {span}; replies do not depend on it"
            ),
            Self::Back(_) => write!(
                f,
                "the wall clock was set back by {span}; replies do not depend on it"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const HOUR: Duration = Duration::from_secs(3600);

    /// The events after so many seconds on each clock and an intended sleep of one second.
    fn events(boot: u64, running: u64, wall: u64) -> Vec<String> {
        let now = Instant::now();
        let before = Clocks {
            boot: BootTime(5 * SECOND),
            running: now,
            wall: HOUR,
        };
        let after = Clocks {
            boot: BootTime((5 + boot) * SECOND),
            running: now + Duration::from_secs(running),
            wall: Duration::from_secs(wall),
        };
        let events = after.since(&before, Duration::from_secs(1));
        events.map(|event| event.to_string()).collect()
    }

    #[test]
    fn each_clock_shows_its_own_events() {
        assert_eq!(events(1, 1, 3601), [""; 0]);
        assert_eq!(events(2, 2, 3603), [""; 0]);
        let suspended = events(28_801, 1, 3600 + 28_801);
        assert_eq!(suspended.len(), 1, "{suspended:?}");
        assert!(suspended[0].starts_with("the machine was suspended for 8h: "));
        let stopped = events(31, 31, 3631);
        assert_eq!(stopped.len(), 1, "{stopped:?}");
        assert!(stopped[0].starts_with("the collector did not run for 30s "));
        let year = ["the wall clock was set forward by 365 days; replies do not depend on it"];
        assert_eq!(events(1, 1, 3601 + 365 * DAY), year);
        let forward = ["the wall clock was set forward by 1day; replies do not depend on it"];
        assert_eq!(events(1, 1, 3601 + 86_400), forward);
        let back = ["the wall clock was set back by 30m; replies do not depend on it"];
        assert_eq!(events(1, 1, 3601 - 1800), back);
    }
}
