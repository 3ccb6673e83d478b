//! Signals: blocking them, and a descriptor that becomes readable when a blocked signal arrives.
#![allow(unsafe_code)]

use super::kernel::SIGNAL_SET_BYTES;
use super::{CLOEXEC, Descriptor, NONBLOCK, Result, call, number};

/// A set of signals: one word for the kernel, more for the C library.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug)]
pub struct Signals([u8; SIGNAL_SET_BYTES]);

impl Signals {
    /// SIGINT and SIGTERM, which end the accept loop.
    pub const ENDING: Self = Self::of(&[2, 15]);
    /// The signals that the accept loop blocks: SIGINT, SIGPIPE and SIGTERM.
    pub const BLOCKED: Self = Self::of(&[2, 13, 15]);
    /// SIGPIPE, which a write to a pipe without a reader raises.
    pub const PIPE: Self = Self::of(&[13]);

    #[allow(clippy::indexing_slicing)] // Evaluated at compile time, where a wrong index is an error.
    const fn of(numbers: &[u32]) -> Self {
        let mut bits: usize = 0;
        let mut at = 0;
        while at < numbers.len() {
            bits |= 1 << (numbers[at] - 1);
            at += 1;
        }
        // Kernel and C library use longs in the machine's byte order.
        let word = bits.to_ne_bytes();
        let mut set = [0; SIGNAL_SET_BYTES];
        at = 0;
        while at < word.len() {
            set[at] = word[at];
            at += 1;
        }
        Self(set)
    }
}

/// Blocks these signals. A blocked signal remains pending even where it would otherwise be ignored, as for process 1 of a
/// container.
pub fn block(signals: &Signals) {
    const BLOCK: usize = 0;
    change_mask(BLOCK, signals);
}

/// Blocks these signals and no others, whatever the launcher has blocked.
pub fn set_blocked(signals: &Signals) {
    const SET: usize = 2;
    change_mask(SET, signals);
}

fn change_mask(how: usize, signals: &Signals) {
    const KERNEL_SET_BYTES: usize = 8;
    let set = (&raw const signals.0) as usize;
    // SAFETY: the kernel reads 8 bytes of the set, the C library 128; the previous mask is not requested. The call cannot
    // fail with these first arguments.
    let _ = unsafe { call(number::SIGPROCMASK, [how, set, 0, KERNEL_SET_BYTES]) };
}

/// Creates a descriptor that is readable while one of these signals is pending.
///
/// # Errors
/// The kernel's; [`super::Errno::MFILE`] if no descriptor is left.
pub fn signal_descriptor(signals: &Signals) -> Result<Descriptor> {
    const NEW: usize = usize::MAX;
    const KERNEL_SET_BYTES: usize = 8;
    let set = (&raw const signals.0) as usize;
    let flags = CLOEXEC | NONBLOCK;
    // SAFETY: the kernel reads 8 bytes of the set, the C library 128.
    unsafe { call(number::SIGNALFD4, [NEW, set, KERNEL_SET_BYTES, flags]) }.map(Descriptor)
}
