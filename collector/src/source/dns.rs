//! The lookup of host names, one at a time.
//!
//! The system's lookup cannot be interrupted and may take half a minute when a name server is dead. The HTTP
//! client's own lookup would start another thread at every poll meanwhile. Here a poll waits for the lookup
//! that already runs, so a source never has more than one such thread, and no poll waits beyond its deadline.

use super::Deadline;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::fmt;
use std::future;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Wake, Waker};
use std::thread::{self, Thread};

/// Wakes a thread that waits for an answer.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Addresses, or the system's error, in a form that can be cloned.
pub(super) type Answer = Result<Vec<SocketAddr>, String>;

/// Resolves names on its own thread, one at a time.
pub(super) struct Lookup {
    find: Arc<dyn Fn(&str) -> Answer + Send + Sync>,
    latest: Arc<Mutex<Option<Query>>>,
}

/// The addresses of `name` by the system's rules. The port is unknown here; the caller sets it.
pub(super) fn by_the_system(name: &str) -> Answer {
    match (name, 0).to_socket_addrs() {
        Ok(addresses) => Ok(addresses.collect()),
        Err(error) => Err(error.to_string()),
    }
}

/// A lookup, running or finished.
struct Query {
    name: String,
    /// The result, once there is one.
    answer: Option<Answer>,
    /// Whether a poll has used it.
    used: bool,
    /// More than one, when an expired poll has not ended before the next one asks.
    waiting: Vec<Waker>,
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookup").finish_non_exhaustive()
    }
}

impl Lookup {
    /// By the system's own rules: `/etc/hosts`, then name servers, or as configured.
    pub(super) fn system() -> Self {
        Self::with(by_the_system)
    }

    pub(super) fn with(find: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        Self {
            find: Arc::new(find),
            latest: Arc::default(),
        }
    }

    /// Starts the lookup of `name`, unless it runs already.
    fn ask(&self, name: &str) -> io::Result<()> {
        let mut latest = lock(&self.latest);
        match &*latest {
            Some(query) if query.answer.is_none() && query.name != name => {
                return Err(io::Error::other(format!(
                    "the lookup of {:?} has not ended yet",
                    query.name
                )));
            }
            Some(query) if query.answer.is_none() => return Ok(()),
            // Addresses that came too late for one poll serve the next one.
            Some(query)
                if query.name == name && !query.used && matches!(query.answer, Some(Ok(_))) =>
            {
                return Ok(());
            }
            _ => {}
        }
        *latest = Some(Query {
            name: name.to_owned(),
            answer: None,
            used: false,
            waiting: Vec::new(),
        });
        let find = Arc::clone(&self.find);
        let shared = Arc::clone(&self.latest);
        let name = name.to_owned();
        let started = thread::Builder::new()
            .name("lookup".to_owned())
            .spawn(move || {
                let answer = find(&name);
                if let Some(query) = lock(&shared).as_mut() {
                    query.answer = Some(answer);
                    query.waiting.drain(..).for_each(Waker::wake);
                }
            });
        match started {
            Ok(_) => Ok(()),
            Err(error) => {
                *latest = None;
                Err(error)
            }
        }
    }
}

impl Lookup {
    /// The answer for `name`; `None` where it does not come before the deadline.
    pub(super) fn wait(&self, name: &str, deadline: Deadline) -> Option<Answer> {
        if let Err(error) = self.ask(name) {
            return Some(Err(error.to_string()));
        }
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        lock(&self.latest).as_mut()?.waiting.push(waker);
        loop {
            if let Some(query) = lock(&self.latest).as_mut()
                && let Some(answer) = &query.answer
            {
                query.used = true;
                return Some(answer.clone());
            }
            if deadline.has_passed() {
                return None;
            }
            thread::park_timeout(deadline.remaining());
        }
    }
}

impl Resolve for Lookup {
    fn resolve(&self, name: Name) -> Resolving {
        if let Err(error) = self.ask(name.as_str()) {
            return Box::pin(future::ready(Err(error.into())));
        }
        let shared = Arc::clone(&self.latest);
        Box::pin(future::poll_fn(move |context| {
            let mut latest = lock(&shared);
            let Some(query) = latest.as_mut() else {
                return Poll::Ready(Err(io::Error::other("the lookup was removed").into()));
            };
            match &query.answer {
                Some(Ok(addresses)) => {
                    query.used = true;
                    Poll::Ready(Ok(Box::new(addresses.clone().into_iter()) as Addrs))
                }
                Some(Err(error)) => Poll::Ready(Err(io::Error::other(error.clone()).into())),
                None => {
                    let waker = context.waker();
                    if !query.waiting.iter().any(|other| other.will_wake(waker)) {
                        query.waiting.push(waker.clone());
                    }
                    Poll::Pending
                }
            }
        }))
    }
}

fn lock(shared: &Mutex<Option<Query>>) -> MutexGuard<'_, Option<Query>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc;
    use std::task::Context;
    use std::time::Duration;

    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    /// An expired poll that has not ended must not take the wake-up of the next one.
    #[test]
    fn every_waiting_poll_is_woken() {
        let (gate, opened) = mpsc::channel::<()>();
        let opened = Mutex::new(opened);
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let lookup = Lookup::with(move |_| {
            let _ = opened.lock().unwrap().recv();
            Ok(vec![address])
        });
        let ask = || lookup.resolve("app".parse().unwrap());
        let mut futures = [ask(), ask()];
        let woken = [(); 2].map(|()| Arc::new(Woken(AtomicBool::new(false))));
        let mut poll = |which: usize| {
            let waker = Waker::from(Arc::clone(&woken[which]));
            futures[which]
                .as_mut()
                .poll(&mut Context::from_waker(&waker))
        };
        for which in [0, 1, 0] {
            assert!(poll(which).is_pending());
        }
        drop(gate);
        while !woken.iter().all(|woken| woken.0.load(Ordering::SeqCst)) {
            thread::yield_now();
        }
        for which in [0, 1] {
            let Poll::Ready(Ok(mut addresses)) = poll(which) else {
                panic!("an answer");
            };
            assert_eq!(addresses.next(), Some(address));
        }
    }

    #[test]
    fn thread_waits_for_the_answer_until_its_deadline() {
        let (gate, opened) = mpsc::channel::<()>();
        let opened = Mutex::new(opened);
        let lookup = Lookup::with(move |_| {
            let _ = opened.lock().unwrap().recv();
            Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))])
        });
        for _ in 0..2 {
            assert!(
                lookup
                    .wait("app", Deadline::within(Duration::from_millis(20)))
                    .is_none()
            );
        }
        drop(gate);
        let found = lookup.wait("app", Deadline::within(Duration::from_secs(30)));
        assert_eq!(found.unwrap().unwrap().len(), 1);
    }

    #[test]
    fn second_name_is_refused_during_a_lookup() {
        let (_gate, opened) = mpsc::channel::<()>();
        let opened = Mutex::new(opened);
        let lookup = Lookup::with(move |_| {
            let _ = opened.lock().unwrap().recv();
            Ok(Vec::new())
        });
        assert!(lookup.ask("one").is_ok());
        assert!(lookup.ask("one").is_ok());
        assert!(lookup.ask("other").is_err());
    }
}
