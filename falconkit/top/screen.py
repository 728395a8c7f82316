"""Draw the sections, in so many lines as there are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from falconkit.debug.state import State
from falconkit.top.pace import Paces
from falconkit.top.sections import BAD, WELL, Cell, Section, sections
from falconkit.top.words import age, at_clock, harmless, number, per_second

_STYLES: Final = {BAD: "bold red", WELL: "green"}
_AROUND: Final = 3
"""Lines of a section beside its rows: a blank one, its title, the columns' heads."""


@dataclass(frozen=True, slots=True)
class View:
    """What is to be seen now.

    Attributes:
        url: Of whom.
        now: The time here, in seconds since 1970.
        state: The last document, None before there is one.
        paces: What happened between the last two.
        away_since: Since when none came, None while they come.
        trouble: Why none comes.
        hint: What keys there are.
    """

    url: str
    now: float
    state: State | None = None
    paces: Paces = Paces()  # noqa: RUF009 - frozen, and never changed
    away_since: float | None = None
    trouble: str = ""
    hint: str = ""


def draw(view: View, lines: int | None = None) -> RenderableType:
    """Return what to show.

    Args:
        view: What is to be seen.
        lines: How many lines there are; None for as many as it takes.
    """
    head = list(_head(view))
    if view.state is None:
        return Group(*head)
    parts = sections(view.state, view.paces)
    if lines is None:
        rows = [len(each.rows) for each in parts]
    else:
        rows = shares([len(each.rows) for each in parts], lines - len(head))
    shown = (_table(each, most) for each, most in zip(parts, rows, strict=True) if most)
    return Group(*head, *(piece for pair in shown for piece in pair))


def shares(wanted: Sequence[int], lines: int) -> list[int]:
    """Deal out lines to sections: a row for each as long as there is room, then by turns.

    >>> shares([2, 10, 1], 20)
    [2, 8, 1]

    Args:
        wanted: How many rows each has.
        lines: How many lines there are, for rows and what is around them.
    """
    given = [0] * len(wanted)
    left = lines
    for at, rows in enumerate(wanted):
        if rows and left > _AROUND:
            given[at] = 1
            left -= _AROUND + 1
    while left > 0:
        growing = [at for at, rows in enumerate(wanted) if 0 < given[at] < rows]
        if not growing:
            break
        for at in growing[:left]:
            given[at] += 1
            left -= 1
    return given


def _head(view: View) -> Iterable[Text]:
    if view.state is not None:
        yield _summary(view.state, view.paces)
    line = Text(no_wrap=True, overflow="ellipsis")
    if view.away_since is not None:
        since = f"AWAY since {at_clock(view.away_since)} ({age(view.now - view.away_since)}): "
        line.append(since + harmless(view.trouble), "bold red")
    elif view.state is None:
        line.append(f"asking {harmless(view.url)} …")
    else:
        line.append(f"{harmless(view.url)} at {at_clock(view.now)}", "dim")
    if view.hint:
        line.append(f"  {view.hint}", "dim")
    yield line


def _summary(state: State, paces: Paces) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{harmless(state.service)} on {harmless(state.host)}", "bold")
    workers = f"{len(state.workers)} worker{'' if len(state.workers) == 1 else 's'}"
    line.append(f"  falconkit {harmless(state.falconkit)}, up {age(state.uptime)}, {workers}")
    ours = [pace for name, pace in paces.endpoints.items() if not name[0]]
    if paces.seconds:
        for what, each in (
            ("calls", sum(pace.calls for pace in ours)),
            ("errors", sum(pace.errors for pace in ours)),
            ("refused", sum(pace.refused for pace in ours)),
        ):
            line.append(
                f"  {per_second(each)} {what}/s", "bold red" if what == "errors" and each else ""
            )
    else:
        line.append(f"  {number(sum(each.count for each in state.endpoints))} calls so far")
    if state.draining:
        line.append("  DRAINING", "bold red")
    return line


def _table(section: Section, most: int) -> tuple[RenderableType, ...]:
    table = Table(
        box=None,
        padding=(0, 1, 0, 0),
        expand=any(each.wide for each in section.columns),
        header_style="dim",
        pad_edge=False,
    )
    for column in section.columns:
        table.add_column(
            column.name,
            justify="right" if column.number else "left",
            no_wrap=True,
            overflow="ellipsis",
            ratio=column.wide or None,
        )
    for row in section.rows[:most]:
        table.add_row(*map(_cell, row))
    more = len(section.rows) - most
    title = Text(section.title, "bold cyan", no_wrap=True, overflow="ellipsis")
    if more:
        title.append(f"  {more} more", "dim")
    return Text(""), title, table


def _cell(cell: Cell) -> Text:
    # A Text is shown as it is: rich reads no markup in it.
    text, how = (cell, "") if isinstance(cell, str) else cell
    return Text(harmless(text), _STYLES.get(how, ""))
