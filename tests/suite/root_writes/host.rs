//! A throw-away host: this machine's root file system with the product laid over it, in namespaces of its own, with
//! an empty `/run` and without systemd's tools where a test asks for that.

use agentcheck_tests::binaries;
use agentcheck_tests::processes::{Running, output, run, wait_until};
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::systemd::installed;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The collector's user and group on the host.
#[allow(dead_code, reason = "of the two tests that share this, one needs it")]
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
    # The collector's account has a number that the test knows; the responder's is made as on any host.
    sed -i /^agentcheck/d "$root/etc/passwd" "$root/etc/shadow" "$root/etc/group" "$root/etc/gshadow"
    chroot "$root" groupadd --gid "$USER" agentcheck
    chroot "$root" useradd --uid "$USER" --gid "$USER" --no-create-home --home-dir /var/lib/agentcheck \
        --shell /usr/sbin/nologin agentcheck
    chroot "$root" sh /usr/lib/agentcheck/setup accounts
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

    /// Lays an unpacked package over the root.
    #[allow(dead_code, reason = "of the two tests that share this, one needs it")]
    pub(crate) fn lay_over(&self, package: &Path) {
        let line = r#"tar -C "$0" -c . | tar -C "$1" -x --keep-directory-symlink --no-same-owner"#;
        run(Command::new("sh")
            .args(["-euc", line])
            .args([package, &self.path("/")]));
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
