//! Sources with the real programs that operators run.

use agentcheck::config;
use agentcheck::reading::{Content, Reading};
use agentcheck::source::{Cancellation, Poller, Source};
use agentcheck_tests::mariadb::{Mariadb, galera};
use agentcheck_tests::processes::{self, Running, program};
use agentcheck_tests::scratch::Scratch;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// The source of `[source.it...]`.
fn source(text: &str) -> Source {
    let text = format!(
        "{text}\n[service.web]\n[[service.web.rule]]\nname = \"r\"\nwhen = \"!it.ok\"\nreply = \"down\"\n"
    );
    match config::parse(Path::new("test.toml"), &text) {
        Ok((config, _)) => config.sources.into_iter().next().unwrap(),
        Err(report) => panic!("{report}"),
    }
}

/// Polls until a poll is good: a server needs time to start.
fn good(text: &str) -> Reading {
    let mut poller = Poller::new(&source(text));
    good_poll(&mut poller)
}

fn good_poll(poller: &mut Poller) -> Reading {
    let started = Instant::now();
    loop {
        let reading = poller.poll(&Cancellation::new());
        if reading.is_ok() {
            return reading;
        }
        assert!(started.elapsed() < PATIENCE, "{reading:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn text(reading: &Reading) -> &str {
    reading.text.as_deref().unwrap()
}

#[test]
fn redis_role_is_read_over_tcp() {
    let scratch = Scratch::new("source-redis");
    let socket = scratch.file("redis.sock");
    let _server = Running::start(
        &scratch,
        "redis",
        Command::new(program("redis-server", "redis-server"))
            .args(["--port", "0", "--save", "", "--unixsocket"])
            .arg(&socket)
            .current_dir(scratch.path()),
    );
    let reading = good(&format!(
        "[source.it.tcp]\nunix_socket = {socket:?}\nsend = \"INFO replication\\r\\nQUIT\\r\\n\"\n"
    ));
    assert!(text(&reading).contains("\nrole:master\n"), "{reading:?}");
    assert!(text(&reading).ends_with("\n+OK"), "{reading:?}");
}

#[test]
fn memcached_statistics_end_at_their_mark() {
    let scratch = Scratch::new("source-memcached");
    let socket = scratch.file("memcached.sock");
    let _server = Running::start(
        &scratch,
        "memcached",
        Command::new(program("memcached", "memcached"))
            .args(["-u", "nobody", "-a", "0777", "-s"])
            .arg(&socket)
            .current_dir("/"),
    );
    std::fs::set_permissions(
        scratch.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o777),
    )
    .unwrap();
    let reading = good(&format!(
        "[source.it.tcp]\nunix_socket = {socket:?}\nsend = \"stats\\r\\n\"\nuntil = \"END\\r\\n\"\n"
    ));
    assert!(text(&reading).starts_with("STAT pid "), "{reading:?}");
    assert!(text(&reading).ends_with("\nEND"), "{reading:?}");
}

#[test]
fn smtp_greeting_has_its_code() {
    let scratch = Scratch::new("source-smtp");
    let block = agentcheck_tests::address::Block::claim();
    let address = block.address(2525);
    let _server = Running::start(
        &scratch,
        "msmtpd",
        Command::new(program("msmtpd", "msmtp-mta")).args([
            format!("--interface={}", address.ip()),
            "--port=2525".to_owned(),
        ]),
    );
    let reading = good(&format!(
        "[source.it.tcp]\naddress = \"{address}\"\nbytes = 3\n"
    ));
    assert_eq!(text(&reading), "220");
}

#[test]
fn haproxy_statistics_are_a_table() {
    let scratch = Scratch::new("source-haproxy");
    let socket = scratch.file("admin.sock");
    let configuration = scratch.write(
        "haproxy.cfg",
        format!(
            "global\n  stats socket {} level user\ndefaults\n  mode tcp\n  timeout connect 1s\n  \
             timeout client 1s\n  timeout server 1s\nlisten web\n  bind unix@{}\n  server web1 127.0.0.1:9 weight 7\n",
            socket.display(),
            scratch.file("web.sock").display()
        ),
    );
    let _server = Running::start(
        &scratch,
        "haproxy",
        Command::new(program("haproxy", "haproxy"))
            .arg("-db")
            .arg("-f")
            .arg(&configuration),
    );
    let reading = good(&format!(
        "[source.it.tcp]\nunix_socket = {socket:?}\nsend = \"show stat\\n\"\nformat = \"csv\"\n"
    ));
    let Ok(Content::Rows(rows)) = &reading.outcome else {
        panic!("{reading:?}");
    };
    let rows = rows.as_array().unwrap();
    let server = rows.iter().find(|row| row["svname"] == "web1").unwrap();
    assert_eq!(server["pxname"], "web");
    assert_eq!(server["weight"], 7.0);
    assert_eq!(rows.len(), 3, "frontend, server and backend");
}

#[test]
fn vmstat_prints_a_reading_a_second() {
    let vmstat = program("vmstat", "procps");
    let mut poller = Poller::new(&source(&format!(
        "[source.it.stream]\nargv = [{vmstat:?}, \"-n\", \"1\"]\ninterval = \"1s\"\ntimeout = \"2s\"\n"
    )));
    let mut idle = Vec::new();
    let started = Instant::now();
    // Two lines of titles, the averages since the boot, and then one line a second.
    while idle.len() < 2 {
        let reading = good_poll(&mut poller);
        let fields: Vec<&str> = text(&reading).split_whitespace().collect();
        if let Some(Ok(share)) = fields.get(14).map(|field| field.parse::<f64>()) {
            assert!((0.0..=100.0).contains(&share), "{reading:?}");
            if idle.last() != Some(&reading.sent) {
                idle.push(reading.sent);
            }
        }
        assert!(started.elapsed() < PATIENCE, "{reading:?}");
        thread::sleep(Duration::from_millis(20));
    }
    assert!(idle[0] < idle[1]);
}

/// A connection that stays open, and a query for each record.
#[test]
fn psql_keeps_its_connection() {
    const POSTGRES: u32 = 65_534;
    let scratch = Scratch::new("source-psql");
    let server = pg_program("postgres");
    let data = scratch.directory("data");
    std::os::unix::fs::chown(&data, Some(POSTGRES), Some(POSTGRES)).unwrap();
    let as_user = |program: &Path| {
        let mut command = Command::new(program);
        command.uid(POSTGRES).gid(POSTGRES).current_dir("/");
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let initdb = pg_program("initdb");
    let made = as_user(&initdb)
        .args(["-A", "trust", "-U", "me", "-N", "-D"])
        .arg(&data)
        .status();
    assert!(made.unwrap().success());
    let _server = Running::start(
        &scratch,
        "postgres",
        as_user(&server)
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-k"])
            .arg(&data)
            .arg("-D")
            .arg(&data),
    );
    let psql = program("psql", "postgresql-client");
    let query = "SELECT pg_backend_pid() || ' ' || CASE WHEN pg_is_in_recovery() THEN 'replica' ELSE 'primary' END";
    let script = scratch.write("role.sql", format!("{query}\n\\watch 0.1\n"));
    let mut poller = Poller::new(&source(&format!(
        "[source.it.stream]\nargv = [{psql:?}, \"-XAtq\", \"-h\", {data:?}, \"-U\", \"me\", \"-f\", {script:?}, \
         \"postgres\"]\ninterval = \"1s\"\n"
    )));
    let first = good_poll(&mut poller);
    assert!(text(&first).ends_with(" primary"), "{first:?}");
    let started = Instant::now();
    let second = loop {
        let reading = good_poll(&mut poller);
        if reading.sent > first.sent {
            break reading;
        }
        assert!(started.elapsed() < PATIENCE, "{reading:?}");
    };
    // The same backend: one connection.
    assert_eq!(second.text, first.text);
}

/// Role, lag and Galera's state, each over one connection, by the script of the recipe.
#[test]
fn mysql_keeps_its_connection_and_prints_role_lag_and_state() {
    let scratch = Scratch::new("source-mysql");
    let block = agentcheck_tests::address::Block::claim();
    let address = block.address(3306);
    let recipe = include_str!("../../../docs/recipes/mysql-stream.md");
    let (_, script) = recipe.split_once("```sh\n").unwrap();
    let (script, _) = script.split_once("```\n").unwrap();
    let script = scratch.write("mysql-status", script);
    let mut primary = galera(address, &block);
    primary.extend(["--server-id=1", "--log-bin=log"].map(str::to_owned));
    let primary = Mariadb::start(&scratch, "primary", &primary);
    let replica = ["--server-id=2", "--read-only=1", "--skip-networking"].map(str::to_owned);
    let replica = Mariadb::start(&scratch, "replica", &replica);
    let stream = |server: &Mariadb| {
        let socket = &server.socket;
        Poller::new(&source(&format!(
            "[source.it.stream]\nargv = [\"/bin/sh\", {script:?}, \"-uroot\", \"-S\", {socket:?}]\npoll = \"newline\"\n\
             interval = \"100ms\"\ntimeout = \"2s\"\n"
        )))
    };
    // Until a record is this one. A client that finds no server ends, and the script only at the line end after that: so the
    // timeout is shorter than this waits.
    let wait = |poller: &mut Poller, wanted: &dyn Fn(&str) -> bool| {
        processes::wait_for("a record", || {
            let reading = poller.poll(&Cancellation::new());
            let found = reading.text.as_deref().is_some_and(wanted);
            found.then_some(()).ok_or(format!("{reading:?}"))
        });
    };
    let connections = |server: &Mariadb| {
        let count = server.query("SHOW STATUS LIKE 'Connections'");
        let count = count.split_whitespace().last().unwrap();
        count.parse::<u64>().unwrap()
    };

    let mut of_primary = stream(&primary);
    let synced = "wsrep_local_state 4; wsrep_ready ON; read_only: 0";
    wait(&mut of_primary, &|text| text == synced);
    let before = connections(&primary);
    for _ in 0..20 {
        wait(&mut of_primary, &|text| text == synced);
    }
    // The second of these counts itself.
    assert_eq!(
        connections(&primary),
        before + 1,
        "a connection for each record"
    );
    primary.query("SET GLOBAL wsrep_desync=ON");
    wait(&mut of_primary, &|text| {
        text.starts_with("wsrep_local_state 2;")
    });
    primary.query("SET GLOBAL wsrep_desync=OFF");
    wait(&mut of_primary, &|text| text == synced);

    primary.query("CREATE USER replica@'%'; GRANT REPLICATION SLAVE ON *.* TO replica@'%'");
    let source = format!(
        "MASTER_HOST='{}', MASTER_PORT={}",
        address.ip(),
        address.port()
    );
    // The server starts while the script already tries to connect: it is started again until it can.
    let mut of_replica = stream(&replica);
    wait(&mut of_replica, &|text| text.ends_with("read_only: 1"));
    replica.query(&format!(
        "CHANGE MASTER TO {source}, MASTER_USER='replica'; START SLAVE"
    ));
    let lag = |text: &str| {
        let (_, lag) = text.split_once("Seconds_Behind_Master: ")?;
        lag.split(';').next()?.parse::<u64>().ok()
    };
    wait(&mut of_replica, &|text| {
        text.starts_with("Slave_SQL_Running: Yes;") && lag(text) == Some(0)
    });
    replica.query("STOP SLAVE; CHANGE MASTER TO MASTER_DELAY=600; START SLAVE");
    primary.query("CREATE DATABASE later");
    wait(&mut of_replica, &|text| lag(text) > Some(0));
    replica.query("STOP SLAVE");
    let stopped = "Slave_SQL_Running: No; Seconds_Behind_Master: NULL;";
    wait(&mut of_replica, &|text| text.starts_with(stopped));
    replica.query("SET GLOBAL read_only=0");
    wait(&mut of_replica, &|text| text.ends_with("read_only: 0"));
}

/// The plugins of the manual, as it shows them: at most ten lines each, without the comment that configures them.
#[test]
fn plugins_of_the_manual_run() {
    let scratch = Scratch::new("source-plugins");
    let page = include_str!("../../../man/agentcheck.stream.5").replace("\\-", "-");
    let blocks = page.split("\n.EX\n").skip(1);
    let blocks = blocks.map(|block| block.split("\n.EE\n").next().unwrap());
    let plugins: Vec<&str> = blocks.filter(|block| block.starts_with("#!")).collect();
    let [shell, python] = plugins[..] else {
        panic!("{plugins:?}");
    };
    for plugin in plugins {
        let code = plugin
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with("# "));
        assert!(code.count() <= 10, "{plugin}");
    }
    let queue = scratch.directory("queue");
    std::fs::write(queue.join("job"), "").unwrap();
    let shell = scratch.write("shell", shell);
    let counts = good(&format!(
        "[source.it.stream]\nargv = [\"/bin/sh\", {shell:?}, {queue:?}]\nformat = \"number\"\npoll = \"newline\"\n\
         timeout = \"30s\"\n"
    ));
    assert_eq!(counts.outcome.unwrap().number(), Some(1.0));
    let python = scratch.write("python", python);
    let interpreter = program("python3", "python3");
    let load = good(&format!(
        "[source.it.stream]\nargv = [{interpreter:?}, {python:?}]\nformat = \"json\"\ntimeout = \"30s\"\n"
    ));
    let Ok(Content::Json(load)) = &load.outcome else {
        panic!("{load:?}");
    };
    assert!(
        load["load"].is_number() && load["busy"].is_boolean(),
        "{load}"
    );
}

/// A program of PostgreSQL's server, which Debian keeps out of the PATH.
fn pg_program(name: &str) -> std::path::PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql");
    let versions =
        versions.expect("PostgreSQL: apt-get install -y postgresql (or tests/install-deps.sh)");
    versions
        .map(|version| version.unwrap().path().join("bin").join(name))
        .find(|path| path.exists())
        .expect(name)
}

/// Output in the format of `nvidia-smi --loop=1 --format=csv,noheader,nounits`. It is not recorded: no test machine has
/// such hardware.
#[test]
fn nvidia_smi_loop_is_a_stream_of_numbers() {
    let script = "printf '35\\n'; sleep 0.1; printf '92\\n'; exec sleep 60";
    let mut poller = Poller::new(&source(&format!(
        "[source.it.stream]\nargv = [\"/bin/sh\", \"-c\", {script:?}]\nformat = \"number\"\n"
    )));
    let values: Vec<Option<f64>> = (0..2)
        .map(|_| good_poll(&mut poller).outcome.unwrap().number())
        .collect();
    assert_eq!(values, [Some(35.0), Some(92.0)]);
}
