//! A client that probes all the time, and records each reply and when it came.

use crate::processes::wait_until;
use crate::raw_probe::{End, Received};
use crate::state::now;
use agentcheck_common::{BootTime, Reply};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// One answer.
#[derive(Clone, Debug)]
pub struct Sample {
    /// When the probe began: the responder read the clock after that.
    pub sent_at: BootTime,
    /// When the reply had arrived: the responder read the clock before that.
    pub received_at: BootTime,
    /// The answer's line, without its newline.
    pub line: String,
}

/// A thread that asks until it is stopped to stop.
#[derive(Debug)]
pub struct Prober {
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicU64>,
    thread: Option<JoinHandle<Result<Vec<Sample>, String>>>,
}

impl Prober {
    /// Asks by `ask` again and again, with `pause` in between. An answer that is not one whole line in
    /// the grammar of replies ends it, and [`Self::samples`] reports it.
    #[must_use]
    pub fn start(
        pause: Duration,
        ask: impl Fn() -> std::io::Result<Received> + Send + 'static,
    ) -> Self {
        Self::start_allowing(pause, &[], ask)
    }

    /// The same, where these words may be answered, too: they are no replies, and change nothing.
    #[must_use]
    pub fn start_allowing(
        pause: Duration,
        words: &'static [&'static str],
        ask: impl Fn() -> std::io::Result<Received> + Send + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let answers = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&answers);
        let thread = std::thread::spawn(move || {
            let mut samples = Vec::new();
            while !stopped.load(Ordering::SeqCst) {
                let sent_at = now();
                let received = ask().map_err(|error| format!("no answer: {error}"))?;
                let line = whole_line(&received, words)?;
                samples.push(Sample {
                    sent_at,
                    received_at: now(),
                    line,
                });
                counted.fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(pause);
            }
            Ok(samples)
        });
        Self {
            stop,
            answers,
            thread: Some(thread),
        }
    }

    /// Waits until it has got `count` answers to questions that began after this call.
    ///
    /// # Panics
    /// Where an answer was not whole.
    pub fn wait_for_answers(&mut self, count: u64) {
        // One may be under way.
        let enough = self.answers.load(Ordering::SeqCst) + count + 1;
        wait_until(format_args!("{count} answers to a prober"), || {
            let ended = self.thread.as_ref().is_none_or(JoinHandle::is_finished);
            if ended {
                self.join();
            }
            self.answers.load(Ordering::SeqCst) >= enough
        });
    }

    /// Stops it and gives all that was answered, in order.
    ///
    /// # Panics
    /// Where an answer was not whole.
    #[must_use]
    pub fn samples(mut self) -> Vec<Sample> {
        self.stop.store(true, Ordering::SeqCst);
        self.join()
    }

    fn join(&mut self) -> Vec<Sample> {
        let thread = self.thread.take().expect("it is joined once");
        let samples = thread.join().expect("a prober reports, it does not panic");
        samples.unwrap_or_else(|wrong| panic!("{wrong}"))
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

fn whole_line(received: &Received, words: &[&str]) -> Result<String, String> {
    let wrong = || format!("not one whole reply: {received:?}");
    if received.end != End::Eof {
        return Err(wrong());
    }
    let line = received.bytes.strip_suffix(b"\n").ok_or_else(wrong)?;
    let text = String::from_utf8(line.to_vec()).map_err(|_| wrong())?;
    if !words.contains(&text.as_str()) {
        Reply::parse(line).map_err(|_| wrong())?;
    }
    Ok(text)
}
