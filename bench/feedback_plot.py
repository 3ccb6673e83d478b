"""Draws the plot of feedback.py: utilization and weights over time, for each policy. It is one SVG file that needs no other
file, and has a light and a dark style."""

from xml.sax.saxutils import escape

PANEL_WIDTH, PANEL_HEIGHT = 420, 96
LEFT, BETWEEN, TOP, ROW = 44, 60, 116, 142
WIDTH = LEFT + 2 * PANEL_WIDTH + BETWEEN + 24
# The utilization is a mean over this time, in seconds.
MEAN = 10

# Readers with a colour vision deficiency can distinguish the colours of both styles. A dash distinguishes the two servers
# of the same size.
STYLE = """
text { font: 12px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #24292f; }
.paper { fill: #ffffff; }
.title { font-size: 16px; font-weight: 600; }
.name { font-size: 13px; font-weight: 600; }
.small { font-size: 11px; fill: #57606a; }
.end { text-anchor: end; }
.middle { text-anchor: middle; }
.panel { fill: #f6f8fa; }
.measured { fill: #e6ebf1; }
.grid { stroke: #d0d7de; stroke-width: 1; }
.loss { stroke: #57606a; stroke-width: 1; stroke-dasharray: 2 3; }
.line { fill: none; stroke-width: 1.6; stroke-linejoin: round; }
.s0 { stroke: #0072b2; } .s1 { stroke: #56a0d3; stroke-dasharray: 5 2; }
.s2 { stroke: #009e73; } .s3 { stroke: #d55e00; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .paper { fill: #0d1117; }
  .small { fill: #9198a1; }
  .panel { fill: #161b22; }
  .measured { fill: #1f2733; }
  .grid { stroke: #30363d; }
  .loss { stroke: #9198a1; }
  .s0 { stroke: #4aa8ff; } .s1 { stroke: #a5d6ff; }
  .s2 { stroke: #3fd6a4; } .s3 { stroke: #ff9657; }
}
"""


class Panel:
    """A rectangle with its own axes; the x axis is time."""

    def __init__(self, left, top, until, highest):
        self.left, self.top, self.until, self.highest = left, top, until, highest

    def x(self, seconds):
        return self.left + PANEL_WIDTH * seconds / self.until

    def y(self, value):
        return self.top + PANEL_HEIGHT * (1 - value / self.highest)

    def frame(self, spans, marks, loss):
        yield f'<rect class="panel" x="{self.left}" y="{self.top}" width="{PANEL_WIDTH}" height="{PANEL_HEIGHT}"/>'
        for since, until in spans:
            width = self.x(until) - self.x(since)
            yield (
                f'<rect class="measured" x="{self.x(since):.1f}" y="{self.top}" width="{width:.1f}" '
                f'height="{PANEL_HEIGHT}"/>'
            )
        for value, label in marks:
            y = f"{self.y(value):.1f}"
            yield f'<line class="grid" x1="{self.left}" x2="{self.left + PANEL_WIDTH}" y1="{y}" y2="{y}"/>'
            yield f'<text class="small end" x="{self.left - 6}" y="{self.y(value) + 4:.1f}">{label}</text>'
        x = f"{self.x(loss):.1f}"
        yield f'<line class="loss" x1="{x}" x2="{x}" y1="{self.top}" y2="{self.top + PANEL_HEIGHT}"/>'

    def line(self, number, points, steps=False):
        words = []
        for seconds, value in points:
            x, y = f"{self.x(seconds):.1f}", f"{self.y(min(value, self.highest)):.1f}"
            words.append(f"M{x} {y}" if not words else f"H{x}V{y}" if steps else f"L{x} {y}")
        return f'<path class="line s{number}" d="{"".join(words)}"/>'


def utilization(seen, name, number, until):
    moment = MEAN
    while moment <= until:
        yield moment, seen.utilization(name, number, moment - MEAN, moment)
        moment += 2


def changes(seen, name, number, until):
    """The times and values at which the weight changed, and the end."""
    last = None
    for at, values in seen.weights:
        if values[name, number] != last:
            last = values[name, number]
            yield at, last
    yield until, last


def legend(workers):
    x = LEFT
    for number, count in enumerate(workers):
        yield f'<path class="line s{number}" d="M{x} 70H{x + 26}"/>'
        yield f'<text x="{x + 32}" y="74">{count} workers</text>'
        x += 120


def subtitle(times):
    began, words = 0, []
    for share, length in times.phases:
        words.append(f"{100 * share:.0f}%" + (f" from {began} s" if began else ""))
        began += length
    return (
        f"Offered: {', '.join(words)} of the capacity of all. Dotted, at {times.loss} s: the server with 8 workers "
        "loses half of them. Shaded: what the tables are of."
    )


def time_axis(panel, spacing=60):
    for seconds in range(0, int(panel.until) + 1, spacing):
        x, y = panel.x(seconds), panel.top + PANEL_HEIGHT
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{y}" y2="{y + 4}"/>'
        yield f'<text class="small middle" x="{x:.1f}" y="{y + 17}">{seconds} s</text>'


def draw(seen, policies, times, workers):
    spans = [times.steady, times.after]
    height = TOP + ROW * len(policies) - 12
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" aria-labelledby="title">',
        '<title id="title">Utilization and weights of four servers over time, by policy</title>',
        f"<style>{STYLE}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{height}"/>',
        f'<text class="title" x="{LEFT}" y="28">Four servers of unequal capacity behind one HAProxy</text>',
        f'<text class="small" x="{LEFT}" y="48">{subtitle(times)}</text>',
        *legend(workers),
    ]
    for row, (name, policy) in enumerate(policies.items()):
        top = TOP + ROW * row
        busy = Panel(LEFT, top, times.end, 1.0)
        weight = Panel(LEFT + PANEL_WIDTH + BETWEEN, top, times.end, 100)
        lines += [
            f'<text class="name" x="{busy.left}" y="{top - 8}">{escape(policy.title)}</text>',
            f'<text class="small end" x="{busy.left + PANEL_WIDTH}" y="{top - 8}">utilization, {MEAN} s mean</text>',
            f'<text class="small end" x="{weight.left + PANEL_WIDTH}" y="{top - 8}">weight in HAProxy</text>',
            *busy.frame(spans, [(0, "0"), (0.5, "50%"), (1, "100%")], times.loss),
            *weight.frame(spans, [(0, "0"), (50, "50"), (100, "100")], times.loss),
        ]
        for number in range(len(workers)):
            lines.append(busy.line(number, utilization(seen, name, number, times.end)))
            lines.append(weight.line(number, changes(seen, name, number, times.end), steps=True))
        spacing = 60 if times.end > 120 else 10
        lines += [*time_axis(busy, spacing), *time_axis(weight, spacing)]
    return "\n".join([*lines, "</svg>"]) + "\n"
