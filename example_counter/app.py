"""Builds everything. ``app`` is what gunicorn serves, and the only object at module level."""

import logging
import os
import sqlite3

from example_counter import endpoints, service, transport
from falconkit import chain
from falconkit.errors import ConfigurationError
from falconkit.log import log, setup
from falconkit.metrics import Metrics, measure
from falconkit.metrics.statsd import StatsD
from falconkit.ratelimit import TokenBucket, limit
from falconkit.settings import Settings
from falconkit.transport import http


def counter_for(settings: Settings) -> service.Counter:
    """Choose where the total lives: Redis when there is one, else a file."""
    if settings.redis_url:
        return service.RedisCounter(settings.redis_url, settings.service_name)
    if "DYNO" in os.environ:
        logging.warning("this dyno's disk is lost at its restart: set REDIS_URL to keep the total")
    try:
        return service.SQLiteCounter(settings.counter_db)
    except sqlite3.Error as ex:
        raise ConfigurationError(f"COUNTER_DB={settings.counter_db!r}: {ex}") from ex


def build(settings: Settings) -> http.App:
    """Wire the service up: what a request meets is read off ``chain``, from the outside in."""
    setup(settings.log_format, settings.log_level)
    metrics = Metrics()
    host, port, prefix = settings.statsd_host, settings.statsd_port, settings.statsd_prefix
    metrics.add_backend(StatsD(host, port, prefix))  # nothing is sent where no host is set
    bucket = TokenBucket.from_settings(settings)
    observe = chain(log(), measure(metrics))
    app = http.app(settings=settings, metrics=metrics, observe=observe)
    add = endpoints.add_endpoint(counter_for(settings))
    transport.bind(app, add, chain(observe, limit(bucket)))
    return app


app = build(Settings.from_env(debug_vars="open", service_name="counter"))
