//! What can go wrong on a host: the collector is killed, started twice, told to stop, has no room to
//! write, or finds what another boot has left; a source hangs. What is said to `HAProxy` is right all the
//! while.

mod applications;
mod blocked_readers;
mod clocks;
mod configuration;
mod connection_share;
mod hung_sources;
mod kills;
mod leftover_state;
mod override_files;
mod resource_limits;
mod restart;
mod soak;
mod start_and_stop;
mod state_directory;
