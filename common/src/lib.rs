//! The parts that collector and responder share: the words that HAProxy understands ([`reply`]), the schedule of
//! replies in a state file ([`schedule`]), the clock of both ([`boot`]) and the names of services ([`name`]).
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
pub use reply::{Administrative, Description, Maxconn, Operational, Percent, Reply};

/// The default directory of state files.
pub const STATE_DIR: &str = "/run/agentcheck";

/// What follows the service name in a state file's name: `web.state`.
pub const STATE_SUFFIX: &str = ".state";

/// The port that HAProxy's documentation and field call `lb-feedback`.
pub const DEFAULT_PORT: u16 = 3333;
