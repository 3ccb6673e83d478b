//! The tests of the whole: the release programs between real parts. `tests/README.md` maps each claim to its
//! module.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test asserts in the shortest way, and prints what it did"
)]

mod archive;
mod balancers;
mod clustercheck;
mod conformance;
mod daemonize;
mod doctor;
mod end_to_end;
mod faults;
mod generate;
mod http;
mod installed_files;
mod installed_tree;
mod launchers;
mod metrics;
mod name_from_client;
mod overrides;
mod packaging;
mod permissions;
mod recovery;
mod release;
mod reload;
mod report;
mod responder_flags;
mod root_writes;
mod service_managers;
mod systemd;
mod wake_ups;
