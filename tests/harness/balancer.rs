//! A HAProxy whose backends are written line by line, with one server each.

use crate::haproxy;
use crate::processes::{LIMIT, Running, wait_for, wait_until};
use crate::scratch::Scratch;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;

/// A HAProxy with one server per backend, and the way to its statistics.
#[derive(Debug)]
pub struct Balancer {
    _process: Running,
    socket: PathBuf,
}

impl Balancer {
    /// Starts HAProxy with these backends: a name, lines, and the options of the server line. `|` separates lines.
    ///
    /// # Panics
    /// Where HAProxy ends instead.
    #[must_use]
    pub fn start(scratch: &Scratch, backends: &[(&str, &str, String)]) -> Self {
        let socket = scratch.file("admin.sock");
        let mut text = format!(
            "global\n  external-check\n  insecure-fork-wanted\n  stats socket {} mode 600 level admin\n\ndefaults\n  mode http\n  \
             timeout connect 10s\n  timeout client 30s\n  timeout server 30s\n  timeout check 10s\n\n",
            socket.display()
        );
        for (name, lines, server) in backends {
            let _ = writeln!(text, "backend {name}");
            for line in lines.split('|') {
                let _ = writeln!(text, "  {}", line.trim());
            }
            let _ = writeln!(text, "  server one 127.0.0.1:1 {server}\n");
        }
        let configuration = scratch.write("haproxy.cfg", &text);
        let mut command = Command::new(haproxy::binary());
        command.arg("-db").arg("-f").arg(&configuration);
        let mut process = Running::start(scratch, "haproxy", &mut command);
        wait_until("HAProxy's statistics", || {
            assert!(process.is_running(), "{}", process.log());
            UnixStream::connect(&socket).is_ok()
        });
        Self {
            _process: process,
            socket,
        }
    }

    /// The values of the backend's first server in HAProxy's statistics, by column.
    ///
    /// # Panics
    /// Where HAProxy does not print them.
    #[must_use]
    pub fn server(&self, backend: &str) -> BTreeMap<String, String> {
        self.server_of(backend, "one")
    }

    fn server_of(&self, backend: &str, server: &str) -> BTreeMap<String, String> {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        // Without a limit, a HAProxy that does not answer would block the test without a message.
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        writeln!(stream, "show stat {backend} 4 -1").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let mut lines = text.lines();
        let names: Vec<_> = lines
            .next()
            .unwrap()
            .trim_start_matches("# ")
            .split(',')
            .map(str::to_owned)
            .collect();
        let rows = lines.map(|line| line.split(',').map(str::to_owned));
        rows.map(|values| names.iter().cloned().zip(values).collect())
            .find(|row: &BTreeMap<_, _>| row.get("svname").is_some_and(|name| name == server))
            .unwrap()
    }

    /// Waits until the backend's first server has a value that begins so in the column.
    ///
    /// # Panics
    /// Where that takes too long.
    pub fn wait_for(&self, backend: &str, column: &str, expected: &str) {
        self.wait_for_server(backend, "one", column, expected);
    }

    /// Waits until the server has a value that begins so in the column.
    ///
    /// # Panics
    /// Where that takes too long.
    pub fn wait_for_server(&self, backend: &str, server: &str, column: &str, expected: &str) {
        wait_for(format_args!("{backend}: {column} {expected}"), || {
            let server = self.server_of(backend, server);
            if server[column].starts_with(expected) {
                Ok(())
            } else {
                let columns = ["status", "check_status", "check_code", "last_chk", "weight"];
                Err(format!(
                    "{} {:?}",
                    server[column],
                    columns.map(|name| &server[name])
                ))
            }
        });
    }
}
