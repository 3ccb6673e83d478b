//! The accept loop: one process that answers all who connect, as the one-shot would, and can be held up by
//! none of them.
//!
//! One thread, one epoll, one fixed table (`connections.rs`). Everything that a connection can make happen
//! costs constant time, whatever the number of the others. A client is answered as soon as its service
//! is known, which is at once where it has not to name one; then it is read away until it closes.
//!
//! Told to end, it leaves nobody half-way: who has been accepted is answered, and so is who waits in the
//! queue of a socket that ends with this process. That takes [`LAST_WAIT`] at most.

use crate::answer::{NoName, Wanted};
use crate::arguments::{Arguments, Service};
use crate::ask::Asked;
use crate::connections::{Connection, Connections, NEVER, Phase, Place};
use crate::journal::{Journal, Message, error_text};
use crate::listeners::{self, Listener, Listeners};
use crate::oneshot::{DRAIN_BYTES, DRAIN_WAIT};
use crate::respond::{self, Buffer, Respondent};
use crate::stderr::Stderr;
use crate::sys::{self, Descriptor, Epoll, Errno, Events};
use agentcheck_common::BootTime;
use core::time::Duration;

/// How long a client may take for its name: longer than in the one-shot, since no process waits with it.
pub const NAME_WAIT: Duration = Duration::from_secs(1);

/// How long nobody is accepted after the kernel said that there is no descriptor or no memory, unless a
/// connection of our own ends before.
const SHORTAGE_WAIT: Duration = Duration::from_millis(100);

/// How long those who are there may take when the loop ends.
pub const LAST_WAIT: Duration = Duration::from_millis(100);

/// Why a loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// SIGTERM or SIGINT.
    Signal,
    /// Nobody asked for the time given.
    Idle,
    /// No listening socket is left that works.
    NoListener,
    /// There is no descriptor to wait with, or waiting fails.
    Error(Errno),
}

/// What epoll gives back: two bits of kind, and a number.
const SIGNAL: u64 = 0;
const LISTENER: u64 = 1 << 16;
const CONNECTION: u64 = 2 << 16;

/// Whether connections are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Admission {
    Open,
    /// The listeners are out of epoll until a connection ends, or until then.
    Closed(Option<BootTime>),
}

struct AcceptLoop<'a, 'l> {
    epoll: Epoll,
    listeners: &'l mut Listeners<'a>,
    service: Result<Service<'a>, NoName<'a>>,
    respondent: Respondent<'a>,
    connections: Connections,
    admission: Admission,
    last_accept: BootTime,
    stderr: Stderr,
    journal: Journal,
    buffer: Buffer,
}

/// Answers on all `listeners` until it is told to end, or nobody has asked for `idle`. `service` is an
/// error where the command line is one; a listener's own name counts where the service is unnamed.
#[must_use]
#[inline(never)]
pub fn answer_all<'a>(
    listeners: &mut Listeners<'a>,
    service: Result<Service<'a>, NoName<'a>>,
    arguments: &Arguments<'a>,
    idle: Option<Duration>,
    stderr: Stderr,
) -> End {
    // Held back and read from a descriptor, so that process 1 of a container can be ended like any other.
    sys::block(&sys::Signals::ENDING);
    sys::block(&sys::Signals::PIPE);
    let (epoll, signals) = match (Epoll::new(), sys::signal_descriptor(&sys::Signals::ENDING)) {
        (Ok(epoll), Ok(signals)) => (epoll, signals),
        (Err(error), _) | (_, Err(error)) => return End::Error(error),
    };
    if let Err(error) = epoll.add(signals, SIGNAL) {
        return End::Error(error);
    }
    let mut respondent = Respondent::new(arguments);
    respondent.keep_spare(epoll.descriptor());
    let now = sys::boot_time();
    let mut accept_loop = AcceptLoop {
        epoll,
        listeners,
        service,
        respondent,
        connections: Connections::new(),
        admission: Admission::Closed(None),
        last_accept: now,
        stderr,
        journal: Journal::new(now),
        buffer: respond::EMPTY,
    };
    let end = accept_loop.run(idle);
    if matches!(end, End::Signal | End::Idle) {
        // It stays readable, and is not to be told of again.
        epoll.remove(signals);
        accept_loop.finish();
    }
    sys::close(signals);
    accept_loop.respondent.give_up_spare();
    sys::close(epoll.descriptor());
    end
}

impl AcceptLoop<'_, '_> {
    fn run(&mut self, idle: Option<Duration>) -> End {
        self.admit();
        let mut events = Events::none();
        let mut now = sys::boot_time();
        loop {
            if self.listeners.is_empty() {
                return End::NoListener;
            }
            let timeout = milliseconds_until(self.next_moment(idle), now);
            if let Err(error) = self.epoll.wait(&mut events, timeout) {
                return End::Error(error);
            }
            now = sys::boot_time();
            for token in events.tokens() {
                let number = u16::try_from(token & 0xffff).unwrap_or(u16::MAX);
                match token & !0xffff {
                    LISTENER => {
                        self.accept(number, now);
                    }
                    CONNECTION => self.hear(Place::numbered(number)),
                    _ => return End::Signal,
                }
            }
            self.end_waits(now);
            if self.admission != Admission::Open && self.may_admit(now) {
                self.admit();
            }
            // Whoever came last was answered above.
            if self.idle_end(idle) <= now {
                return End::Idle;
            }
        }
    }

    /// Answers who is there already, and ends the queues that nobody would answer any more.
    #[cold]
    fn finish(&mut self) {
        let mut now = sys::boot_time();
        let end = now.after(LAST_WAIT);
        for number in 0..listeners::MAX as u16 {
            let Some(listener) = self.listeners.get(number).copied() else {
                continue;
            };
            if listener.is_own {
                while now < end && self.accept(number, now) {
                    now = sys::boot_time();
                }
                // Who comes now is refused, and knows it.
                sys::close(listener.socket);
            } else {
                self.epoll.remove(listener.socket);
            }
        }
        let mut events = Events::none();
        while self.connections.count() > 0 && now < end {
            let timeout = milliseconds_until(end, now);
            if self.epoll.wait(&mut events, timeout).is_err() {
                break;
            }
            for token in events.tokens() {
                if let Some(number) = token.checked_sub(CONNECTION) {
                    self.hear(Place::numbered(u16::try_from(number).unwrap_or(u16::MAX)));
                }
            }
            now = sys::boot_time();
        }
        // The time of all who still ask is over.
        self.end_asking(NEVER);
    }

    /// When the loop ends unless somebody comes; only while nobody is there.
    fn idle_end(&self, idle: Option<Duration>) -> BootTime {
        let nobody = self.connections.count() == 0 && self.admission == Admission::Open;
        match idle {
            Some(idle) if nobody => self.last_accept.after(idle),
            _ => NEVER,
        }
    }

    fn next_moment(&self, idle: Option<Duration>) -> BootTime {
        let admission = match self.admission {
            Admission::Closed(Some(until)) => until,
            _ => NEVER,
        };
        let asking = self.connections.next_deadline(Phase::Asking);
        let closing = self.connections.next_deadline(Phase::Closing);
        asking.min(closing).min(admission).min(self.idle_end(idle))
    }

    /// Accepts one connection; the next one is told of at once, after the others had their turn. Whether
    /// there may be a next one.
    fn accept(&mut self, number: u16, now: BootTime) -> bool {
        if self.admission != Admission::Open {
            return false;
        }
        let Some(listener) = self.listeners.get(number).copied() else {
            return false;
        };
        match sys::accept(listener.socket) {
            Ok(socket) => {
                self.last_accept = now;
                self.welcome(socket, &listener, now);
                if self.connections.is_full() {
                    self.close_doors(None);
                }
            }
            // ENOMEM and ENOBUFS: a shortage as well. EPERM and EACCES: a policy does not let anybody be accepted,
            // whoever waits goes on waiting, and would be told of again at once.
            Err(Errno::MFILE | Errno::NFILE | Errno(1 | 12 | 13 | 105)) => {
                self.close_doors(Some(now.after(SHORTAGE_WAIT)));
            }
            Err(Errno::AGAIN) => return false,
            // It is not a listening socket any more, and never will be again.
            Err(Errno::BADF | Errno::INVAL | Errno::NOTSOCK) => {
                self.epoll.remove(listener.socket);
                self.listeners.remove(number);
            }
            // The connection broke before it was accepted: accept(2) names a dozen errors for that.
            Err(_) => {}
        }
        true
    }

    fn welcome(&mut self, socket: Descriptor, listener: &Listener<'_>, now: BootTime) {
        let wanted = match (self.service, listener.name) {
            (Err(why), _) => Wanted::Nobody(why),
            (Ok(Service::Named(name)), _) | (Ok(Service::Unnamed), Some(name)) => {
                Wanted::Configured(name)
            }
            (Ok(Service::Unnamed), None) => Wanted::Nobody(NoName::NotConfigured),
            (Ok(Service::Asked { .. }), _) => {
                let connection = Connection::new(socket);
                let deadline = now.after(NAME_WAIT);
                let place = self.take_in(connection, Phase::Asking, deadline);
                // Mostly the name has come already.
                return place.into_iter().for_each(|place| self.hear(place));
            }
        };
        if let Some(answered) = self.answer(socket, &wanted) {
            let deadline = answered.after(DRAIN_WAIT);
            self.take_in(Connection::new(socket), Phase::Closing, deadline);
        }
    }

    /// Puts it into table and epoll; closes it where that is not possible.
    fn take_in(
        &mut self,
        connection: Connection,
        phase: Phase,
        deadline: BootTime,
    ) -> Option<Place> {
        let socket = connection.socket;
        let Some(place) = self.connections.insert(connection, phase, deadline) else {
            sys::close(socket);
            return None;
        };
        let token = CONNECTION | u64::from(place.number());
        if self.epoll.add(socket, token).is_err() {
            self.drop_connection(place, socket);
            return None;
        }
        Some(place)
    }

    /// Answers and says that nothing more comes; when that was, or `None` where the client is gone and the
    /// socket closed.
    fn answer(&mut self, socket: Descriptor, wanted: &Wanted<'_>) -> Option<BootTime> {
        let (answer, now) = self.respondent.answer(wanted, &mut self.buffer);
        let sent = sys::send(socket, answer.line.as_bytes());
        if sent.is_ok() {
            sys::shutdown_sending(socket);
        }
        if let Some(message) = self.journal.note(wanted, answer.reason, now) {
            self.stderr.say(&message);
        }
        if sent.is_err() {
            sys::close(socket);
            return None;
        }
        Some(now)
    }

    /// Takes what one connection has sent. Told of one that is not there any more, it does nothing, and
    /// of one that came into its place meanwhile, it finds nothing sent.
    fn hear(&mut self, place: Place) {
        let Some((connection, phase)) = self.connections.get(place) else {
            return;
        };
        let socket = connection.socket;
        let received = sys::receive(socket, &mut self.buffer);
        match (received, phase) {
            (Err(Errno::AGAIN | Errno::INTR), _) => {}
            (Err(_), _) | (Ok(0), Phase::Closing) => self.drop_connection(place, socket),
            (Ok(count), Phase::Asking) => {
                let bytes = self.buffer.get(..count).unwrap_or_default();
                if connection.line.take(bytes) || count == 0 {
                    let line = connection.line;
                    self.answer_asked(place, socket, line.closed());
                }
            }
            (Ok(count), Phase::Closing) => {
                let count = u32::try_from(count).unwrap_or(u32::MAX);
                connection.drained = connection.drained.saturating_add(count);
                if connection.drained as usize >= DRAIN_BYTES {
                    self.drop_connection(place, socket);
                }
            }
        }
    }

    fn answer_asked(&mut self, place: Place, socket: Descriptor, asked: Asked<'_>) {
        let silent = match self.service {
            Ok(Service::Asked { silent }) => silent,
            _ => None,
        };
        match self.answer(socket, &asked.wanted(silent)) {
            Some(now) => {
                self.connections
                    .move_to(place, Phase::Closing, now.after(DRAIN_WAIT));
            }
            None => self.forget(place),
        }
    }

    fn drop_connection(&mut self, place: Place, socket: Descriptor) {
        // Takes it out of epoll, too: nobody else has it.
        sys::close(socket);
        self.forget(place);
    }

    fn forget(&mut self, place: Place) {
        self.connections.remove(place);
        if let Admission::Closed(Some(_)) = self.admission {
            // A descriptor more than there was.
            self.admission = Admission::Closed(None);
        }
    }

    /// Ends the waits that are over at `now`.
    fn end_waits(&mut self, now: BootTime) {
        self.end_asking(now);
        while let Some((place, deadline)) = self.connections.first(Phase::Closing)
            && deadline <= now
        {
            let Some((connection, _)) = self.connections.get(place) else {
                return;
            };
            let socket = connection.socket;
            self.drop_connection(place, socket);
        }
    }

    /// Answers those whose time for a name is over at `now`.
    fn end_asking(&mut self, now: BootTime) {
        while let Some((place, deadline)) = self.connections.first(Phase::Asking)
            && deadline <= now
        {
            let Some((connection, _)) = self.connections.get(place) else {
                return;
            };
            let (socket, line) = (connection.socket, connection.line);
            self.answer_asked(place, socket, line.late());
        }
    }

    fn may_admit(&self, now: BootTime) -> bool {
        match self.admission {
            Admission::Open => false,
            Admission::Closed(None) => !self.connections.is_full(),
            Admission::Closed(Some(until)) => until <= now,
        }
    }

    fn admit(&mut self) {
        self.admission = Admission::Open;
        let mut broken = None;
        for (number, listener) in self.listeners.iter() {
            // With a shortage of memory it is tried again like a shortage of descriptors.
            if let Err(error) = self
                .epoll
                .add(listener.socket, LISTENER | u64::from(number))
            {
                broken = Some((number, error));
                break;
            }
        }
        match broken {
            None => {}
            Some((_, Errno(12 | 28))) => {
                let until = sys::boot_time().after(SHORTAGE_WAIT);
                self.close_doors(Some(until));
            }
            Some((number, error)) => {
                let error = error_text(error.0);
                self.stderr.say(&Message::of(&[
                    b"a listening socket broke: ",
                    error.as_bytes(),
                ]));
                self.listeners.remove(number);
                self.close_doors(None);
            }
        }
    }

    /// Takes the listeners out of epoll, where they would be told of for ever.
    fn close_doors(&mut self, until: Option<BootTime>) {
        for (_, listener) in self.listeners.iter() {
            self.epoll.remove(listener.socket);
        }
        self.admission = Admission::Closed(until);
    }
}

/// For epoll: rounded up, so that what is due is due when it comes back. 25 days at most, which is as good
/// as never: nothing is due then, and it waits again.
fn milliseconds_until(moment: BootTime, now: BootTime) -> i32 {
    let milliseconds = moment.0.saturating_sub(now.0).div_ceil(1_000_000);
    i32::try_from(milliseconds).unwrap_or(i32::MAX)
}
