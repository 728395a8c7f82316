"""Make an app: settings, metrics, events and the pages that every service has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import falcon

from falconkit.arena import Arena, default_arena
from falconkit.clock import Clock, system_clock
from falconkit.context import QUEUE_TIME, Context
from falconkit.debug.scrape import Exposed, Scrape
from falconkit.debug.traces import Traces
from falconkit.debug.vars import Vars
from falconkit.endpoint import Middleware, chain
from falconkit.errors import ConfigurationError
from falconkit.events import Events
from falconkit.log import log_events
from falconkit.metrics import Metrics, count_events, expvar
from falconkit.settings import Settings
from falconkit.tracing import Tracer, TraceRing
from falconkit.transport.http import extractors
from falconkit.transport.http.app import App
from falconkit.transport.http.extractors import Extractor
from falconkit.transport.http.health import Live, Ready
from falconkit.transport.http.host import Host
from falconkit.transport.http.request import BodyLimits


def app(
    *,
    settings: Settings | None = None,
    metrics: Metrics | None = None,
    observe: Middleware | None = None,
    before: Sequence[Extractor] | None = None,
    tracer: Tracer | None = None,
    traces: TraceRing | None = None,
    debug_vars: str | None = None,
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
        debug_vars: ``open`` to all or ``closed`` to all but this machine; as
            the settings say when None.
        prometheus: What Prometheus reads at ``/metrics``, see
            `falconkit.metrics.prometheus.Prometheus`; there is no such page when None.
        metrics_page: ``open`` to all or ``closed`` to all but this machine; as
            ``/debug/vars`` is when None.
        arena: Whose state ``/debug/vars`` shows; the process's own when None.
        clock: What tells the time.
        **falcon_s: What `falcon.App` takes: ``middleware``, ``cors_enable``.

    Raises:
        ConfigurationError: A setting cannot be used.
    """
    settings = Settings.from_env() if settings is None else settings
    debug_vars = settings.debug_vars if debug_vars is None else debug_vars
    metrics_page = debug_vars if metrics_page is None else metrics_page
    for name, page in (("DEBUG_VARS", debug_vars), ("metrics_page", metrics_page)):
        if page not in ("open", "closed"):
            raise ConfigurationError(f"{name}={page!r}: give 'open' or 'closed'")
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
    made = App(
        host,
        metrics=metrics,
        observe=chain() if observe is None else observe,
        before=() if before is None else before,
        tracer=tracer,
        prometheus=prometheus,
        **falcon_s,
    )

    def read() -> dict[str, Any]:
        # Everything but where on the disk it is, which is nobody's business.
        arena = {name: value for name, value in shown.status().items() if name != "directory"}
        return expvar(made.metrics) | {"arena": arena}

    made.add_route("/debug/vars", Vars(read, everybody=debug_vars == "open"))
    if traces is not None:
        made.add_route("/debug/traces", Traces(traces.read, everybody=debug_vars == "open"))
    if prometheus is not None:
        made.add_route("/metrics", Scrape(prometheus, everybody=metrics_page == "open"))
    made.add_route("/health/live", Live())
    made.add_route("/health/ready", Ready(lambda: made.draining))
    return made


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
