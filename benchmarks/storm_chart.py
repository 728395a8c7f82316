"""What came of a storm: as Markdown, and as SVG that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Weather:
    """What a storm is made of.

    Attributes:
        clients: Each calls once a second, or as soon as its last call has ended.
        processes: What they live in; each has a budget and a breaker of its own.
        seconds: That the backend works on a request. It has as many places as its usual load
            takes all of: it is at 100 % of its capacity.
        patience: Seconds that a client waits for each try.
        backlog: Requests that wait before the backend, for each thousand clients.
        fails_at: When it fails.
        lasts: For how long.
        refuses: Whether it refuses at once meanwhile, and does not only keep silent.
        end: When the run ends.
        seed: Of all chance.
    """

    clients: int = 1_000
    processes: int = 20
    seconds: float = 0.1
    patience: float = 0.5
    backlog: int = 1_024
    fails_at: int = 15
    lasts: int = 10
    refuses: bool = False
    end: int = 50
    seed: int = 1

    @property
    def back_at(self) -> int:
        """When the backend is back."""
        return self.fails_at + self.lasts


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it, second by second, as parts of the usual load.

    Attributes:
        load: Tries that the backend was sent.
        good: Calls that were answered.
    """

    weather: Weather
    load: tuple[float, ...]
    good: tuple[float, ...]

    @property
    def most(self) -> float:
        """The load of the worst second."""
        return max(self.load)

    @property
    def recovered(self) -> int | None:
        """The seconds from the backend's return until calls go well again, for good; or None."""
        bad = [second for second, good in enumerate(self.good) if good < 0.95]
        last = max(bad, default=0) + 1
        return None if last >= len(self.good) else max(0, last - self.weather.back_at)


def table(outcomes: Mapping[str, Outcome]) -> str:
    """Return what came of it as Markdown."""
    rows = [
        "| clients with | load, worst second | load while it was away | calls go well again |",
        "|---|---|---|---|",
    ]
    for name, seen in outcomes.items():
        weather = seen.weather
        away = sum(seen.load[weather.fails_at : weather.back_at]) / weather.lasts
        when = seen.recovered
        after = weather.end - weather.back_at
        well = f"not within {after} s" if when is None else f"{when} s after its return"
        rows.append(f"| {name} | {seen.most:.2f} x | {away:.2f} x | {well} |")
    return "\n".join(rows)


_WIDTH, _LEFT, _HIGH, _GAP = 760, 50, 150, 46
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#24292f}.h{font-weight:600}.bg{fill:#fff}"
    ".away{fill:#f3f4f6}.one{stroke:#9ca3af;stroke-dasharray:3 3}polyline{fill:none;stroke-width:2}"
    ".c0{stroke:#2563eb}.c1{stroke:#dc2626}.c2{stroke:#d97706}"
)


def chart(outcomes: Mapping[str, Outcome]) -> str:
    """Return both curves of each as SVG."""
    weather = next(iter(outcomes.values())).weather
    shown = range(weather.fails_at - 3, weather.end)
    rows: list[str] = []
    panels = (
        ("Tries that the backend was sent; 1 is its usual load, and its capacity", "load"),
        ("Calls that were answered", "good"),
    )
    for number, (title, what) in enumerate(panels):
        lines = {name: getattr(seen, what) for name, seen in outcomes.items()}
        rows += _panel(title, lines, shown, weather, 30 + number * (_HIGH + _GAP))
    height = 30 + 2 * (_HIGH + _GAP) + 20
    for number, name in enumerate(outcomes):
        left = _LEFT + number * 180
        rows.append(
            f'<polyline class="c{number}" points="{left},{height - 20} {left + 24},{height - 20}"/>'
            f'<text x="{left + 30}" y="{height - 16}">{name}</text>'
        )
    body = "\n".join(rows)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" role="img">\n'
        f"<title>A backend that is away for {weather.lasts} s, and its clients</title>\n"
        f'<style>{_STYLE}</style>\n<rect class="bg" width="100%" height="100%"/>\n{body}\n</svg>\n'
    )


def _panel(
    title: str, lines: Mapping[str, tuple[float, ...]], shown: range, weather: Weather, top: float
) -> list[str]:
    most = max(2.0, *(max(line) for line in lines.values()))
    across = (_WIDTH - _LEFT - 20) / len(shown)

    def x(second: float) -> float:
        return _LEFT + (second - shown.start) * across

    def y(part: float) -> float:
        return top + _HIGH * (1 - part / most)

    away = across * weather.lasts
    rows = [
        f'<text class="h" x="10" y="{top - 10:g}">{title}</text>',
        f'<rect class="away" x="{x(weather.fails_at):.1f}" y="{top:g}" width="{away:.1f}" '
        f'height="{_HIGH}"/>',
        f'<text x="{x(weather.fails_at) + 6:.1f}" y="{top + 16:g}">it is away</text>',
    ]
    for part in range(int(most) + 1):
        rows.append(
            f'<line class="one" x1="{_LEFT}" x2="{_WIDTH - 20}" y1="{y(part):.1f}" '
            f'y2="{y(part):.1f}"/><text x="28" y="{y(part) + 4:.1f}">{part}</text>'
        )
    for number, line in enumerate(lines.values()):
        points = " ".join(f"{x(at + 0.5):.1f},{y(line[at]):.1f}" for at in shown)
        rows.append(f'<polyline class="c{number}" points="{points}"/>')
    if top > _HIGH:
        below = top + _HIGH + 16
        for at in range(weather.fails_at, weather.end, 5):
            seconds = at - weather.fails_at
            rows.append(f'<text x="{x(at) - 4:.1f}" y="{below:g}">{seconds} s</text>')
    return rows
