"""The rate limiters in the chains, and the fullest keys of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from falconkit.debug.recent import Recent, fit
from falconkit.debug.shown import shown
from falconkit.debug.state import Limiter, LimiterKey
from falconkit.endpoint import Endpoint, Req, Res
from falconkit.layers import Layer, layers
from falconkit.naming import name_of
from falconkit.ratelimit import Decision

MOST_KEYS: Final = 20
"""Keys that are shown of a limiter."""

_MOST_LOOKED_AT: Final = 64
"""Keys whose level is read at most: 2 us each in the arena, 150 in Redis."""


class _Behind:
    """What stands behind one limiter: the endpoints, and the scopes that their keys begin with."""

    def __init__(self, limiter: Any) -> None:
        self.limiter = limiter
        self.endpoints: dict[str, None] = {}
        self.scopes: dict[str, bool] = {}

    def known(self, full: Iterable[str]) -> list[str]:
        """Return the keys whose level is worth a look, of those that came over the half."""
        # Limiters of one rate share a name, and a store; what their keys begin with differs.
        theirs = tuple(f"{scope}/" for scope in self.scopes)
        whole = [scope for scope, alone in self.scopes.items() if alone]
        return [*whole, *(each for each in full if each.startswith(theirs))][:_MOST_LOOKED_AT]


class Limiters:
    """Finds limiters in chains, and hears of the keys that fill them.

    The store of a limiter keeps no names of keys, so that its size is bounded whoever
    calls: what is known here are the keys that lately came over half of their burst, which
    each limiter tells itself. So it costs the same whether there are ten keys or a million.

    Args:
        recent: Where full keys are remembered, for all workers.
    """

    def __init__(self, recent: Recent) -> None:
        self._recent = recent
        self._found: dict[int, _Behind] = {}

    def watch(self, next: Endpoint[Req, Res], /) -> Endpoint[Req, Res]:
        """Take in what limits an endpoint, as it is wired; returns it as it is."""
        self.add(name_of(next), layers(next))
        return next

    def add(self, endpoint: str, layers: Iterable[Layer]) -> None:
        """Take in what limits an endpoint."""
        for each in layers:
            limiter = each.config.get("limiter")
            if limiter is None or not callable(getattr(limiter, "take", None)):
                continue
            behind = self._found.get(id(limiter))
            if behind is None:
                behind = self._found[id(limiter)] = _Behind(limiter)
                watch = getattr(limiter, "watch", None)
                if watch is not None:
                    watch(self._teller(shown(limiter)))
            behind.endpoints[endpoint] = None
            behind.scopes[str(each.config.get("scope") or endpoint)] = (
                each.config.get("key") is None
            )

    def read(self) -> list[Limiter]:
        """Return the limiters and their fullest keys, as they are now."""
        full = self._recent.keys()
        return [self._look(each, full) for each in self._found.values()]

    def _teller(self, limiter: str) -> Callable[[str], None]:
        filled = self._recent.filled
        return lambda key: filled(limiter, key)

    def _look(self, behind: _Behind, full: Mapping[str, Iterable[str]]) -> Limiter:
        limiter = behind.limiter
        name = shown(limiter)
        keys = behind.known(full.get(fit(name), ()))
        levels = [each for each in (_level(limiter, key) for key in keys) if each is not None]
        levels.sort(key=lambda each: (-each.level, -each.reset_after, each.key))
        burst = getattr(limiter, "limit", None)
        return Limiter(
            name,
            shown(str(getattr(limiter, "rate", name))),
            burst if isinstance(burst, int) else None,
            list(behind.endpoints),
            levels[:MOST_KEYS],
            len(levels),
        )


def _level(limiter: Any, key: str) -> LimiterKey | None:
    peek = getattr(limiter, "peek", None)
    if peek is None:
        return None
    try:
        decision: Decision = peek(key)
    except Exception:  # a store of somebody else's, which is away
        return None
    used = 1.0 - decision.remaining / decision.limit if decision.limit else 0.0
    return LimiterKey(
        shown(key), round(max(0.0, used), 4), decision.remaining, round(decision.reset_after, 3)
    )
