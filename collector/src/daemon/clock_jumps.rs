//! What the clocks tell about a collector that did not get to work: it was stopped, the machine was suspended,
//! a disk held it up; or somebody has set the wall clock. Pure, but for the look at the clocks.

use super::Collector;
use crate::status::history::Event;
use crate::sys::clock;
use agentcheck_common::BootTime;
use log::{info, warn};
use std::fmt;
use std::time::{Duration, Instant};

/// A suspend, or a step of the wall clock, that is shorter is not told.
const LEAST: Duration = Duration::from_secs(2);

/// Seconds.
const DAY: u64 = 86_400;

/// What the clocks say at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clocks {
    /// It goes on while the machine is suspended.
    pub(super) boot: BootTime,
    /// It does not.
    pub(super) running: Instant,
    /// Since 1970; it can be set.
    pub(super) wall: Duration,
}

/// What has happened between two moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClockEvent {
    /// The machine was suspended for so long.
    Suspended(Duration),
    /// Nothing was done for so much longer than was meant.
    Stalled(Duration),
    /// The wall clock was set forward by so much.
    Forward(Duration),
    /// The wall clock was set back by so much.
    Back(Duration),
}

impl Clocks {
    /// Now.
    pub(super) fn now() -> Self {
        Self {
            boot: clock::now(),
            running: Instant::now(),
            wall: clock::unix_time(),
        }
    }

    /// What has happened since `before`, when no more than so long was meant to pass.
    pub(super) fn since(&self, before: &Self, meant: Duration) -> impl Iterator<Item = ClockEvent> {
        let boot = self.boot.since(before.boot);
        let running = self.running.saturating_duration_since(before.running);
        let expected = before.wall + boot;
        [
            ClockEvent::Suspended(boot.saturating_sub(running)),
            ClockEvent::Stalled(running.saturating_sub(meant)),
            ClockEvent::Forward(self.wall.saturating_sub(expected)),
            ClockEvent::Back(expected.saturating_sub(self.wall)),
        ]
        .into_iter()
        .filter(|lapse| lapse.span() >= LEAST)
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

    /// Whether replies may have run out meanwhile.
    pub(super) fn is_serious(self) -> bool {
        matches!(self, Self::Suspended(_) | Self::Stalled(_))
    }
}

impl fmt::Display for ClockEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.span().as_secs();
        let span = if seconds < 2 * DAY {
            humantime::format_duration(Duration::from_secs(seconds)).to_string()
        } else {
            // What is in a month or a year of theirs nobody knows.
            format!("{} days", (seconds + DAY / 2) / DAY)
        };
        match self {
            Self::Suspended(_) => write!(
                f,
                "the machine was suspended for {span}: replies that had run out by then were stale until now"
            ),
            Self::Stalled(_) => write!(
                f,
                "the collector was held up for {span} (stopped, no processor time, or a disk that hangs): \
                 no reply was renewed meanwhile"
            ),
            Self::Forward(_) => write!(
                f,
                "the wall clock was set forward by {span}; no reply goes by it"
            ),
            Self::Back(_) => write!(
                f,
                "the wall clock was set back by {span}; no reply goes by it"
            ),
        }
    }
}

impl Collector {
    /// Says what the collector could not notice itself while it happened, a sleep of so long aside.
    pub(super) fn log_clock_events(&mut self, before: Clocks, sleep: Duration) -> Clocks {
        let now = Clocks::now();
        for lapse in now.since(&before, sleep) {
            if lapse.is_serious() {
                warn!("{lapse}");
            } else {
                info!("{lapse}");
            }
            self.record(Event::ClockChanged, &lapse.to_string());
        }
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const HOUR: Duration = Duration::from_secs(3600);

    /// After so many seconds on each clock, when one second was meant to pass.
    fn told(boot: u64, running: u64, wall: u64) -> Vec<String> {
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
        let lapses = after.since(&before, Duration::from_secs(1));
        lapses.map(|lapse| lapse.to_string()).collect()
    }

    #[test]
    fn each_clock_tells_its_own() {
        assert_eq!(told(1, 1, 3601), [""; 0]);
        assert_eq!(told(2, 2, 3603), [""; 0]);
        let suspended = told(28_801, 1, 3600 + 28_801);
        assert_eq!(suspended.len(), 1, "{suspended:?}");
        assert!(suspended[0].starts_with("the machine was suspended for 8h: "));
        let stopped = told(31, 31, 3631);
        assert_eq!(stopped.len(), 1, "{stopped:?}");
        assert!(stopped[0].starts_with("the collector was held up for 30s "));
        let year = ["the wall clock was set forward by 365 days; no reply goes by it"];
        assert_eq!(told(1, 1, 3601 + 365 * DAY), year);
        let forward = ["the wall clock was set forward by 1day; no reply goes by it"];
        assert_eq!(told(1, 1, 3601 + 86_400), forward);
        let back = ["the wall clock was set back by 30m; no reply goes by it"];
        assert_eq!(told(1, 1, 3601 - 1800), back);
    }
}
