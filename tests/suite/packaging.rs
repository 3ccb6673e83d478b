//! What the packages do to a host, without the tools that make packages: the files of `make install`, and the
//! packages' scripts, called in the order in which dpkg calls them. The `packages` binary tests the packages
//! themselves.

use agentcheck_tests::package::manager::Manager;
use agentcheck_tests::package::{lifecycle, without_systemd};

#[test]
fn installed_upgraded_removed_and_purged() {
    lifecycle::check(Manager::ByHand);
}

#[test]
fn without_systemd() {
    without_systemd::check(Manager::ByHand);
}
