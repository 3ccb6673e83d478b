#!/usr/bin/env python3
"""Compares agentcheck with other agents and scripts that answer HAProxy's checks; asserts nothing.

    bench/peers.py [NAME...]

None of the others is in this repository. pip fetches packages into target/peers. The other peers need a path; a peer
that is missing is omitted and named. peers.md explains the tables. This file starts the peers; peers_measure.py
measures them.

    PYTHON2        a Python 2.7 with pip, for Herald (python2.7)
    HAREPLY        the program (hareply)
    HAPGENT        the program (hapgent)
    HAUPDOWN       the program (haupdown)
    CLUSTERCHECK   the script, of github.com/olafz/percona-clustercheck
    MARIADB_ROOT   where usr/sbin/mariadbd, usr/bin/mariadb and usr/lib/galera are, for clustercheck (/)
"""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import peers_measure
import run
from run import HERE, HOST, TARGET, free_port, running

FETCHED = TARGET / "peers"
MESSAGES = {"msg-per-second": 1890}
# Datawave's agent needs these values; it also computes 73% of them.
DATAWAVE = {"Status": "ready", "ConnectionUsagePercent": 38.0, "SystemLoad": 0.0, "SwapBytesUsed": 0}
APPLICATION = f"""
import http.server, json
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({MESSAGES | DATAWAVE!r}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(({HOST!r}, PORT), Answer).serve_forever()
"""


class Unavailable(Exception):
    """The reason why a peer does not run here."""


class Started:
    """A running peer: its port, the process that answers or launches, and the process that decides, if it is another."""

    def __init__(self, port, main, decider=None, resident=(), application=None, launches=False, request="", daemons=1):
        self.port, self.main, self.decider = port, main, decider
        # The line that a probe sends: a name, or an HTTP request.
        self.request = request
        # The number of such daemons that a host with two services needs: 1 if one daemon serves both.
        self.daemons = daemons
        # Whether `main` starts processes that answer.
        self.launches = launches
        # The processes that must run between probes.
        self.resident = [main, *resident]
        # The process that simulates a hanging application when it is stopped, if it is not the common application.
        self.application = application


class Context:
    """The directory and the application that all peers use."""

    def __init__(self, bench, application):
        self.bench, self.work, self.application = bench, bench.work, application
        self.url = f"http://{HOST}:{application}/health"


@contextlib.contextmanager
def xinetd(context, server, arguments=(), environment=()):
    """xinetd with one service, without limits, and with the smallest log."""
    port = free_port()
    lines = "".join(f"\tenv += {line}\n" for line in environment)
    if arguments:
        lines += f"\tserver_args = {' '.join(map(str, arguments))}\n"
    configuration = context.work / f"peers-{port}.conf"
    configuration.write_text(
        f"service agent\n{{\n\ttype = UNLISTED\n\tsocket_type = stream\n\tprotocol = tcp\n\twait = no\n"
        f"\tuser = {'nobody' if run.IS_ROOT else os.environ['USER']}\n\tbind = {HOST}\n\tport = {port}\n"
        f"\tserver = {server}\n\tcps = 0 0\n"
        f"\tinstances = UNLIMITED\n\tper_source = UNLIMITED\n{lines}}}\n"
    )
    if not run.has("xinetd"):
        raise Unavailable("no xinetd (apt-get install xinetd)")
    words = ["xinetd", "-dontfork", "-f", configuration, "-filelog", context.work / f"peers-{port}.log"]
    with running([*words, "-pidfile", context.work / f"peers-{port}.pid"], port) as process:
        yield port, process.pid


# agentcheck, started in several ways.


@contextlib.contextmanager
def collector(context, name, services=1):
    state, data = context.bench.state / name, context.work / f"{name}-data"
    for directory in [state, data]:
        directory.mkdir()
        directory.chmod(0o755)
    configuration = context.work / f"{name}.toml"
    configuration.write_text(
        "".join(
            f'[source.{source}.http]\nurl = "{context.url}"\nformat = "json"\ninterval = "2s"\ntimeout = "1s"\n'
            f"[service.{service}]\nweight = \"headroom({source}.json['msg-per-second'], 7000)\"\n"
            for source, service in [("app", "web"), ("other", "api")][:services]
        )
    )
    words = [context.bench.collector, "collect", "--config", configuration, "--state-dir", state, "--data-dir", data]
    with running(words) as process:
        until = time.monotonic() + 20
        while not (state / "web.state").exists() and time.monotonic() < until:
            time.sleep(0.05)
        yield state, process.pid


@contextlib.contextmanager
def agentcheck_loop(context):
    with collector(context, "loop") as (state, decider):
        port = free_port()
        with running([context.bench.responder, "web", "--state-dir", state, "--listen", f"{HOST}:{port}"], port) as main:
            yield Started(port, main.pid, decider, [decider])


@contextlib.contextmanager
def agentcheck_two(context):
    """Two services on one host; the balancers send their names."""
    with collector(context, "two", 2) as (state, decider):
        port = free_port()
        words = [context.bench.responder, "--name-from-client", "--state-dir", state, "--listen", f"{HOST}:{port}"]
        with running(words, port) as main:
            yield Started(port, main.pid, decider, [decider], request="web")


@contextlib.contextmanager
def agentcheck_http(context):
    with collector(context, "http") as (state, decider):
        port = free_port()
        words = [context.bench.responder, "web", "--http", "--state-dir", state, "--listen", f"{HOST}:{port}"]
        with running(words, port) as main:
            yield Started(port, main.pid, decider, [decider], request="GET /web HTTP/1.0\r\n\r")


@contextlib.contextmanager
def agentcheck_xinetd(context):
    with collector(context, "per-probe") as (state, decider):
        with xinetd(context, context.bench.responder, ["web", "--state-dir", state]) as (port, main):
            yield Started(port, main, decider, [decider], launches=True, daemons=1)


def agentcheck_version(_):
    return run.output("git", "-C", str(run.ROOT), "rev-parse", "--short", "HEAD").strip()


# Peers that pip installs.


def fetch(name, words):
    """Runs pip once, and returns the directory of the package."""
    directory = FETCHED / name
    if not directory.exists():
        part = FETCHED / f"{name}.part"
        shutil.rmtree(part, ignore_errors=True)
        part.parent.mkdir(parents=True, exist_ok=True)
        done = subprocess.run([*words, "--quiet", "--target", part], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        if done.returncode:
            raise Unavailable(f"pip: {done.stderr.decode().strip().splitlines()[-1]}")
        part.rename(directory)
    return directory


def distribution(directory, name):
    found = next(directory.glob(f"{name}-*-info")).name
    return re.match(rf"{name}-([^-]+)", found)[1].removesuffix(".dist")


def python2():
    program = os.environ.get("PYTHON2", "python2.7")
    if not run.has(program) or subprocess.run([program, "-m", "pip", "--version"], capture_output=True).returncode:
        raise Unavailable("no Python 2.7 with pip, in which it is written (PYTHON2=)")
    return program


def herald_directory():
    return fetch("herald", [python2(), "-m", "pip", "install", "haproxy-herald"])


@contextlib.contextmanager
def herald(context):
    """Uses the configuration of its README, with a poll every 2 s instead of 30 s, and a corrected metric name."""
    directory, port = herald_directory(), free_port()
    configuration = context.work / "herald.yml"
    configuration.write_text(
        f"name: web\nbind: {HOST}\nport: {port}\nplugins_dir: {directory}/herald/plugins\nplugins:\n"
        f"  - name: web\n    herald_plugin_name: herald_http\n    url: '{context.url}'\n    is_json: yes\n"
        "    stop_timeout: 60\n    interval: 2\n    staleness_interval: 120\n    staleness_response: noop\n"
        "    thresholds_metric: \"r['msg-per-second']\"\n    thresholds:\n      - pct: 7000\n"
        "        min_threshold_response: 1\n    default_response: noop\n"
    )
    words = [python2(), "-c", "from herald.herald import main; main()", "-c", configuration]
    with running(words, port, env=os.environ | {"PYTHONPATH": str(directory)}) as main:
        yield Started(port, main.pid, daemons=2)


def herald_version(_):
    return f"haproxy-herald {distribution(herald_directory(), 'haproxy_herald')} of PyPI"


def datawave_directory():
    return fetch("datawave", [sys.executable, "-m", "pip", "install", "datawave-haproxy-agent"])


@contextlib.contextmanager
def datawave(context):
    directory, port = datawave_directory(), free_port()
    configuration = context.work / "datawave.yml"
    configuration.write_text(f"bind: {HOST}\nport: {port}\ndw_health_poller:\n  check_url: {context.url}\n")
    words = [sys.executable, "-m", "datawave_haproxy_agent", "-c", configuration]
    with running(words, port, env=os.environ | {"PYTHONPATH": str(directory)}) as main:
        yield Started(port, main.pid, daemons=2)


def datawave_version(_):
    return f"datawave-haproxy-agent {distribution(datawave_directory(), 'datawave_haproxy_agent')} of PyPI"


# Peers that must be installed.


def hareply_program():
    program = shutil.which(os.environ.get("HAREPLY", "hareply"))
    if not program:
        raise Unavailable("no program (go install github.com/friendlycaptcha/hareply@latest, or HAREPLY=)")
    return program


@contextlib.contextmanager
def hareply(context):
    """It prints a file. Here a loop with curl.sh writes the file."""
    program, port, state = hareply_program(), free_port(), context.bench.state / "hareply"
    writer = f"while :; do {HERE}/curl.sh {context.url} >{state}.new && mv {state}.new {state}; sleep 2; done"
    with running(["bash", "-c", writer]) as decider:
        while not state.exists():
            time.sleep(0.05)
        with running([program, "serve", "--host", HOST, "-p", port, "-f", state], port) as main:
            yield Started(port, main.pid, decider.pid, [decider.pid], daemons=2)


def hareply_version(_):
    return os.environ.get("HAREPLY_VERSION") or run.output(hareply_program(), "version").strip()


def program(variable, name):
    found = shutil.which(os.environ.get(variable, name))
    if not found:
        raise Unavailable(f"no program ({variable}=)")
    return found


@contextlib.contextmanager
def hapgent(context):
    """As in its README, a task writes the state file and sends SIGHUP; here every 2 s, as for the other peers."""
    path, port, state = program("HAPGENT", "hapgent"), free_port(), context.work / "hapgent.json"
    state.write_text('{"status":"UP","weight":73}')
    environment = {"HAPGENT_IP": HOST, "HAPGENT_PORT": str(port), "HAPGENT_STATE_FILE": str(state)}
    with running([path], port, env=os.environ | environment) as main:
        writer = f"""while :; do
            line=$({HERE}/curl.sh {context.url}) && line=${{line#up }} &&
            printf '{{"status":"UP","weight":%s}}' "${{line%\\%}}" >{state}.new &&
            mv {state}.new {state} && kill -HUP {main.pid}
            sleep 2; done"""
        with running(["bash", "-c", writer]) as decider:
            yield Started(port, main.pid, decider.pid, [decider.pid], daemons=2)


def hapgent_version(_):
    return os.environ.get("HAPGENT_VERSION") or program("HAPGENT", "hapgent")


@contextlib.contextmanager
def haupdown(context):
    """An operator's switch: it polls no application, and accepts every name from a balancer."""
    path, port = program("HAUPDOWN", "haupdown"), free_port()
    words = [path, "--port", port, "--bind-host", HOST, "--socket-bind-path", context.work / "haupdown.sock"]
    with running([*words, "--db-path", context.work / "haupdown.db", "--stderr"], port) as main:
        yield Started(port, main.pid, request="web")


def haupdown_version(_):
    return os.environ.get("HAUPDOWN_VERSION") or run.output(program("HAUPDOWN", "haupdown"), "--version").strip()


@contextlib.contextmanager
def node_exporter(context):
    """It serves one metric of the application from a text file, and no other metric. A loop writes the file."""
    path, port = program("NODE_EXPORTER", "prometheus-node-exporter"), free_port()
    directory = context.work / "textfile"
    directory.mkdir()
    metric = directory / "app.prom"
    writer = f"while :; do {HERE}/curl.sh {context.url} | sed -n 's/up \\(.*\\)%/app_weight \\1/p' >{metric}.new"
    writer += f" && mv {metric}.new {metric}; sleep 2; done"
    with running(["bash", "-c", writer]) as decider:
        words = [path, f"--web.listen-address={HOST}:{port}", "--collector.disable-defaults", "--collector.textfile"]
        words += [f"--collector.textfile.directory={directory}", "--web.disable-exporter-metrics"]
        with running(words, port) as main:
            request = "GET /metrics HTTP/1.0\r\n\r"
            yield Started(port, main.pid, decider.pid, [decider.pid], request=request)


def node_exporter_version(_):
    path = program("NODE_EXPORTER", "prometheus-node-exporter")
    done = subprocess.run([path, "--version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout.splitlines()[0].split(" (")[0]


@contextlib.contextmanager
def curl(context):
    with xinetd(context, HERE / "curl.sh", [context.url]) as (port, main):
        yield Started(port, main, launches=True)


@contextlib.contextmanager
def vmstat(context):
    with xinetd(context, HERE / "vmstat.sh") as (port, main):
        yield Started(port, main, launches=True)


def script_version(_):
    return "in this directory"


def clustercheck_script():
    script = os.environ.get("CLUSTERCHECK")
    if not script or not os.access(script, os.X_OK):
        raise Unavailable("no script (CLUSTERCHECK=)")
    return script


def mariadb():
    root = pathlib.Path(os.environ.get("MARIADB_ROOT", "/"))
    galera = root / "usr/lib/galera/libgalera_smm.so"
    for program in [root / "usr/sbin/mariadbd", root / "usr/bin/mariadb", galera]:
        if not program.exists():
            raise Unavailable(f"no {program} (apt-get install mariadb-server galera-4, or MARIADB_ROOT=)")
    return root, galera


@contextlib.contextmanager
def clustercheck(context):
    """Checks a real node of a cluster of one node, under xinetd, as its README shows."""
    script, (root, galera), port = clustercheck_script(), mariadb(), free_port()
    home, library = context.work / "mariadb", f"{root}/usr/lib/x86_64-linux-gnu"
    (home / "bin").mkdir(parents=True)
    (home / "bin/mysql").symlink_to(root / "usr/bin/mariadb")
    environment = os.environ | {"LD_LIBRARY_PATH": library}
    install = [root / "usr/bin/mariadb-install-db", "--no-defaults", f"--basedir={root / 'usr'}", "--skip-test-db"]
    install += [f"--datadir={home}/data", "--auth-root-authentication-method=normal", "--user=root"]
    subprocess.run(install, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    (home / "my.cnf").write_text(f"[client]\nsocket = {home}/socket\n")
    words = [root / "usr/sbin/mariadbd", "--no-defaults", "--user=root", f"--basedir={root / 'usr'}"]
    words += [f"--datadir={home}/data", f"--socket={home}/socket", f"--port={port}", f"--bind-address={HOST}"]
    words += [f"--plugin-dir={root}/usr/lib/mysql/plugin", f"--lc-messages-dir={root}/usr/share/mysql"]
    words += ["--binlog-format=row", "--wsrep-on=ON", f"--wsrep-provider={galera}", "--wsrep-new-cluster"]
    words += ["--wsrep-cluster-address=gcomm://", f"--wsrep-node-address={HOST}", "--innodb-autoinc-lock-mode=2"]
    options = f"gmcast.listen_addr=tcp://{HOST}:{free_port()};ist.recv_addr={HOST}:{free_port()}"
    with running([*words, f"--wsrep-provider-options={options}"], env=environment) as node:
        client = [home / "bin/mysql", f"--defaults-file={home}/my.cnf", "-uroot", "-e"]
        create = "create user clustercheckuser@localhost identified by 'clustercheckpassword!'; "
        create += "grant process on *.* to clustercheckuser@localhost"
        until = time.monotonic() + 60
        while subprocess.run([*client, create], env=environment, stderr=subprocess.DEVNULL).returncode:
            if node.poll() is not None or time.monotonic() > until:
                raise Unavailable("MariaDB with Galera does not start")
            time.sleep(0.2)
        arguments = ["clustercheckuser", "clustercheckpassword!", 0, "/dev/null", 1, home / "my.cnf"]
        settings = [f"PATH={home}/bin:/usr/bin:/bin", f"LD_LIBRARY_PATH={library}"]
        with xinetd(context, script, arguments, settings) as (at, main):
            yield Started(at, main, application=node.pid, launches=True)


def clustercheck_version(_):
    clustercheck_script()
    root, _ = mariadb()
    version = subprocess.run(
        [root / "usr/sbin/mariadbd", "--version"],
        capture_output=True,
        text=True,
        env=os.environ | {"LD_LIBRARY_PATH": f"{root}/usr/lib/x86_64-linux-gnu"},
    ).stdout
    script = os.environ.get("CLUSTERCHECK_VERSION", "the script at CLUSTERCHECK")
    return f"{script}, MariaDB {version.split('Ver ')[-1].split('-')[0]} with Galera"


# The name, the function that starts it, the function that returns its version, and the probes per round.
PEERS = [
    ("agentcheck, accept loop", agentcheck_loop, agentcheck_version, 100),
    ("agentcheck, 2 services by name", agentcheck_two, agentcheck_version, 100),
    ("agentcheck, HTTP", agentcheck_http, agentcheck_version, 100),
    ("agentcheck under xinetd", agentcheck_xinetd, agentcheck_version, 20),
    ("hareply", hareply, hareply_version, 100),
    ("hapgent", hapgent, hapgent_version, 100),
    ("haupdown", haupdown, haupdown_version, 100),
    ("node_exporter, text file", node_exporter, node_exporter_version, 100),
    ("Herald", herald, herald_version, 100),
    ("Datawave's agent", datawave, datawave_version, 100),
    ("script with curl under xinetd", curl, script_version, 10),
    ("script with vmstat under xinetd", vmstat, script_version, 1),
    ("clustercheck under xinetd", clustercheck, clustercheck_version, 3),
]
NOT_TRIED = [
    ("Loadbalancer.org's agent 5", "Go; in no registry, from github.com/loadbalancerorg/lbfeedback"),
    ("litmus_paper", "a Ruby gem that needs those of 2013"),
]


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    wanted = sys.argv[1:] or [name for name, *_ in PEERS]
    if unknown := [name for name in wanted if name not in [peer[0] for peer in PEERS]]:
        sys.exit(f"{unknown}: the peers are {[peer[0] for peer in PEERS]}")
    with (
        run.directories() as (work, state),
        contextlib.ExitStack() as stack,
    ):
        bench = run.Bench(work, state)
        words = ["cargo", "build", "--quiet", "--release", "--locked", "-p", "agentcheck"]
        subprocess.run(words, cwd=run.ROOT, check=True)
        bench.collector = shutil.copy(TARGET / "release/agentcheck", work)
        print(f"{time.strftime('%Y-%m-%d %H:%M')}, Linux {os.uname().release} {os.uname().machine}, ", end="")
        print(f"{len(run.CORES)} cores, load {run.load()}", flush=True)
        port = free_port()
        code = APPLICATION.replace("PORT", str(port))
        application = stack.enter_context(running([sys.executable, "-c", code], port))
        context, started, got = Context(bench, port), {}, []
        for name, start, version, count in PEERS:
            if name not in wanted:
                continue
            try:
                got.append([name, version(context)])
                started[name] = stack.enter_context(start(context)), count
            except Unavailable as why:
                got = [row for row in got if row[0] != name] + [[name, f"not run here: {why}"]]
        run.table("What was compared", ["", "got"], got + [[name, f"not run here: {why}"] for name, why in NOT_TRIED])
        peers_measure.cost(bench, started)
        peers_measure.day(started)
        peers_measure.trouble(started, application)
    print(f"load {run.load()}")


if __name__ == "__main__":
    main()
