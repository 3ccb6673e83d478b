"""Measures a collector from outside: three sections of run.py.

scale: each service has a file of its own, polled every second. After each reply the benchmark writes another number
into the file, so every poll leads to another reply. It watches the state files with inotify, and reads them.
http: each service polls a local nginx every second.
start: the time until the first replies, and the time of `check`.
"""

import ctypes
import os
import pathlib
import re
import select
import shutil
import struct
import tempfile
import time
import urllib.request

# The interval of the polls, in nanoseconds.
INTERVAL = 10**9
# The default `fresh_for`.
FRESH_FOR = 10 * INTERVAL
# inotify's event for a file that was renamed into the directory.
MOVED_TO = 0x80
# The time before a measurement, in seconds.
WARM_UP = 5
# The wake-ups of the floor in a second.
TURNS = 200


class Service:
    """A service, the file of its application, and the times of its replies."""

    def __init__(self, number, applications, states):
        self.file = os.open(applications / f"app{number}", os.O_WRONLY | os.O_CREAT, 0o644)
        self.state = states / f"web{number}.state"
        self.value = 1000 + 7 * number % 5000
        self.change()
        # When the poll of each reply began, when the reply was seen, and the number of replies with another number.
        self.replies, self.others = [], 0

    def late(self, begin):
        """Yields how late each reply was, in nanoseconds: the poll, later than an interval after the last one, and the rest."""
        polls = zip(self.replies, self.replies[1:])
        return [max(sent - before - INTERVAL, 0) + seen - sent for (before, _), (sent, seen) in polls if seen >= begin]

    def change(self):
        self.value = 1000 + (self.value + 1234) % 6000
        os.pwrite(self.file, str(self.value).encode(), 0)

    def seen(self, now):
        # The file has this number since the previous reply.
        text = self.state.read_text()
        if f"={self.value}\n" in text:
            # A reply is fresh for FRESH_FOR from the beginning of its poll.
            self.replies.append((int(text.split("\nuntil ")[1].split()[0]) - FRESH_FOR, now))
            self.change()
        else:
            self.others += 1


def configuration(services, applications):
    return "".join(
        f"""
[source.app{number}.file]
path = "{applications}/app{number}"
format = "number"
interval = "1s"

[service.web{number}]
weight = "headroom(app{number}.value, 8000)"

[[service.web{number}.rule]]
name = "maintenance"
when = "app{number}.value < 0.0"
reply = "maint"
"""
        for number in range(services)
    )


class ProcessUsage:
    """The processor time, the memory and the threads of a process."""

    def __init__(self, pid):
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        self.cpu = (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
        self.at = time.monotonic()
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        number = lambda key: int(re.search(rf"^{key}:\s+(\d+)", status, re.M)[1])
        self.anonymous, self.of_files = number("RssAnon") / 1024, number("RssFile") / 1024
        self.most, self.threads = number("VmHWM") / 1024, number("Threads")


def watch(directory):
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if descriptor < 0 or libc.inotify_add_watch(descriptor, os.fsencode(directory), MOVED_TO) < 0:
        raise OSError(ctypes.get_errno(), "inotify")
    return descriptor


def names(buffer):
    at = 0
    while at < len(buffer):
        *_, length = struct.unpack_from("iIII", buffer, at)
        yield buffer[at + 16 : at + 16 + length].rstrip(b"\0").decode()
        at += 16 + length


def measure(start, floor, work, count, seconds):
    """Measures a collector with `count` services: first how late its replies are, then its usage, without watching.

    `start` starts a collector with arguments. `floor` runs the floor with arguments and returns its first number.
    """
    work = pathlib.Path(tempfile.mkdtemp(prefix=f"scale-{count}-", dir=work))
    applications, states, data = work / "applications", work / "states", work / "data"
    for directory in [applications, states, data, work / "floor"]:
        directory.mkdir()
    services = {f"web{number}.state": Service(number, applications, states) for number in range(count)}
    file = work / "agentcheck.toml"
    file.write_text(configuration(count, applications))
    least = [floor(applications, work / "floor", count, 3, TURNS)]
    descriptor = watch(states)
    # Not select: each service has an open file, so the descriptor may be above 1,023.
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    with start(["collect", "--config", file, "--state-dir", states, "--data-dir", data]) as process:

        def follow(until):
            while (left := until - time.monotonic()) > 0:
                if poll.poll(1000 * left):
                    changed = os.read(descriptor, 1 << 20)
                    now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
                    for name in names(changed):
                        if name in services:
                            services[name].seen(now)

        follow(time.monotonic() + WARM_UP + count / 2000)
        begin = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        # The first two polls of a source may follow each other before the benchmark has changed the number.
        for service in services.values():
            service.others = 0
        follow(time.monotonic() + seconds)
        # The kernel would count waking the watcher as processor time of the collector.
        os.close(descriptor)
        before = ProcessUsage(process.pid)
        while time.monotonic() < before.at + seconds:
            for service in services.values():
                service.change()
            time.sleep(INTERVAL / 1e9)
        after = ProcessUsage(process.pid)
    least.append(floor(applications, work / "floor", count, 3, TURNS))
    for service in services.values():
        os.close(service.file)
    late = [span / 1e6 for service in services.values() for span in service.late(begin)]
    others = sum(service.others for service in services.values())
    shutil.rmtree(work)
    return before, after, late, others, sum(least) / len(least)


def row(label, count, before, after, late, others, least):
    ordered, passed = sorted(late), after.at - before.at
    at = lambda share: f"{ordered[int((len(ordered) - 1) * share)]:.1f}" if ordered else "-"
    each = (after.cpu - before.cpu) * 1e6 / passed / count
    return [
        label,
        f"{count:,}",
        f"{100 * (after.cpu - before.cpu) / passed:.1f} %",
        f"{each:.1f}",
        f"{least:.1f}",
        f"{each / least:.2f}",
        len(late),
        at(0.5),
        at(0.99),
        at(1),
        others,
        f"{after.anonymous * 1024 / count:.1f}",
        f"{after.most:.0f}",
        after.threads,
    ]


HEAD = [
    "program", "services", "of a core", "us", "floor us", "x floor", "replies", "late ms", "p99", "most", "other",
    "KB each", "MB peak", "threads",
]  # fmt: skip


# Sources over HTTP.


def nginx(work, port):
    """The command line of an nginx that answers every request with a number."""
    file = work / "nginx.conf"
    file.write_text(
        f"""daemon off;
worker_processes 1;
pid {work}/nginx.pid;
error_log {work}/nginx.log;
events {{
	worker_connections 2048;
}}
http {{
	access_log off;
	server {{
		listen 127.0.0.1:{port} backlog=2048;
		location / {{
			default_type text/plain;
			return 200 "1890\\n";
		}}
		location = /requests {{
			stub_status;
		}}
	}}
}}
"""
    )
    return ["nginx", "-p", work, "-c", file]


def requests(port):
    """The requests that this nginx has had. Asking is one of them."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/requests") as response:
        return int(response.read().split(b"\n")[2].split()[2])


def measure_http(start, floor, work, port, count, seconds):
    """Measures the processor time of a collector with `count` http services for each poll, and that of the floor."""
    work = pathlib.Path(tempfile.mkdtemp(prefix="http-", dir=work))
    states, data, file = work / "states", work / "data", work / "agentcheck.toml"
    states.mkdir()
    data.mkdir()
    file.write_text(
        "".join(
            f"""
[source.app{number}.http]
url = "http://127.0.0.1:{port}/load"
format = "number"
interval = "1s"

[service.web{number}]
weight = "headroom(app{number}.value, 8000)"
"""
            for number in range(count)
        )
    )
    least = [floor("127.0.0.1", port, count, 3)]
    with start(["collect", "--config", file, "--state-dir", states, "--data-dir", data]) as process:
        time.sleep(WARM_UP)
        begun, before = requests(port), ProcessUsage(process.pid)
        time.sleep(seconds)
        after, ended = ProcessUsage(process.pid), requests(port)
        replies = [state.read_text() for state in states.glob("web*.state")]
    least.append(floor("127.0.0.1", port, count, 3))
    shutil.rmtree(work)
    right = sum("=1890\n" in reply for reply in replies)
    each, least = (after.cpu - before.cpu) * 1e6 / (ended - begun - 1), sum(least) / len(least)
    return [count, right, f"{each:.0f}", f"{least:.0f}", f"{each / least:.2f}", f"{after.anonymous:.1f}", after.threads]


HEAD_HTTP = ["services", "right", "us a poll", "floor us", "x floor", "MB anonymous", "threads"]


# The start.


def measure_start(start, check, work, count):
    """The milliseconds from exec until the first reply, until all replies, and those of `check`."""
    work = pathlib.Path(tempfile.mkdtemp(prefix="start-", dir=work))
    applications, states, data = work / "applications", work / "states", work / "data"
    for directory in [applications, states, data]:
        directory.mkdir()
    for number in range(count):
        (applications / f"app{number}").write_text("1890")
    file = work / "agentcheck.toml"
    file.write_text(configuration(count, applications))
    began, first, there, give_up = time.monotonic(), None, 0, 60
    with start(["collect", "--config", file, "--state-dir", states, "--data-dir", data]):
        while there < count and time.monotonic() - began < give_up:
            there = sum(name.endswith(".state") for name in os.listdir(states))
            if there and first is None:
                first = time.monotonic()
            time.sleep(0.001)
        last = time.monotonic()
    checked = time.monotonic()
    check(["check", "--config", file])
    checked = time.monotonic() - checked
    shutil.rmtree(work)
    ms = lambda seconds: 1000 * seconds
    return ms((first or last) - began), ms(last - began), ms(checked)
