"""What many services cost the collector, seen from outside: one part of run.py.

Each service has a file of its own for an application, polled every second. Whenever a reply has come, its file
gets another number, so that every poll leads to another reply. The replies are watched with inotify, and read.
"""

import ctypes
import os
import pathlib
import re
import select
import socket
import struct
import time

MASK = (1 << 64) - 1
EVERY = 10**9
# The default: a tenth of `every`.
JITTER = EVERY // 10
MOVED_TO = 0x80
# Seconds.
WARM_UP = 5


def planned(source):
    """When the polls of a source are due, in nanoseconds from the first moment; as collector/src/source/pace.rs."""
    seed = 0xCBF29CE484222325
    for byte in f"{source}@{socket.gethostname()}".encode():
        seed = ((seed ^ byte) * 0x100000001B3) & MASK

    def part(number):
        state = (seed + number * 0x9E3779B97F4A7C15) & MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
        return ((state ^ (state >> 31)) * JITTER) >> 64

    at, number = part(0), 0
    while True:
        yield at
        number += 1
        at += EVERY - part(number)


class Service:
    """One service, its application's file, and when its replies were there."""

    def __init__(self, number, applications, states):
        self.file = os.open(applications / f"app{number}", os.O_WRONLY | os.O_CREAT, 0o644)
        self.state = states / f"web{number}.state"
        self.plan = planned(f"app{number}")
        self.value = 1000 + 7 * number % 5000
        self.change()
        # When each was due and seen; and how many were not about the number in the file.
        self.replies, self.others = [], 0

    def change(self):
        self.value = 1000 + (self.value + 1234) % 6000
        os.pwrite(self.file, str(self.value).encode(), 0)

    def seen(self, now):
        # The number that the file has had since the reply before.
        if f"={self.value}\n" in self.state.read_text():
            self.replies.append((next(self.plan), now))
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


class Account:
    """What the kernel says of a process."""

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


def measure(start, work, count, seconds):
    """A collector with so many services: how late each reply was, and then, unwatched, what it used."""
    applications, states = work / f"applications-{count}", work / f"states-{count}"
    applications.mkdir()
    states.mkdir()
    services = {f"web{number}.state": Service(number, applications, states) for number in range(count)}
    file = work / f"scale-{count}.toml"
    file.write_text(configuration(count, applications))
    # The flight recorder has its part in what it costs.
    data = work / f"data-{count}"
    data.mkdir()
    descriptor = watch(states)
    with start(["collect", "--config", file, "--state-dir", states, "--data-dir", data]) as process:

        def follow(until):
            while (left := until - time.monotonic()) > 0:
                if select.select([descriptor], [], [], left)[0]:
                    changed = os.read(descriptor, 1 << 20)
                    now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
                    for name in names(changed):
                        if name in services:
                            services[name].seen(now)

        follow(time.monotonic() + WARM_UP)
        begin = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        follow(time.monotonic() + seconds)
        # To wake somebody who watches its directory is work of the collector's, as the kernel counts.
        os.close(descriptor)
        before = Account(process.pid)
        while time.monotonic() < before.at + seconds:
            for service in services.values():
                service.change()
            time.sleep(EVERY / 1e9)
        after = Account(process.pid)
    for service in services.values():
        os.close(service.file)
    replies = [reply for service in services.values() for reply in service.replies]
    # When the collector began is not known from outside: so that no reply was ever early.
    base = min(seen - due for due, seen in replies)
    late = [(seen - due - base) / 1e6 for due, seen in replies if seen >= begin]
    others = sum(service.others for service in services.values())
    return before, after, late, others


def row(count, before, after, late, others):
    ordered, passed = sorted(late), after.at - before.at
    at = lambda share: f"{ordered[int((len(ordered) - 1) * share)]:.1f}"
    return [
        f"{count:,}",
        f"{100 * (after.cpu - before.cpu) / passed:.2f} %",
        len(late),
        at(0.5),
        at(0.99),
        at(1),
        others,
        f"{after.anonymous:.1f}",
        f"{after.of_files:.1f}",
        f"{after.most:.1f}",
        after.threads,
    ]


HEAD = ["services", "of a core", "replies", "late ms", "p99", "most", "other", "MB anonymous", "of files", "peak", "threads"]
