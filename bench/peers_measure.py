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
# A probe that takes longer has failed, in seconds; HAProxy's agent-inter.
DEADLINE = 2.0
HANG = 10.0
# The table of a day: services and balancers of the host, seconds between two probes of a balancer, probes of a service in
# that time in separate slots, and seconds that are measured.
SERVICES, BALANCERS, INTER, SLOTS, DAY_SAMPLE = 2, 4, 2.0, 8, 40.0


def descendants(pid):
    """The process ids of the process and of all its descendants that exist."""
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
    """The resident memory of the processes and their descendants, in MiB; shared pages count proportionally (PSS)."""
    total = 0
    for pid in {child for pid in pids for child in descendants(pid)}:
        try:
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += int(re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)[1])
    return total / 1024


def spent(pid):
    """The processor time of the process, and of its children that have ended, in microseconds."""
    own = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        own += int((task / "schedstat").read_text().split()[0])
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return own / 1000 + (int(fields[13]) + int(fields[14])) * 1e6 / TICK


def processes(peer, count):
    """The processes and programs that start for one probe, counted with strace."""
    pid = peer.main
    if not has("strace"):
        return "?", "?"
    words = ["strace", "-f", "-qq", "-e", "trace=execve,clone,clone3,fork,vfork", "-e", "signal=none", "-p", str(pid)]
    tracer = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    tracer_ready(pid)
    for _ in range(count):
        probe_once(peer.port, 10, peer.request)
    time.sleep(0.3)
    tracer.send_signal(signal.SIGINT)
    log = tracer.communicate()[1]
    begun = 0
    for line in log.splitlines():
        # A thread is not a process. If strace prints a call in two pieces, the second one counts.
        begun += bool(re.search(r"\b(clone3?|v?fork)\b.*= [1-9]\d*$", line)) and "CLONE_THREAD" not in line
    programs = len(re.findall(r"execve\(?.*= 0$", log, re.MULTILINE))
    return f"{begun / count:g}", f"{programs / count:g}"


def tracer_ready(pid):
    """Waits until strace traces the process."""
    for _ in range(500):
        if "TracerPid:\t0" not in pathlib.Path(f"/proc/{pid}/status").read_text():
            return
        time.sleep(0.01)


def probe_once(port, deadline, request=""):
    """Probes once. Returns the seconds until the first line, or None without a line, and the line or the error."""
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
                # A script may still work after its last line.
                time.sleep(0.2)
            if turn >= 0:
                times[name] += [float(line) for line in lines]
                cpu[name].append((spent(peer.main) - used) / number)
    base = statistics.median(next(iter(times.values())))
    rows = []
    for name, (peer, count) in started.items():
        begun, programs = processes(peer, 5)
        median = statistics.median(times[name])
        # The kernel counts the processor time of children in ticks of 10 ms, so only a mean is useful.
        used = statistics.mean(cpu[name]) if peer.launches else statistics.median(cpu[name])
        rows.append(
            [
                name,
                # Three significant digits, without an exponent.
                f"{float(f'{median / base:.3g}'):g}",
                f"{median:.0f}",
                f"{percentile(times[name], 99):.0f}",
                f"{used:.0f}",
                begun,
                programs,
                f"{megabytes(peer.resident):.1f}",
                f"{times[name].count(0)} of {len(times[name])}",
            ]
        )
    head = ["", "x loop", "median us", "p99 us", "CPU us", "processes", "programs", "MB resident", "no line"]
    table(f"One probe: connect to EOF, {ROUNDS} interleaved rounds (load before {before}, after {load()})", head, rows)


def wakeups(pids):
    """How often the threads of the processes and their descendants waited and were woken."""
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
        return sum(spent(pid) for pid in peer.resident), wakeups(peer.resident)

    for name, (peer, _) in started.items():
        marks[name] = usage(peer)
    began = time.monotonic()
    turn, threads = 0, []
    # A peer that needs a daemon for each service gets the probes of one service, another peer those of both.
    while time.monotonic() - began < DAY_SAMPLE:
        for name, (peer, _) in started.items():
            for probe in range(SERVICES * BALANCERS // peer.daemons):
                if (turn + probe) % SLOTS == 0:
                    threads.append(threading.Thread(target=probe_once, args=(peer.port, DEADLINE, peer.request)))
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
    rows = {name: [probe_once(peer.port, 5, peer.request)[1]] for name, (peer, _) in started.items()}
    stopped = [application.pid, *[peer.application for peer, _ in started.values() if peer.application]]
    answers = {name: [] for name in started}
    threads = []

    def one(name, peer):
        answers[name].append(probe_once(peer.port, DEADLINE, peer.request))

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
    for name, results in answers.items():
        good = [took for took, _ in results if took is not None]
        last = results[-1][1]
        rows[name] += [f"{len(good)} of {len(results)}", f"{max(good) * 1000:.0f}" if good else "", waiting[name], last]
    time.sleep(5)
    # Kills the application; its port refuses connections from now on. The node of the cluster is killed, too.
    for pid in stopped:
        os.kill(pid, signal.SIGKILL)
    time.sleep(12)
    for name, (peer, _) in started.items():
        rows[name].append(probe_once(peer.port, 5, peer.request)[1])
    # Kills the processes that decide, too.
    for peer, _ in started.values():
        os.kill(peer.decider or peer.main, signal.SIGKILL)
    time.sleep(12)
    for name, (peer, _) in started.items():
        rows[name].append(probe_once(peer.port, 5, peer.request)[1])
    head = ["", "before", "in time", "slowest ms", "processes left", "reply while it hangs", "application dead"]
    head.append("killed")
    title = f"The application hangs for {HANG:.0f} s, probed every 0.5 s; ends; and the agent's daemon is killed"
    table(title, head, [[name, *row] for name, row in rows.items()])
