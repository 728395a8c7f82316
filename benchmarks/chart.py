"""The chart: bars of ratios, as SVG that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

_WIDTH, _LEFT, _BAR, _GAP = 760, 290, 18, 8
_SCALE = _WIDTH - _LEFT - 110
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#24292f}.h{font-weight:600}.o{fill:#2563eb}"
    ".p{fill:#9ca3af}.w,.one{stroke:#24292f}.one{stroke-dasharray:3 3}.bg{fill:#fff}"
)


def draw(facts: Mapping[str, float]) -> str:
    """Return the chart of what `under_load` found."""
    parts: list[str] = []
    top = 10.0
    for title, reference in (
        ("Requests a second under gunicorn, one core; bare Falcon is 1", "bare Falcon"),
        ("Requests a second, one core; Go-kit's full stack is 1", "Go-kit's full stack"),
    ):
        names = _names(facts, reference)
        if not names:
            continue
        rows, top = _panel(title, reference, names, facts, top)
        parts += rows
    body = "\n".join(parts) or '<text x="10" y="20">Nothing was measured.</text>'
    height = max(top, 40.0)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height:g}" '
        f'viewBox="0 0 {_WIDTH} {height:g}" role="img">\n'
        "<title>falconkit's counter beside its peers</title>\n"
        f'<style>{_STYLE}</style>\n<rect class="bg" width="100%" height="100%"/>\n{body}\n</svg>\n'
    )


def _names(facts: Mapping[str, float], reference: str) -> list[str]:
    of_go = ("under Granian", "Go-kit", "net/http")
    rates = [name.removeprefix("rate of ") for name in facts if name.startswith("rate of ")]
    return [
        name
        for name in rates
        if any(word in name for word in of_go) == (reference != "bare Falcon")
        and f"{name} / {reference}" in facts
    ]


def _panel(
    title: str, reference: str, names: list[str], facts: Mapping[str, float], top: float
) -> tuple[list[str], float]:
    most = max(facts[f"{name} / {reference}, high"] for name in names)
    unit = _SCALE / max(most, 1.0)
    rows = [f'<text class="h" x="10" y="{top + 14:g}">{escape(title)}</text>']
    top += 26
    first = top
    for name in sorted(names, key=lambda name: -facts[f"{name} / {reference}"]):
        ratio, low, high = (
            facts[f"{name} / {reference}{which}"] for which in ("", ", low", ", high")
        )
        middle = top + _BAR / 2
        kind = "o" if name.startswith("full stack") else "p"
        rows += [
            f'<text x="{_LEFT - 8}" y="{middle + 4:g}" text-anchor="end">{escape(name)}</text>',
            f'<rect class="{kind}" x="{_LEFT}" y="{top:g}" '
            f'width="{ratio * unit:.1f}" height="{_BAR}"/>',
            f'<path class="w" d="M{_LEFT + low * unit:.1f} {middle:g}H{_LEFT + high * unit:.1f}"/>',
            f'<text x="{_LEFT + high * unit + 8:.1f}" y="{middle + 4:g}">{ratio:.2f}</text>',
        ]
        top += _BAR + _GAP
    at = _LEFT + unit
    rows.append(f'<path class="one" d="M{at:.1f} {first - 4:g}V{top - _GAP + 4:g}"/>')
    return rows, top + 14
