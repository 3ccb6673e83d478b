//! The collector's user as an attacker: a thread with that user's rights, which observes by inotify what root does,
//! and at a chosen event replaces the overrides directory by a link to a directory of root's.

use super::host::USER;
use agentcheck_tests::throwaway_host::ThrowawayHost;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init};
use rustix::fs::{AtFlags, Mode, OFlags, open, symlinkat, unlinkat};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// What the attacker saw and did.
pub(crate) struct Seen {
    pub(crate) events: usize,
    /// Whether the link was in place.
    pub(crate) linked: bool,
}

pub(crate) struct Racer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

impl Racer {
    /// Attacks at the `moment`-th event: a program that root starts, or a change of the directories.
    pub(crate) fn start(host: &ThrowawayHost, moment: usize) -> Self {
        let events = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).unwrap();
        for (directory, flags) in [
            ("/usr/bin", WatchFlags::OPEN),
            ("/usr/sbin", WatchFlags::OPEN),
            ("/var/lib", WatchFlags::CREATE | WatchFlags::ATTRIB),
        ] {
            add_watch(&events, host.path(directory), flags).unwrap();
        }
        let data = host.path("/var/lib/agentcheck");
        if data.exists() {
            let flags = WatchFlags::CREATE | WatchFlags::ATTRIB | WatchFlags::OPEN;
            add_watch(&events, data, flags).unwrap();
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let library = open(host.path("/var/lib"), flags, Mode::empty()).unwrap();

        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            // These calls change the rights of this thread alone.
            let (uid, gid) = (Uid::from_raw(USER), Gid::from_raw(USER));
            set_thread_groups(&[]).unwrap();
            set_thread_res_gid(gid, gid, gid).unwrap();
            set_thread_res_uid(uid, uid, uid).unwrap();

            let overrides = "agentcheck/overrides";
            let mut seen = Seen {
                events: 0,
                linked: false,
            };
            let mut buffer = [MaybeUninit::uninit(); 4096];
            let mut reader = Reader::new(&events, &mut buffer);
            loop {
                match reader.next() {
                    Ok(_) => {
                        seen.events += 1;
                        // From this moment on, as often as it takes: the directory may come later.
                        if seen.events >= moment && !seen.linked {
                            let _ = unlinkat(&library, overrides, AtFlags::REMOVEDIR);
                            seen.linked = symlinkat("/root/precious", &library, overrides).is_ok();
                        }
                    }
                    Err(Errno::AGAIN) if stopped.load(Ordering::Relaxed) => return seen,
                    Err(Errno::AGAIN | Errno::INTR) => {
                        let mut waits = [PollFd::new(&events, PollFlags::IN)];
                        let limit = Timespec {
                            tv_sec: 0,
                            tv_nsec: 5_000_000,
                        };
                        let _ = poll(&mut waits, Some(&limit));
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        });
        Self { stop, thread }
    }

    /// Ends the attack.
    pub(crate) fn stop(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}
