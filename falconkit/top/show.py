"""Show a service: once on paper, or again and again on a screen."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import IO, Final

from rich.console import Console
from rich.live import Live

from falconkit.clock import Clock, system_clock
from falconkit.top.ask import Ask
from falconkit.top.poll import Poll
from falconkit.top.screen import draw
from falconkit.top.terminal import Terminal, terminal

_PAPER: Final = 120
"""Columns where there is no terminal and COLUMNS is not set."""

_HINT: Final = "q quits"
_REDRAW: Final = 1.0
"""Seconds after which the screen is drawn anew though nothing came: ages grow."""

_END_OF_FILE: Final = "\x04"


def show(ask: Ask, *, every: float, once: bool, clock: Clock = system_clock) -> int:
    """Show a service on stdout; returns the exit status.

    Args:
        ask: Asks it.
        every: Seconds between two questions.
        once: Print it once, as where stdout is no terminal.
        clock: What tells the time.
    """
    console = Console(markup=False, emoji=False, highlight=False)
    if once or not console.is_terminal or console.is_dumb_terminal:
        return print_once(ask, every=every, out=sys.stdout, clock=clock)
    with terminal() as keys:
        poll = Poll(ask, ask.url, every=every, told=keys.wake, clock=clock)
        poll.view = replace(poll.view, hint=f"every {every:g} s, {_HINT}")
        poll.start()
        try:
            _watch(poll, keys, console, clock)
        except KeyboardInterrupt:
            pass
        finally:
            poll.stop()
    if poll.refused:
        print(poll.view.trouble, file=sys.stderr)
        return 1
    return 0


def print_once(ask: Ask, *, every: float, out: IO[str], clock: Clock = system_clock) -> int:
    """Print a service to ``out``, from two questions: rates need two; returns the exit status."""
    poll = Poll(ask, ask.url, every=every, clock=clock)
    poll.turn()
    if poll.view.away_since is None:
        clock.sleep(every)
        poll.turn()
    if poll.view.away_since is not None:
        print(poll.view.trouble, file=sys.stderr)
        return 1
    on_paper(out).print(draw(poll.view))
    return 0


def on_paper(out: IO[str]) -> Console:
    """Return what prints without colours: as wide as COLUMNS or the terminal says, else 120."""
    console = Console(
        file=out,
        color_system=None,
        force_terminal=False,
        markup=False,
        emoji=False,
        highlight=False,
    )
    wide = console.width if out.isatty() or "COLUMNS" in console._environ else _PAPER
    console.width = wide
    return console


def _watch(poll: Poll, keys: Terminal, console: Console, clock: Clock) -> None:
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while not poll.refused:
            view = poll.view
            if view.away_since is not None:
                view = replace(view, now=clock.time())
            live.update(draw(view, console.height), refresh=True)
            pressed = keys.wait(_REDRAW)
            if _END_OF_FILE in pressed or "q" in pressed.lower():
                return
