//! One thread per source: it polls at its own pace and hands its readings on.

use super::Event;
use crate::source::{Pace, Poller, Source, Stop};
use std::io;
use std::sync::mpsc::SyncSender;
use std::thread::{self, JoinHandle};
use std::time::Instant;

/// The stack of a polling thread: JSON may nest 128 deep. Only reserved until used.
const POLL_STACK: usize = 512 * 1024;

/// Starts the threads.
///
/// # Errors
/// Where the system gives no more threads; those that were started end with `stop`.
pub(super) fn start_polling(
    sources: &[Source],
    stop: &Stop,
    sender: &SyncSender<Event>,
) -> io::Result<Vec<JoinHandle<()>>> {
    let uname = rustix::system::uname();
    let host = uname.nodename().to_string_lossy();
    let mut handles = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        let pace = Pace::new(source, &host);
        let (source, stop, sender) = (source.clone(), stop.clone(), sender.clone());
        let handle = thread::Builder::new()
            .name(format!("poll {}", source.name))
            .stack_size(POLL_STACK)
            .spawn(move || keep_polling(index, &source, pace, &stop, &sender))?;
        handles.push(handle);
    }
    Ok(handles)
}

/// Polls one source at its own pace until told to stop. A poll that takes longer than `every` is
/// followed by the next at once; none overlaps itself.
fn keep_polling(
    index: usize,
    source: &Source,
    pace: Pace,
    stop: &Stop,
    sender: &SyncSender<Event>,
) {
    let mut poller = Poller::new(source);
    if stop.wait(pace.first()) {
        return;
    }
    let mut next = Instant::now();
    for number in 1.. {
        let reading = poller.poll(stop);
        if stop.is_stopped() || sender.send(Event::Read(index, reading)).is_err() {
            return;
        }
        let now = Instant::now();
        next = (next + pace.after(number)).max(now);
        if stop.wait(next - now) {
            return;
        }
    }
}
