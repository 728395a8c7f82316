"""A bound from the gradient of latency: Netflix's Gradient2."""

from __future__ import annotations

from dataclasses import dataclass

from falconkit.shedding.policy import State, Window, check_between, check_bounds, is_used

_WARM_UP = 10
_STEEPEST = 0.5
_TOO_HIGH = 2.0
_DECAY = 0.95


@dataclass(frozen=True, slots=True)
class Gradient2:
    """Shrinks when calls take longer than they are known to, and grows when they do not.

    Needs to know nothing of the service. The arithmetic and its numbers are
    those of ``Gradient2Limit`` in Netflix's concurrency-limits, but for this:

    - The bounds are 4, 1 and 200 in place of 20, 20 and 200. A Python process has few
      threads, and what it does best is often under 20.
    - The baseline does not rise by a window in which calls were refused. There it always
      does: an overload that lasts becomes the new normal, and the bound grows to ``most``.
    - Instead it is measured. While calls are refused, every ``probe`` seconds the bound,
      less the queue, is halved for two windows; what calls take in the second is the
      baseline. So a service that has become slower is told from one that has too much to do.
      The clock says when, so that all processes before one backend do it together:
      one alone would take the queue of the others for the service's own time.

    The bound settles where calls take up to ``tolerance`` times their best, and ``queue``
    more; it is not pushed under twice ``queue``, unless ``most`` is less.

    >>> policy = Gradient2(initial=10)
    >>> steady = policy.after(policy.first(), Window(seconds=0.05, in_flight=10))
    >>> round(steady.limit, 6)  # grows by a fifth of the queue
    10.8
    >>> slow = policy.after(steady, Window(seconds=0.5, in_flight=10, refused=3))
    >>> slow.limit < steady.limit
    True

    Attributes:
        initial: The bound to start with. Low is safe: what is seen first becomes the baseline.
        least: It is never less.
        most: It is never more. Fewer than the threads of a process, else it never refuses.
        smoothing: How far to go to a new bound at each window, 0..1.
        queue: Calls that may wait for one another: what it grows by.
        tolerance: How many times the baseline is still no queue.
        long_window: Windows over which the baseline is smoothed.
        probe: Seconds from one probe to the next.

    Raises:
        ConfigurationError: One of them cannot be used.
    """

    initial: float = 4
    least: int = 1
    most: int = 200
    smoothing: float = 0.2
    queue: int = 4
    tolerance: float = 1.5
    long_window: int = 600
    probe: float = 60.0

    def __post_init__(self) -> None:
        check_bounds(self.initial, self.least, self.most)
        check_between("smoothing", self.smoothing, 0.01, 1.0)
        check_between("queue", self.queue, 1, 1_000)
        check_between("tolerance", self.tolerance, 1.0, 100.0)
        check_between("long_window", self.long_window, _WARM_UP, 1_000_000)
        check_between("probe", self.probe, 1.0, 1_000_000)

    def first(self) -> State:
        """Return the initial bound, with no baseline yet."""
        return State(float(self.initial))

    def after(self, state: State, window: Window, /) -> State:
        """Return the bound after one more window."""
        if state.resume:
            return self._probed(state, window)
        baseline, seen = self._learn(state, window)
        limit = self._moved(state, window, baseline) if is_used(state, window) else state.limit
        turn = int(window.ended // self.probe)
        if turn == state.turn or not state.turn or not window.refused:
            return State(limit, baseline, seen, turn)
        return State(max(self.least, (limit - self.queue) / 2.0), baseline, seen, turn, limit)

    def _moved(self, state: State, window: Window, baseline: float) -> float:
        gradient = _STEEPEST  # no call came to an end
        if window.seconds > 0.0:
            # Latency may come out under the baseline, which lags: no queue then.
            gradient = max(_STEEPEST, min(1.0, self.tolerance * baseline / window.seconds))
        wanted = state.limit * gradient + self.queue
        limit = state.limit * (1.0 - self.smoothing) + wanted * self.smoothing
        return max(self.least, min(self.most, limit))

    def _probed(self, state: State, window: Window) -> State:
        if not state.drained:
            return state._replace(drained=True)
        return State(state.resume, window.seconds or state.baseline, state.seen, state.turn)

    def _learn(self, state: State, window: Window) -> tuple[float, int]:
        seconds, baseline, seen = window.seconds, state.baseline, state.seen
        if seconds <= 0.0:
            return baseline, seen
        if not seen or seconds < baseline or not window.refused:
            seen = min(seen + 1, _WARM_UP + 1)
            weight = 1.0 / seen if seen <= _WARM_UP else 2.0 / (self.long_window + 1)
            baseline += (seconds - baseline) * weight
        if baseline > seconds * _TOO_HIGH:
            baseline *= _DECAY  # an overload is over, or the start was slow: back sooner
        return baseline, seen
