#!/usr/bin/env python3
"""Compares policies of load feedback for long-lived connections behind 8 HAProxys that share no state.

    bench/feedback_cluster.py [--seed N] [--per-unit N] [--together N] [POLICY...]

Each policy has 20 backends (connections.c), 8 HAProxy processes, and the programs that send the weights: one
collector and one responder for all 20 services, or 20 Herald daemons. Every policy gets the same clients. Time is
scaled by 10: a lifetime of 160 s takes 16 s, and every interval of HAProxy and the agents is a tenth. Prints tables
and asserts nothing. It uses only loopback and temporary directories. load-feedback.md explains the tables.
"""

import argparse
import collections
import contextlib
import os
import pathlib
import resource
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True

import peers  # noqa: E402
from feedback import before_others, processor_seconds  # noqa: E402
from run import HOST, ROOT, TARGET, directories, free_port, haproxy_rows, has, load, percentile, running, table  # noqa: E402
from run import wait_for_listener  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
BACKENDS, BALANCERS, FIRST = 20, 8, 17
# As in connections.c, in seconds of the run.
LIFETIME, STEADY, GROWTH, DEPLOY, END = 16, 40, 56, 80, 102
SCALE = 10
# A unit of capacity serves this many messages a second; the largest backend has 4 units.
UNIT, LARGEST = 1000, 4

SOURCE = """
[source.b{number}.file]
path = "{directory}/{number}.json"
format = "json"
interval = "{interval}"
"""
HEADROOM = """
[service.b{number}]
weight = "headroom(b{number}.json.utilization, 1)"
ewma = "{ewma}"
"""
CAPACITY = """
[service.b{number}]
ewma = "{ewma}"

[service.b{number}.capacity]
rate = "b{number}.json['msg-per-second']"
utilization = "b{number}.json.utilization"
reference_rate = {reference}
blackout_period = "1s"
expiration_period = "18s"
{capacity}
"""

Policy = collections.namedtuple(
    "Policy", "title balance configuration interval ewma capacity", defaults=(None, "200ms", "500ms", "")
)
BALANCES = {"rr": "roundrobin", "lc": "leastconn", "r2": "random(2)"}
POLICIES = {}
for short, balance in BALANCES.items():
    POLICIES[short] = Policy("equal weights", balance)
for short in ["rr", "lc"]:
    POLICIES[f"formula-{short}"] = Policy("Herald's formula", BALANCES[short], HEADROOM, "3s", "0s")
POLICIES["herald-lc"] = Policy("Herald itself", "leastconn", "herald", "3s")
for short, balance in BALANCES.items():
    POLICIES[f"headroom-{short}"] = Policy("headroom", balance, HEADROOM)
for short, balance in BALANCES.items():
    POLICIES[f"capacity-{short}"] = Policy("capacity", balance, CAPACITY, ewma="800ms")
for exponent in [1, 2]:
    for short, balance in BALANCES.items():
        title = f"capacity × headroom{'²' if exponent == 2 else ''}"
        key = f"headroom_exponent = {exponent}"
        POLICIES[f"product{exponent}-{short}"] = Policy(title, balance, CAPACITY, capacity=key)


def haproxy_configuration(path, policy, port, backend_ports, agent_ports):
    lines = ["global", f"  stats socket {path.with_suffix('.sock')}", "  nbthread 1", "  maxconn 8000", "defaults"]
    lines += ["  mode tcp", "  timeout connect 2s", "  timeout client 10m", "  timeout server 10m", "  retries 5"]
    lines += ["  option redispatch 1", "listen cluster", f"  bind {HOST}:{port}", f"  balance {policy.balance}"]
    for number, backend in enumerate(backend_ports):
        line = f"  server b{number} {HOST}:{backend} weight 100 check inter 500ms fall 1 rise 1"
        if agent_ports:
            line += f" agent-check agent-addr {HOST} agent-port {agent_ports[number]} agent-inter 200ms"
            # A Herald daemon has one service, and reads no name.
            line += "" if policy.configuration == "herald" else f' agent-send "b{number}\\n"'
        lines.append(line)
    path.write_text("\n".join(lines) + "\n")


def start_agents(stack, work, state, policy, capacities, metrics):
    """The processes that send the weights, and the port for each backend."""
    if policy.configuration == "herald":
        return start_herald(stack, work, policy, capacities, metrics)
    text = ""
    for number in range(BACKENDS):
        values = policy._asdict() | {"number": number, "directory": metrics, "reference": UNIT * LARGEST}
        text += (SOURCE + policy.configuration).format(**values)
    configuration = work / "agentcheck.toml"
    configuration.write_text(text)
    words = [TARGET / "release/agentcheck", "collect", "--config", configuration, "--state-dir", state]
    errors = stack.enter_context(open(work / "collector.log", "w"))
    collector = stack.enter_context(running(words, stderr=errors))
    port = free_port()
    words = [TARGET / "release/agentcheck-responder", "--name-from-client", "--state-dir", state]
    responder = stack.enter_context(running([*words, "--listen", f"{HOST}:{port}"], port))
    return [collector, responder], [port] * BACKENDS


def start_herald(stack, work, policy, capacities, metrics):
    """Each backend has a daemon. It reads the backend's file, with the settings of Herald's README in scaled time."""
    directory, processes, ports = peers.herald_directory(), [], []
    for number, capacity in enumerate(capacities):
        port = free_port()
        configuration = work / f"herald-{number}.yml"
        configuration.write_text(
            f"name: b{number}\nbind: {HOST}\nport: {port}\nplugins_dir: {directory}/herald/plugins\nplugins:\n"
            f"  - name: b{number}\n    herald_plugin_name: herald_file\n    file_path: {metrics}/{number}.json\n"
            f"    is_json: yes\n    stop_timeout: 60\n    interval: {policy.interval.removesuffix('s')}\n"
            "    staleness_interval: 12\n    staleness_response: noop\n"
            f"    thresholds_metric: \"r['msg-per-second']\"\n    thresholds:\n      - pct: {capacity * UNIT}\n"
            "        min_threshold_response: 1\n    default_response: noop\n"
        )
        words = [peers.python2(), "-c", "from herald.herald import main; main()", "-c", configuration]
        processes.append(stack.enter_context(running(words, env=os.environ | {"PYTHONPATH": str(directory)})))
        ports.append(port)
    for process, port in zip(processes, ports):
        wait_for_listener(port, process)
    return processes, ports


def weights(control):
    """The weight of each server of one HAProxy."""
    rows = haproxy_rows(control)
    return [int(row["weight"]) for row in rows if row["svname"].startswith("b") and row["svname"] != "BACKEND"]


class Farm:
    """One policy with all its processes."""

    def __init__(self, stack, work, state, name, policy, options):
        self.name, self.policy = name, policy
        self.work, state = work / name, state / name
        metrics = state / "metrics"
        for directory in [self.work, metrics]:
            directory.mkdir(parents=True)
        self.log = state / "connections.log"
        log = stack.enter_context(open(self.log, "w"))
        words = [work / "connections", options.seed, options.per_unit, metrics]
        self.connections = stack.enter_context(running(words, stdin=subprocess.PIPE, stdout=log, stderr=None))
        while self.log.read_text().count("\n") < 2:
            if self.connections.poll() is not None:
                sys.exit("connections ended")
            time.sleep(0.01)
        backend_ports, self.capacities = (list(map(int, line.split())) for line in self.log.read_text().split("\n")[:2])
        self.agents, agent_ports = [], None
        if policy.configuration:
            self.agents, agent_ports = start_agents(stack, self.work, state, policy, self.capacities, metrics)
        self.balancers, self.ports = [], []
        for number in range(BALANCERS):
            path, port = self.work / f"haproxy{number}.cfg", free_port()
            haproxy_configuration(path, policy, port, backend_ports, agent_ports)
            words = [options.haproxy, "-db", "-f", path]
            self.balancers.append(stack.enter_context(running(words, port)))
            self.ports.append(port)
        self.weights = []

    def begin(self):
        self.connections.stdin.write((" ".join(map(str, self.ports)) + "\n").encode())
        self.connections.stdin.flush()

    def read_weights(self, now):
        self.weights.append((now, weights(self.work / "haproxy0.sock")))

    def finish(self):
        for part in [*self.balancers, *self.agents]:
            if part.poll() is not None:
                sys.exit(f"{self.name}: {part.args[0]} ended with status {part.returncode}")
        parts = [[self.connections], self.balancers, self.agents]
        self.spent = [processor_seconds(processes) / END for processes in parts]

    def read_log(self):
        """Reads for each time the load of each backend over its capacity; None while the backend is down."""
        self.loads = []
        for line in self.log.read_text().splitlines()[3:]:
            fields = line.split()
            at, self.offered, self.rejected, self.early = *map(float, fields[:3]), int(fields[3])
            self.loads.append((at, [None if load == "-" else float(load) for load in fields[4:]]))

    def shares(self, since, until):
        """For each time: each backend's load over the load that an ideal balancer gives it."""
        for at, loads in self.loads:
            if not since <= at < until:
                continue
            up = [(load, capacity) for load, capacity in zip(loads, self.capacities) if load is not None]
            mean = sum(load * capacity for load, capacity in up) / sum(capacity for _, capacity in up)
            yield at, [None if load is None else load / mean for load in loads]

    def peaks(self, since, until):
        return [max(share for share in shares if share is not None) for _, shares in self.shares(since, until)]

    def fresh(self):
        """Of the backends that join later: the lifetimes until the slowest has 80% of its share, and the highest share."""
        reached, highest = {}, 0
        for at, shares in self.shares(GROWTH, DEPLOY):
            for number in range(FIRST, BACKENDS):
                share = shares[number] or 0
                highest = max(highest, share)
                if share >= 0.8:
                    reached.setdefault(number, (at - GROWTH) / LIFETIME)
        slowest = max(reached.values()) if len(reached) == BACKENDS - FIRST else None
        return slowest, highest

    def changes(self):
        """The changes of weight in one HAProxy, all backends together, for each minute of unscaled time."""
        within = [values for at, values in self.weights if STEADY <= at < GROWTH]
        changed = sum(a != b for before, after in zip(within, within[1:]) for a, b in zip(before, after))
        return changed / ((GROWTH - STEADY) * SCALE / 60)


def measure(work, state, names, options):
    with contextlib.ExitStack() as stack:
        farms = [Farm(stack, work, state, name, POLICIES[name], options) for name in names]
        # In this time, the agents reply to each balancer.
        time.sleep(2)
        began = time.monotonic()
        for farm in farms:
            farm.begin()
        while (now := time.monotonic() - began) < END:
            for farm in farms:
                if farm.connections.poll() not in [None, 0]:
                    sys.exit(f"{farm.name}: connections ended with status {farm.connections.returncode}")
                farm.read_weights(now)
            time.sleep(max(0, 0.2 - (time.monotonic() - began - now)))
        for farm in farms:
            farm.finish()
        for farm in farms:
            farm.connections.wait(30)
        for farm in farms:
            farm.read_log()
    return farms


def report(farms):
    rows = []
    formula = [farm.peaks(STEADY, GROWTH) for farm in farms if farm.name.startswith("formula")]
    base = [sum(peaks) / len(peaks) for peaks in formula]
    for farm in farms:
        steady, whole = farm.peaks(STEADY, GROWTH), farm.peaks(STEADY, END)
        slowest, highest = farm.fresh()
        mean = sum(steady) / len(steady)
        rows.append(
            [
                farm.policy.title,
                farm.policy.balance,
                f"{mean:.2f}",
                f"{percentile(steady, 95):.2f}",
                f"{sum(whole) / len(whole):.2f}",
                f"{percentile(whole, 95):.2f}",
                f"{mean / min(base):.2f}" if base else "",
                f"{slowest:.2f}" if slowest is not None else "never",
                f"{highest:.2f}",
                f"{100 * farm.rejected / farm.offered:.2f}",
                f"{farm.changes():.0f}",
            ]
        )
    head = ["policy", "balance", "peak/mean", "p95", "with changes", "p95", "x Herald's", "fresh at 80%", "highest share"]
    table("Long-lived connections over 8 HAProxys", head + ["rejected %", "changes/min"], rows)
    for part, index in [("clients and backends", 0), ("8 HAProxys", 1), ("agents", 2)]:
        print(f"{part}: {', '.join(f'{farm.name} {100 * farm.spent[index]:.1f}%' for farm in farms)} of a core")
    print(f"Connections that ended early: {', '.join(f'{farm.name} {farm.early}' for farm in farms)}")


def main():
    # An exit ends the started processes, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=1, help="seed of the clients (1)")
    parser.add_argument("--per-unit", type=int, default=100, help="open connections for each unit of capacity (100)")
    parser.add_argument("--together", type=int, default=5, help="policies that run at the same time (5)")
    parser.add_argument("--haproxy", default="haproxy", help="path of HAProxy (haproxy)")
    parser.add_argument("policy", nargs="*", help=f"policies to compare (all): {', '.join(POLICIES)}")
    options = parser.parse_args()
    if unknown := [name for name in options.policy if name not in POLICIES]:
        parser.error(f"{' '.join(unknown)}: the policies are {' '.join(POLICIES)}")
    names = [name for name in POLICIES if name in (options.policy or POLICIES)]
    if "herald-lc" in names:
        try:
            peers.herald_directory()
        except peers.Unavailable as reason:
            print(f"Herald itself does not run here: {reason}")
            names.remove("herald-lc")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for program, package in [("gcc", "gcc libc6-dev"), (options.haproxy, "haproxy")]:
        if not has(program):
            sys.exit(f"this needs {program}: apt-get install {package}")
    words = ["cargo", "build", "--quiet", "--release", "--locked", "-p", "agentcheck", "-p", "agentcheck-responder"]
    subprocess.run(words, cwd=ROOT, check=True)
    before = load()
    farms = []
    with directories() as (work, state):
        subprocess.run(["gcc", "-Wall", "-O2", "-o", work / "connections", HERE / "connections.c", "-lm"], check=True)
        with before_others() as priority:
            for first in range(0, len(names), options.together):
                farms += measure(work, state, names[first : first + options.together], options)
        print(f"{time.strftime('%Y-%m-%d %H:%M')}, Linux {os.uname().release} {os.uname().machine}, ", end="")
        print(f"{os.cpu_count()} cores, {priority}, seed {options.seed}, load {before} before, {load()} after")
        report(farms)


if __name__ == "__main__":
    main()
