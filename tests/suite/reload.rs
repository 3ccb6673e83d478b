//! Another configuration for a collector at work: what is the same goes on, what is wrong changes nothing, and
//! what is gone leaves nothing behind that looks as if somebody stood behind it.

mod changes;
mod decommission;
mod refused;
mod removed;

/// A service with the weight `100 - NUMBER` of this source.
fn service(name: &str, of: &str) -> String {
    format!("[service.{name}]\nweight = \"headroom({of}.value, 100)\"\n")
}
