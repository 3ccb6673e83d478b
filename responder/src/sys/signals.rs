//! Signals: which are held back, and a descriptor that becomes readable when one of those came.
#![allow(unsafe_code)]

use super::{CLOEXEC, Descriptor, NONBLOCK, Result, call, checked, descriptor, number};

/// A set of signals. As long as the C library's type; the kernel looks at the first word.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug)]
pub struct Signals([u8; 128]);

impl Signals {
    /// What is asked to end: SIGINT and SIGTERM.
    pub const ENDING: Self = Self::of(&[2, 15]);
    /// What a write to a pipe without a reader raises.
    pub const PIPE: Self = Self::of(&[13]);

    #[allow(clippy::indexing_slicing)] // Evaluated by the compiler, which would complain.
    const fn of(numbers: &[u32]) -> Self {
        let mut bits: usize = 0;
        let mut at = 0;
        while at < numbers.len() {
            bits |= 1 << (numbers[at] - 1);
            at += 1;
        }
        // Longs in the machine's order, as both kernel and C library have it.
        let word = bits.to_ne_bytes();
        let mut set = [0; 128];
        at = 0;
        while at < word.len() {
            set[at] = word[at];
            at += 1;
        }
        Self(set)
    }
}

/// Holds these signals back from now on. A signal that is held back is kept even where it would be
/// ignored otherwise, as everything is for process 1 of a container.
pub fn block(signals: &Signals) {
    const BLOCK: usize = 0;
    const KERNEL_SET_BYTES: usize = 8;
    let set = (&raw const signals.0) as usize;
    // SAFETY: the set is read, 8 bytes by the kernel or 128 by the C library; the old one is not asked
    // for. It cannot fail with this first argument.
    unsafe { call(number::SIGPROCMASK, [BLOCK, set, 0, KERNEL_SET_BYTES, 0, 0]) };
}

/// A descriptor that is readable while one of these signals is held back.
///
/// # Errors
/// The kernel's; [`super::Errno::MFILE`] where there is none left.
pub fn signal_descriptor(signals: &Signals) -> Result<Descriptor> {
    const NEW: usize = usize::MAX;
    const KERNEL_SET_BYTES: usize = 8;
    let set = (&raw const signals.0) as usize;
    let flags = CLOEXEC | NONBLOCK;
    // SAFETY: the set is read, 8 bytes by the kernel or 128 by the C library.
    let result = unsafe { call(number::SIGNALFD4, [NEW, set, KERNEL_SET_BYTES, flags, 0, 0]) };
    checked(result)?;
    descriptor(result)
}
