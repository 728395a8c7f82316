"""Two services for `test_services`: a gateway, and users behind it."""

from __future__ import annotations

import os
import signal
from collections import deque
from pathlib import Path

from falconkit import Context, chain
from falconkit.context import ATTEMPT
from falconkit.deadline import deadline, seconds_left
from falconkit.errors import RateLimited, UpstreamFailed
from falconkit.retry import fixed, retry
from falconkit.settings import Settings
from falconkit.testing import ManualClock
from falconkit.transport import http

users = http.app(settings=Settings(trusted_hops=1))
gateway = http.app(settings=Settings())

_failures: deque[str] = deque()
_seen: list[tuple[int | None, float | None]] = []


def user(ctx: Context, request: None) -> dict[str, object]:
    """Answer how much time there is, unless told to fail."""
    _seen.append((ctx.get(ATTEMPT), seconds_left(ctx)))
    failure = _failures.popleft() if _failures else ""
    if failure == "refused":
        raise RateLimited(retry_after=3.0)
    if failure:
        raise UpstreamFailed(failure, status=500)
    return {"left": seconds_left(ctx)}


def fail(ctx: Context, failures: list[str]) -> None:
    """Fail like this from now on, and forget what was seen."""
    _seen.clear()
    _failures.clear()
    _failures.extend(failures)


def seen(ctx: Context, request: None) -> list[tuple[int | None, float | None]]:
    """Return the try's number and the time left of each call."""
    return list(_seen)


def die(ctx: Context, request: None) -> int:
    """Be killed at the first call, and work from then on."""
    mark = Path(os.environ["DIED"])
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return ctx.get(ATTEMPT) or 1


users.get("/user", user, deadline())
users.get("/die", die)
users.post("/die", die, name="die_writing")
users.post("/fail", fail)
users.get("/seen", seen)

ask = retry(wait=fixed(0), clock=ManualClock())(
    http.Client(
        "GET", os.environ.get("USERS", "http://users") + "/user", service="users", timeout=30.0
    )
)


def relay(ctx: Context, request: None) -> dict[str, object]:
    """Ask the service behind, and tell how much time there was before."""
    before = seconds_left(ctx)
    return {"before": before, "user": ask(ctx, None)}


def compute(ctx: Context, request: None) -> object:
    """Compute until nobody waits any longer, which nothing can interrupt; then ask."""
    while seconds_left(ctx) != 0.0:
        pass
    return ask(ctx, None)


gateway.get("/relay", relay, chain(deadline()))
gateway.get("/compute", compute, chain(deadline()))
