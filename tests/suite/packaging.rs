//! What the packages do to a host, without the tools that make packages: the files of `make install`, and the
//! packages' scripts, called in the order in which dpkg calls them. The `packages` binary tests the packages
//! themselves.

use agentcheck_tests::package::manager::Manager;
use agentcheck_tests::package::{lifecycle, without_systemd};

#[test]
fn install_upgrade_remove_and_purge_keep_balancers_correct() {
    lifecycle::check(Manager::ByHand);
}

#[test]
fn installs_and_removes_without_systemd() {
    without_systemd::check(Manager::ByHand);
}
