//! The types that the collector and the responder share: the reply that HAProxy reads ([`reply`]), the schedule of
//! replies in a state file ([`schedule`]), the boot-time clock ([`boot`]) and service names ([`name`]).
//!
//! All code here is pure: it takes data and returns data. It has no I/O, no allocation, no std and no cargo features, so
//! one `cargo build` of the workspace builds both the collector and the freestanding responder.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod ascii;
pub mod boot;
pub mod decimal;
pub mod name;
pub mod reply;
pub mod schedule;

pub use boot::{BootId, BootTime};
pub use name::ServiceName;
pub use reply::{AdministrativeState, Description, Maxconn, OperationalState, Percent, Reply};

/// The default directory of state files. The option `--state-dir` of both programs replaces it.
pub const DEFAULT_STATE_DIR: &str = "/run/agentcheck";

/// The file name of a state file is the service name and this suffix, such as `web.state`.
pub const STATE_SUFFIX: &str = ".state";

/// The default TCP port of the responder. Other feedback agents use it too, under the name `lb-feedback`.
pub const DEFAULT_PORT: u16 = 3333;
