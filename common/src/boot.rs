//! The time in state files: nanoseconds of `CLOCK_BOOTTIME`, and the id of the boot that they belong to.
//!
//! No clock step, time zone or NTP correction changes this clock, and it also counts while the machine is suspended. So
//! it measures the age of a reply correctly.

use core::fmt;
use core::time::Duration;

/// A time on `CLOCK_BOOTTIME`, in nanoseconds since the kernel started: 0 to 2^64 - 1, which is 584 years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootTime(pub u64);

impl BootTime {
    /// The time `duration` later, at most 2^64 - 1 nanoseconds.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanoseconds(duration)))
    }

    /// The duration from `earlier` to this time; zero if `earlier` is later than this time.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The time of a `timespec`: seconds and nanoseconds, at most 2^64 - 1 nanoseconds in all.
    #[must_use]
    pub fn from_timespec(seconds: u64, nanoseconds: u64) -> Self {
        Self(
            seconds
                .saturating_mul(1_000_000_000)
                .saturating_add(nanoseconds),
        )
    }
}

/// The nanoseconds of `duration`, at most 2^64 - 1.
fn nanoseconds(duration: Duration) -> u64 {
    duration
        .as_secs()
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::from(duration.subsec_nanos()))
}

impl fmt::Display for BootTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The kernel's id of a boot, in the form of [`BootId::PATH`]: 36 bytes, lower-case hexadecimal digits in groups of 8, 4,
/// 4, 4 and 12, with hyphens between them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BootId([u8; BootId::LEN]);

impl BootId {
    /// The length of an id, in bytes.
    pub const LEN: usize = 36;

    /// The kernel's file that contains the id of the current boot and a newline.
    pub const PATH: &'static str = "/proc/sys/kernel/random/boot_id";

    /// Parses an id in the kernel's form, with or without one newline at the end. Returns `None` for any other text.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        if !Self::is_id(text) {
            return None;
        }
        Some(Self(text.try_into().ok()?))
    }

    /// Whether `text` is an id in the kernel's form, without a newline.
    #[must_use]
    pub fn is_id(text: &[u8]) -> bool {
        let mut bytes = text.iter().enumerate();
        let well_formed = bytes.all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        });
        text.len() == Self::LEN && well_formed
    }

    /// The bytes of the id; all are ASCII.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // It cannot fail: `parse` accepts only ASCII.
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_id_is_parsed_with_and_without_newline() {
        let id = b"6e3f0a1c-2f0e-4a55-9a0b-0d8f3a8a4c11";
        assert_eq!(BootId::parse(id).unwrap().as_str().as_bytes(), id);
        assert_eq!(
            BootId::parse(b"6e3f0a1c-2f0e-4a55-9a0b-0d8f3a8a4c11\n"),
            BootId::parse(id)
        );
    }

    #[test]
    fn text_of_another_form_is_no_boot_id() {
        for bad in [
            "",
            "\n",
            "6e3f0a1c-2f0e-4a55-9a0b-0d8f3a8a4c1",
            "6e3f0a1c-2f0e-4a55-9a0b-0d8f3a8a4c111",
            "6E3F0A1C-2f0e-4a55-9a0b-0d8f3a8a4c11",
            "6e3f0a1c02f0e-4a55-9a0b-0d8f3a8a4c11",
            "6e3f0a1c-2f0e-4a55-9a0b-0d8f3a8a4c11\n\n",
        ] {
            assert_eq!(BootId::parse(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn time_saturates_at_its_limits() {
        assert_eq!(
            BootTime(u64::MAX - 1).after(Duration::MAX),
            BootTime(u64::MAX)
        );
        assert_eq!(BootTime(5).since(BootTime(7)), Duration::ZERO);
        assert_eq!(
            BootTime::from_timespec(3, 7).since(BootTime(7)),
            Duration::from_secs(3)
        );
    }
}
