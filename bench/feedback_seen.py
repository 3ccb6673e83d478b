"""Reads the logs of a run of feedback.py, and prints its tables."""

import bisect

from run import percentile, table

WORKERS = [2, 2, 4, 8]
BIGGEST = 3
HALVED = WORKERS[BIGGEST] // 2
# The largest good share of the requests for the biggest server after it lost half its workers. It is a fifth more than the
# server's fair share, and needs 96% of its capacity.
ENOUGH = 1.2 * HALVED / (sum(WORKERS) - HALVED)
# A client that waits longer gives up, in seconds. It bounds the queues.
PATIENCE = 10


class Seen:
    """The logs of a run, by policy."""

    def __init__(self, logs, policies, began, weights_seen):
        self.weights = weights_seen
        # The times of the log, and the sums at each time by policy and server.
        self.at = []
        self.busy, self.arrived, self.workers = (
            {(name, number): [] for name in policies for number in range(4)} for _ in range(3)
        )
        keys = list(self.busy)
        for line in (logs / "queue.log").read_text().splitlines()[1:]:
            fields = line.split()
            key = keys[int(fields[1])]
            if key == keys[0]:
                self.at.append(float(fields[0]) - began)
            self.busy[key].append(float(fields[2]))
            self.arrived[key].append(int(fields[3]))
            self.workers[key].append(int(fields[6]))
        # By policy: the time when a request was due, and its latency.
        self.requests = {name: [] for name in policies}
        self.given_up = {name: [] for name in policies}
        self.sent_late, self.answered_late, self.between = [], [], []
        self.failed = 0
        names = list(policies)
        for line in (logs / "requests.log").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[0] == "refused":
                self.failed += int(fields[1])
                continue
            name, due, latency, server = names[int(fields[0])], float(fields[1]), float(fields[2]), int(fields[4])
            self.requests[name].append((due, latency))
            self.sent_late.append(float(fields[3]) / 1000)
            if server == -1:
                self.given_up[name].append(due)
            elif server == -2:
                self.failed += 1
            else:
                self.answered_late.append(float(fields[6]) / 1000)
                spent = float(fields[3]) + float(fields[5]) + float(fields[6])
                self.between.append(latency * 1000 - spent / 1000)

    def tick(self, moment):
        return min(bisect.bisect_left(self.at, moment), len(self.at) - 1)

    def utilization(self, name, number, since, until):
        """The share of the workers' time in which they were busy."""
        first, last = self.tick(since), self.tick(until)
        key = (name, number)
        workers = self.workers[key][first + 1 : last + 1]
        length = self.at[last] - self.at[first]
        return (self.busy[key][last] - self.busy[key][first]) / (length * sum(workers) / len(workers))

    def utilizations(self, name, span):
        return [self.utilization(name, number, *span) for number in range(4)]

    def share_of_biggest(self, name, since, until):
        first, last = self.tick(since), self.tick(until)
        came = [self.arrived[name, number][last] - self.arrived[name, number][first] for number in range(4)]
        return came[BIGGEST] / sum(came)

    def adapted(self, name, times):
        """Seconds from the loss until the biggest server gets at most ENOUGH in every 10 s that follow; None if it never does."""
        moments = [times.loss + half / 2 for half in range(2 * int(times.end - times.loss - 10) + 1)]
        over = [moment for moment in moments if self.share_of_biggest(name, moment, moment + 10) > ENOUGH]
        if not over:
            return 0
        return None if over[-1] == moments[-1] else over[-1] + 0.5 - times.loss

    def latencies(self, name, span):
        return [latency * 1000 for due, latency in self.requests[name] if span[0] <= due < span[1]]

    def gave_up(self, name, span):
        return sum(span[0] <= due < span[1] for due in self.given_up[name]) / len(self.latencies(name, span))

    def changes_a_minute(self, name, span):
        """The changes of weight a minute in HAProxy, all servers together; it compares the weights every half second."""
        within = [values for at, values in self.weights if span[0] <= at < span[1]]
        changes = sum(
            before[name, number] != after[name, number]
            for before, after in zip(within, within[1:])
            for number in range(4)
        )
        return changes / ((span[1] - span[0]) / 60)


def peak_over_mean(utilizations):
    return max(utilizations) / (sum(utilizations) / len(utilizations))


def milliseconds(value):
    return f"{value:.0f}" if value < PATIENCE * 1000 else f"> {PATIENCE * 1000}"


def report(seen, policies, times, spent):
    def row_of(name, span):
        utilizations, latencies = seen.utilizations(name, span), seen.latencies(name, span)
        p50, p99 = percentile(latencies, 50), percentile(latencies, 99)
        return utilizations, p50, p99

    ideal = row_of("static", times.steady)[2] if "static" in policies else float("nan")
    rows = []
    for name, policy in policies.items():
        utilizations, p50, p99 = row_of(name, times.steady)
        rows.append(
            [
                policy.title,
                f"{peak_over_mean(utilizations):.3f}",
                " ".join(f"{value:.2f}" for value in utilizations),
                milliseconds(p50),
                milliseconds(p99),
                f"{p99 / ideal:.2f}",
                f"{100 * seen.gave_up(name, times.steady):.1f}",
                f"{seen.changes_a_minute(name, times.steady):.1f}",
            ]
        )
    table(
        f"Steady, 75% of the capacity offered, {times.steady[1] - times.steady[0]} s",
        ["policy", "peak/mean", "utilization", "p50 ms", "p99 ms", "x static", "gave up %", "changes/min"],
        rows,
    )
    print("Bars for capacity: peak/mean <= 1.05, x static <= 1.15, changes/min <= 10.")

    rows = []
    for name, policy in policies.items():
        adapted = seen.adapted(name, times)
        # A policy that never gave the server more than this share has nothing to adapt.
        had = seen.share_of_biggest(name, *times.steady) > ENOUGH
        utilizations, p50, p99 = row_of(name, times.after)
        transition = (times.loss, times.after[0])
        rows.append(
            [
                policy.title,
                ("never" if adapted is None else f"{adapted:.1f}") if had else "-",
                milliseconds(row_of(name, transition)[2]),
                f"{peak_over_mean(utilizations):.3f}",
                " ".join(f"{value:.2f}" for value in utilizations),
                milliseconds(p50),
                milliseconds(p99),
                f"{100 * seen.gave_up(name, times.after):.1f}",
            ]
        )
    table(
        f"The biggest loses half its workers, 60% of the capacity of before offered; the transition is the first "
        f"{times.after[0] - times.loss} s, then {times.end - times.after[0]} s",
        ["policy", "adapted after s", "p99 of transition", "peak/mean", "utilization", "p50 ms", "p99 ms", "gave up %"],
        rows,
    )

    rows = []
    for what, values in [
        ("sent late (generator)", seen.sent_late),
        ("answered late (servers)", seen.answered_late),
        ("between them (HAProxy, sockets)", seen.between),
    ]:
        rows.append([what] + [f"{percentile(values, percent):.2f}" for percent in (50, 99)] + [f"{max(values):.1f}"])
    table("Milliseconds that are the bench's own, in every latency above", ["", "p50", "p99", "most"], rows)
    shares = ", ".join(f"{part} {100 * share:.1f}%" for part, share in spent.items())
    print(f"Of one core: {shares}. Failed requests: {seen.failed}.")
