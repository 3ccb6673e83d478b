//! Characters and pictures: printable text, tables with columns and colours, plots.
//!
//! Pure. Imports no other room.

pub mod plot;
pub mod table;
pub mod text;
