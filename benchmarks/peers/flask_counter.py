"""The same concerns on Flask, with Flask-Limiter."""

import logging
import os
import time

import statsd
from flask import Flask, Response, g, jsonify, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from pythonjsonlogger.json import JsonFormatter

LOG = logging.getLogger("counter")
LOG.propagate = False
LOG.setLevel(logging.INFO)
LOG.addHandler(logging.StreamHandler(open(os.devnull, "w")))  # noqa: SIM115 - for good
LOG.handlers[0].setFormatter(JsonFormatter())

STATS = statsd.StatsClient("127.0.0.1", int(os.environ.get("STATSD_PORT", "8125")), prefix="app")
app = Flask(__name__)
limiter = Limiter(get_remote_address, app=app, storage_uri="memory://")
totals = {"add": 0}


@app.before_request
def begin() -> None:
    """Note when the request came."""
    g.began = time.perf_counter()


@app.after_request
def observe(response: Response) -> Response:
    """Measure and log it."""
    elapsed = time.perf_counter() - g.began
    STATS.incr("request.count")
    STATS.timing("request.ms", elapsed * 1000)
    fields = {
        "method": request.method,
        "path": request.path,
        "request": request.get_json(silent=True),
        "status": response.status_code,
        "request_id": request.headers.get("X-Request-ID"),
        "elapsed": elapsed,
    }
    LOG.info("request", extra=fields)
    return response


@app.post("/add")
@limiter.limit("1000000000/second")
def add() -> Response:
    """Add."""
    totals["add"] += request.get_json()["v"]
    return jsonify(v=totals["add"])
