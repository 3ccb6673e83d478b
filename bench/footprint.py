#!/usr/bin/env python3
"""Measures a collector on an idle host: file size, memory, wake-ups, processor time, and time to the first reply.

    bench/footprint.py [PROGRAM...]

PROGRAM is a collector; by default those of `make build` and `make dist`. If they are installed, it also measures
node_exporter (prometheus-node-exporter) and agents of peers.py. It asserts nothing. README.md explains the tables.
"""

import contextlib
import glob
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import types

import peers
import run
from peers_measure import descendants
from run import HOST, TARGET, free_port, running

SECONDS = 20
STATIC = TARGET / "x86_64-unknown-linux-musl/release/agentcheck"


def wake_ups(pid):
    """How often the threads of the process waited and were woken."""
    total = 0
    for file in glob.glob(f"/proc/{pid}/task/*/status"):
        with contextlib.suppress(OSError):
            text = pathlib.Path(file).read_text()
            total += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.M)[1])
    return total


def processor(pid):
    """The processor time of the process and its descendants, and of children that have ended, in seconds."""
    total = 0.0
    for one in descendants(pid):
        with contextlib.suppress(OSError):
            fields = pathlib.Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
            total += sum(int(field) for field in fields[13:15]) / os.sysconf("SC_CLK_TCK")
        for file in glob.glob(f"/proc/{one}/task/*/schedstat"):
            with contextlib.suppress(OSError):
                total += int(pathlib.Path(file).read_text().split()[0]) / 1e9
    return total


def resident(pid):
    """Resident memory in MB: all (VmRSS, with pages of files), and the anonymous part (RssAnon)."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    number = lambda key: int(re.search(rf"^{key}:\s+(\d+)", text, re.M)[1]) / 1024
    return number("VmRSS"), number("RssAnon")


def idle(pid):
    """The memory, the wake-ups a second, and the milliseconds of processor time a second."""
    before, woken, at = processor(pid), wake_ups(pid), time.monotonic()
    time.sleep(SECONDS)
    passed = time.monotonic() - at
    rss, anonymous = resident(pid)
    return [
        f"{rss:.1f}",
        f"{anonymous:.1f}",
        f"{(wake_ups(pid) - woken) / passed:.2f}",
        f"{1000 * (processor(pid) - before) / passed:.2f}",
    ]


def sources(work, url):
    """The TOML table of a source of each kind, polled every 2 s."""
    file = work / "number"
    file.write_text("20")
    port = url.split("/")[2]
    interval = 'interval = "2s"\n'
    return {
        "http": f'url = "{url}"\nformat = "json"\n{interval}',
        "tcp": f'address = "{port}"\n{interval}',
        "file": f'path = "{file}"\nformat = "number"\n{interval}',
        "command": f'argv = ["/bin/true"]\n{interval}',
        "stream": 'argv = ["/bin/sh", "-c", "while echo 1; do sleep 2; done"]\ntimeout = "10s"\nformat = "number"\n',
        "system": f'metric = "memory"\n{interval}',
    }


def configuration(work, url, count, kinds):
    """A configuration of `count` services, each with its own source, of these kinds in turn."""
    tables, text = sources(work, url), ""
    for number in range(count):
        kind = kinds[number % len(kinds)]
        text += f"[source.s{number}.{kind}]\n{tables[kind]}"
        text += f"[service.web{number}]\nweight = \"s{number}.ok ? 73 : 1\"\n"
    return text


class Collector:
    """A running collector, and the times until one and all of its services had a reply."""

    def __init__(self, bench, program, text):
        work = pathlib.Path(tempfile.mkdtemp(dir=bench.state))
        states, data = work / "states", work / "data"
        states.mkdir(), data.mkdir()
        (work / "agentcheck.toml").write_text(text)
        words = [program, "collect", "--config", work / "agentcheck.toml", "--state-dir", states, "--data-dir", data]
        self.count = text.count("[service.")
        began = time.monotonic()
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.first = self.all = None
        while self.all is None and self.process.poll() is None and time.monotonic() < began + 20:
            there = len(list(states.glob("*.state")))
            passed = 1000 * (time.monotonic() - began)
            if there and self.first is None:
                self.first = passed
            if there == self.count:
                self.all = passed
            time.sleep(0.001)

    def __enter__(self):
        time.sleep(3)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def collectors(bench, programs, url):
    rows, kinds = [], ["http", "tcp", "file", "command", "stream", "system"]
    for name, program in programs.items():
        size = f"{os.path.getsize(program) / 1e6:.2f}"
        loads = [
            ("2 system sources", configuration(bench.work, url, 2, ["system"])),
            ("1 service", configuration(bench.work, url, 1, ["http"])),
            ("10 services, all kinds", configuration(bench.work, url, 10, kinds)),
            ("100 services, files", configuration(bench.work, url, 100, ["file"])),
        ]
        for load, text in loads:
            with Collector(bench, program, text) as one:
                times = [f"{value:.0f}" if value else "none" for value in (one.first, one.all)]
                rows.append([name, load, size, *idle(one.process.pid), *times])
    run.table(
        f"A collector that polls every 2 s, for {SECONDS} s (bars: 5 MB with 10 services, 2 wake-ups a poll, 300 ms)",
        ["program", "load", "MB file", "MB resident", "anonymous", "wake-ups/s", "CPU ms/s", "first reply ms", "all"],
        rows,
    )


def others(bench, port):
    rows, left_out = [], []
    context = peers.Context(bench, port)
    if run.has("prometheus-node-exporter"):
        at = free_port()
        words = ["prometheus-node-exporter", f"--web.listen-address={HOST}:{at}"]
        with running(words, at) as process:
            file = os.path.getsize(f"/proc/{process.pid}/exe")
            rows.append(["node_exporter, not scraped", f"{file / 1e6:.2f}", *idle(process.pid)])
    else:
        left_out.append("node_exporter: apt-get install prometheus-node-exporter")
    for name, start, _, _ in peers.PEERS:
        if name in ["hareply", "Herald", "Datawave's agent"]:
            try:
                with start(context) as started:
                    time.sleep(3)
                    size = os.path.getsize(f"/proc/{started.main}/exe") / 1e6
                    rows.append([name, f"{size:.2f}" if name == "hareply" else "interpreted", *idle(started.main)])
            except peers.Unavailable as why:
                left_out.append(f"{name}: {why}")
    head = ["program", "MB file", "MB resident", "anonymous", "wake-ups/s", "CPU ms/s"]
    run.table("Others on this machine, idle", head, rows)
    for line in left_out:
        print(f"Not run here: {line}.")


def main():
    programs = {pathlib.Path(path).name: path for path in sys.argv[1:]}
    if not programs:
        programs = {"make build": TARGET / "release/agentcheck", "make dist": STATIC}
        programs = {name: path for name, path in programs.items() if path.exists()}
    with (
        run.directories() as (work, state),
        contextlib.ExitStack() as stack,
    ):
        bench = types.SimpleNamespace(work=work, state=state)
        print(f"{time.strftime('%Y-%m-%d %H:%M')}, Linux {os.uname().release} {os.uname().machine}, ", end="")
        print(f"{len(run.CORES)} cores, load {run.load()}", flush=True)
        port = free_port()
        code = peers.APPLICATION.replace("PORT", str(port))
        stack.enter_context(running([sys.executable, "-c", code], port))
        collectors(bench, programs, f"http://{HOST}:{port}/health")
        others(bench, port)
    print(f"load {run.load()}")


if __name__ == "__main__":
    main()
