//! The table of how `HAProxy` reacts to replies, which several tests check.

pub mod cases;
pub mod expected;
