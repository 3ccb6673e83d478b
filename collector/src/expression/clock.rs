//! The wall clock of expressions: `clock.unix`, `clock.hour`, `clock.minute` and `clock.weekday`.

use std::sync::Arc;
use std::time::Duration;
use tz::TimeZone;

/// The time zone of `clock`.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone(Arc<TimeZone>);

impl Default for Zone {
    fn default() -> Self {
        Self(Arc::new(TimeZone::utc()))
    }
}

/// A moment of the wall clock in a time zone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WallTime {
    /// Seconds since 1970.
    pub unix: f64,
    /// 0 to 23.
    pub hour: f64,
    /// 0 to 59.
    pub minute: f64,
    /// 1 is Monday, 7 is Sunday.
    pub weekday: f64,
}

impl Zone {
    /// Reads the time zone of a name such as `Europe/Berlin` from the database of the system.
    ///
    /// # Errors
    /// Why there is none, in one line.
    pub fn load(name: &str) -> Result<Self, String> {
        // The library accepts paths, too.
        let valid = |c: char| c.is_ascii_alphanumeric() || "/_+-".contains(c);
        if name.is_empty() || name.starts_with('/') || !name.chars().all(valid) {
            return Err("expected a name such as Europe/Berlin".to_owned());
        }
        if name == "UTC" {
            return Ok(Self::default());
        }
        let zone = TimeZone::from_posix_tz(name);
        zone.map(|zone| Self(Arc::new(zone)))
            .map_err(|_| "not in the time zone database of this system".to_owned())
    }

    /// The local time at so many seconds since 1970.
    #[must_use]
    pub fn at(&self, unix: f64) -> WallTime {
        let unix = unix.floor().clamp(0.0, 1e11);
        #[allow(clippy::cast_possible_truncation)] // clamped
        let seconds = unix as i64;
        let offset = TimeZone::as_ref(&self.0).find_local_time_type(seconds);
        let local = seconds + offset.map_or(0, |kind| i64::from(kind.ut_offset()));
        let number = |number: i64| i32::try_from(number).map_or(0.0, f64::from);
        WallTime {
            unix,
            hour: number(local.div_euclid(3600).rem_euclid(24)),
            minute: number(local.div_euclid(60).rem_euclid(60)),
            // 1970 began on a Thursday.
            weekday: number((local.div_euclid(86_400) + 3).rem_euclid(7) + 1),
        }
    }
}

/// The time until a field changes that changes every `period`.
pub(super) fn rest(unix: f64, period: Duration) -> Duration {
    let passed = unix.rem_euclid(period.as_secs_f64());
    period.saturating_sub(Duration::try_from_secs_f64(passed).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_time_follows_the_zone() {
        let fields = |zone: &Zone, unix: f64| {
            let time = zone.at(unix);
            (time.hour, time.minute, time.weekday)
        };
        let utc = Zone::default();
        assert_eq!(fields(&utc, 0.0), (0.0, 0.0, 4.0));
        // Monday, 30 November 2026, 20:36:33.5
        assert_eq!(fields(&utc, 1_796_070_993.5), (20.0, 36.0, 1.0));
        // In Newfoundland, 3:30 behind, and across a date line, 14 hours ahead.
        let zone = |text: &str| Zone(Arc::new(TimeZone::from_posix_tz(text).unwrap()));
        assert_eq!(fields(&zone("NST3:30"), 1_796_070_993.0), (17.0, 6.0, 1.0));
        assert_eq!(fields(&zone("LINT-14"), 1_796_070_993.0), (10.0, 36.0, 2.0));
        // Summer time of central Europe, by its rule.
        let berlin = zone("CET-1CEST,M3.5.0,M10.5.0/3");
        assert_eq!(
            fields(&berlin, 1_782_907_200.0).0,
            14.0,
            "1 July 2026, 12:00 UTC"
        );
        assert_eq!(fields(&berlin, 1_796_070_993.0).0, 21.0);
        assert_eq!(utc.at(f64::NAN).hour, 0.0);
        assert_eq!(utc.at(f64::MAX).unix, 1e11);
    }

    #[test]
    fn zone_is_a_name() {
        assert_eq!(Zone::load("UTC"), Ok(Zone::default()));
        for wrong in ["", "/etc/shadow", "Europe/../../etc/shadow", "Mars/Phobos"] {
            assert!(Zone::load(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn fields_change_on_the_minute() {
        let minute = Duration::from_secs(60);
        assert_eq!(rest(59.25, minute), Duration::from_millis(750));
        assert_eq!(rest(60.0, minute), minute);
    }
}
