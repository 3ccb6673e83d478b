//! Time as the state file has it: nanoseconds of `CLOCK_BOOTTIME` on one boot of one kernel.
//!
//! No clock step, time zone or NTP slew moves this clock. It also counts while the machine is suspended, so it
//! measures the age of a reply.

use core::fmt;
use core::time::Duration;

/// A moment on `CLOCK_BOOTTIME`, in nanoseconds since the kernel started (0 to 2^64 - 1, 584 years).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootTime(pub u64);

impl BootTime {
    /// The moment `span` later; the last representable one where that would overflow.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanos(span)))
    }

    /// How long ago `earlier` was, seen from here; zero where it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The moment of a `timespec` (seconds and nanoseconds, neither negative on this clock).
    #[must_use]
    pub fn from_timespec(seconds: u64, nanoseconds: u64) -> Self {
        Self(
            seconds
                .saturating_mul(1_000_000_000)
                .saturating_add(nanoseconds),
        )
    }
}

fn nanos(span: Duration) -> u64 {
    span.as_secs()
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::from(span.subsec_nanos()))
}

impl fmt::Display for BootTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The kernel's id of this boot, as `/proc/sys/kernel/random/boot_id` gives it: 36 bytes, lower-case
/// hexadecimal in the groups 8-4-4-4-12.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BootId([u8; BootId::LEN]);

impl BootId {
    /// Length of the text in bytes.
    pub const LEN: usize = 36;

    /// Where the kernel shows it.
    pub const PATH: &'static str = "/proc/sys/kernel/random/boot_id";

    /// The id in `text`, which may end in one newline, as the kernel's file does; `None` for anything
    /// that is not an id in the kernel's form.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        if !Self::is_id(text) {
            return None;
        }
        Some(Self(text.try_into().ok()?))
    }

    /// Whether this is an id in the kernel's form, without a newline.
    #[must_use]
    pub fn is_id(text: &[u8]) -> bool {
        let mut all = text.iter().enumerate();
        let well_formed = all.all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        });
        text.len() == Self::LEN && well_formed
    }

    /// The id as bytes of ASCII.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only ASCII gets past `parse`, so the other branch is never taken.
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
    fn boot_id_is_taken_with_and_without_newline() {
        let id = b"6e3f0a1c-2f0e-4a55-9a0b-0d8f3a8a4c11";
        assert_eq!(BootId::parse(id).unwrap().as_str().as_bytes(), id);
        assert_eq!(
            BootId::parse(b"6e3f0a1c-2f0e-4a55-9a0b-0d8f3a8a4c11\n"),
            BootId::parse(id)
        );
    }

    #[test]
    fn boot_id_of_another_form_is_refused() {
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
    fn time_saturates() {
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
