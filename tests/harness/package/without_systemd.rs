//! A host without systemd: a throw-away copy of this machine's root file system without systemd's tools.

use super::manager::Manager;
use crate::scratch::Scratch;
use crate::throwaway_host::ThrowawayHost;

const PREPARE: &str = r#"
    mount --rbind /dev "$root/dev"
    # Inside, or a link in the copy would lead out of it.
    for tool in systemctl systemd-sysusers systemd-tmpfiles; do
        chroot "$root" rm -f "/bin/$tool" "/usr/bin/$tool"
    done
"#;

/// Installs and removes the product, and checks what the host has of it in between.
///
/// # Panics
/// At the first thing that is wrong.
pub fn check(manager: Manager) {
    let scratch = Scratch::new("bare");
    let tree = scratch.directory("tree");
    manager.prepare(&scratch, &tree);
    let (install, remove) = (manager.install(), manager.remove());
    let inside = format!(
        r#"
        if command -v systemctl || command -v systemd-sysusers; then exit 1; fi
        {{ {install}
        }} >/dev/null 2>&1
        cd /
        getent passwd agentcheck agentcheck-responder | cut -d: -f1,5-
        stat -c '%a %U %G %n' /run/agentcheck /var/lib/agentcheck /var/lib/agentcheck/overrides

        cd /run/agentcheck
        for service in web:'up 0%' owned:'up drain 100%'; do
            name=${{service%%:*}}
            printf 'agentcheck 1 %s\nboot %s\nfrom 1\nuntil 2 up 50%%\nthen %s # as written\n' \
                "$name" "$(cat /proc/sys/kernel/random/boot_id)" "${{service#*:}}" >"$name.state"
            agentcheck-responder "$name"
        done
        : Links that the owner of the directory may have made must lead nowhere.
        echo untouched >/root/precious
        ln -s /root/precious .web.state.new
        ln -s /root/precious linked.state
        chown -h agentcheck .web.state.new linked.state
        cp /usr/bin/agentcheck-responder /root/responder
        ({{ {remove}
        }} >/root/printed 2>&1 || echo failed >/root/printed) &
        until grep -q removed web.state && grep -q removed owned.state; do sleep 0.1; done
        for name in web owned; do /root/responder "$name"; done
        wait
        cat /root/printed >&2
        cat /root/precious
        cd /
        ls -d /usr/bin/agentcheck* /run/agentcheck /etc/agentcheck 2>/dev/null || true
        "#
    );
    let host = ThrowawayHost::boot_with(&scratch, &tree, PREPARE);
    let printed = host.run(&["sh", "-euc", &inside]);
    assert_eq!(
        printed,
        "agentcheck:agentcheck collector:/var/lib/agentcheck:/usr/sbin/nologin\n\
         agentcheck-responder:agentcheck responder:/:/usr/sbin/nologin\n\
         755 agentcheck agentcheck /run/agentcheck\n\
         750 agentcheck agentcheck /var/lib/agentcheck\n\
         2770 agentcheck agentcheck /var/lib/agentcheck/overrides\n\
         up 0% # as written\n\
         up drain 100% # as written\n\
         up 100% # agentcheck is being removed\n\
         up ready 100% # agentcheck is being removed\n\
         untouched\n\
         /etc/agentcheck\n"
    );
}
