"""The same concerns from the same libraries, as one would write them by hand today."""

import logging
import os
import time
from typing import Any

import falcon
import limits
import statsd
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from pythonjsonlogger.json import JsonFormatter

LOG = logging.getLogger("counter")
LOG.propagate = False
LOG.setLevel(logging.INFO)
LOG.addHandler(logging.StreamHandler(open(os.devnull, "w")))  # noqa: SIM115 - for good
LOG.handlers[0].setFormatter(JsonFormatter())

STATS = statsd.StatsClient("127.0.0.1", int(os.environ.get("STATSD_PORT", "8125")), prefix="app")
LIMITER = FixedWindowRateLimiter(MemoryStorage())
RATE = limits.parse("1000000000/second")


class Add:
    """The counter: limited, measured and logged in its responder."""

    def __init__(self) -> None:
        self.total = 0

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Add."""
        began = time.perf_counter()
        error = None
        try:
            if not LIMITER.hit(RATE, "add"):
                raise falcon.HTTPTooManyRequests(title="rate limit exceeded")
            self.total += req.media["v"]
            resp.media = {"v": self.total}
        except Exception as ex:
            error = str(ex)
            raise
        finally:
            elapsed = time.perf_counter() - began
            STATS.incr("request.count")
            STATS.timing("request.ms", elapsed * 1000)
            fields: dict[str, Any] = {
                "method": req.method,
                "path": req.path,
                "request": req.media,
                "result": resp.media,
                "err": error,
                "request_id": req.get_header("X-Request-ID"),
                "elapsed": elapsed,
            }
            LOG.info("request", extra=fields)


app = falcon.App()
app.add_route("/add", Add())
