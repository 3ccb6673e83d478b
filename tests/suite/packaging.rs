//! What the packages do to a host, without what makes packages: the files of `make install`, and the
//! packages' scripts, called in the order in which dpkg calls them. `packages.rs` looks at the packages.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test says what it expects in the shortest way, and prints what it did"
)]

#[path = "packages/bare.rs"]
pub(crate) mod bare;
#[path = "packages/life.rs"]
pub(crate) mod life;
#[path = "packages/manager.rs"]
pub(crate) mod manager;

use manager::Manager;

#[test]
fn installed_upgraded_removed_and_purged() {
    life::tell(Manager::ByHand);
}

#[test]
fn without_systemd() {
    bare::tell(Manager::ByHand);
}
