//! Explanations of replies: as text (`explain`) and as a web page (`html`).
//!
//! Pure. Imports the rooms from `render` to `status`.

pub mod explain;
pub mod html;
