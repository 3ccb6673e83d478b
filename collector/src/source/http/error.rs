//! The meaning of the client's errors: a reason from the closed list, and a detail for people. Pure.

use super::super::{Deadline, io_reason};
use crate::reading::{Failure, Reason};
use std::error::Error;
use std::io;

/// The failure for an error of the client; `missing` names what a timeout is about.
pub(super) fn failure(error: &(dyn Error + 'static), deadline: Deadline, missing: &str) -> Failure {
    let mut reason = None;
    for cause in causes(error) {
        if let Some(http) = cause.downcast_ref::<reqwest::Error>() {
            if http.is_timeout() {
                return deadline.failure(missing);
            }
            if http.is_dns() {
                reason = Some(Reason::Unreachable);
            } else if http.is_builder() {
                reason = Some(Reason::Other);
            }
        } else if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
            return Failure::new(Reason::Tls, tls);
        } else if let Some(io) = cause.downcast_ref::<io::Error>() {
            let of_io = io_reason(io);
            if of_io == Reason::Timeout {
                return deadline.failure(missing);
            }
            if io.kind() == io::ErrorKind::WouldBlock {
                // Only a unix socket returns this, and only to a client that does not wait.
                return Failure::new(Reason::Refused, "its queue of connections is full");
            }
            // An error that only wraps another one has no reason of its own.
            if reason.is_none() && of_io != Reason::Other {
                reason = Some(of_io);
            }
        }
    }
    let detail = root_cause(error);
    let reason = reason.unwrap_or_else(|| {
        // The rest comes from hyper: the peer closed, or what arrived is not HTTP. Its type is not accessible
        // without a dependency on hyper; the tests check these words.
        if detail.contains("closed") || detail.contains("canceled") {
            Reason::Broken
        } else {
            Reason::Malformed
        }
    });
    Failure::new(reason, detail)
}

/// The error and its causes, outermost first.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| {
        let error: &'a (dyn Error + 'static) = *error;
        match error.downcast_ref::<io::Error>() {
            // `source` skips the error that was wrapped.
            Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

pub(super) fn root_cause(error: &(dyn Error + 'static)) -> String {
    causes(error)
        .last()
        .map(ToString::to_string)
        .unwrap_or_default()
}
