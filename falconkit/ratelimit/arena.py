"""``arena://`` for `limits`: its users' limits become exact across the workers of a host.

Importing this module is what makes the name known::

    import falconkit.ratelimit.arena

    Limiter(get_remote_address, app=app, storage_uri="arena://")  # Flask-Limiter, slowapi

It also makes the strategy ``token-bucket`` known, see `falconkit.ratelimit.strategy`.
"""

from __future__ import annotations

from collections.abc import MutableSequence
from math import floor

from limits.storage import SlidingWindowCounterSupport, Storage

from falconkit.arena import Arena
from falconkit.clock import Clock, system_clock
from falconkit.ratelimit.keys import bounded
from falconkit.ratelimit.storage import arena_of
from falconkit.ratelimit.strategy import register

Cell = MutableSequence[float]

_HITS, _ENDS = 0, 1
_INDEX, _CURRENT, _PREVIOUS = 0, 1, 2


class ArenaStorage(Storage, SlidingWindowCounterSupport):
    """A storage of `limits` that the workers of one host share, without a server.

    The fixed window, the sliding window counter and the token bucket are exact
    across the workers. There is no moving window: it keeps a list of all hits,
    and `limits` refuses it when the strategy is made.

    >>> from limits.strategies import MovingWindowRateLimiter
    >>> MovingWindowRateLimiter(ArenaStorage())  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    NotImplementedError: MovingWindowRateLimiting is not implemented for storage ...
    """

    STORAGE_SCHEME = ["arena"]  # noqa: RUF012 - as `limits` declares it
    """The scheme under which `limits` finds it."""

    def __init__(
        self,
        uri: str | None = None,
        wrap_exceptions: bool = False,
        *,
        arena: Arena | None = None,
        clock: Clock = system_clock,
        **options: float | str | bool,
    ) -> None:
        """Open nothing yet.

        Args:
            uri: ``arena://``, or ``arena:///folder`` for an arena that is kept there.
            wrap_exceptions: Raise `limits.errors.StorageError` for what goes wrong.
            arena: Instead of the one that ``uri`` names.
            clock: Whose seconds windows are in; the one of ``arena``, when that is given.
            **options: What others' storages take; nothing is done with them.
        """
        super().__init__(uri, wrap_exceptions=wrap_exceptions, **options)
        self._arena = arena_of(uri or "arena://", arena, clock)
        self._clock = clock
        self.buckets = self._arena.buckets()
        self._fixed = self._arena.table("windows", 2)
        self._sliding = self._arena.table("sliding-windows", 3)

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        """What may go wrong: the arena's files."""
        return OSError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count ``amount`` hits in the window of ``key``, which the first hit begins.

        Returns:
            The hits in the window, with these.
        """
        clock = self._clock

        def count(cell: Cell, fresh: bool) -> int:
            now = clock.monotonic()
            if fresh or cell[_ENDS] <= now:
                cell[_HITS] = 0.0
                cell[_ENDS] = now + expiry
            cell[_HITS] += amount
            return int(cell[_HITS])

        return self._fixed.apply(bounded(key), float(expiry), count)

    def get(self, key: str) -> int:
        """Return the hits in the window of ``key``."""
        hits, _ = self._window(key)
        return hits

    def get_expiry(self, key: str) -> float:
        """Return when the window of ``key`` ends, in seconds since 1970."""
        _, left = self._window(key)
        return self._clock.time() + left

    def check(self) -> bool:
        """Return whether the arena can be used."""
        try:
            self._fixed.read("check")
        except OSError:
            return False
        return True

    def clear(self, key: str) -> None:
        """Forget the window of ``key``."""
        self._fixed.clear(bounded(key))

    def reset(self) -> int | None:
        """Forget every window and fill every bucket, in all workers."""
        self._fixed.reset()
        self._sliding.reset()
        self.buckets.reset()
        return None

    def acquire_sliding_window_entry(
        self, key: str, limit: int, expiry: int, amount: int = 1
    ) -> bool:
        """Count ``amount`` hits if they fit, all in one step.

        Returns:
            Whether they did. When they did not, none is counted.
        """
        if amount > limit:
            return False
        clock = self._clock

        def count(cell: Cell, fresh: bool) -> bool:
            # Read under the lock: a worker that waited would else turn a window back.
            now = clock.monotonic()
            if fresh:
                cell[_INDEX] = cell[_CURRENT] = cell[_PREVIOUS] = 0.0
            index, current, previous = _turn(cell, now, expiry)
            left = 1.0 - now / expiry % 1.0
            if floor(previous * left + current) + amount > limit:
                return False
            cell[_INDEX], cell[_CURRENT], cell[_PREVIOUS] = index, current + amount, previous
            return True

        return self._sliding.apply(bounded(key), 2.0 * expiry, count)

    def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """Return hits and seconds left of the previous window, and of the current one."""
        now = self._clock.monotonic()
        found = self._sliding.read(bounded(key))
        cell = found[0] if found is not None else [0.0, 0.0, 0.0]
        _, current, previous = _turn(cell, now, expiry)
        left = (1.0 - now / expiry % 1.0) * expiry
        return int(previous), left if previous else 0.0, int(current), left + expiry

    def clear_sliding_window(self, key: str, expiry: int) -> None:
        """Forget both windows of ``key``."""
        self._sliding.clear(bounded(key))

    def _window(self, key: str) -> tuple[int, float]:
        found = self._fixed.read(bounded(key))
        if found is None:
            return 0, 0.0
        left = found[0][_ENDS] - self._clock.monotonic()
        return (int(found[0][_HITS]), left) if left > 0 else (0, 0.0)


def _turn(cell: Cell, now: float, expiry: int) -> tuple[float, float, float]:
    # The windows of all keys begin at multiples of their length on the clock
    # that the processes of a host share, so that no worker's differ.
    index = float(floor(now / expiry))
    if cell[_INDEX] >= index:
        return cell[_INDEX], cell[_CURRENT], cell[_PREVIOUS]
    if cell[_INDEX] == index - 1:
        return index, 0.0, cell[_CURRENT]
    return index, 0.0, 0.0


register()
