//! Another configuration for a collector at work: what is the same goes on, what is wrong changes nothing, and
//! what is gone leaves nothing behind that looks as if somebody stood behind it.

mod changes;
mod decommission;
mod refused;
mod removed;

use agentcheck_tests::scene::Scene;
use agentcheck_tests::scratch::Scratch;

/// A source over the file of this name, in which there is 20 at first.
fn source(scratch: &Scratch, name: &str) -> String {
    let file = scratch.file(name);
    if !file.exists() {
        scratch.replace(name, "20");
    }
    format!("[source.{name}.file]\npath = {file:?}\nformat = \"number\"\nevery = \"100ms\"\n")
}

/// A service with the weight `100 - NUMBER` of this source.
fn service(name: &str, of: &str) -> String {
    format!("[service.{name}]\nweight = \"headroom({of}.value, 100)\"\n")
}
