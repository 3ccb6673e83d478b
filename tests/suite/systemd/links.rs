//! What the collector's user can make of what root does below the directories that are that user's.

use super::{COLLECTOR, Tree};

/// Below its own directory it puts links in the place of others, to one of root's.
const LINKS: &str = "rm -rf /var/lib/agentcheck/overrides /var/lib/agentcheck/history
    ln -s /etc/agentcheck /var/lib/agentcheck/overrides
    ln -s /etc/agentcheck /var/lib/agentcheck/history";

#[test]
fn root_follows_no_link_of_the_collectors_user() {
    let tree = Tree::installed("links");
    tree.configuration(
        "[source.cpu.system]\nmetric = \"cpu\"\n[service.web]\nweight = 'headroom(cpu.value, 100)'\n",
    );
    let host = tree.boot();
    host.start(&[COLLECTOR]);
    host.wait_for_reply("web", "up ");
    let read = || {
        host.systemd
            .run(&["stat", "-c", "%n %U %G %a", "/etc/agentcheck", "/var/lib"])
            + &host.systemd.run(&["ls", "-A", "/etc/agentcheck"])
    };
    let before = read();
    host.systemd.run(&[
        "setpriv",
        "--reuid=agentcheck",
        "--regid=agentcheck",
        "--clear-groups",
        "sh",
        "-euc",
        LINKS,
    ]);
    // Before its sandbox is built, root makes the directories.
    host.systemd.run(&["systemctl", "restart", COLLECTOR]);
    host.continues_writing("web");
    let printed = host.systemd.output(&["agentcheck", "drain", "web"]);
    let error = String::from_utf8_lossy(&printed.stderr).into_owned();
    assert_eq!(printed.status.code(), Some(1), "{error}");
    assert!(
        error.contains("cannot write to /var/lib/agentcheck/overrides: Not a directory"),
        "{error}"
    );
    assert_eq!(read(), before);
}
