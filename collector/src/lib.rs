//! The collector: polls applications and the host, evaluates the operator's rules and writes what is to
//! be said, and until when, for the responder to say.
#![forbid(unsafe_code)]

pub mod clock;
pub mod config;
pub mod expression;
pub mod reading;
pub mod source;
