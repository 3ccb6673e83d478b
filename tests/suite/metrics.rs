//! The metrics on their way to Prometheus: a real collector writes them, the real `node_exporter` reads them, and
//! they equal `agentcheck status --json`.

mod examples;
mod installed;
mod scraped;
mod series;
mod textfile;
