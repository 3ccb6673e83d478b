//! The collector polls applications and the host, evaluates the operator's rules, and writes each service's
//! reply with its expiry for the responder to print.
//!
//! ```text
//! config -> sources -> readings -> decision -> reply -> state file || responder -> HAProxy
//! ```
//!
//! The rooms, in the order of their imports: a room imports only from rooms above it. `report`, `setup` and
//! `daemon` never import each other; `cli` may import all.
#![forbid(unsafe_code)]

pub mod render;

pub mod filters;

pub mod reading;

pub mod sys;

pub mod overrides;

pub mod source;

pub mod expression;

pub mod reply;

pub mod config;

pub mod decision;

pub mod simulation;

pub mod status;

pub mod report;

pub mod setup;

pub mod daemon;

pub mod cli;
