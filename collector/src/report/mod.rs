//! Why a reply is what it is: as text (`explain`) and as a page (`html`).
//!
//! Pure. Imports the rooms from `render` to `status`.

pub mod explain;
pub mod html;
