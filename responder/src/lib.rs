//! The responder: says to HAProxy what the collector wrote down, and nothing else.
//!
//! Pure rooms, data in and data out: [`arguments`], [`address`], [`activation`], [`ask`], [`answer`],
//! [`connections`],
//! [`journal`], [`name`]. Shells that perform what those decide: [`respond`], [`oneshot`],
//! [`accept_loop`], [`listeners`], [`stderr`] and [`run`], which picks between them. [`sys`] is the system calls
//! and holds all `unsafe` of this library.
//!
//! No std, no allocation and no panic: the same code runs freestanding in the binary and under std in
//! the tests.
#![cfg_attr(not(test), no_std)]

pub mod accept_loop;
pub mod activation;
pub mod address;
pub mod answer;
pub mod arguments;
pub mod ask;
pub mod connections;
pub mod journal;
pub mod listeners;
pub mod name;
pub mod oneshot;
pub mod respond;
pub mod run;
pub mod stderr;
pub mod sys;
