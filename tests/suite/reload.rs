//! A running collector loads another configuration. Unchanged parts keep their memory, an error changes nothing, and
//! a removed service releases its server.

mod changes;
mod decommission;
mod refused;
mod removed;
mod volume;

/// A service with the weight `100 - NUMBER` of this source.
fn service(name: &str, of: &str) -> String {
    format!("[service.{name}]\nweight = \"headroom({of}.value, 100)\"\n")
}
