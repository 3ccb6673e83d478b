//! Reloads when the configuration's files change, for hosts on which no one runs `agentcheck reload`: containers.

use crate::config;
use crate::overrides::watch::Watch;
use rustix::process::{Signal, getpid, kill_process};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread;

/// What identifies one version of a file: device, inode, time of change and size.
type Version = (u64, u64, i64, i64, u64);

/// Starts a thread that sends SIGHUP to this process after each change of `file` or of a drop-in. It notices a replaced
/// file or link in the directory of `file` at once, and other changes within 2 seconds.
///
/// # Errors
/// Where the thread cannot be created.
pub fn start(file: &Path) -> io::Result<()> {
    let file = std::path::absolute(file)?;
    let mut watch = Watch::new(file.parent().unwrap_or(Path::new("/")));
    let mut current = versions(&file);
    thread::Builder::new()
        .name("config-watch".to_owned())
        .spawn(move || {
            loop {
                watch.wait();
                let found = versions(&file);
                if found != current {
                    current = found;
                    if let Err(error) = kill_process(getpid(), Signal::HUP) {
                        log::error!("cannot send SIGHUP to this process: {error}");
                    }
                }
            }
        })?;
    Ok(())
}

/// The versions of all files of the configuration. A file that is missing has none.
fn versions(file: &Path) -> Vec<(PathBuf, Option<Version>)> {
    let version = |path: PathBuf| {
        let data = path.metadata().ok();
        let version = data.map(|data| {
            let (device, inode) = (data.dev(), data.ino());
            (device, inode, data.mtime(), data.mtime_nsec(), data.size())
        });
        (path, version)
    };
    let mut all = vec![version(file.to_owned())];
    all.extend(config::drop_ins_of(file).into_iter().map(version));
    all
}
