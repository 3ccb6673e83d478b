//! A host without systemd and without syslogd, with an account for the collector and a configuration.

use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::throwaway_host::ThrowawayHost;

/// Devices of its own: no socket `/dev/log`.
const PREPARE: &str = r#"
    mount -t tmpfs -o mode=755 tmpfs "$root/dev"
    for device in null zero random urandom; do
        : >"$root/dev/$device"
        mount --bind "/dev/$device" "$root/dev/$device"
    done
    echo 'collector:x:61234:61234::/nonexistent:/usr/sbin/nologin' >>"$root/etc/passwd"
    printf 'collector:x:61234:\nreaders:x:61235:daemon,collector\nothers:x:61236:\n' >>"$root/etc/group"
    cat >"$root/etc/agentcheck/agentcheck.toml" <<CONFIGURATION
[source.load.system]
metric = "load"
interval = "200ms"

[service.web]
weight = 'load.ok ? 100 : 50'
CONFIGURATION
"#;

/// Boots it.
pub(crate) fn boot(scratch: &Scratch) -> ThrowawayHost {
    ThrowawayHost::boot(scratch, PREPARE)
}
