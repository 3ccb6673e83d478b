//! A throw-away host: this machine's root file system with the product laid over it, in namespaces of its own, with
//! an empty `/run` and without systemd's tools where a test asks for that.

use agentcheck_tests::binaries;
use agentcheck_tests::processes::{Running, output, run, wait_until};
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::systemd::installed;
use std::path::PathBuf;
use std::process::{Command, Output};

/// The collector's user and group on the host.
pub(crate) const USER: u32 = 61234;

const BOOT: &str = r#"
    mount -t tmpfs tmpfs "$SCRATCH"
    mkdir "$SCRATCH/upper" "$SCRATCH/work" "$SCRATCH/root"
    root=$SCRATCH/root
    mount -t overlay overlay -o "lowerdir=/,upperdir=$SCRATCH/upper,workdir=$SCRATCH/work" "$root"
    mount -t proc proc "$root/proc"
    mount -t tmpfs -o mode=755 tmpfs "$root/run"
    mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
    mount --rbind /dev "$root/dev"
    cp -a "$TREE/." "$root/"
    cp -a "$PACKAGING" "$root/packaging"
    cp "$root/packaging/init/agentcheck" "$root/etc/init.d/agentcheck"
    chmod 755 "$root/etc/init.d/agentcheck"
    rm -rf "$root/var/lib/agentcheck"
    if [ -z "$SYSTEMD" ]; then
        for tool in systemctl systemd-sysusers systemd-tmpfiles; do
            chroot "$root" rm -f "/bin/$tool" "/usr/bin/$tool"
        done
    fi
    sed -i /^agentcheck/d "$root/etc/passwd" "$root/etc/group"
    echo "agentcheck:x:$USER:$USER::/nonexistent:/usr/sbin/nologin" >>"$root/etc/passwd"
    echo "agentcheck:x:$USER:" >>"$root/etc/group"
    exec chroot "$root" sh -euc 'echo up >/run/up; while :; do sleep 0.1 & wait $! || :; done'
"#;

/// The host. All of its processes end with it.
pub(crate) struct Host {
    _holder: Running,
    first: u32,
}

impl Host {
    /// # Panics
    /// Where this is not root.
    pub(crate) fn boot(scratch: &Scratch, systemd: bool) -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "only root can make the host: run the tests as root"
        );
        let tree = installed(scratch);
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "--pid", "--fork"])
            .args(["--kill-child", "bash", "-euc", BOOT])
            .env("SCRATCH", scratch.directory("host"))
            .env("TREE", &tree)
            .env("PACKAGING", binaries::workspace().join("packaging"))
            .env("SYSTEMD", if systemd { "yes" } else { "" })
            .env("USER", USER.to_string());
        let holder = Running::start(scratch, "host", &mut command);
        wait_until("the host's first process", || holder.children().len() == 1);
        let first = holder.children()[0];
        let host = Self {
            _holder: holder,
            first,
        };
        wait_until("the host", || host.path("/run/up").exists());
        host
    }

    /// A path inside, seen from outside.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.first))
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["-t", &self.first.to_string(), "-m", "-p", "-r", "-w", "--"])
            .args(["bash", "-euc", line]);
        command
    }

    /// Runs a line of shell inside that must succeed, and gives its output.
    pub(crate) fn shell(&self, line: &str) -> String {
        run(&mut self.command(line))
    }

    /// Runs a line of shell inside, which may fail.
    pub(crate) fn output(&self, line: &str) -> Output {
        output(&mut self.command(line))
    }
}
