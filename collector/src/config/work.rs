//! Counts the work of loading, so that a test can show that it grows in a straight line. Without tests, nothing is
//! counted.

#[cfg(test)]
std::thread_local! {
    static COUNT: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Adds bytes that were read again, or entries that were compared.
#[cfg(test)]
pub(super) fn count(steps: usize) {
    COUNT.with(|count| count.set(count.get() + steps));
}

#[cfg(not(test))]
pub(super) fn count(_: usize) {}

/// The work since the last call.
#[cfg(test)]
pub(super) fn taken() -> usize {
    COUNT.with(|count| count.replace(0))
}
