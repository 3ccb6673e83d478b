//! Moments as operators read and write them: local time with its zone, or UTC.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};
use std::time::Duration;

/// What `--at` and `--since` accept.
pub(super) const FORMS: &str =
    "write 10m (ago), 14:30, '2026-11-21 14:30', or 2026-11-21T14:30:00Z";

/// The time zone of a command's output and input.
pub(super) struct Zone(TimeZone);

impl Zone {
    /// UTC, or the zone of this host: `TZ`, or else /etc/localtime.
    pub(super) fn new(utc: bool) -> Self {
        Self(if utc {
            TimeZone::UTC
        } else {
            TimeZone::system()
        })
    }

    /// A moment in seconds since 1970, such as `2026-11-21 14:30:00 CET`. Empty if it is out of range.
    pub(super) fn format(&self, wall: f64) -> String {
        #[allow(clippy::cast_possible_truncation)]
        // saturates; times out of range are refused below
        let time = Timestamp::from_second(wall.floor() as i64);
        let zoned = time.map(|time| time.to_zoned_datetime(self.0.clone()));
        zoned.map_or_else(
            |_| String::new(),
            |zoned| zoned.strftime("%Y-%m-%d %H:%M:%S %Z").to_string(),
        )
    }

    /// Parses a moment, in seconds since 1970; see [`FORMS`]. A time of day is its latest one before `now`.
    pub(super) fn parse(&self, text: &str, now: f64) -> Option<f64> {
        let text = text.trim();
        if let Ok(span) = humantime::parse_duration(text) {
            return Some(now - span.as_secs_f64());
        }
        if let Ok(time) = text.parse::<Timestamp>() {
            return Some(seconds(time));
        }
        if let Some(time) = time_of_day(text) {
            #[allow(clippy::cast_possible_truncation)] // saturates; times out of range are refused
            let today = Timestamp::from_second(now.floor() as i64).ok()?;
            let today = today.to_zoned_datetime(self.0.clone()).date();
            let at = |date: Date| Some(seconds(self.zoned(date.to_datetime(time))?.timestamp()));
            return at(today)
                .filter(|at| *at <= now)
                .or_else(|| at(today.yesterday().ok()?));
        }
        let date = text.parse::<DateTime>().ok()?;
        Some(seconds(self.zoned(date)?.timestamp()))
    }

    fn zoned(&self, date: DateTime) -> Option<ZonedDateTime> {
        date.to_zoned_datetime(self.0.clone()).ok()
    }
}

fn seconds(time: Timestamp) -> f64 {
    Duration::try_from(time.as_duration()).map_or(0.0, |since| since.as_secs_f64())
}

/// `14:30` or `14:30:05`.
fn time_of_day(text: &str) -> Option<Time> {
    let digits = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b':');
    (digits && text.contains(':'))
        .then(|| text.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2023-11-14T22:13:20Z
    const NOW: f64 = 1_700_000_000.0;

    #[test]
    fn every_form_is_parsed_in_the_zone() {
        // An hour east of Greenwich, two in summer.
        let zone = Zone(TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap());
        let utc = Zone::new(true);
        for (text, local, universal) in [
            ("10m", "2023-11-14 23:03:20 CET", "2023-11-14 22:03:20 UTC"),
            (
                "14:30",
                "2023-11-14 14:30:00 CET",
                "2023-11-14 14:30:00 UTC",
            ),
            (
                "14:30:05",
                "2023-11-14 14:30:05 CET",
                "2023-11-14 14:30:05 UTC",
            ),
            // Later than now: yesterday.
            (
                "23:30",
                "2023-11-13 23:30:00 CET",
                "2023-11-13 23:30:00 UTC",
            ),
            (
                "2023-07-01 14:30",
                "2023-07-01 14:30:00 CEST",
                "2023-07-01 14:30:00 UTC",
            ),
            (
                "2023-07-01",
                "2023-07-01 00:00:00 CEST",
                "2023-07-01 00:00:00 UTC",
            ),
            (
                "2023-11-14T20:00:00Z",
                "2023-11-14 21:00:00 CET",
                "2023-11-14 20:00:00 UTC",
            ),
            (
                "2023-11-14T20:00:00+02:00",
                "2023-11-14 19:00:00 CET",
                "2023-11-14 18:00:00 UTC",
            ),
        ] {
            let at = |zone: &Zone| zone.parse(text, NOW).map(|time| zone.format(time));
            assert_eq!(at(&zone).as_deref(), Some(local), "{text}");
            assert_eq!(at(&utc).as_deref(), Some(universal), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let zone = Zone::new(true);
        for wrong in [
            "",
            "noon",
            "25:00",
            "14",
            "14:60",
            "1:2:3:4",
            "2023-13-01",
            "2023-11-14 25:00",
        ] {
            assert_eq!(zone.parse(wrong, NOW), None, "{wrong}");
        }
        for wall in [f64::NAN, f64::INFINITY, -1e300, 1e300] {
            let _ = zone.format(wall);
            let _ = zone.parse("14:30", wall);
        }
        assert_eq!(zone.format(1e300), "");
    }
}
