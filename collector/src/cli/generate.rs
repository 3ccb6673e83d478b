//! `agentcheck generate`: prints, or writes, what `units` makes.

use super::{ConfigFile, Failed, Output, StateDir, load_failure};
use crate::config;
use crate::setup::generate::{self, Allowed, File, Launcher, Request};
use crate::sys::state_file;
use agentcheck_common::DEFAULT_PORT;
use clap::{Args, ValueEnum};
use std::fmt::Write as _;
use std::io;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};

/// The largest file that is looked at before it is overwritten, in bytes; ours are smaller.
const MAX_FILE: usize = 1 << 20;

#[derive(Args)]
pub(super) struct Generate {
    /// What listens
    launcher: LauncherName,
    #[command(flatten)]
    config: ConfigFile,
    #[command(flatten)]
    state: StateDir,
    /// Listen there; may be repeated [default: loopback]
    #[arg(long, value_name = "ADDR")]
    address: Vec<IpAddr>,
    /// Who may connect besides this host; may be repeated
    #[arg(long, value_name = "NETWORK")]
    allow: Vec<Allowed>,
    /// Of services without one of their own
    #[arg(long, value_name = "PORT", default_value_t = NonZeroU16::new(DEFAULT_PORT).unwrap_or(NonZeroU16::MAX))]
    port: NonZeroU16,
    /// Write the files there, and print none
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Overwrite what differs there
    #[arg(long, requires = "output")]
    force: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum LauncherName {
    Systemd,
    Xinetd,
    Inetd,
}

impl Generate {
    pub(super) fn make(&self) -> Result<Output, Failed> {
        let (config, _) =
            config::load(&self.config.config).map_err(|error| load_failure(&error))?;
        let launcher = match self.launcher {
            LauncherName::Systemd => Launcher::Systemd,
            LauncherName::Xinetd => Launcher::Xinetd,
            LauncherName::Inetd => Launcher::Inetd,
        };
        let wanted = Request {
            addresses: &self.address,
            allow: &self.allow,
            port: self.port,
            responder: &responder(),
            state_dir: &self.state.state_dir,
        };
        let failed = |why: String| Failed(format!("agentcheck: {why}\n"));
        let mut files = generate::files(launcher, &config, &wanted).map_err(failed)?;
        let place = launcher.place();
        for file in &mut files {
            let path = Path::new(place).join(&file.path);
            // For inetd, the one file of all services.
            let path = path.display().to_string();
            let path = path.trim_end_matches('/');
            file.text = format!("# {path}, made by agentcheck generate\n{}", file.text);
        }
        match &self.output {
            None => {
                let texts: Vec<&str> = files.iter().map(|file| file.text.as_str()).collect();
                Ok(texts.join("\n").into())
            }
            Some(_) if launcher == Launcher::Inetd => Err(failed(format!(
                "inetd has one file for all its services: add to it, as in agentcheck generate inetd >> {place}"
            ))),
            Some(directory) => self.write(directory, &files).map(Output::from),
        }
    }

    /// Writes all of them, or none where one of them would overwrite something else.
    fn write(&self, directory: &Path, files: &[File]) -> Result<String, Failed> {
        let mut refused = String::new();
        let mut said = String::new();
        let mut changed = Vec::new();
        for file in files {
            let path = directory.join(&file.path);
            let shown = path.display();
            match state_file::read_bounded(&path, MAX_FILE) {
                Ok(content) if content == file.text.as_bytes() => {
                    let _ = writeln!(said, "{shown}: is there already");
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                _ if self.force => {}
                Ok(_) => {
                    let _ = writeln!(refused, "{shown}: error: is there, and differs");
                }
                Err(error) => {
                    let _ = writeln!(refused, "{shown}: error: is there: {error}");
                }
            }
            changed.push((path, &file.text));
        }
        if !refused.is_empty() {
            refused.push_str("agentcheck: nothing was written; --force overwrites\n");
            return Err(Failed(refused));
        }
        for (path, text) in changed {
            let shown = path.display();
            put(&path, text)
                .map_err(|error| Failed(format!("{shown}: error: cannot be written: {error}\n")))?;
            let _ = writeln!(said, "{shown}: written; what to do next stands in it");
        }
        Ok(said)
    }
}

fn put(path: &Path, text: &str) -> io::Result<()> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "no file name");
    let directory = path.parent().ok_or_else(wrong)?;
    let name = path.file_name().and_then(|name| name.to_str());
    std::fs::create_dir_all(directory)?;
    state_file::replace(directory, name.ok_or_else(wrong)?, 0o644, text.as_bytes())
}

/// The responder that was installed together with this program, or else where packages put it.
fn responder() -> PathBuf {
    const NAME: &str = "agentcheck-responder";
    let beside = std::env::current_exe()
        .ok()
        .map(|program| program.with_file_name(NAME));
    let beside = beside.filter(|path| path.is_file());
    beside.unwrap_or_else(|| Path::new("/usr/bin").join(NAME))
}
