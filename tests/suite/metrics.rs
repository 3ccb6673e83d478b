//! The metrics, as Prometheus gets them: a real collector on real sources writes them, the real `node_exporter`
//! reads them, and they say what `agentcheck status --json` says.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test says what it expects in the shortest way, and prints what it did"
)]

#[path = "metrics/examples.rs"]
mod examples;
#[path = "metrics/file.rs"]
mod file;
#[path = "metrics/installed.rs"]
mod installed;
#[path = "metrics/scraped.rs"]
mod scraped;
#[path = "metrics/series.rs"]
mod series;
