//! The same decisions without a clock: recordings, replay, `check --sample`, and the search for applications
//! that could die without any effect on the reply.
//!
//! Pure. Imports the rooms from `render` to `decision`.

pub mod blind_spots;
pub mod fields;
pub mod recording;
pub mod replay;
pub mod sample;
