"""Ask again and again, in a thread of its own: a key counts while an answer is awaited."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from falconkit.clock import Clock, system_clock
from falconkit.debug.state import State
from falconkit.top.ask import Away
from falconkit.top.pace import paces
from falconkit.top.screen import View


class Poll:
    """What is known of a service, from one question to the next.

    >>> def nobody() -> State:
    ...     raise Away("nobody is there")
    >>> poll = Poll(nobody, "http://here", every=1.0)
    >>> poll.turn()
    >>> poll.view.trouble
    'nobody is there'

    Attributes:
        view: What is to be seen; another object after each turn.
        refused: True when the service has refused us and has never answered before.

    Args:
        ask: Asks it.
        url: Whom, for people.
        every: Seconds between two questions.
        told: Called after each.
        clock: What tells the time.
    """

    def __init__(
        self,
        ask: Callable[[], State],
        url: str,
        *,
        every: float,
        told: Callable[[], None] = lambda: None,
        clock: Clock = system_clock,
    ) -> None:
        self._ask, self._every, self._told, self._clock = ask, every, told, clock
        self._stop = threading.Event()
        self.view = View(url, clock.time())
        self.refused = False

    def turn(self) -> None:
        """Ask once."""
        before = self.view
        try:
            state = self._ask()
        except Away as away:
            self._lost(str(away), refused=away.refused)
        except Exception as error:  # whatever it is, the screen stays and says so
            self._lost(f"{type(error).__name__}: {error}", refused=False)
        else:
            # A failure between does not matter: both have their own clock.
            found = paces(before.state, state)
            self.view = replace(
                before,
                now=self._clock.time(),
                state=state,
                paces=found,
                away_since=None,
                trouble="",
            )

    def _lost(self, trouble: str, *, refused: bool) -> None:
        now, before = self._clock.time(), self.view
        since = now if before.away_since is None else before.away_since
        self.refused = refused and before.state is None
        self.view = replace(before, now=now, away_since=since, trouble=trouble)

    def start(self) -> None:
        """Ask from now on, in a thread that does not hold up the program's end."""
        threading.Thread(target=self._run, name="falconkit-top", daemon=True).start()

    def stop(self) -> None:
        """Ask no more."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            self.turn()
            self._told()
            self._stop.wait(self._every)
