//! The metrics, as Prometheus gets them: a real collector on real sources writes them, the real `node_exporter`
//! reads them, and they say what `agentcheck status --json` says.

mod examples;
mod installed;
mod scraped;
mod series;
mod textfile;
