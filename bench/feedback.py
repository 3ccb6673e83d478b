#!/usr/bin/env python3
"""Compares policies of load feedback on a real HAProxy with four servers of unequal capacity.

    bench/feedback.py [--quick] [--seed N] [--service MS] [--balancers N] [--plot FILE] [--try SETTINGS]... [POLICY]...

The queueing servers have 2, 2, 4 and 8 workers (queue.c). Each policy has its own servers, collectors and responders.
All policies run at the same time and get the same requests at the same moments (arrivals.c). So they share the
arrivals and the noise of the machine. Prints tables, draws a plot, and asserts nothing. It uses only loopback and
temporary directories. load-feedback.md explains the tables.
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
import urllib.request

sys.dont_write_bytecode = True

import feedback_plot  # noqa: E402
from feedback_seen import BIGGEST, HALVED, PATIENCE, WORKERS, Seen, report  # noqa: E402
from run import HOST, ROOT, TARGET, directories, free_port, haproxy_rows, has, load, running, wait_for_listener  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = """
[source.app.http]
url = "http://{host}:{port}/metrics"
format = "json"
interval = "{interval}"

[derive.served]
expression = "app.json.served"
rate = "{window}"

[derive.utilization]
expression = "app.json.{utilization}"
rate = "{window}"
"""

HEADROOM = """
[service.web]
weight = "headroom(utilization.value, 1)"
ewma = "SMOOTH"
"""

# With the defaults of capacity for ewma, sudden_fall and dead_band.
CAPACITY = """
[service.web.capacity]
rate = "served.value"
utilization = "utilization.value"
reference_rate = {reference_rate}
"""

# `service`: the configuration after the sources, or None for a policy without an agent. `window`: the window of the rates.
# `reference`: the reference_rate over the capacity of the biggest server. `utilization`: the counter of queue.c.
Policy = collections.namedtuple(
    "Policy",
    "title balance weights service window reference utilization",
    defaults=(None, "4s", 1.0, "utilization_seconds"),
)
EQUAL = [100] * 4
POLICIES = {
    "static": Policy("true static weights", "roundrobin", [25, 25, 50, 100]),
    "roundrobin": Policy("roundrobin", "roundrobin", EQUAL),
    "leastconn": Policy("leastconn", "leastconn", EQUAL),
    "headroom": Policy("headroom, ewma 5s", "roundrobin", EQUAL, HEADROOM.replace("SMOOTH", "5s")),
    "headroom-slow": Policy("headroom, ewma 40s", "roundrobin", EQUAL, HEADROOM.replace("SMOOTH", "40s")),
    "capacity": Policy("capacity", "roundrobin", EQUAL, CAPACITY),
    "leastconn-capacity": Policy("capacity + leastconn", "leastconn", EQUAL, CAPACITY),
    "random-capacity": Policy("capacity + random(2)", "random(2)", EQUAL, CAPACITY),
}


def capacity_policy(words):
    """A capacity policy with other settings."""
    try:
        window, ewma, sudden_fall, dead_band, reference, *utilization = words.split(",")
        reference = float(reference)
    except ValueError:
        raise argparse.ArgumentTypeError("WINDOW,EWMA,SUDDEN_FALL,DEAD_BAND,REFERENCE as in 4s,8s,30,3,1.0") from None
    shaping = f'ewma = "{ewma}"\nsudden_fall = {sudden_fall}\ndead_band = {dead_band}\n'
    service = f"\n[service.web]\n{shaping}{CAPACITY}"
    return Policy(f"capacity {words}", "roundrobin", EQUAL, service, window, reference, *utilization)


class Times:
    """The offered load over time: shares of the capacity of 16 workers, and seconds since the first request."""

    def __init__(self, quick):
        warm, settle, steady, before, after, again = (20, 10, 20, 5, 10, 15) if quick else (30, 30, 180, 20, 30, 70)
        # A light load at first: before HAProxy has weights, it must not overload servers.
        self.phases = [(0.4, warm), (0.75, settle + steady), (0.6, before + after + again)]
        self.steady = (warm + settle, warm + settle + steady)
        self.loss = self.steady[1] + before
        self.end = self.loss + after + again
        self.after = (self.loss + after, self.end)


# The processes.


def haproxy_configuration(work, balancer, policies, balancer_ports, server_ports, agent_ports, interval):
    lines = ["global", f"  stats socket {work}/haproxy{balancer}.sock", "  nbthread 1", "  maxconn 8000", "defaults"]
    lines += ["  mode http", "  option abortonclose", "  timeout connect 5s", "  timeout client 60s"]
    lines += ["  timeout server 60s", "  timeout http-keep-alive 10m"]
    for name, policy in policies.items():
        lines += [f"listen {name}", f"  bind {HOST}:{balancer_ports[name][balancer]}", f"  balance {policy.balance}"]
        for number, weight in enumerate(policy.weights):
            line = f"  server s{number} {HOST}:{server_ports[name][number]} weight {weight}"
            if policy.service:
                line += f" agent-check agent-addr {HOST} agent-port {agent_ports[name][number]} agent-inter {interval}"
            lines.append(line)
    path = work / f"haproxy{balancer}.cfg"
    path.write_text("\n".join(lines) + "\n")
    return path


def first_line(log, process):
    while True:
        line, newline, _ = log.read_text().partition("\n")
        if newline:
            return line
        if process.poll() is not None:
            sys.exit(f"{process.args[0]} ended with status {process.returncode}")
        time.sleep(0.01)


def weights(control):
    """The current weights of all servers in HAProxy, by policy and number."""
    rows = haproxy_rows(control)
    return {(row["pxname"], int(row["svname"][1:])): int(row["weight"]) for row in rows if row["svname"][0] == "s"}


def processor_seconds(processes):
    ticks = 0
    for process in processes:
        fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def before_others():
    """Gives this process, and those that it starts, real-time priority, if it is root: other programs must not change the
    measurement. It takes a quarter of one core from them. Niceness does not suffice, because it counts only within a session
    if the scheduler groups sessions."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        yield "normal priority"
        return
    try:
        yield "real-time priority"
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def measure(work, state, policies, times, options):
    """Runs all processes. The results are the logs in `state`, and the returned start, weights and processor times. The logs
    are in memory, because writing to a busy disk would wait."""
    biggest = 1000 / options.service * max(WORKERS)
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(open(state / "queue.log", "w"))
        count = len(policies)
        queue = stack.enter_context(running([work / "queue", *WORKERS * count], stdout=log, stderr=None))
        all_ports = [int(port) for port in first_line(state / "queue.log", queue).split()]
        server_ports = {name: all_ports[4 * i : 4 * i + 4] for i, name in enumerate(policies)}

        agent_ports, collectors, responders = collections.defaultdict(list), [], []
        for name, policy in policies.items():
            for number, port in enumerate(server_ports[name] if policy.service else []):
                directory = state / f"{name}-{number}"
                directory.mkdir()
                configuration = work / f"{name}-{number}.toml"
                values = policy._asdict() | {"host": HOST, "port": port, "interval": options.interval}
                values["reference_rate"] = policy.reference * biggest
                configuration.write_text((SOURCE + policy.service).format(**values))
                words = [TARGET / "release/agentcheck", "collect", "--config", configuration, "--state-dir", directory]
                errors = stack.enter_context(open(work / f"{name}-{number}.log", "w"))
                collectors.append(stack.enter_context(running(words, stderr=errors)))
                agent = free_port()
                words = [TARGET / "release/agentcheck-responder", "web", "--state-dir", directory]
                responders.append(stack.enter_context(running([*words, "--listen", f"{HOST}:{agent}"], agent)))
                agent_ports[name].append(agent)

        balancer_ports = {name: [free_port() for _ in range(options.balancers)] for name in policies}
        balancers = []
        for balancer in range(options.balancers):
            configuration = haproxy_configuration(
                work, balancer, policies, balancer_ports, server_ports, agent_ports, options.interval
            )
            balancers.append(stack.enter_context(running(["haproxy", "-db", "-f", configuration])))
            for ports in balancer_ports.values():
                wait_for_listener(ports[balancer], balancers[-1])

        offered = sum(WORKERS) * 1000 / options.service
        plan = ",".join(f"{share * offered}:{length}" for share, length in times.phases)
        words = [work / "arrivals", options.seed, options.service, PATIENCE, plan, options.balancers]
        words += [port for ports in balancer_ports.values() for port in ports]
        requests = stack.enter_context(open(state / "requests.log", "w"))
        arrivals = stack.enter_context(running(words, stdout=requests, stderr=None))
        began = float(first_line(state / "requests.log", arrivals))

        weights_seen, lost, spent = [], False, {}
        parts = {"servers": [queue], "generator": [arrivals], "HAProxy": balancers}
        parts |= {f"{len(collectors)} collectors": collectors, f"{len(responders)} responders": responders}
        while (now := time.monotonic() - began) < times.end:
            if not lost and now >= times.loss:
                for name in policies:
                    url = f"http://{HOST}:{server_ports[name][BIGGEST]}/workers/{HALVED}"
                    urllib.request.urlopen(url, timeout=5).close()
                lost = True
            for part, processes in parts.items():
                if ended := [process for process in processes if process.poll() is not None]:
                    sys.exit(f"{ended[0].args[0]} ended with status {ended[0].returncode}")
            weights_seen.append((now, weights(work / "haproxy0.sock")))
            time.sleep(max(0, 0.5 - (time.monotonic() - began - now)))
        spent = {part: processor_seconds(processes) / times.end for part, processes in parts.items()}
        arrivals.wait(PATIENCE + 30)
    return began, weights_seen, spent


def main():
    # An exit ends the started processes, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="take less than two minutes; too short to compare policies")
    parser.add_argument("--seed", type=int, default=1, help="seed of the arrivals and service times (1)")
    parser.add_argument("--service", type=float, default=80, help="mean service time in ms (80)")
    parser.add_argument("--balancers", type=int, default=1, help="number of HAProxys, which share no state (1)")
    parser.add_argument("--interval", default="1s", help="interval of polls and agent checks (1s)")
    parser.add_argument("--plot", type=pathlib.Path, help="write the plot to FILE (target/feedback.svg)")
    parser.add_argument(
        "--try",
        type=capacity_policy,
        action="append",
        default=[],
        dest="tries",
        metavar="WINDOW,EWMA,SUDDEN_FALL,DEAD_BAND,REFERENCE[,UTILIZATION]",
        help="add a capacity policy with these settings; REFERENCE is relative to the capacity of the biggest server, "
        "UTILIZATION is utilization_seconds or in_flight_seconds",
    )
    parser.add_argument("policy", nargs="*", help=f"policies to compare (all): {', '.join(POLICIES)}")
    options = parser.parse_args()
    if unknown := [name for name in options.policy if name not in POLICIES]:
        parser.error(f"{' '.join(unknown)}: the policies are {' '.join(POLICIES)}")
    policies = {name: policy for name, policy in POLICIES.items() if name in (options.policy or POLICIES)}
    policies |= {f"try{number}": policy for number, policy in enumerate(options.tries)}
    plot = options.plot or TARGET / "feedback.svg"
    times = Times(options.quick)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for program, package in [("gcc", "gcc libc6-dev"), ("haproxy", "haproxy")]:
        if not has(program):
            sys.exit(f"this needs {program}: apt-get install {package}")
    words = ["cargo", "build", "--quiet", "--release", "--locked", "-p", "agentcheck", "-p", "agentcheck-responder"]
    subprocess.run(words, cwd=ROOT, check=True)
    before = load()
    with directories() as (work, state):
        for program in ["queue", "arrivals"]:
            command = ["gcc", "-Wall", "-O2", "-o", work / program, HERE / f"{program}.c", "-lm"]
            subprocess.run(command, check=True)
        with before_others() as priority:
            began, weights_seen, spent = measure(work, state, policies, times, options)
        seen = Seen(state, policies, began, weights_seen)
        print(f"{time.strftime('%Y-%m-%d %H:%M')}, Linux {os.uname().release} {os.uname().machine}, ", end="")
        print(f"{os.cpu_count()} cores, {priority}, seed {options.seed}, {options.balancers} balancers, load {before} before, {load()} after")
        report(seen, policies, times, spent)
        plot.write_text(feedback_plot.draw(seen, policies, times, WORKERS))
        print(f"Plot: {plot}")


if __name__ == "__main__":
    main()
