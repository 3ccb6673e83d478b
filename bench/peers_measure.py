"""Measures the agents that peers.py starts: the cost of a probe and of a day, and the replies in failures."""

import contextlib
import os
import pathlib
import re
import signal
import socket
import statistics
import subprocess
import threading
import time

from run import HOST, has, load, output, percentile, table

ROUNDS = 10
TICK = os.sysconf("SC_CLK_TCK")
# HAProxy's agent-inter: after it, a probe has failed.
DEADLINE = 2.0
HANG = 10.0
# The host of the table of a day, seconds between two probes of a balancer, and the seconds that are measured.
SERVICES, BALANCERS, INTER, SLOTS, DAY_SAMPLE = 2, 4, 2.0, 8, 40.0


def descendants(pid):
    """It and all below it, as far as they are there."""
    found, new = [], [pid]
    while new:
        one = new.pop()
        found.append(one)
        for task in pathlib.Path(f"/proc/{one}/task").glob("*/children"):
            try:
                new += [int(child) for child in task.read_text().split()]
            except OSError:
                pass
    return found


def megabytes(pids):
    """The proportional share of memory that is resident."""
    total = 0
    for pid in {child for pid in pids for child in descendants(pid)}:
        try:
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += int(re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)[1])
    return total / 1024


def spent(pid):
    """Microseconds of CPU that it has used, and its children that have ended."""
    own = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        own += int((task / "schedstat").read_text().split()[0])
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return own / 1000 + (int(fields[13]) + int(fields[14])) * 1e6 / TICK


def processes(peer, count):
    """Processes begun and programs started for one probe, counted by strace."""
    pid = peer.main
    if not has("strace"):
        return "?", "?"
    words = ["strace", "-f", "-qq", "-e", "trace=execve,clone,clone3,fork,vfork", "-e", "signal=none", "-p", str(pid)]
    tracer = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    tracer_ready(pid)
    for _ in range(count):
        ask(peer.port, 10, peer.request)
    time.sleep(0.3)
    tracer.send_signal(signal.SIGINT)
    log = tracer.communicate()[1]
    begun = 0
    for line in log.splitlines():
        # A thread is no process. A call that strace prints in two pieces counts by its second piece.
        begun += bool(re.search(r"\b(clone3?|v?fork)\b.*= [1-9]\d*$", line)) and "CLONE_THREAD" not in line
    programs = len(re.findall(r"execve\(?.*= 0$", log, re.MULTILINE))
    return f"{begun / count:g}", f"{programs / count:g}"


def tracer_ready(pid):
    """Until it is traced."""
    for _ in range(500):
        if "TracerPid:\t0" not in pathlib.Path(f"/proc/{pid}/status").read_text():
            return
        time.sleep(0.01)


def ask(port, deadline, request=""):
    """Probes once: the seconds until the first line (None: it did not come), and the line."""
    began, text = time.monotonic(), b""
    try:
        with socket.create_connection((HOST, port), deadline) as client:
            if request:
                client.sendall(request.encode() + b"\n")
            while b"\n" not in text:
                client.settimeout(max(0.001, began + deadline - time.monotonic()))
                part = client.recv(4096)
                if not part:
                    return None, "no newline" if text else "closed, no line"
                text += part
    except ConnectionRefusedError:
        return None, "refused"
    except ConnectionResetError:
        return None, "reset"
    except TimeoutError:
        return None, "no answer"
    return time.monotonic() - began, text.split(b"\n")[0].decode(errors="replace").strip()


def cost(bench, started):
    before = load()
    times, cpu = {name: [] for name in started}, {name: [] for name in started}
    for turn in range(-1, ROUNDS):
        for name, (peer, count) in started.items():
            number = count if turn >= 0 else 1
            used = spent(peer.main)
            lines = output(bench.probe, "latency", HOST, str(peer.port), str(number), peer.request).split()
            if count == 1 or count == 3:
                # What a script still does after its last line.
                time.sleep(0.2)
            if turn >= 0:
                times[name] += [float(line) for line in lines]
                cpu[name].append((spent(peer.main) - used) / number)
    base = statistics.median(next(iter(times.values())))
    rows = []
    for name, (peer, count) in started.items():
        begun, programs = processes(peer, 5)
        median = statistics.median(times[name])
        # The kernel reports the time of children in ticks of 10 ms, so only a mean is useful.
        used = statistics.mean(cpu[name]) if peer.launches else statistics.median(cpu[name])
        rows.append(
            [
                name,
                # Three digits, written out.
                f"{float(f'{median / base:.3g}'):g}",
                f"{median:.0f}",
                f"{percentile(times[name], 99):.0f}",
                f"{used:.0f}",
                begun,
                programs,
                f"{megabytes(peer.standing):.1f}",
                f"{times[name].count(0)} of {len(times[name])}",
            ]
        )
    head = ["", "x loop", "median us", "p99 us", "CPU us", "processes", "programs", "MB resident", "no line"]
    table(f"One probe: connect to EOF, {ROUNDS} interleaved rounds (load before {before}, after {load()})", head, rows)


def wakeups(pids):
    """Times that their threads began to wait, and then got a processor again."""
    total = 0
    for pid in {child for pid in pids for child in descendants(pid)}:
        for task in pathlib.Path(f"/proc/{pid}/task").glob("*/status"):
            with contextlib.suppress(OSError):
                total += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", task.read_text(), re.MULTILINE)[1])
    return total


def day(started):
    """The processor time and wake-ups of a day: two services, four balancers, a probe every 2 s each."""
    before, rows = load(), []
    per_second = SERVICES * BALANCERS / INTER
    marks = {}

    def usage(peer):
        return sum(spent(pid) for pid in peer.standing), wakeups(peer.standing)

    for name, (peer, _) in started.items():
        marks[name] = usage(peer)
    began = time.monotonic()
    turn, threads = 0, []
    # Each peer gets the probes of one service if it needs a process for each service, and of both if not.
    while (now := time.monotonic() - began) < DAY_SAMPLE:
        for name, (peer, _) in started.items():
            for probe in range(SERVICES * BALANCERS // peer.daemons):
                if (turn + probe) % SLOTS == 0:
                    threads.append(threading.Thread(target=ask, args=(peer.port, DEADLINE, peer.request)))
                    threads[-1].start()
        turn += 1
        time.sleep(max(0, turn * INTER / SLOTS - (time.monotonic() - began)))
    for thread in threads:
        thread.join()
    length = time.monotonic() - began
    for name, (peer, _) in started.items():
        used, woken = (after - mark for after, mark in zip(usage(peer), marks[name]))
        begun = processes(peer, 5)[0]
        scale = peer.daemons * 86400 / length
        children = float(begun) * per_second * 86400 if begun != "?" else 0
        rows.append([name, f"{used / 1e6 * scale:.0f}", f"{(woken * scale + children) / 1000:.0f}", peer.daemons])
    head = ["", "CPU s a day", "1000 wake-ups a day", "daemons of a kind"]
    title = f"A host with {SERVICES} services and {BALANCERS} balancers, agent-inter {INTER:g} s, from {length:.0f} s"
    table(f"{title} (load before {before}, after {load()})", head, rows)


def trouble(started, application):
    rows = {name: [ask(peer.port, 5, peer.request)[1]] for name, (peer, _) in started.items()}
    stopped = [application.pid, *[peer.application for peer, _ in started.values() if peer.application]]
    answers = {name: [] for name in started}
    threads = []

    def one(name, peer):
        answers[name].append(ask(peer.port, DEADLINE, peer.request))

    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        while time.monotonic() < began + HANG:
            for name, (peer, _) in started.items():
                threads.append(threading.Thread(target=one, args=(name, peer)))
                threads[-1].start()
            time.sleep(0.5)
        waiting = {name: len(descendants(peer.main)) - 1 for name, (peer, _) in started.items()}
        for thread in threads:
            thread.join()
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    for name, received in answers.items():
        good = [took for took, _ in received if took is not None]
        last = received[-1][1]
        rows[name] += [f"{len(good)} of {len(received)}", f"{max(good) * 1000:.0f}" if good else "", waiting[name], last]
    time.sleep(5)
    # The application ends, and its port closes. A node of a cluster is killed.
    for pid in stopped:
        os.kill(pid, signal.SIGKILL)
    time.sleep(12)
    for name, (peer, _) in started.items():
        rows[name].append(ask(peer.port, 5, peer.request)[1])
    # The deciding process is killed, too.
    for peer, _ in started.values():
        os.kill(peer.decider or peer.main, signal.SIGKILL)
    time.sleep(12)
    for name, (peer, _) in started.items():
        rows[name].append(ask(peer.port, 5, peer.request)[1])
    head = ["", "before", "in time", "slowest ms", "processes left", "reply while it hangs", "application dead"]
    head.append("killed")
    title = f"The application hangs for {HANG:.0f} s, probed every 0.5 s; ends; and the agent's daemon is killed"
    table(title, head, [[name, *row] for name, row in rows.items()])
