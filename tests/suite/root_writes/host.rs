//! A host on which the packages' scripts run, without systemd's tools where a test asks for that.

use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::throwaway_host::ThrowawayHost;

/// The collector's user and group on the host.
pub(crate) const USER: u32 = 61234;

/// The collector's account has a number that the test knows; the responder's is made as on any host.
const PREPARE: &str = r#"
    mount --rbind /dev "$root/dev"
    cp -a "$PACKAGING" "$root/packaging"
    cp "$root/packaging/init/agentcheck" "$root/etc/init.d/agentcheck"
    chmod 755 "$root/etc/init.d/agentcheck"
    sed -i /^agentcheck/d "$root/etc/passwd" "$root/etc/shadow" "$root/etc/group" "$root/etc/gshadow"
    chroot "$root" groupadd --gid "$user" agentcheck
    chroot "$root" useradd --uid "$user" --gid "$user" --no-create-home --home-dir /var/lib/agentcheck \
        --shell /usr/sbin/nologin agentcheck
    chroot "$root" sh /usr/lib/agentcheck/setup accounts
"#;

const NO_SYSTEMD: &str = r#"
    for tool in systemctl systemd-sysusers systemd-tmpfiles; do
        chroot "$root" rm -f "/bin/$tool" "/usr/bin/$tool"
    done
"#;

/// Boots it.
pub(crate) fn boot(scratch: &Scratch, systemd: bool) -> ThrowawayHost {
    let without = if systemd { "" } else { NO_SYSTEMD };
    ThrowawayHost::boot(scratch, &format!("{without}\nuser={USER}\n{PREPARE}"))
}
