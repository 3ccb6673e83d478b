//! The lookup of host names, one at a time.
//!
//! The system's lookup cannot be interrupted and may take half a minute where a name server is gone. The
//! client's own way would start another thread with every poll meanwhile, and wait for all of them when
//! it is dropped. Here a poll that finds a lookup under way waits for that one, so that a source never has
//! more than one such thread, and nobody waits for it beyond the deadline.

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::fmt;
use std::future;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::thread;

type Answer = io::Result<Vec<SocketAddr>>;

/// Looks names up on a thread of its own, one at a time.
pub(super) struct Lookup {
    find: Arc<dyn Fn(&str) -> Answer + Send + Sync>,
    latest: Arc<Mutex<Option<Asked>>>,
}

/// A name that was asked for.
struct Asked {
    name: String,
    /// What came, until somebody takes it.
    answer: Option<Answer>,
    waiting: Option<Waker>,
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookup").finish_non_exhaustive()
    }
}

impl Lookup {
    /// By the system's own rules: `/etc/hosts`, then the name servers, or as it is configured.
    pub(super) fn of_the_system() -> Self {
        // The port is not known here; the client puts the URL's in its place.
        Self::by(|name| (name, 0).to_socket_addrs().map(Iterator::collect))
    }

    pub(super) fn by(find: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        Self {
            find: Arc::new(find),
            latest: Arc::default(),
        }
    }

    /// Sees to it that `name` is being looked up.
    fn ask(&self, name: &str) -> io::Result<()> {
        let mut latest = lock(&self.latest);
        match &*latest {
            Some(asked) if asked.answer.is_none() && asked.name == name => return Ok(()),
            Some(asked) if asked.answer.is_none() => {
                return Err(io::Error::other(format!(
                    "the lookup of {:?} has not ended yet",
                    asked.name
                )));
            }
            // One that came too late for the poll that asked is good for this one.
            Some(asked) if matches!(asked.answer, Some(Ok(_))) && asked.name == name => {
                return Ok(());
            }
            _ => {}
        }
        *latest = Some(Asked {
            name: name.to_owned(),
            answer: None,
            waiting: None,
        });
        let find = Arc::clone(&self.find);
        let shared = Arc::clone(&self.latest);
        let name = name.to_owned();
        let started = thread::Builder::new()
            .name("lookup".to_owned())
            .spawn(move || {
                let answer = find(&name);
                if let Some(asked) = lock(&shared).as_mut() {
                    asked.answer = Some(answer);
                    if let Some(waker) = asked.waiting.take() {
                        waker.wake();
                    }
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

impl Resolve for Lookup {
    fn resolve(&self, name: Name) -> Resolving {
        if let Err(error) = self.ask(name.as_str()) {
            return Box::pin(future::ready(Err(error.into())));
        }
        let shared = Arc::clone(&self.latest);
        Box::pin(future::poll_fn(move |context| {
            let mut latest = lock(&shared);
            match latest.take() {
                Some(asked) => match asked.answer {
                    Some(Ok(addresses)) => {
                        Poll::Ready(Ok(Box::new(addresses.into_iter()) as Addrs))
                    }
                    Some(Err(error)) => Poll::Ready(Err(error.into())),
                    None => {
                        let waiting = Some(context.waker().clone());
                        *latest = Some(Asked { waiting, ..asked });
                        Poll::Pending
                    }
                },
                None => Poll::Ready(Err(io::Error::other("the answer is gone").into())),
            }
        }))
    }
}

fn lock(shared: &Mutex<Option<Asked>>) -> MutexGuard<'_, Option<Asked>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
