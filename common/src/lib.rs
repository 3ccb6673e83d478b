//! What collector and responder have in common: the words that HAProxy understands ([`reply`]), the
//! schedule of replies that a state file holds ([`schedule`]), the clock that both live by ([`boot`])
//! and what a service may be called ([`name`]).
//!
//! Everything here is pure: data in, data out. No I/O, no allocation, no std, no features, so that
//! the freestanding responder and the collector can be built by one `cargo build` of the workspace.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod boot;
pub mod decimal;
pub mod name;
pub mod reply;
pub mod schedule;

pub use boot::{BootId, BootTime};
pub use name::ServiceName;
pub use reply::{AdministrativeState, Description, Maxconn, OperationalState, Percent, Reply};

/// Where the collector writes and the responder reads, unless told otherwise.
pub const DEFAULT_STATE_DIR: &str = "/run/agentcheck";

/// What follows the service name in a state file's name: `web.state`.
pub const STATE_SUFFIX: &str = ".state";

/// The port that HAProxy's documentation and field call `lb-feedback`.
pub const DEFAULT_PORT: u16 = 3333;
