//! A MariaDB server of a test's own. With Galera, it is a cluster of one.

use crate::address::Block;
use crate::binaries::workspace;
use crate::processes::{Running, program, run};
use crate::scratch::Scratch;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

const PACKAGES: &str = "mariadb-server-core mariadb-client-core galera-4";
const GALERA: &str = "/usr/lib/galera/libgalera_smm.so";

/// The server. It ends with this value.
#[derive(Debug)]
pub struct Mariadb {
    /// Its process.
    pub process: Running,
    /// Where clients of this host connect, as root and without a password.
    pub socket: PathBuf,
}

impl Mariadb {
    /// Starts a server with these options of mariadb.sh. Its files are in the directory `name`. The server answers some
    /// time later.
    #[must_use]
    pub fn start(scratch: &Scratch, name: &str, options: &[String]) -> Self {
        let directory = scratch.directory(name);
        let socket = directory.join("socket");
        let _ = program("mariadbd", PACKAGES);
        let mut server = Command::new(workspace().join("tests/harness/mariadb.sh"));
        server.arg(directory).args(options);
        let process = Running::start(scratch, name, &mut server);
        Self { process, socket }
    }

    /// The client with a statement. It prints values without the names of the columns.
    #[must_use]
    pub fn client(&self, statement: &str) -> Command {
        let mut command = Command::new(program("mysql", PACKAGES));
        command.args(["--no-defaults", "--user=root"]);
        command.args(["--batch", "--skip-column-names", "--execute", statement]);
        command.arg(format!("--socket={}", self.socket.display()));
        command
    }

    /// Runs a statement, and returns the values.
    ///
    /// # Panics
    /// Where it fails.
    pub fn query(&self, statement: &str) -> String {
        run(&mut self.client(statement))
    }
}

/// The options of a node of Galera that serves clients at `server`.
///
/// # Panics
/// Where Galera is not installed.
#[must_use]
pub fn galera(server: SocketAddr, block: &Block) -> Vec<String> {
    assert!(Path::new(GALERA).is_file(), "apt-get install -y {PACKAGES}");
    let (group, transfer) = (block.address(4567), block.address(4568));
    vec![
        "--galera".to_owned(),
        server.ip().to_string(),
        server.port().to_string(),
        group.to_string(),
        transfer.to_string(),
    ]
}
