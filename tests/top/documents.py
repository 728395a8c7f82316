"""Documents as a service gives them, made for tests: everything has a default."""

from __future__ import annotations

from typing import Any

from falconkit.debug.state import (
    VERSION,
    Breaker,
    BreakerChange,
    Endpoint,
    Happened,
    Instance,
    Latency,
    Limiter,
    LimiterKey,
    Service,
    State,
    Worker,
)

NOW = 1_700_000_000.0


def latency(*buckets: tuple[float, int]) -> Latency:
    count = sum(each for _, each in buckets)
    total = sum(upper * each for upper, each in buckets)
    known = 0.012 if count else None
    return Latency(count, total, known, known, known, list(buckets))


def endpoint(name: str = "add", **fields: Any) -> Endpoint:
    given = {"method": "POST", "path": f"/{name}", "name": name, "chain": [], "measured": True}
    given |= dict.fromkeys(("count", "ok", "failed", "refused", "invalid", "error"), 0)
    given |= {"kinds": {}, "in_flight": 0, "latency": latency(), "exemplars": []}
    return Endpoint(**(given | fields))


def worker(pid: int = 101, **fields: Any) -> Worker:
    given = {"seconds": 65.0, "calls": 0, "in_flight": 0, "cpu": 1.0, "memory": 50_331_648}
    return Worker(**(given | {"pid": pid, "threads": 6} | fields))


def happened(**fields: Any) -> Happened:
    given = {"at": NOW - 12, "endpoint": "add", "method": "POST", "path": "/add", "worker": 101}
    given |= {"request_id": "9c248150-9c24-4150-9c24-815012345678", "seconds": 0.031}
    return Happened(**(given | {"trace_id": "", "kind": "key_error", "message": "'v'"} | fields))


def state(**fields: Any) -> State:
    given: dict[str, Any] = {"version": VERSION, "falconkit": "0.1.0", "service": "counter"}
    given |= {"host": "web-1", "run": "r1", "time": NOW, "at": 100.0, "uptime": 65.0}
    given |= dict.fromkeys(("draining", "may_act", "has_token", "traces"), False)
    lists = ("workers", "endpoints", "limiters", "breakers", "services", "errors", "slow", "notes")
    given |= {each: [] for each in lists} | {"slow_after": 0.5}
    return State(**(given | fields))


def full(at: float = 100.0, since: int = 0) -> State:
    """Everything that can be on the screen; ``since`` seconds later there is more of it."""
    add = endpoint(
        count=1_000 + 120 * since,
        error=4 + since,
        refused=20 + 10 * since,
        in_flight=3,
        latency=latency((0.004, 900 + 90 * since), (0.052, 100 + 30 * since)),
    )
    asks = endpoint(
        "get_user", method="GET", path="/users/{id}", count=70 * since, latency=latency()
    )
    return state(
        at=at + since,
        time=NOW + since,
        workers=[worker(calls=700 + 80 * since, cpu=3.0 + 0.42 * since, in_flight=3), worker(102)],
        endpoints=[add, endpoint("unmatched", method="", path="", count=7)],
        limiters=[
            Limiter(
                "limit", "100/second", 100, ["add"], [LimiterKey("add/192.0.2.7", 1.0, 0, 0.9)], 1
            ),
            Limiter("slow", "30/minute", 30, ["report"], [], 0),
        ],
        breakers=[
            Breaker(
                "b1",
                "users",
                "open",
                False,
                True,
                7.0,
                3.0,
                40,
                22,
                1,
                9,
                1,
                "",
                ["get_user"],
                [BreakerChange(NOW - 7, "closed", "open", "22 of 40 calls failed")],
            ),
        ],
        services=[
            Service(
                "users",
                "static://…",
                "",
                [
                    Instance("10.0.0.7:8000", "a", "up", 2, 0.004, 0, 0.0),
                    Instance("10.0.0.8:8000", "b", "ejected", 0, None, 5, 21.0),
                ],
                2,
                [asks],
            ),
        ],
        errors=[happened()],
        slow=[happened(kind="", message="", seconds=1.62, at=NOW - 40)],
    )
