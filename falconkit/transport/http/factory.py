"""Make an app: settings, metrics, events and the pages that every service has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import falcon

from falconkit.arena import Arena, default_arena
from falconkit.clock import Clock, system_clock
from falconkit.context import QUEUE_TIME, Context
from falconkit.debug.door import Door
from falconkit.debug.page import add_page
from falconkit.debug.reader import Reader
from falconkit.debug.remember import is_fault, remember
from falconkit.debug.scrape import Exposed, Scrape
from falconkit.debug.token import Token
from falconkit.debug.traces import Traces
from falconkit.debug.vars import Vars
from falconkit.endpoint import Middleware, chain
from falconkit.errors import ConfigurationError
from falconkit.events import Events
from falconkit.log import log_events
from falconkit.metrics import Metrics, count_events, expvar
from falconkit.sd.registrar import Registrar
from falconkit.settings import Settings
from falconkit.tracing import Tracer, TraceRing
from falconkit.transport.http import extractors
from falconkit.transport.http.app import App
from falconkit.transport.http.extractors import Extractor
from falconkit.transport.http.health import Live, Ready
from falconkit.transport.http.host import Host
from falconkit.transport.http.request import BodyLimits
from falconkit.transport.http.status import status_of


def app(
    *,
    settings: Settings | None = None,
    metrics: Metrics | None = None,
    observe: Middleware | None = None,
    before: Sequence[Extractor] | None = None,
    tracer: Tracer | None = None,
    traces: TraceRing | None = None,
    registrar: Registrar | None = None,
    debug_vars: str | None = None,
    debug_page: str | None = None,
    debug_token: str | None = None,
    slow: float = 0.1,
    prometheus: Exposed | None = None,
    metrics_page: str | None = None,
    arena: Arena | None = None,
    clock: Clock = system_clock,
    **falcon_s: Any,
) -> App:
    """Make an `App` with ``/health/live``, ``/health/ready`` and ``/debug/vars``.

    Args:
        settings: Trusted hops and the body's bounds; the environment's when None.
        metrics: What ``/debug/vars`` shows; a new one when None.
        observe: The layers that see what no route takes: log, measure.
        before: Extractors for every endpoint.
        tracer: Continues each request's trace, or begins one, before anything is
            logged; its spans are counted as ``spans.sent`` and ``spans.dropped``.
        traces: What ``/debug/traces`` draws: a reporter of the tracer's.
        registrar: Tells a registry of this host: it begins when a worker is about to serve, and
            deregisters when the last one begins to drain.
        debug_vars: ``open`` to all, ``closed`` to all but this machine and whoever has
            the token, or for the latter only: ``token``; as the settings say when None.
        debug_page: ``off``; or ``/debug`` is there, see docs/debug.md: ``local`` for this
            machine and whoever has the token, ``token`` for the latter only; as the settings
            say when None.
        debug_token: The token; as the settings say when None.
        slow: Seconds from which a call is shown on ``/debug`` as slow.
        prometheus: What Prometheus reads at ``/metrics``, see
            `falconkit.metrics.prometheus.Prometheus`; there is no such page when None.
        metrics_page: As ``debug_vars``, and as that is when None; a scraper sends the
            token as ``Authorization: Bearer``.
        arena: Whose state ``/debug/vars`` shows; the process's own when None.
        clock: What tells the time.
        **falcon_s: What `falcon.App` takes: ``middleware``, ``cors_enable``.

    Raises:
        ConfigurationError: A setting cannot be used.
    """
    settings = Settings.from_env() if settings is None else settings
    token = Token(settings.debug_token if debug_token is None else debug_token, clock=clock)
    debug_vars = settings.debug_vars if debug_vars is None else debug_vars
    metrics_page = debug_vars if metrics_page is None else metrics_page
    numbers = Door(debug_vars, token, setting="DEBUG_VARS")
    scraped = Door(
        metrics_page, token, setting="metrics_page", hint="metrics_page='open' opens it to all"
    )
    page = _page_door(settings.debug_page if debug_page is None else debug_page, token)
    events = Events(log_events(clock=clock))
    if metrics is None:
        metrics = Metrics(arena=arena, events=events, clock=clock)
    else:
        metrics.events.listen(events.tell)
    events.listen(count_events(metrics))
    if tracer is not None:
        tracer.attach(events, _counting(metrics))
    shown = default_arena() if arena is None else arena
    start = extractors.start(settings.trusted_hops, clock=clock, tracer=tracer)
    host = Host(
        start=_queued(start, metrics) if settings.trusted_hops else start,
        limits=BodyLimits(settings.max_body, settings.body_timeout, clock=clock),
        events=events,
        clock=clock,
    )
    observe = chain() if observe is None else observe
    reader: Reader | None = None
    if page is not None:
        reader = Reader(
            settings.service_name, shown, slow=slow, traces=traces is not None, clock=clock
        )
        events.listen(reader.recent.listen)
        shown.slots("metrics").on_open(reader.roll.enter)
        watch = remember(reader.recent, reader.roll, slow=slow, is_fault=_is_ours, clock=clock)
        observe = chain(watch, observe)
    made = App(
        host,
        metrics=metrics,
        observe=observe,
        before=() if before is None else before,
        tracer=tracer,
        around=None if reader is None else chain(watch, reader.limiters.watch),
        registrar=registrar,
        prometheus=prometheus,
        **falcon_s,
    )

    def read() -> dict[str, Any]:
        # Everything but where on the disk it is, which is nobody's business.
        arena = {name: value for name, value in shown.status().items() if name != "directory"}
        return expvar(made.metrics) | {"arena": arena}

    made.add_route("/debug/vars", Vars(read, numbers))
    if traces is not None:
        made.add_route("/debug/traces", Traces(traces.read, numbers))
    if prometheus is not None:
        made.add_route("/metrics", Scrape(prometheus, scraped))
    if reader is not None and page is not None:
        add_page(made, reader, page)
    made.add_route("/health/live", Live())
    made.add_route("/health/ready", Ready(lambda: made.draining))
    return made


def _page_door(mode: str, token: Token) -> Door | None:
    if mode not in ("off", "local", "token"):
        raise ConfigurationError(f"DEBUG_PAGE={mode!r}: give 'off', 'local' or 'token'")
    if mode == "off":
        return None
    return Door("closed" if mode == "local" else mode, token, setting="DEBUG_PAGE")


def _is_ours(error: BaseException) -> bool:
    """Return whether an error is a fault on our side, and no caller's."""
    return is_fault(error) and status_of(error) >= 500


def _queued(start: extractors.Start, metrics: Metrics) -> extractors.Start:
    """Count how long requests waited in the platform's router, where it says so."""
    seconds = metrics.histogram("request.queue_seconds")

    def first(request: falcon.Request, events: Events) -> Context:
        ctx = start(request, events)
        waited = ctx.get(QUEUE_TIME)
        if waited is not None:
            seconds.observe(waited)
        return ctx

    return first


def _counting(metrics: Metrics) -> Callable[[str, int], None]:
    counters = {what: metrics.counter(f"spans.{what}") for what in ("sent", "dropped")}
    return lambda what, how_many: counters[what].add(how_many)
