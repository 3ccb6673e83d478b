//! The static programs of `make dist`: in an empty root, under busybox's init, inetd and tcpsvd, with DNS, on the system calls of
//! Linux 3.10, on aarch64, and as a container image.

use agentcheck_tests::address::{Block, is_listening};
use agentcheck_tests::application::Application;
use agentcheck_tests::binaries;
use agentcheck_tests::processes::{Running, program, run, wait_for, wait_until};
use agentcheck_tests::raw_probe::probe;
use agentcheck_tests::scratch::Scratch;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

const X86_64: &str = "x86_64-unknown-linux-musl";
const AARCH64: &str = "aarch64-unknown-linux-musl";

/// The directory with the files of the release.
fn dist() -> PathBuf {
    binaries::target().join("dist")
}

/// Unpacks the archive of an architecture into a root that is otherwise empty, but for /proc and directories.
fn empty_root(scratch: &Scratch, triple: &str) -> PathBuf {
    let root = scratch.directory("root");
    let archive = dist().join(format!(
        "agentcheck-{}-{triple}.tar.gz",
        env!("CARGO_PKG_VERSION")
    ));
    assert!(
        archive.exists(),
        "{} is missing: run make test-packages",
        archive.display()
    );
    run(Command::new("tar")
        .args(["--strip-components=1", "-xzf"])
        .arg(archive)
        .arg("-C")
        .arg(&root));
    for directory in ["proc", "etc", "state", "data/overrides"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    root
}

/// A shell script in a mount namespace of its own; `$0` is the root. `options` of unshare add other namespaces.
fn isolated(options: &[&str], script: &str, root: &Path) -> Command {
    let mut command = Command::new(program("unshare", "util-linux"));
    command.args(["--mount", "--propagation", "private", "--kill-child"]);
    command.args(options).args(["sh", "-euc", script]).arg(root);
    command
}

/// A program in the root, which has nothing of this machine but its processes.
fn inside(root: &Path, words: &[&str]) -> Command {
    let script = r#"mount -t proc proc "$0/proc"; exec chroot "$0" "$@""#;
    let mut command = isolated(&[], script, root);
    command
        .args(words)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

const COLLECT: [&str; 8] = [
    "/bin/agentcheck",
    "collect",
    "--config",
    "/etc/agentcheck.toml",
    "--state-dir",
    "/state",
    "--data-dir",
    "/data",
];
const RESPOND: [&str; 4] = ["/bin/agentcheck-responder", "web", "--state-dir", "/state"];

/// Starts a collector with this configuration, and waits until the responder prints a weight of 80. `command` starts the
/// programs.
fn check_weight(
    scratch: &Scratch,
    root: &Path,
    configuration: &str,
    command: impl Fn(&[&str]) -> Command,
) -> Running {
    fs::write(root.join("etc/agentcheck.toml"), configuration).unwrap();
    let collector = Running::start(scratch, "collector", &mut command(&COLLECT));
    wait_for("the reply of 80%", || {
        let reply = run(&mut command(&RESPOND));
        if reply.starts_with("up 80%") {
            return Ok(());
        }
        Err(format!("{reply}\n{}", collector.log()))
    });
    collector
}

/// One source of each kind, and a weight that is 80 only if all of them work. `command` is an argv; a root without
/// /dev/null can start no command.
fn configuration(application: &Application, command: Option<&str>) -> String {
    let (url, address) = (application.url(), application.address());
    let (echo, condition) = command.map_or_else(Default::default, |argv| {
        (
            format!("[source.echo.command]\nargv = {argv}\n"),
            " && echo.ok",
        )
    });
    format!(
        "[source.app.http]\nurl = \"{url}\"\nformat = \"json\"\n\
         [source.port.tcp]\naddress = \"{address}\"\n\
         [source.queue.file]\npath = \"/etc/queue\"\nformat = \"number\"\n\
         [source.memory.system]\nmetric = \"memory\"\n{echo}\
         [service.web]\nweight = \"(app.ok && port.ok && memory.ok{condition}) ? 100 - queue.value : 1\"\n"
    )
}

#[test]
fn both_programs_work_in_an_empty_root() {
    let scratch = Scratch::new("empty-root");
    let block = Block::claim();
    let application = Application::start(block.address(8081), 1890);
    let root = empty_root(&scratch, X86_64);
    fs::write(root.join("etc/queue"), "20").unwrap();
    // No service uses it: a root without /dev/null can start no command.
    let text = configuration(&application, None)
        + "[source.version.command]\nargv = [\"/bin/agentcheck-responder\", \"--version\"]\n";
    let collector = check_weight(&scratch, &root, &text, |words| inside(&root, words));
    wait_until("the remedy in the log", || {
        let log = collector.log();
        log.contains("source version: missing: /dev/null: ")
            && log.contains("mknod -m 666 /dev/null c 1 3")
    });
    let status = ["/bin/agentcheck", "status", "--state-dir", "/state"];
    assert!(run(&mut inside(&root, &status)).contains("up 80%"));
}

/// The bar of the footprint. Without the order of functions in collector/layout.ld it would be 5.4 MB.
#[test]
fn collector_with_ten_services_of_all_kinds_needs_at_most_5_mb() {
    let scratch = Scratch::new("memory");
    let block = Block::claim();
    let application = Application::start(block.address(8081), 1890);
    let root = empty_root(&scratch, X86_64);
    let (url, address) = (application.url(), application.address());
    let number = scratch.write("number", "20");
    let kinds = [
        format!("http]\nurl = \"{url}\"\nformat = \"json\""),
        format!("tcp]\naddress = \"{address}\""),
        format!("file]\npath = {number:?}\nformat = \"number\""),
        String::from("command]\nargv = [\"/bin/true\"]"),
        String::from(
            "stream]\nargv = [\"/bin/sh\", \"-c\", \"while echo 1; do sleep 0.2; done\"]\nformat = \"number\"",
        ),
        String::from("system]\nmetric = \"memory\""),
    ];
    let mut text = String::from("[metrics]\ntextfile = \"")
        + scratch.file("agentcheck.prom").to_str().unwrap()
        + "\"\ninterval = \"1s\"\n";
    for (index, kind) in kinds.iter().cycle().take(10).enumerate() {
        text += &format!(
            "[source.s{index}.{kind}\ninterval = \"200ms\"\n\
             [service.web{index}]\nweight = \"s{index}.ok ? 73 : 1\"\n"
        );
    }
    let configuration = scratch.write("agentcheck.toml", text);
    let mut command = Command::new(root.join("bin/agentcheck"));
    command.arg("collect").arg("--config").arg(configuration);
    command.arg("--state-dir").arg(root.join("state"));
    command.arg("--data-dir").arg(root.join("data"));
    let collector = Running::start(&scratch, "collector", &mut command);
    wait_until("ten polls of each source", || {
        let metrics = fs::read_to_string(scratch.file("agentcheck.prom")).unwrap_or_default();
        let counts = metrics
            .lines()
            .filter(|line| line.starts_with("agentcheck_source_poll_duration_seconds_count{"))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        let enough = counts.filter(|count| *count >= 10);
        enough.count() == 10
    });
    let status = fs::read_to_string(format!("/proc/{}/status", collector.pid())).unwrap();
    let mut lines = status.lines();
    let resident = lines.find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    println!("{resident} resident");
    let resident: u64 = resident.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(resident <= 5 * 1024, "{status}");
    for index in 0..10 {
        let reply = fs::read_to_string(root.join(format!("state/web{index}.state"))).unwrap();
        assert!(reply.contains(" up 73% "), "{reply}");
    }
}

#[test]
fn both_programs_work_on_aarch64() {
    let scratch = Scratch::new("aarch64");
    let block = Block::claim();
    let application = Application::start(block.address(8081), 1890);
    let root = empty_root(&scratch, AARCH64);
    let qemu = program("qemu-aarch64", "qemu-user");
    let emulated = |words: &[&str]| {
        let mut command = Command::new(&qemu);
        command.arg(root.join(words[0].trim_start_matches('/')));
        for word in &words[1..] {
            let in_root = ["/etc/agentcheck.toml", "/state", "/data"].contains(word);
            match in_root {
                true => command.arg(root.join(word.trim_start_matches('/'))),
                false => command.arg(word),
            };
        }
        command
    };
    let queue = scratch.write("queue", "20");
    let text = configuration(&application, Some(r#"["/bin/true"]"#))
        .replace("/etc/queue", queue.to_str().unwrap());
    check_weight(&scratch, &root, &text, emulated);
}

#[test]
fn static_programs_work_with_the_system_calls_of_linux_3_10() {
    let scratch = Scratch::new("static-3.10");
    let block = Block::claim();
    let application = Application::start(block.address(8081), 1890);
    let root = empty_root(&scratch, X86_64);
    let filter = binaries::workspace().join("tests/harness/linux-3.10.py");
    // Without getrandom, random numbers come from here.
    let random = "mkdir \"$0/dev\"; mknod -m 444 \"$0/dev/urandom\" c 1 9; mknod -m 666 \"$0/dev/null\" c 1 3";
    run(Command::new("sh").args(["-euc", random]).arg(&root));
    let filtered = |words: &[&str]| {
        let inner = inside(&root, words);
        let mut command = Command::new(program("python3", "python3"));
        command
            .arg(&filter)
            .arg(program("unshare", "util-linux"))
            .args(inner.get_args());
        command
    };
    fs::write(root.join("etc/queue"), "20").unwrap();
    let text = configuration(
        &application,
        Some(r#"["/bin/agentcheck-responder", "--version"]"#),
    );
    check_weight(&scratch, &root, &text, filtered);
}

/// musl's resolver: /etc/hosts, then the servers of /etc/resolv.conf with its search domains. It ignores
/// /etc/nsswitch.conf.
#[test]
fn names_are_resolved_by_hosts_and_resolv_conf() {
    let scratch = Scratch::new("dns");
    let block = Block::claim();
    let application = Application::start(block.address(8081), 1890);
    let (address, server) = (application.address(), block.address(53));
    let mut dnsmasq = Command::new(program("dnsmasq", "dnsmasq-base"));
    dnsmasq
        .args([
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
            "--bind-interfaces",
        ])
        .args([
            "--user=root",
            "--pid-file=",
            "--log-queries",
            "--log-facility=-",
            "--port=53",
        ])
        .arg(format!("--listen-address={}", server.ip()))
        .arg(format!("--host-record=app.example.test,{}", address.ip()))
        .args([
            "--local=/example.test/",
            "--local=/other.test/",
            "--local=//",
        ]);
    let server_process = Running::start(&scratch, "dnsmasq", &mut dnsmasq);
    let root = empty_root(&scratch, X86_64);
    let put = |file: &str, text: &str| fs::write(root.join("etc").join(file), text).unwrap();
    put(
        "resolv.conf",
        &format!(
            "nameserver {}\nsearch other.test example.test\n",
            server.ip()
        ),
    );
    put("hosts", &format!("{} hosted\n", address.ip()));
    // glibc's would use neither the files nor the servers.
    put("nsswitch.conf", "hosts: nothing\n");
    let source = |name: &str, host: &str| {
        format!(
            "[source.{name}.tcp]\naddress = \"{host}:{}\"\ninterval = \"200ms\"\n",
            address.port()
        )
    };
    let text = source("searched", "app")
        + &source("whole", "app.example.test")
        + &source("hosted", "hosted")
        + &source("unknown", "unknown")
        + "[service.web]\n\
           weight = \"(searched.ok && whole.ok && hosted.ok && !unknown.ok) ? 80 : 1\"\n";
    check_weight(&scratch, &root, &text, |words| inside(&root, words));
    let log = server_process.log();
    for query in ["app.other.test", "app.example.test", "unknown.example.test"] {
        assert!(log.contains(query), "{query} is not in {log}");
    }
    assert!(!log.contains("hosted"), "{log}");
}

fn wait_for_probe(agent: SocketAddr, log: &Running) {
    wait_for("a reply over the network", || {
        let received = probe(agent, b"web\n").map_err(|error| error.to_string());
        match received {
            Ok(received) if received.text().starts_with("up 80%") => Ok(()),
            other => Err(format!("{other:?}\n{}", log.log())),
        }
    });
}

#[test]
fn busybox_init_inetd_and_tcpsvd_start_both() {
    let scratch = Scratch::new("busybox");
    let block = Block::claim();
    let root = empty_root(&scratch, X86_64);
    let script = binaries::workspace().join("tests/packages/busybox.sh");
    fs::copy(
        run(&mut Command::new(script)).trim(),
        root.join("bin/busybox"),
    )
    .unwrap();
    let (by_inetd, by_tcpsvd) = (block.address(3333), block.address(3334));
    let put = |file: &str, text: &str| fs::write(root.join("etc").join(file), text).unwrap();
    put("passwd", "root:x:0:0::/:/bin/busybox\n");
    put("group", "root:x:0:\n");
    put("agentcheck.toml", "[service.web]\nweight = \"80\"\n");
    let responder = "/bin/agentcheck-responder --name-from-client --state-dir /state";
    put(
        "inetd.conf",
        &format!(
            "{by_inetd} stream tcp nowait root {} {}\n",
            "/bin/agentcheck-responder",
            responder.trim_start_matches("/bin/")
        ),
    );
    put(
        "inittab",
        &format!(
            "::respawn:{}\n::respawn:/bin/busybox inetd -f /etc/inetd.conf\n\
             ::respawn:/bin/busybox tcpsvd {} {} {responder}\n",
            COLLECT.join(" "),
            by_tcpsvd.ip(),
            by_tcpsvd.port()
        ),
    );
    let script = r#"mount -t proc proc "$0/proc"; exec chroot "$0" /bin/busybox init"#;
    let mut boot = isolated(&["--pid", "--fork"], script, &root);
    let init = Running::start(&scratch, "init", &mut boot);
    for agent in [by_inetd, by_tcpsvd] {
        wait_until("the launcher to listen", || is_listening(agent));
        wait_for_probe(agent, &init);
    }
}

/// The image, with the volumes and users of examples/kubernetes/sidecar.yaml.
#[test]
fn container_image_is_small_and_works_in_a_pod() {
    let scratch = Scratch::new("image");
    let workspace = binaries::workspace();
    let context = scratch.directory("context");
    run(Command::new(workspace.join("packaging/image.sh"))
        .arg(dist())
        .arg(&context));
    let buildah = |arguments: &[&str]| {
        let mut command = Command::new(program("buildah", "buildah"));
        command
            .arg("--root")
            .arg(scratch.file("storage"))
            .arg("--runroot")
            .arg(scratch.file("run"))
            .args(["--storage-driver", "vfs"])
            .args(arguments);
        run(&mut command)
    };
    let containerfile = workspace.join("examples/container/Containerfile");
    buildah(&[
        "build",
        "--isolation=chroot",
        "--platform=linux/amd64,linux/arm64",
        "--manifest=agentcheck",
        "-f",
        containerfile.to_str().unwrap(),
        context.to_str().unwrap(),
    ]);
    let manifest = buildah(&["manifest", "inspect", "agentcheck"]);
    assert!(
        manifest.contains("amd64") && manifest.contains("arm64"),
        "{manifest}"
    );
    let image = scratch.file("image");
    buildah(&[
        "manifest",
        "push",
        "--all",
        "agentcheck",
        &format!("oci:{}", image.display()),
    ]);
    let blobs = image.join("blobs/sha256");
    let compressed: u64 = fs::read_dir(blobs)
        .unwrap()
        .map(|blob| blob.unwrap().metadata().unwrap().len())
        .sum();
    println!("{compressed} bytes compressed, for both architectures");

    let container = buildah(&["from", "--arch=amd64", "agentcheck"]);
    let root = PathBuf::from(buildah(&["mount", container.trim()]).trim());
    let size = run(Command::new("du").args(["-sb"]).arg(&root));
    let size: u64 = size.split_whitespace().next().unwrap().parse().unwrap();
    println!("{size} bytes unpacked, for one architecture");
    assert!(size < 8_000_000, "{size}");

    // What kubelet makes: volumes of root with the group of the pod, and a published configuration.
    let block = Block::claim();
    let agent = block.address(3333);
    fs::create_dir_all(root.join("proc")).unwrap();
    let script = r#"
        mount -t tmpfs tmpfs "$0/run/agentcheck"
        mount -t tmpfs tmpfs "$0/var/lib/agentcheck"
        mkdir "$0/var/lib/agentcheck/overrides"
        mount -t tmpfs tmpfs "$0/var/lib/agentcheck/overrides"
        chown 0:64001 "$0/run/agentcheck" "$0/var/lib/agentcheck" "$0/var/lib/agentcheck/overrides"
        chmod 2777 "$0/run/agentcheck" "$0/var/lib/agentcheck" "$0/var/lib/agentcheck/overrides"
        mount -t tmpfs -o mode=777 tmpfs "$0/etc/agentcheck"
        cd "$0/etc/agentcheck"
        mkdir ..1
        printf '[service.web]\nweight = "80"\n' >..1/agentcheck.toml
        ln -s ..1 ..data
        ln -s ..data/agentcheck.toml agentcheck.toml
        mount -o remount,ro "$0/etc/agentcheck"
        mount -t proc proc "$0/proc"
        cd /
        chroot --userspec=64001:64001 --groups=64001 "$0" /usr/bin/agentcheck collect --reload-on-change &
        chroot --userspec=64002:64002 --groups=64001 "$0" \
            /usr/bin/agentcheck-responder --name-from-client --listen "$1" &
        wait
    "#;
    let mut pod = isolated(&["--pid", "--fork"], script, &root);
    pod.arg(agent.to_string());
    let pod = Running::start(&scratch, "pod", &mut pod);
    wait_until("the responder to listen", || is_listening(agent));
    wait_for_probe(agent, &pod);

    // preStop, in the collector's container.
    let first = pod.children()[0].to_string();
    let root = root.to_str().unwrap();
    let drained = run(Command::new("nsenter").args([
        "-t",
        &first,
        "-m",
        "-p",
        "chroot",
        "--userspec=64001:64001",
        "--groups=64001",
        root,
        "/usr/bin/agentcheck",
        "drain",
        "web",
        "--wait",
        "--reason",
        "pod stops",
    ]));
    println!("{drained}");
    let received = probe(agent, b"web\n").unwrap();
    assert!(received.text().starts_with("up 0%"), "{received:?}");
}
