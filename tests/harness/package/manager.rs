//! Ways to install the product on a host, and to remove it.

use crate::binaries;
use crate::permit::Permit;
use crate::processes::{program, run};
use crate::scratch::Scratch;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the packages are, seen from the host that they are installed on.
const PACKAGES: &str = "/agentcheck-packages";

/// One way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manager {
    /// The files of `make install` and the packages' scripts, called as dpkg calls them: the content of the packages,
    /// on a machine that cannot build packages.
    ByHand,
    /// dpkg.
    Dpkg,
    /// rpm, which finds no dependency in its own empty database.
    Rpm,
}

impl Manager {
    /// Puts all that the other functions need into `tree`, which is then laid over the host's root.
    pub fn prepare(self, scratch: &Scratch, tree: &Path) {
        let to = tree.join(PACKAGES.trim_start_matches('/'));
        fs::create_dir_all(&to).unwrap();
        match self {
            Self::ByHand => {
                install(&to.join("files"));
                let scripts = binaries::workspace().join("packaging");
                run(Command::new("cp").arg("-a").arg(scripts).arg(&to));
            }
            Self::Dpkg | Self::Rpm => {
                let ending = if self == Self::Dpkg { "deb" } else { "rpm" };
                for name in ["this", "next"] {
                    let made = Made::build(&scratch.directory(name), name == "next");
                    let package = if self == Self::Dpkg {
                        made.deb
                    } else {
                        made.rpm
                    };
                    fs::copy(package, to.join(format!("{name}.{ending}"))).unwrap();
                }
            }
        }
    }

    /// The shell commands that install it.
    pub fn install(self) -> String {
        match self {
            Self::ByHand => format!(
                "cd {PACKAGES}; cp -a --no-preserve=ownership files/. /
                 : Packages ship no empty directory.
                 rmdir /etc/agentcheck/conf.d
                 packaging/postinst configure
                 : Once more, as after an installation that was cut off.
                 packaging/postinst configure"
            ),
            Self::Dpkg => format!("dpkg -i {PACKAGES}/this.deb"),
            Self::Rpm => format!("rpm --force-debian --nodeps -i {PACKAGES}/this.rpm"),
        }
    }

    /// Those that bring it to the next version.
    pub fn upgrade(self) -> String {
        match self {
            Self::ByHand => format!(
                "cd {PACKAGES}; packaging/prerm upgrade 2
                 cp -a --no-preserve=ownership --remove-destination files/usr/. /usr/
                 packaging/postrm upgrade 1
                 packaging/postinst configure 1"
            ),
            Self::Dpkg => format!("dpkg -i {PACKAGES}/next.deb"),
            Self::Rpm => format!("rpm --force-debian --nodeps -U {PACKAGES}/next.rpm"),
        }
    }

    /// Those that take it off, but for the configuration.
    pub fn remove(self) -> String {
        match self {
            Self::ByHand => format!(
                "cd {PACKAGES}; packaging/prerm remove
                 (cd files; find usr -type f) | (cd /; xargs rm)
                 cd /; find usr/share/doc/agentcheck usr/lib/agentcheck -depth -type d -delete
                 {PACKAGES}/packaging/postrm remove
                 : Once more.
                 {PACKAGES}/packaging/prerm remove
                 {PACKAGES}/packaging/postrm remove"
            ),
            Self::Dpkg => "dpkg -r agentcheck".to_owned(),
            Self::Rpm => "rpm --force-debian -e agentcheck".to_owned(),
        }
    }

    /// Those that take the rest off. rpm does not know the like: it has left what was edited.
    pub fn purge(self) -> String {
        match self {
            Self::ByHand => format!(
                "rm /etc/agentcheck/agentcheck.toml /etc/xinetd.d/agentcheck
                 {PACKAGES}/packaging/postrm purge"
            ),
            Self::Dpkg => "dpkg -P agentcheck".to_owned(),
            Self::Rpm => "rm -r /etc/agentcheck /var/lib/agentcheck".to_owned(),
        }
    }

    /// Where the configuration is left when the package is removed.
    pub fn left(self) -> &'static str {
        match self {
            Self::ByHand | Self::Dpkg => "/etc/agentcheck/agentcheck.toml",
            Self::Rpm => "/etc/agentcheck/agentcheck.toml.rpmsave",
        }
    }
}

/// `make install` with the binaries that the other tests run.
pub fn install(root: &Path) {
    run(make(binaries::workspace(), "install").arg(format!("DESTDIR={}", root.display())));
}

/// `make TARGET` in `workspace`, which leaves the release binaries as they are.
pub fn make(workspace: &Path, target: &str) -> Command {
    // Fails where they are missing or stale.
    let _ = (binaries::collector(), binaries::responder());
    let mut command = Command::new(program("make", "make"));
    command
        .arg("-C")
        .arg(workspace)
        .args(["--silent", "--no-print-directory", target])
        .arg(format!("RELEASE={}", binaries::directory().display()))
        // A copy of the sources knows of no commit.
        .env("SOURCE_DATE_EPOCH", "1700000000")
        // Inside `make test-packages`, make would take the outer one's flags.
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL");
    command
}

/// Both packages.
#[derive(Debug)]
pub struct Made {
    /// The .deb.
    pub deb: PathBuf,
    /// The .rpm.
    pub rpm: PathBuf,
}

impl Made {
    /// Builds them into `directory`: this version, or one after it, of the same programs.
    pub fn build(directory: &Path, next: bool) -> Self {
        let suffix = if next { ".1" } else { "" };
        let version = format!("{}{suffix}", env!("CARGO_PKG_VERSION"));
        Self::build_in(binaries::workspace(), directory, &version)
    }

    /// Builds them from the sources in `workspace`.
    pub fn build_in(workspace: &Path, directory: &Path, version: &str) -> Self {
        // Both are made from one stage in the target directory.
        let _alone = Permit::take("packages", 1);
        run(make(workspace, "package")
            .arg(format!("PACKAGES={}", directory.display()))
            .arg("MAINTAINER=The tests <agentcheck@example.org>")
            .arg(format!("VERSION={version}")));
        let made = |ending: &str| {
            let mut found = fs::read_dir(directory)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.extension().is_some_and(|is| is == ending));
            let one = found.next().expect("it is built");
            assert_eq!(found.next(), None);
            one
        };
        Self {
            deb: made("deb"),
            rpm: made("rpm"),
        }
    }
}
