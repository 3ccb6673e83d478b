//! What HAProxy gets: where a server should be, the words of the reply that lead there, and what HAProxy makes
//! of any reply.
//!
//! Pure. Imports no other room.

pub mod compose;
pub mod dissect;
pub mod haproxy_versions;
pub mod release;
pub mod state;
pub mod words;
