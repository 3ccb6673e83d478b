//! The responder: sends HAProxy the reply that the collector wrote to a state file, and nothing else.
//!
//! Pure modules take data and return data: [`activation`], [`address`], [`arguments`], [`connections`], [`http`],
//! [`name`], [`reply`], [`request`], [`state_log`], [`text`]. Shell modules do the I/O that the pure modules decide on:
//! [`accept_loop`], [`diagnostics`], [`listeners`], [`single`], [`state_reader`], and [`run`], which selects the way to
//! answer. [`sys`] contains the system calls and all `unsafe` code of this library.
//!
//! There is no std, no allocation and no panic: the same code runs freestanding in the program and with std in
//! the tests.
#![cfg_attr(not(test), no_std)]

pub mod accept_loop;
pub mod activation;
pub mod address;
pub mod arguments;
pub mod connections;
pub mod diagnostics;
pub mod http;
pub mod listeners;
pub mod name;
pub mod reply;
pub mod request;
pub mod run;
pub mod single;
pub mod state_log;
pub mod state_reader;
pub mod sys;
pub mod text;
