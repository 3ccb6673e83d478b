//! The collector: polls applications and the host, evaluates the operator's rules and writes what is to
//! be said, and until when, for the responder to say.
//!
//! ```text
//! config -> sources -> readings -> evaluate -> verdict -> plan -> state file || responder -> HAProxy
//! ```
#![forbid(unsafe_code)]

pub mod account;
pub mod background;
pub mod capacity;
pub mod cli;
pub mod clock;
pub mod config;
pub mod confirm;
pub mod daemon;
pub mod derive;
pub mod doctor;
pub mod evaluate;
pub mod explain;
pub mod expression;
pub mod fields;
pub mod fold;
pub mod history;
pub mod import;
pub mod journal;
pub mod last_word;
pub mod lock;
pub mod metrics;
pub mod observe;
pub mod overrides;
pub mod overrule;
pub mod plan;
pub mod plot;
pub mod prometheus;
pub mod reading;
pub mod recording;
pub mod replay;
pub mod report;
pub mod sample;
pub mod shape;
pub mod source;
pub mod state_file;
pub mod status;
pub mod table;
pub mod template;
pub mod text;
pub mod units;
pub mod unnoticed;
pub mod wording;
pub mod words;
