//! Faults of a host: the collector is killed, started twice or stopped, it cannot write, it finds state of
//! another boot, a source hangs. `HAProxy` gets correct replies throughout.

mod applications;
mod blocked_readers;
mod clocks;
mod configuration;
mod connection_share;
mod hostile_applications;
mod hostile_files;
mod hung_sources;
mod kills;
mod leftover_state;
mod newer_version;
mod old_kernel;
mod override_files;
mod resource_limits;
mod restart;
mod soak;
mod start_and_stop;
mod state_directory;
