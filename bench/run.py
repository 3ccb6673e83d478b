#!/usr/bin/env python3
"""Measures the programs and prints tables of ratios; asserts nothing.

    bench/run.py [spawn] [loop] [latency] [cpu] [lost] [clustercheck] [scale] [http] [start]

It builds what it needs, uses only loopback addresses and temporary directories, and removes them. The C programs beside
this file do the measured work; this file runs them and prints their numbers as tables. README.md explains the tables.
"""

import contextlib
import csv
import io
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import scale

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
IS_ROOT = os.geteuid() == 0
HOST = "127.0.0.1"
REPLY = "up 73% # app.rps=1890"

# The core of the server, and the core of the clients.
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, CLIENT_CORE = str(CORES[0]), str(CORES[-1])

FREESTANDING = "-O2 -ffreestanding -nostdlib -static -fno-stack-protector -fno-pie -no-pie".split()


# Functions that several sections use.


def output(*words):
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout


def has(program):
    return shutil.which(program) is not None


def free_port():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running(words, port=None, **options):
    """Runs a process. At the end it is terminated by its id, with its children, which are in its process group."""
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL} | options
    process = subprocess.Popen([str(word) for word in words], start_new_session=True, **options)
    try:
        if port:
            wait_for_listener(port, process)
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def directories():
    """Two directories that all users can enter, for work and for state files. State files are on a tmpfs, as in /run."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with (
        tempfile.TemporaryDirectory(prefix="agentcheck-bench-") as work,
        tempfile.TemporaryDirectory(prefix="agentcheck-bench-", dir=memory) as state,
    ):
        for directory in [work, state]:
            os.chmod(directory, 0o755)
        yield pathlib.Path(work), pathlib.Path(state)


def haproxy_rows(control):
    """HAProxy's statistics, read from its stats socket: a dictionary for each row."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(control))
        client.sendall(b"show stat\n")
        text = b"".join(iter(lambda: client.recv(65536), b"")).decode()
    return csv.DictReader(io.StringIO(text.removeprefix("# ")))


def wait_for_listener(port, process):
    """Waits without connecting, because systemd-socket-activate starts its loop at the first connection."""
    for _ in range(500):
        lines = pathlib.Path("/proc/net/tcp").read_text().splitlines()
        sockets = [line.split() for line in lines[1:]]
        if any(local.endswith(f":{port:04X}") and state == "0A" for _, local, _, state, *_ in sockets):
            return
        if process.poll() is not None:
            sys.exit(f"{process.args[0]} ended with status {process.returncode}")
        time.sleep(0.01)
    sys.exit(f"{process.args[0]} does not listen on port {port}")


def state_file(path):
    """Writes a valid state file, with a stage that has expired, one that has not, and a last line."""
    name = path.name.removesuffix(".state")
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text()
    far = time.clock_gettime_ns(time.CLOCK_BOOTTIME) + 10**15
    path.write_text(
        f"agentcheck 1 {name}\nboot {boot}from 1\nuntil 2 up 11%\nuntil {far} {REPLY}\nthen up 73% # stale\n"
    )


def check_reply(label, port, name):
    """Ends the program unless the server sends the reply of the state file."""
    with socket.create_connection((HOST, port)) as client:
        client.sendall(f"{name}\n".encode())
        reply = b"".join(iter(lambda: client.recv(4096), b"")).decode()
    if reply != REPLY + "\n":
        sys.exit(f"{label} replies {reply!r}")


def percentile(values, percent):
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) * percent // 100]


def load():
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


def table(title, head, rows):
    """Prints a Markdown table; the first column is left-aligned, the others are right-aligned."""
    print(f"\n### {title}\n")
    cells = [head, *[[str(cell) for cell in row] for row in rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for number, row in enumerate(cells):
        padded = [row[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(row[1:], widths[1:])]
        print("| " + " | ".join(padded) + " |")
        if number == 0:
            marks = ["-" * widths[0]] + ["-" * (width - 1) + ":" for width in widths[1:]]
            print("| " + " | ".join(marks) + " |")
    print(flush=True)


class Bench:
    """The programs and files that all sections use."""

    def __init__(self, work, state):
        self.work, self.state = work, state
        if not has("gcc"):
            sys.exit("the benchmark compiles its C programs: apt-get install gcc libc6-dev")
        subprocess.run(
            ["cargo", "build", "--quiet", "--release", "--locked", "-p", "agentcheck-responder"], cwd=ROOT, check=True
        )
        # A copy: the user nobody can execute it there, and no build replaces it during the run.
        self.responder = shutil.copy(TARGET / "release/agentcheck-responder", work)
        self.reference = self.compile("reference", "reference.c", *FREESTANDING)
        self.glibc = self.compile("reference-glibc", "reference.c", "-O2", "-static")
        self.constant_loop = self.compile("constant_loop", "constant_loop.c", "-O2")
        self.spawn = self.compile("spawn", "spawn.c", "-O2")
        self.probe = self.compile("probe", "probe.c", "-O2")
        state_file(state / "web.state")

    def compile(self, name, source, *flags):
        program = str(self.work / name)
        subprocess.run(["gcc", "-Wall", *flags, "-o", program, str(HERE / source)], check=True)
        return program


# One process per probe, from spawn to exit.


def on_a_connection(words):
    """Runs a program once on a connection whose client sends nothing. Returns the reply and the standard error.

    So draining ends at once, and the counts are the same in each run.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.shutdown(socket.SHUT_WR)
        # Few variables, because the responder reads each one.
        process = subprocess.Popen(
            words, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, text=True, env={"PATH": os.environ["PATH"]}
        )
        theirs.close()
        reply = b"".join(iter(lambda: ours.recv(4096), b""))
        ours.close()
        return reply.decode(), process.communicate()[1]


def instructions(words):
    if not has("valgrind"):
        return "?"
    tool = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    _, report = on_a_connection([*tool, *words])
    found = re.search(r"Collected : (\d+)", report)
    return found[1] if found else "?"


def system_calls(words, bench):
    """The number of system calls after exec, including the exit."""
    if not has("strace"):
        return "?"
    log = bench.work / "strace.log"
    on_a_connection(["strace", "-o", str(log), *words])
    lines = [line for line in log.read_text().splitlines() if re.match(r"\w+\(", line)]
    return len(lines) - 1


def section_spawn(bench):
    rounds = 2000
    state = str(bench.state / "web.state")
    programs = {
        "C, no libc (reference)": [bench.reference, "web", str(bench.state)],
        "agentcheck-responder": [bench.responder, "web", "--state-dir", str(bench.state)],
        "agentcheck-responder --http": [bench.responder, "web", "--http", "--state-dir", str(bench.state)],
        "C, static glibc": [bench.glibc, "web", str(bench.state)],
        "/bin/cat web.state": ["/bin/cat", state],
        # Without --norc, bash with a socket as standard input assumes rshd, and reads ~/.bashrc.
        "bash -c 'echo up 73%'": ["/bin/bash", "--norc", "-c", "echo up 73%"],
    }
    for label in ["C, no libc (reference)", "agentcheck-responder", "C, static glibc"]:
        reply, _ = on_a_connection(programs[label])
        if reply != REPLY + "\n":
            sys.exit(f"{label} replies {reply!r}")
    before = load()
    arguments = [word for label, words in programs.items() for word in ["--", label, *words]]
    measured = {}
    for line in output(bench.spawn, str(rounds), *arguments).splitlines():
        label, *numbers = line.split("\t")
        measured[label] = [float(number) for number in numbers]
    base = measured["C, no libc (reference)"][0]
    rows = []
    for label, words in programs.items():
        median, low, high, faults = measured[label]
        ours = words[0].startswith(str(bench.work))
        rows.append(
            [
                label,
                f"{median / base:.2f}",
                f"{median:.0f}",
                f"{low:.0f} to {high:.0f}",
                f"{faults:.0f}",
                instructions(words) if ours else "",
                system_calls(words, bench) if ours else "",
                os.path.getsize(words[0]),
            ]
        )
    table(
        f"From spawn to exit, medians of {rounds} interleaved rounds (load before {before}, after {load()})",
        ["program", "x reference", "us", "10% to 90%", "page faults", "instructions", "system calls", "bytes"],
        rows,
    )
    own = measured["agentcheck-responder"][0]
    bars = [
        ("to the reference", base, "<= 1.10"),
        ("to static glibc", measured["C, static glibc"][0], "<= 0.33"),
        ("to /bin/cat", measured["/bin/cat web.state"][0], "<= 0.33"),
        ("to bash", measured["bash -c 'echo up 73%'"][0], "<= 0.20"),
    ]
    table(
        "The responder's own ratios",
        ["agentcheck-responder", "ratio", "bar"],
        [[what, f"{own / other:.2f}", bar] for what, other, bar in bars]
        + [["HTTP to agent-check", f"{measured['agentcheck-responder --http'][0] / own:.2f}", "<= 1.25"]]
        + [["size in bytes", os.path.getsize(bench.responder), "<= 28672"]],
    )
    if has("vmstat"):
        line = output(bench.spawn, "1", "--", "vmstat", str(HERE / "vmstat.sh")).split("\t")
        print(f"Apart: the script of the guides with `vmstat 1 2` takes {float(line[1]) / 1000:.0f} ms, once.")


# The accept loop.


def section_loop(bench):
    rounds, seconds, clients = 12, 0.4, 16
    directories = {}
    for count in [1, 100, 10_000]:
        directories[count] = bench.state / f"services-{count}"
        directories[count].mkdir()
        for number in range(1, count + 1):
            state_file(directories[count] / f"s{number}.state")

    with contextlib.ExitStack() as stack:

        def start(*words):
            port = free_port()
            words = [word.format(listen=f"{HOST}:{port}", port=port) for word in words]
            return port, stack.enter_context(running(["taskset", "-c", SERVER_CORE, *words], port))

        def loop(*words):
            return start(bench.responder, *words, "--listen", "{listen}")

        by_name = {count: loop("--name-from-client", "--state-dir", str(directory)) for count, directory in directories.items()}
        # Label, server, idle connections, and the names that the probes send (NAMES of probe.c).
        runs = [
            ("C, waits for the close", start(bench.constant_loop, HOST, "{port}"), 0, 0),
            ("C, closes at once", start(bench.constant_loop, HOST, "{port}", "close"), 0, 0),
            ("C, reads a name, closes", start(bench.constant_loop, HOST, "{port}", "read-name"), 0, 1),
            ("responder web", loop("web", "--state-dir", str(bench.state)), 0, 0),
            ("responder --name-from-client, 1 service", by_name[1], 0, 1),
            ("responder --name-from-client, 100 services", by_name[100], 0, 100),
            ("responder --name-from-client, 10,000 services", by_name[10_000], 0, 10_000),
            ("responder --name-from-client, 100 idle clients", by_name[1], 100, 1),
            ("responder --name-from-client, 1,000 idle clients", by_name[1], 1000, 1),
        ]
        for label, (port, _), _, _ in runs[3:]:
            check_reply(label, port, "s1")
        http = loop("--name-from-client", "--http", "--state-dir", str(directories[100]))
        runs.append(("responder --http, 100 services", http, 0, "h100"))
        # nginx and HAProxy answer with a constant, each with one process on the server's core.
        if has("nginx"):
            configuration = bench.work / "nginx.conf"
            configuration.write_text(
                f"daemon off; master_process off; pid {bench.work}/nginx.pid; error_log stderr crit;\n"
                "events { worker_connections 4096; }\n"
                f"http {{ access_log off; server {{ listen {HOST}:{(port := free_port())} backlog=1024; "
                f'location / {{ return 200 "{REPLY}\\n"; }} }} }}\n'
            )
            server = stack.enter_context(running(["taskset", "-c", SERVER_CORE, "nginx", "-c", configuration], port))
            runs.append(("nginx, return 200", (port, server), 0, "h100"))
        if has("haproxy"):
            configuration = bench.work / "haproxy-http.cfg"
            configuration.write_text(
                "global\n  nbthread 1\ndefaults\n  mode http\n  timeout client 9s\n  timeout connect 9s\n"
                f"  timeout server 9s\nfrontend f\n  bind {HOST}:{(port := free_port())}\n"
                f'  http-request return status 200 content-type text/plain string "{REPLY}\\n"\n'
            )
            words = ["taskset", "-c", SERVER_CORE, "haproxy", "-db", "-f", configuration]
            server = stack.enter_context(running(words, port))
            runs.append(("HAProxy, http-request return", (port, server), 0, "h100"))
        rates, costs, failed, slow = ({label: [] for label, *_ in runs} for _ in range(4))
        before = load()
        for _ in range(rounds):
            for label, (port, process), idle, names in runs:
                # Together below the 1,024 connections of the responder's table.
                words = ["rate", HOST, port, seconds, clients, idle, names, process.pid]
                line = output("taskset", "-c", CLIENT_CORE, bench.probe, *[str(word) for word in words])
                probes, took, incomplete, spent, p99 = [float(number) for number in line.split()]
                rates[label].append(probes / took)
                costs[label].append(spent / 1000 / max(probes, 1))
                failed[label].append(int(incomplete))
                slow[label].append(p99)
    rate, cost, late = ({label: statistics.median(runs) for label, runs in each.items()} for each in (rates, costs, slow))
    base, close_at_once = list(rate)[:2]
    table(
        f"The accept loop on a core of its own, {clients} clients at a time from another, medians of {rounds} "
        f"interleaved runs of {seconds} s (load before {before}, after {load()})",
        ["server", "probes/s", "x waits", "x at once", "server us/probe", "least", "x waits", "p99 us", "x waits", "no line"],
        [
            [
                label,
                f"{rate[label]:.0f}",
                f"{rate[label] / rate[base]:.2f}",
                f"{rate[label] / rate[close_at_once]:.2f}",
                f"{cost[label]:.1f}",
                f"{min(costs[label]):.1f}",
                f"{cost[label] / cost[base]:.2f}",
                f"{late[label]:.0f}",
                f"{late[label] / late[base]:.2f}",
                sum(failed[label]),
            ]
            for label in rate
        ],
    )
    print("Bars: server us/probe at most 1.05 x waits, p99 at most 1.1 x waits; HTTP at most the time of nginx and of")
    print("HAProxy. If the client's core is the slower of the two, probes/s is the client's rate.")


# Latency of HAProxy and of a plain client, processor time, and lost replies, under the launchers.


@contextlib.contextmanager
def xinetd(bench, port, arguments):
    user = "nobody" if IS_ROOT else os.environ.get("USER", "nobody")
    name = f"xinetd-{port}"
    configuration = bench.work / f"{name}.conf"
    configuration.write_text(
        f"""service agentcheck
{{
	type = UNLISTED
	socket_type = stream
	protocol = tcp
	wait = no
	user = {user}
	bind = {HOST}
	port = {port}
	server = {bench.responder}
	server_args = {" ".join(arguments)}
	cps = 0 0
	instances = UNLIMITED
	per_source = UNLIMITED
}}
"""
    )
    words = ["xinetd", "-dontfork", "-f", configuration, "-filelog", bench.work / f"{name}.log"]
    with running([*words, "-pidfile", bench.work / f"{name}.pid"], port):
        yield


def simple(*words):
    """A launcher that is one command line with {host}, {port}, {responder}, and {arguments} or {line}."""

    @contextlib.contextmanager
    def launch(bench, port, arguments):
        line = []
        for word in words:
            if word == "{arguments}":
                line += arguments
                continue
            known = {"host": HOST, "port": port, "responder": bench.responder, "line": " ".join(arguments)}
            line.append(word.format(**known))
        with running(line, port):
            yield

    return launch


LAUNCHERS = {
    "accept loop, --listen": simple("{responder}", "{arguments}", "--listen", "{host}:{port}"),
    "systemd-socket-activate, loop": simple(
        "systemd-socket-activate", "-l", "{host}:{port}", "{responder}", "{arguments}"
    ),
    "xinetd": xinetd,
    "tcpserver": simple("tcpserver", "-H", "-R", "-l", "localhost", "{host}", "{port}", "{responder}", "{arguments}"),
    "socat EXEC,nofork": simple(
        "socat", "TCP-LISTEN:{port},bind={host},reuseaddr,fork,backlog=128", "EXEC:{responder} {line},nofork"
    ),
    "socat EXEC": simple(
        "socat", "TCP-LISTEN:{port},bind={host},reuseaddr,fork,backlog=128", "EXEC:{responder} {line}"
    ),
    "systemd-socket-activate, per probe": simple(
        "systemd-socket-activate", "-l", "{host}:{port}", "--accept", "--inetd", "{responder}", "{arguments}"
    ),
}
NEEDS = {"xinetd": "xinetd", "tcpserver": "ucspi-tcp", "socat": "socat", "systemd-socket-activate": "systemd"}


@contextlib.contextmanager
def systemd(bench, variants=()):
    """A real systemd, booted by the tests' script, with our units on two ports.

    Each of the `variants` is a name and the text of a unit for one probe; it gets its own port. Yields the ports by name,
    and the control group of the whole system; two times None if systemd cannot run here.
    """
    script = ROOT / "tests/harness/systemd-lab.sh"
    if not (IS_ROOT and script.exists() and pathlib.Path("/lib/systemd/systemd").exists()):
        print("Omitted: real systemd (needs root, systemd and tests/harness/systemd-lab.sh).")
        yield None, None
        return
    ports = {name: free_port() for name in ["agentcheck", "agentcheck-inetd", *dict(variants)]}
    tree = bench.work / "tree"
    units = tree / "usr/lib/systemd/system"
    for directory in [units, tree / "usr/bin", tree / "usr/lib/sysusers.d", tree / "usr/lib/tmpfiles.d"]:
        directory.mkdir(parents=True)
    shutil.copy(bench.responder, tree / "usr/bin")
    shutil.copy(ROOT / "systemd/agentcheck.sysusers", tree / "usr/lib/sysusers.d/agentcheck.conf")
    shutil.copy(ROOT / "systemd/agentcheck.tmpfiles", tree / "usr/lib/tmpfiles.d/agentcheck.conf")
    for unit in ["agentcheck.socket", "agentcheck.service", "agentcheck-inetd.socket", "agentcheck-inetd@.service"]:
        text = (ROOT / "systemd" / unit).read_text()
        if unit.endswith(".socket"):
            # The shipped sockets have the same port and conflict. Here both run, with different ports.
            text = text.replace("3333", str(ports[unit.removesuffix(".socket")])).replace("Conflicts=", "#")
        (units / unit).write_text(text)
    for name, text in variants:
        (units / f"{name}@.service").write_text(text)
        shipped = (units / "agentcheck-inetd.socket").read_text()
        port = str(ports["agentcheck-inetd"])
        (units / f"{name}.socket").write_text(shipped.replace(port, str(ports[name])))
    words = [script, bench.work / "lab", tree]
    with running(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as lab:
        first = lab.stdout.readline().split()
        if first[:1] != ["up"]:
            print("Omitted: real systemd, which does not start here.")
            yield None, None
            return
        inside = ["nsenter", "-t", first[1], "-m", "-p", "-n", "-u", "-i", "-C", "--"]
        for command in ["systemd-sysusers", "systemd-tmpfiles --create agentcheck.conf"]:
            subprocess.run([*inside, *command.split()], check=True, stderr=subprocess.DEVNULL)
        state_file(pathlib.Path(f"/proc/{first[1]}/root/run/agentcheck/web.state"))
        subprocess.run([*inside, "systemctl", "start", *[f"{name}.socket" for name in ports]], check=True)
        try:
            yield ports, control_groups() / f"agentcheck-lab.{lab.pid}"
        finally:
            # The script ends the system when its standard input ends.
            lab.stdin.close()
            lab.wait(20)


def haproxy_durations(bench, port, checks, per_second):
    """The durations of HAProxy's agent checks, in whole milliseconds, and the number of checks that were not L7OK."""
    servers = 10
    inter = round(1000 * servers / per_second)
    control = bench.work / f"haproxy-{port}.sock"
    lines = [
        f"server s{number} {HOST}:1 weight 100 agent-check agent-addr {HOST} agent-port {port} "
        f'agent-inter {inter} agent-send "web\\n"'
        for number in range(servers)
    ]
    configuration = bench.work / f"haproxy-{port}.cfg"
    configuration.write_text(
        f"global\n  stats socket {control}\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 5s\n"
        f"  timeout server 5s\n  timeout check 5s\nbackend b\n  " + "\n  ".join(lines) + "\n"
    )
    between = inter / 1000
    durations, others = [], 0
    with running(["haproxy", "-db", "-f", configuration]) as process:
        give_up = time.monotonic() + 5 + 3 * checks / per_second
        time.sleep(3 * between + 0.2)
        while len(durations) < checks and time.monotonic() < give_up and process.poll() is None:
            time.sleep(between)
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(control))
                client.sendall(b"show stat\n")
                text = b"".join(iter(lambda: client.recv(65536), b"")).decode()
            for row in csv.DictReader(io.StringIO(text.removeprefix("# "))):
                if not row["svname"].startswith("s"):
                    continue
                if row["agent_status"].removeprefix("* ") == "L7OK":
                    durations.append(int(row["agent_duration"]))
                else:
                    others += 1
    return durations, others


def section_latency(bench):
    rounds, each = 10, 100
    with contextlib.ExitStack() as stack:
        ports = {}
        for label, launch in LAUNCHERS.items():
            program = label.split()[0].rstrip(",")
            if program in NEEDS and not has(program):
                print(f"Omitted: {label} (apt-get install {NEEDS[program]}).")
                continue
            ports[label] = free_port()
            stack.enter_context(launch(bench, ports[label], ["--name-from-client", "--state-dir", str(bench.state)]))
        units, _ = stack.enter_context(systemd(bench))
        if units:
            ports["systemd, agentcheck.socket (loop)"] = units["agentcheck"]
            ports["systemd, agentcheck-inetd.socket (per probe)"] = units["agentcheck-inetd"]

        for label, port in ports.items():
            check_reply(label, port, "web")
        before = load()
        times = {label: [] for label in ports}
        for turn in range(-1, rounds):
            for label, port in ports.items():
                # Turn -1 warms up.
                count = each if turn >= 0 else 5
                lines = output(bench.probe, "latency", HOST, str(port), str(count), "web").split()
                if turn >= 0:
                    times[label] += [float(line) for line in lines]
        durations = {}
        if has("haproxy"):
            for label, port in ports.items():
                # A service manager that creates a unit per probe needs most of a core for 50 probes a second.
                per_second = 50 if "inetd.socket" in label else 200
                durations[label] = haproxy_durations(bench, port, 1000, per_second)
        else:
            print("Omitted: what HAProxy sees (apt-get install haproxy).")

    base = statistics.median(times["xinetd"]) if "xinetd" in times else float("nan")
    rows = []
    for label, each_time in times.items():
        seen, others = durations.get(label, ([], 0))
        rows.append(
            [
                label,
                f"{statistics.median(each_time) / base:.2f}",
                f"{statistics.median(each_time):.0f}",
                f"{percentile(each_time, 99):.0f}",
                each_time.count(0),
                f"{statistics.mean(seen):.2f}" if seen else "",
                f"{percentile(seen, 50)}" if seen else "",
                f"{percentile(seen, 99)}" if seen else "",
                f"{len(seen)}" if seen else "",
                others if seen else "",
            ]
        )
    table(
        f"One probe under each launcher, `--name-from-client` with agent-send: connect to EOF ({rounds} interleaved runs of "
        f"{each}), and agent_duration of HAProxy in ms (load before {before}, after {load()})",
        ["launcher", "x xinetd", "median us", "p99 us", "no line", "HAProxy mean", "median", "p99", "checks", "not L7OK"],
        rows,
    )


def control_groups():
    """The mount point of the control groups."""
    mounts = [line.split() for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
    return next(pathlib.Path(mount[1]) for mount in mounts if mount[2] == "cgroup2")


@contextlib.contextmanager
def control_group(bench, name):
    """Creates a control group and removes it at the end. Yields it, and the group of this process."""
    group = control_groups() / f"agentcheck-bench.{os.getpid()}.{name}"
    before = control_groups() / pathlib.Path("/proc/self/cgroup").read_text().split("0::/")[1].strip()
    group.mkdir()
    try:
        yield group, before
    finally:
        for _ in range(100):
            with contextlib.suppress(OSError):
                group.rmdir()
                return
            time.sleep(0.05)


def processor_time(group):
    """The processor time of all processes of a control group, in microseconds."""
    fields = dict(line.split() for line in (group / "cpu.stat").read_text().splitlines())
    return int(fields["usage_usec"])


def section_cpu(bench):
    if not IS_ROOT:
        print("Omitted: processor time of launchers (needs root).")
        return
    rounds, few, many = 7, 40, 2000
    shipped = (ROOT / "systemd/agentcheck-inetd@.service").read_text()
    full = (ROOT / "systemd/optional/agentcheck-inetd@.service.d/tight.conf").read_text()
    kept = ("[", "User=", "Group=", "ExecStart=", "Standard", "CollectMode=", "LogLevelMax=", "RuntimeMaxSec=")
    variants = [
        ("no-limits", shipped.replace("LimitAS=64M", "").replace("LimitCORE=0", "")),
        ("no-sandbox", "\n".join(line for line in shipped.splitlines() if line.startswith(kept))),
        ("full-sandbox", f"{shipped}\n{full}"),
    ]
    with contextlib.ExitStack() as stack:
        groups, ports = {}, {}
        for label in ["accept loop, --listen", "xinetd"]:
            group, before = stack.enter_context(control_group(bench, label.split()[0]))
            port = free_port()
            (group / "cgroup.procs").write_text("0")
            arguments = ["--name-from-client", "--state-dir", str(bench.state)]
            stack.enter_context(LAUNCHERS[label](bench, port, arguments))
            (before / "cgroup.procs").write_text("0")
            groups[label], ports[label] = group, port
        units, group = stack.enter_context(systemd(bench, variants))
        for name, label in {
            "agentcheck": "systemd, agentcheck.socket (loop)",
            "agentcheck-inetd": "systemd, agentcheck-inetd.socket (per probe)",
            "no-limits": "the same without LimitAS= and LimitCORE=",
            "no-sandbox": "the same without sandbox and limits",
            "full-sandbox": "the same with tight.conf",
        }.items():
            if units:
                groups[label], ports[label] = group, units[name]
        used = {label: [] for label in ports}
        before = load()
        for turn in range(-1, rounds):
            for label, port in ports.items():
                count = few if "per probe" in label or "the same" in label else many
                if turn < 0:
                    count = 5
                # The processor time without probes, to subtract it.
                start, began = processor_time(groups[label]), time.monotonic()
                time.sleep(0.5)
                idle = (processor_time(groups[label]) - start) / (time.monotonic() - began)
                start, began = processor_time(groups[label]), time.monotonic()
                output(bench.probe, "latency", HOST, str(port), str(count), "web")
                # The service manager removes the units in this time.
                time.sleep(0.5)
                time_used = processor_time(groups[label]) - start - idle * (time.monotonic() - began)
                if turn >= 0:
                    used[label].append(time_used / count / 1000)
    base = statistics.median(used["xinetd"])
    table(
        f"Processor time of one probe, of launcher and responder ({rounds} interleaved runs; load before {before}, "
        f"after {load()}; systemd {output('systemctl', '--version').split()[1]})",
        ["launcher", "x xinetd", "median ms", "least", "most"],
        [
            [
                label,
                f"{statistics.median(each) / base:.2f}",
                *(f"{value:.3f}" for value in (statistics.median(each), min(each), max(each))),
            ]
            for label, each in used.items()
        ],
    )


def section_lost(bench):
    probes, clients = 10_000, 8
    ways = [
        ("4 bytes left unread", "eof", "web"),
        ("14,000 bytes left unread", "eof", "14000"),
        ("client closes at the newline", "close", "web"),
        ("client resets at the newline", "reset", "web"),
    ]
    # The responder reads the client's bytes only with --name-from-client.
    modes = [("", ["web"], ways), (" --name-from-client", ["--name-from-client"], [*ways[:1], *ways[2:]])]
    http = [(f"HTTP, {way}", end, "http") for way, end, _ in ways[2:]] + [
        ("HTTP, read to the end", "eof", "http"),
        ("HTTP with Connection: close, read to the end", "eof", "http-close"),
        ("HTTP with Connection: close, client closes at the newline", "close", "http-close"),
    ]
    modes.append((" --http", ["--name-from-client", "--http"], http))
    before, rows = load(), []
    for label in ["xinetd", "accept loop, --listen"]:
        if label == "xinetd" and not has("xinetd"):
            print("Omitted: xinetd (apt-get install xinetd).")
            continue
        for mode, arguments, mode_ways in modes:
            port = free_port()
            with LAUNCHERS[label](bench, port, [*arguments, "--state-dir", str(bench.state)]):
                check_reply(label, port, "web")
                for way, end, send in mode_ways:
                    words = ["lost", HOST, port, probes, clients, end, send]
                    made, whole, lost = output(bench.probe, *[str(word) for word in words]).split()
                    rows.append([f"{label}{mode}: {way}", made, whole, lost])
    table(
        f"Lost replies (load before {before}, after {load()}; bar 0)",
        ["launcher and client", "probes", "whole lines", "lost"],
        rows,
    )


# A collector with many services.


MUSL = f"{os.uname().machine}-unknown-linux-musl"


def collectors(bench):
    """The collectors by name: with glibc, and static as `make dist` builds it."""
    build = ["cargo", "build", "--quiet", "--release", "--locked", "-p", "agentcheck"]
    subprocess.run(build, cwd=ROOT, check=True)
    programs = {"glibc": shutil.copy(TARGET / "release/agentcheck", bench.work / "agentcheck-glibc")}
    if has("rustup") and MUSL in output("rustup", "target", "list", "--installed").split():
        subprocess.run([*build, "--target", MUSL], cwd=ROOT, check=True)
        programs["static"] = shutil.copy(TARGET / MUSL / "release/agentcheck", bench.work / "agentcheck-static")
    else:
        print(f"Omitted: the static program (rustup target add {MUSL}).")
    return programs


@contextlib.contextmanager
def on_the_client_core():
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {int(CLIENT_CORE)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, mine)


def on_the_server_core(program):
    """Returns a function that runs a program with its arguments, and returns the first number of the output."""
    words = ["taskset", "-c", SERVER_CORE, program]
    return lambda *arguments: float(output(*words, *[str(argument) for argument in arguments]).split()[0])


def starting(program):
    return lambda arguments: running(["taskset", "-c", SERVER_CORE, program, *arguments])


def section_scale(bench):
    floor = on_the_server_core(bench.compile("floor", "floor.c", "-O2"))
    seconds, before, rows = 20, load(), []
    with on_the_client_core():
        for label, program in collectors(bench).items():
            for count in [1, 100, 1000, 10_000]:
                measured = scale.measure(starting(program), floor, bench.state, count, seconds)
                rows.append(scale.row(label, count, *measured))
    table(
        f"A collector with so many services, each with a file of its own polled every second; {seconds} s for the "
        f"lateness, and {seconds} s for the processor time (load before {before}, after {load()}; bars for the static "
        "program: 2.0 x floor with 1,000 services, 2.2 x with 10,000, p99 20 ms, 8 KB each)",
        scale.HEAD,
        rows,
    )


# One HTTP check of a Galera node: a clustercheck script, and the responder.


def cpu_of(words, count):
    """The median processor time of `count` runs, with children, in microseconds. Standard output is a connection."""
    taken = []
    for _ in range(count):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.sendall(b"OPTIONS / HTTP/1.0\r\n\r\n")
            actions = [(os.POSIX_SPAWN_DUP2, theirs.fileno(), number) for number in [0, 1]]
            process = os.posix_spawnp(str(words[0]), [str(word) for word in words], os.environ, file_actions=actions)
            theirs.close()
            reply = b""
            # The script does not read the request, so it resets the connection when it closes.
            with contextlib.suppress(ConnectionResetError):
                while piece := ours.recv(4096):
                    reply += piece
            ours.close()
        _, _, used = os.wait4(process, 0)
        if b" 200 OK\r\n" not in reply:
            sys.exit(f"{words[0]} replies {reply!r}")
        taken.append(1e6 * (used.ru_utime + used.ru_stime))
    return statistics.median(taken)


def section_clustercheck(bench):
    galera = pathlib.Path("/usr/lib/galera/libgalera_smm.so")
    if not (has("mariadbd") and galera.exists()):
        print("Omitted: clustercheck (apt-get install mariadb-server galera-4).")
        return
    home = bench.work / "mariadb"
    home.mkdir()
    (home / "my.cnf").write_text(f"[client]\nsocket = {home}/socket\nuser = root\n")
    words = [HERE.parent / "tests/harness/mariadb.sh", home, "--galera", HOST, free_port()]
    words += [f"{HOST}:{free_port()}" for _ in range(2)]
    query = "SHOW STATUS LIKE 'wsrep_local_state'"
    client = ["mysql", f"--defaults-file={home}/my.cnf", "-BNe", query]
    before = load()
    with running(words) as node:
        until = time.monotonic() + 60
        while subprocess.run(client, capture_output=True, text=True).stdout.split()[-1:] != ["4"]:
            if node.poll() is not None or time.monotonic() > until:
                sys.exit("MariaDB with Galera does not start")
            time.sleep(0.2)
        script = cpu_of([HERE / "clustercheck.sh", home / "my.cnf"], 30)
        mysql = statistics.median(client_cpu(client) for _ in range(30))
    responder = cpu_of([bench.responder, "web", "--http", "--state-dir", bench.state], 300)
    table(
        f"CPU of one HTTP check of a Galera node, without the server's (load before {before}, after {load()}; bar 50)",
        ["program", "CPU us", "x responder"],
        [
            ["agentcheck-responder --http, one process per check", f"{responder:.0f}", "1.0"],
            ["mysql client alone", f"{mysql:.0f}", f"{mysql / responder:.1f}"],
            ["clustercheck.sh (bash and the mysql client)", f"{script:.0f}", f"{script / responder:.1f}"],
        ],
    )


def client_cpu(words):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    output(*words)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1e6 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def section_http(bench):
    if not has("nginx"):
        print("Omitted: sources over HTTP (apt-get install nginx-light).")
        return
    floor = on_the_server_core(bench.compile("poll", "poll.c", "-O2"))
    port, seconds, before, rows = free_port(), 20, load(), []
    with on_the_client_core(), running(scale.nginx(bench.work, port), port):
        for label, program in collectors(bench).items():
            measured = scale.measure_http(starting(program), floor, bench.state, port, 200, seconds)
            rows.append([label, *measured])
    table(
        "A collector that polls an nginx on this host every second, with all its work for a poll, next to a C client that "
        f"connects, requests, reads and closes (load before {before}, after {load()}; bar 3 x floor)",
        ["program", *scale.HEAD_HTTP],
        rows,
    )


def section_start(bench):
    rounds, before, rows = 5, load(), []
    for label, program in collectors(bench).items():
        check = lambda words: output(program, *[str(word) for word in words])
        start = lambda words: running([program, *words])
        for count in [10, 1000, 10_000]:
            times = [scale.measure_start(start, check, bench.state, count) for _ in range(rounds)]
            rows.append([label, f"{count:,}", *[f"{statistics.median(each):.0f}" for each in zip(*times)]])
    table(
        f"From exec to the first replies, and `check`: milliseconds, medians of {rounds} (load before {before}, after "
        f"{load()}; bars: first reply 100 ms with 10 services, 1 s with 1,000; check 1 s with 10,000)",
        ["program", "services", "first reply", "all replies", "check"],
        rows,
    )


SECTIONS = {
    "spawn": section_spawn,
    "loop": section_loop,
    "latency": section_latency,
    "cpu": section_cpu,
    "lost": section_lost,
    "clustercheck": section_clustercheck,
    "scale": section_scale,
    "http": section_http,
    "start": section_start,
}


def main():
    # An exit ends the started processes, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    wanted = sys.argv[1:] or list(SECTIONS)
    if unknown := [name for name in wanted if name not in SECTIONS]:
        sys.exit(f"{' '.join(unknown)}: the sections are {' '.join(SECTIONS)}")
    began = time.monotonic()
    with directories() as (work, state):
        bench = Bench(work, state)
        print(f"{time.strftime('%Y-%m-%d %H:%M')}, Linux {os.uname().release} {os.uname().machine}, ", end="")
        print(f"{len(CORES)} cores, load {load()}", flush=True)
        for name in wanted:
            SECTIONS[name](bench)
    print(f"\n{time.monotonic() - began:.0f} s in all, load {load()}")


if __name__ == "__main__":
    main()
