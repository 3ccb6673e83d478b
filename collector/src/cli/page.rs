//! The page of `[page]`: `page.html` in the state directory, renewed on a thread of its own, because a page reads
//! the history, which may be on a slow disk.

use super::report;
use crate::config::Config;
use log::{info, warn};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// The name of the file, which the responder serves as `/-/page`.
const FILE: &str = "page.html";

/// The time span of the plots.
const SINCE: Duration = Duration::from_secs(6 * 3600);

/// The responder, which is another user, reads the page.
const MODE: u32 = 0o644;

/// Renews the page at the interval of the current configuration.
pub(super) struct PageWriter {
    interval: Arc<(Mutex<Option<Duration>>, Condvar)>,
    file: PathBuf,
}

impl PageWriter {
    /// Starts the thread, which waits for an interval.
    ///
    /// # Errors
    /// If the system creates no thread.
    pub(super) fn start(states: &Path, data: &Path) -> io::Result<Self> {
        let interval = Arc::new((Mutex::new(None), Condvar::new()));
        let file = states.join(FILE);
        let (shared, output) = (interval.clone(), file.clone());
        let (states, data) = (states.to_owned(), data.to_owned());
        thread::Builder::new()
            .name("page".to_owned())
            .spawn(move || renew(&shared, &states, &data, &output))?;
        Ok(Self { interval, file })
    }

    /// Takes over the interval of a configuration. Without `[page]`, the file is removed.
    pub(super) fn configure(&self, config: &Config) {
        let (interval, changed) = &*self.interval;
        *interval.lock().unwrap_or_else(PoisonError::into_inner) = config.page;
        changed.notify_all();
        if config.page.is_none() {
            // Usually there is none.
            let _ = std::fs::remove_file(&self.file);
        }
    }
}

fn renew(shared: &(Mutex<Option<Duration>>, Condvar), states: &Path, data: &Path, output: &Path) {
    let (interval, changed) = shared;
    let mut failing = false;
    let mut current = interval.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let Some(every) = *current else {
            current = changed
                .wait(current)
                .unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        drop(current);
        let written = report::make(states, data, SINCE, Some(every))
            .and_then(|page| report::replace(output, MODE, &page));
        match written {
            Err(reason) if !failing => {
                warn!("cannot write the page: {reason}");
                failing = true;
            }
            Ok(()) if failing => {
                info!("the page can be written again");
                failing = false;
            }
            Ok(()) | Err(_) => {}
        }
        current = interval.lock().unwrap_or_else(PoisonError::into_inner);
        if *current == Some(every) {
            let waited = changed.wait_timeout(current, every);
            current = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
