"""Remember calls that fail and calls that are slow, for the page."""

from __future__ import annotations

from collections.abc import Callable

from falconkit.clock import Clock, system_clock
from falconkit.context import Context
from falconkit.debug.recent import Recent
from falconkit.debug.roll import CALLS, IN_FLIGHT, Roll
from falconkit.endpoint import Endpoint, Middleware, Req, Res
from falconkit.layers import layer
from falconkit.metrics.middleware import outcome_of
from falconkit.naming import name_of

IsFault = Callable[[BaseException], bool]
"""Whether what was raised is to be shown to the one on call."""


def is_fault(error: BaseException) -> bool:
    """Return whether an error is neither a refusal, nor a bad request, nor a business failure."""
    return outcome_of(error) == "error"


def remember(
    recent: Recent,
    roll: Roll,
    *,
    slow: float,
    is_fault: IsFault = is_fault,
    clock: Clock = system_clock,
) -> Middleware:
    """Remember calls that fail and calls that are slow, and count those of this worker.

    It stands outermost: an app whose page is on puts it around each of its endpoints.

    Args:
        recent: Where they are remembered.
        roll: Where they are counted.
        slow: Seconds from which a call is slow.
        is_fault: Which errors are remembered.
        clock: Whose seconds these are.
    """
    now, mine = clock.monotonic, roll.mine

    @layer("remember", observes=True, slow=slow)
    def wrap(next: Endpoint[Req, Res], /) -> Endpoint[Req, Res]:
        name = name_of(next)

        def note(ctx: Context, seconds: float, error: BaseException | None) -> None:
            if error is not None and is_fault(error):
                recent.failed(name, ctx, seconds, error)
            if seconds >= slow:
                recent.slow(name, ctx, seconds, error)

        def call(ctx: Context, request: Req) -> Res:
            # PERF: 0.34 us, where the page is on; where it is off this is not there at all.
            cells = mine()
            cells[IN_FLIGHT] += 1.0
            started = now()
            try:
                result = next(ctx, request)
            except BaseException as error:
                note(ctx, now() - started, error)
                raise
            finally:
                cells[IN_FLIGHT] -= 1.0
                cells[CALLS] += 1.0
            seconds = now() - started
            if seconds >= slow:
                note(ctx, seconds, None)
            return result

        return call

    return wrap
