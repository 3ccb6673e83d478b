//! The accept loop: one process that answers all clients as the one-shot would. No client can delay another.
//!
//! It uses one thread, one epoll and one fixed table (`connections.rs`). Every event of a connection costs constant time,
//! whatever the number of connections. The loop answers a client as soon as the service is known, which is at once
//! unless the client has to send a request. Then it closes the connection, if the client sends nothing more
//! ([`Request::is_last`](crate::request::Request::is_last)); otherwise it first discards what the client sends until the
//! client closes.
//!
//! If all slots of the table or all descriptors are in use, the loop ends the wait for one client, as if its timeout were
//! over, and accepts the next one. [`Connections::to_evict`] selects that client.
//!
//! When the loop ends, it first answers the accepted clients and the clients in the queue of a socket that ends with
//! this process. That takes [`SHUTDOWN_WAIT`] at most.

use crate::arguments::{Arguments, Service};
use crate::connections::{Connection, Connections, NEVER, PeerGroup, Phase, SlotIndex};
use crate::diagnostics::Diagnostics;
use crate::http::{Content, Status};
use crate::listeners::{self, Listeners};
use crate::request::Reaction;
use crate::single::{DOCUMENT_WAIT, DRAIN_BYTES, DRAIN_WAIT};
use crate::state_log::{self, StateLog};
use crate::state_reader::{self, Buffer, Piece, StateReader, close_document};
use crate::sys::{self, Descriptor, Epoll, Errno, Events, PeerAddress, Ready};
use crate::text::Text;
use agentcheck_common::BootTime;
use core::time::Duration;

/// The longest wait for a client's request. Longer than in the one-shot, because no process waits with the client.
pub const REQUEST_WAIT: Duration = Duration::from_secs(1);

/// How long the loop pauses accepting when the kernel has no descriptor or no memory left. It resumes earlier when one
/// of its own connections ends.
const SHORTAGE_WAIT: Duration = Duration::from_millis(100);

/// The largest number of documents that are sent at a time.
pub const MAX_DOCUMENTS: usize = 16;

/// How long the clients may take when the loop ends.
pub const SHUTDOWN_WAIT: Duration = Duration::from_millis(100);

/// Why the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// SIGTERM or SIGINT.
    Signal,
    /// No client connected for the idle timeout.
    Idle,
    /// No working listening socket is left.
    NoListener,
    /// epoll cannot be created, or waiting fails.
    Error(Errno),
}

/// The tokens of epoll: two bits of kind, and an index.
const SIGNAL: u64 = 0;
const LISTENER: u64 = 1 << 16;
const CONNECTION: u64 = 2 << 16;

/// Whether the loop accepts connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accepting {
    Active,
    /// The listeners are not in epoll until a connection ends, or until this time.
    Paused(Option<BootTime>),
}

/// Why a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// It is complete.
    Complete,
    /// The client has closed its sending side.
    Closed,
    /// Its timeout is over, or the answer does not depend on it.
    Timeout,
    /// The next client needs the slot. The answer is the same as at the timeout, but never the reply of
    /// `--default-service`: the client's name may be on the way.
    Evicted,
}

struct AcceptLoop<'a, 'l> {
    epoll: Epoll,
    listeners: &'l mut Listeners<'a>,
    arguments: &'l Arguments<'a>,
    state_reader: StateReader<'l>,
    // The large parts are references. As values, the program would build them in one place of the stack and move them to
    // another, and the offsets of the small parts would not fit in one byte of an instruction.
    connections: &'l mut Connections,
    /// A number that makes the groups of peers unpredictable.
    seed: u32,
    accepting: Accepting,
    /// When the last wait ended.
    now: BootTime,
    last_accept: BootTime,
    diagnostics: Diagnostics,
    log: &'l mut StateLog,
    buffer: &'l mut Buffer,
    out: &'l mut Text,
}

/// Answers on all `listeners` until a signal ends the loop, or no client has connected for `idle`. If the service is
/// unnamed, the name of the listening socket applies.
#[must_use]
#[inline(never)]
pub fn answer_all<'a>(
    listeners: &mut Listeners<'a>,
    arguments: &Arguments<'a>,
    idle: Duration,
    diagnostics: Diagnostics,
) -> EndReason {
    // The signals that end the loop are blocked and read from a descriptor, so that they also end process 1 of a
    // container. No other signal that the launcher has blocked remains blocked.
    sys::set_blocked(&sys::Signals::BLOCKED);
    let (epoll, signals) = match (Epoll::new(), sys::signal_descriptor(&sys::Signals::ENDING)) {
        (Ok(epoll), Ok(signals)) => (epoll, signals),
        (Err(error), _) | (_, Err(error)) => return EndReason::Error(error),
    };
    if let Err(error) = epoll.add(signals, SIGNAL, Ready::ToRead) {
        return EndReason::Error(error);
    }
    let mut state_reader = StateReader::new(arguments);
    state_reader.reserve_spare(epoll.descriptor());
    let now = sys::boot_time();
    let mut connections = Connections::EMPTY;
    let mut buffer = state_reader::EMPTY;
    let mut out = Text::EMPTY;
    let mut log = StateLog::new(now);
    let mut accept_loop = AcceptLoop {
        epoll,
        listeners,
        arguments,
        state_reader,
        connections: &mut connections,
        seed: now.0 as u32,
        accepting: Accepting::Paused(None),
        now,
        last_accept: now,
        diagnostics,
        log: &mut log,
        buffer: &mut buffer,
        out: &mut out,
    };
    let end = accept_loop.run(idle);
    if matches!(end, EndReason::Signal | EndReason::Idle) {
        // The descriptor of signals remains readable. Without this, epoll would report it again and again.
        epoll.remove(signals);
        accept_loop.shut_down();
    }
    sys::close(signals);
    accept_loop.state_reader.release_spare();
    sys::close(epoll.descriptor());
    end
}

impl<'a> AcceptLoop<'a, '_> {
    fn run(&mut self, idle: Duration) -> EndReason {
        self.resume_listeners();
        let mut events = Events::EMPTY;
        loop {
            if self.listeners.is_empty() {
                return EndReason::NoListener;
            }
            if let Some(end) = self.handle_events(&mut events, self.next_deadline(idle)) {
                return end;
            }
            self.expire_requests(self.now);
            self.expire(Phase::Closing);
            self.expire(Phase::Sending);
            if self.may_resume() {
                self.resume_listeners();
            }
            // The events of the last wait were handled above.
            if self.idle_end(idle) <= self.now {
                return EndReason::Idle;
            }
        }
    }

    /// Waits until `deadline` at most, and handles the events. Returns why the loop ends, or `None` if it continues.
    fn handle_events(&mut self, events: &mut Events, deadline: BootTime) -> Option<EndReason> {
        let timeout = milliseconds_until(deadline, self.now);
        if let Err(error) = self.epoll.wait(events, timeout) {
            return Some(EndReason::Error(error));
        }
        self.now = sys::boot_time();
        for token in events.tokens() {
            let number = u16::try_from(token & 0xffff).unwrap_or(u16::MAX);
            match token & !0xffff {
                LISTENER => {
                    self.accept(number);
                }
                CONNECTION => self.receive(SlotIndex::new(number)),
                _ => return Some(EndReason::Signal),
            }
        }
        None
    }

    /// Answers the accepted clients and those in the queues that end with this process.
    #[cold]
    fn shut_down(&mut self) {
        self.now = sys::boot_time();
        let end = self.now.after(SHUTDOWN_WAIT);
        for number in listeners::INDICES {
            let Some(listener) = self.listeners.get(number).copied() else {
                continue;
            };
            if listener.is_own {
                while self.now < end && self.accept(number) {
                    self.now = sys::boot_time();
                }
                // A client that connects from now on is refused.
                sys::close(listener.socket);
            } else {
                self.epoll.remove(listener.socket);
            }
        }
        let mut events = Events::EMPTY;
        while self.connections.count() > 0 && self.now < end {
            if self.handle_events(&mut events, end).is_some() {
                break;
            }
        }
        // The remaining clients reach their timeout now.
        self.expire_requests(NEVER);
    }

    /// When the loop ends for lack of clients; [`NEVER`] while there are connections.
    fn idle_end(&self, idle: Duration) -> BootTime {
        match self.accepting {
            Accepting::Active if self.connections.count() == 0 => self.last_accept.after(idle),
            _ => NEVER,
        }
    }

    fn next_deadline(&self, idle: Duration) -> BootTime {
        let accepting = match self.accepting {
            Accepting::Paused(Some(until)) => until,
            _ => NEVER,
        };
        let requests = self.connections.next_deadline(Phase::AwaitingRequest);
        let documents = self.connections.next_deadline(Phase::Sending);
        let closing = self.connections.next_deadline(Phase::Closing);
        let connections = requests.min(documents).min(closing);
        connections.min(accepting).min(self.idle_end(idle))
    }

    /// Accepts one connection. epoll reports the next one at once, after the other events. Returns whether another
    /// connection may be waiting.
    fn accept(&mut self, number: u16) -> bool {
        if self.accepting != Accepting::Active {
            return false;
        }
        let Some(listener) = self.listeners.get(number).copied() else {
            return false;
        };
        match sys::accept(listener.socket) {
            Ok((socket, peer)) => {
                self.last_accept = self.now;
                self.start(socket, &peer, number);
            }
            // All descriptors of the process are in use.
            Err(Errno::MFILE) if self.evict() => {}
            // ENOMEM (12) and ENOBUFS (105) are a shortage, too. EPERM (1) and EACCES (13): a policy forbids accepting. The
            // waiting clients remain in the queue, and without a pause epoll would report them again at once.
            Err(Errno::MFILE | Errno::NFILE | Errno(1 | 12 | 13 | 105)) => {
                self.pause_listeners(Some(self.now.after(SHORTAGE_WAIT)));
            }
            Err(Errno::AGAIN) => return false,
            // The descriptor is no longer a listening socket.
            Err(Errno::BADF | Errno::INVAL | Errno::NOTSOCK) => {
                self.epoll.remove(listener.socket);
                self.listeners.remove(number);
            }
            // The connection broke before it was accepted. accept(2) lists a dozen errors for this case.
            Err(_) => {}
        }
        true
    }

    fn start(&mut self, socket: Descriptor, peer: &PeerAddress, listener: u16) {
        if self.connections.is_full() {
            self.evict();
        }
        let peer = PeerGroup::of(peer, self.seed);
        let connection = Connection::new(socket, peer, listener, self.arguments.http.enabled);
        let deadline = self.now.after(REQUEST_WAIT);
        let slot = self
            .connections
            .insert(connection, Phase::AwaitingRequest, deadline);
        let Some(slot) = slot else {
            sys::close(socket);
            return;
        };
        if self.arguments.needs_request() {
            // The request has usually arrived already.
            self.receive(slot);
        } else {
            self.answer_request(slot, Cause::Timeout);
        }
        self.watch(slot);
    }

    /// Ends the wait for one client to make room for the next one. Returns false if there is no such client.
    #[cold]
    fn evict(&mut self) -> bool {
        let Some(slot) = self.connections.to_evict() else {
            return false;
        };
        let Some((_, phase)) = self.connections.get(slot) else {
            return false;
        };
        if self.log.record_eviction(self.last_accept) {
            self.diagnostics.log_text(state_log::EVICTION, None);
        }
        if phase != Phase::AwaitingRequest || self.answer_request(slot, Cause::Evicted) {
            self.close_connection(slot);
        }
        true
    }

    /// Handles an event of a connection. If the connection no longer exists, it does nothing. If a new connection uses
    /// the slot, it finds nothing to read there.
    fn receive(&mut self, slot: SlotIndex) {
        let Some((connection, phase)) = self.connections.get(slot) else {
            return;
        };
        let socket = connection.socket;
        if phase == Phase::Sending {
            return self.send_piece(slot);
        }
        let received = sys::receive(socket, self.buffer);
        match (received, phase) {
            (Err(Errno::AGAIN | Errno::INTR), _) => {}
            (Ok(count), Phase::AwaitingRequest) => {
                let bytes = self.buffer.get(..count).unwrap_or_default();
                if connection.request.push(bytes) {
                    self.answer_request(slot, Cause::Complete);
                } else if count == 0 {
                    self.answer_request(slot, Cause::Closed);
                }
            }
            (Err(_), _) | (Ok(0), _) => self.close_connection(slot),
            (Ok(count), _) => {
                let count = u32::try_from(count).unwrap_or(u32::MAX);
                connection.drained = connection.drained.saturating_add(count);
                if connection.drained as usize >= DRAIN_BYTES {
                    self.close_connection(slot);
                }
            }
        }
    }

    /// Answers the client's request. Returns false if the connection no longer exists.
    fn answer_request(&mut self, slot: SlotIndex, cause: Cause) -> bool {
        let may_send_document = self
            .connections
            .has_fewer_than(MAX_DOCUMENTS, Phase::Sending);
        let Some((connection, _)) = self.connections.get(slot) else {
            return false;
        };
        let (socket, request) = (connection.socket, &connection.request);
        // The service of the command line, or that of the socket's name.
        let listener = self.listeners.get(connection.listener);
        let mut service = match (self.arguments.service, listener.and_then(|it| it.name)) {
            (Service::Unnamed, Some(name)) => Service::Named(name),
            (service, _) => service,
        };
        let parsed = match cause {
            Cause::Complete | Cause::Closed => request.parse(),
            Cause::Timeout | Cause::Evicted => request.parse_at_timeout(),
        };
        if cause == Cause::Evicted {
            service = service.without_default();
        }
        let mut reaction = parsed.reaction(service, &self.arguments.http);
        if reaction.content.and_then(Content::document).is_some() && !may_send_document {
            reaction = Reaction::http(Content::Error(Status::ServiceUnavailable), true);
        }
        let outcome = self.state_reader.answer(&reaction, self.buffer, self.out);
        let sent = sys::send(socket, self.out.as_bytes());
        if self
            .log
            .record(&reaction.target, outcome.reason, outcome.now)
        {
            let (parts, error) = state_log::message(&reaction.target, outcome.reason);
            self.diagnostics.log(&parts, error);
        }
        let is_last = match cause {
            Cause::Complete => request.is_last() && reaction.is_of_a_service(),
            Cause::Closed => true,
            Cause::Timeout | Cause::Evicted => false,
        };
        connection.document = outcome.document;
        if sent.is_err() || is_last && connection.document.is_none() {
            self.close_connection(slot);
            return false;
        }
        if connection.document.is_some() {
            let deadline = outcome.now.after(DOCUMENT_WAIT);
            self.connections.move_to(slot, Phase::Sending, deadline);
            self.wait_for(slot, Ready::ToWrite);
        } else {
            sys::shutdown_sending(socket);
            let deadline = outcome.now.after(DRAIN_WAIT);
            self.connections.move_to(slot, Phase::Closing, deadline);
        }
        true
    }

    /// Lets epoll report when the client sends something. Does nothing if the connection no longer exists, or if epoll
    /// already has it.
    fn watch(&mut self, slot: SlotIndex) {
        if let Some((connection, _)) = self.connections.get(slot)
            && connection.awaited.is_none()
        {
            self.wait_for(slot, Ready::ToRead);
        }
    }

    /// Makes epoll report when the connection is ready, and closes it if that is not possible.
    fn wait_for(&mut self, slot: SlotIndex, ready: Ready) {
        let Some((connection, _)) = self.connections.get(slot) else {
            return;
        };
        let socket = connection.socket;
        let token = CONNECTION | u64::from(slot.number());
        let result = match connection.awaited.replace(ready) {
            None => self.epoll.add(socket, token, ready),
            Some(_) => self.epoll.modify(socket, token, ready),
        };
        if result.is_err() {
            self.close_connection(slot);
        }
    }

    /// Sends the next piece of a document.
    #[cold]
    fn send_piece(&mut self, slot: SlotIndex) {
        let Some((connection, _)) = self.connections.get(slot) else {
            return;
        };
        let socket = connection.socket;
        let Some(document) = connection.document.as_mut() else {
            return;
        };
        match document.send_piece(self.buffer, |bytes| sys::send(socket, bytes)) {
            Piece::More | Piece::Full => {}
            Piece::Broken => self.close_connection(slot),
            Piece::Done => {
                close_document(connection.document.take());
                sys::shutdown_sending(socket);
                let deadline = sys::boot_time().after(DRAIN_WAIT);
                self.connections.move_to(slot, Phase::Closing, deadline);
                self.wait_for(slot, Ready::ToRead);
            }
        }
    }

    fn close_connection(&mut self, slot: SlotIndex) {
        let Some((connection, _)) = self.connections.get(slot) else {
            return;
        };
        close_document(connection.document);
        // No other descriptor refers to the socket, so closing it also removes it from epoll.
        sys::close(connection.socket);
        self.connections.remove(slot);
        if let Accepting::Paused(Some(_)) = self.accepting {
            // A descriptor is free again.
            self.accepting = Accepting::Paused(None);
        }
    }

    /// Closes the connections of this phase whose timeout is over.
    fn expire(&mut self, phase: Phase) {
        while let Some((slot, deadline)) = self.connections.first(phase)
            && deadline <= self.now
        {
            self.close_connection(slot);
        }
    }

    /// Answers the clients whose timeout for the request is over at `now`.
    fn expire_requests(&mut self, now: BootTime) {
        while let Some((slot, deadline)) = self.connections.first(Phase::AwaitingRequest)
            && deadline <= now
        {
            self.answer_request(slot, Cause::Timeout);
        }
    }

    fn may_resume(&self) -> bool {
        match self.accepting {
            Accepting::Active => false,
            Accepting::Paused(None) => true,
            Accepting::Paused(Some(until)) => until <= self.now,
        }
    }

    fn resume_listeners(&mut self) {
        self.accepting = Accepting::Active;
        for number in listeners::INDICES {
            let Some(listener) = self.listeners.get(number) else {
                continue;
            };
            let token = LISTENER | u64::from(number);
            match self.epoll.add(listener.socket, token, Ready::ToRead) {
                Ok(()) => continue,
                // ENOMEM (12) and ENOSPC (28) are a shortage of memory: the loop tries again after a pause.
                Err(Errno(12 | 28)) => {
                    let until = sys::boot_time().after(SHORTAGE_WAIT);
                    self.pause_listeners(Some(until));
                }
                Err(error) => {
                    let message = b"cannot wait on a listening socket";
                    self.diagnostics.log_text(message, Some(error));
                    self.listeners.remove(number);
                    self.pause_listeners(None);
                }
            }
            return;
        }
    }

    /// Removes the listeners from epoll, which would otherwise report them again and again.
    fn pause_listeners(&mut self, until: Option<BootTime>) {
        for number in listeners::INDICES {
            if let Some(listener) = self.listeners.get(number) {
                self.epoll.remove(listener.socket);
            }
        }
        self.accepting = Accepting::Paused(until);
    }
}

/// The timeout for epoll. Rounded up, so that the deadline is reached when epoll returns. At most 25 days; the loop then
/// waits again.
fn milliseconds_until(deadline: BootTime, now: BootTime) -> i32 {
    let milliseconds = deadline.0.saturating_sub(now.0).div_ceil(1_000_000);
    i32::try_from(milliseconds).unwrap_or(i32::MAX)
}
