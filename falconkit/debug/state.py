"""``GET /debug/state``: the document that the page, and ``falconkit top``, ask for again and again.

All counts are cumulative: they grow from the start of the server on and never go back, whichever
worker answers. Whoever polls computes rates from two documents of one `State.run`:
``(later.count - earlier.count) / (later.at - earlier.at)``. Seconds of ``at`` are those of the
host's monotonic clock, the same in all its workers. Another ``run`` is another host, or a server
that was started anew: its counts have nothing to do with the former ones.
"""

from __future__ import annotations

from typing import Final

import msgspec

VERSION: Final = 1
"""Of this document: raised when a field changes its meaning or goes; fields may come any time."""


class Layer(msgspec.Struct, frozen=True):
    """One layer around an endpoint.

    Attributes:
        name: The concern's verb: ``limit``.
        config: What it was given, each value as text for people; no secrets.
        observes: Whether it only watches.
    """

    name: str
    config: dict[str, str]
    observes: bool = False


class Latency(msgspec.Struct, frozen=True):
    """How long calls took, since the start of the server.

    Attributes:
        count: How many were timed.
        sum: Their seconds, added up.
        p50: Seconds that half of them did not exceed, right to 1 %; None without calls.
        p90: The same of 90 %.
        p99: The same of 99 %.
        buckets: Pairs: seconds, and how many calls took at most so long and more than the
            pair before says. Ascending, without those that are empty, each 8 % wide. Their
            counts are cumulative in time as every count here: the differences of two documents
            are the calls between them, of which any quantile is known to 4 %.
    """

    count: int
    sum: float
    p50: float | None
    p90: float | None
    p99: float | None
    buckets: list[tuple[float, int]]


class Exemplar(msgspec.Struct, frozen=True):
    """A slow call that has a trace to look at.

    Attributes:
        seconds: How long it took.
        trace_id: 32 hexadecimal digits; ``/debug/traces#t-<trace_id>`` draws it, if kept.
        at: When, in seconds since 1970.
    """

    seconds: float
    trace_id: str
    at: float


class Endpoint(msgspec.Struct, frozen=True):
    """One endpoint: of ours, or of a service that we call.

    Attributes:
        method: ``POST``; "" when it is called by no transport.
        path: The route's template: ``/users/{id}``.
        name: Under which it is counted.
        chain: What is around it, the outermost first.
        measured: Whether the chain counts it: all counts are 0 when not.
        count: Calls that ended.
        ok: Of those, the ones that went well.
        failed: The ones with a business failure.
        refused: The ones that were refused: over a rate, shed, not allowed.
        invalid: The ones whose request could not be read.
        error: The ones that failed otherwise.
        kinds: Errors by kind: ``key_error``.
        in_flight: Calls that run now, in all workers.
        latency: How long they took.
        exemplars: Slow ones that have a trace, of the worker that answers, the latest first.
    """

    method: str
    path: str
    name: str
    chain: list[Layer]
    measured: bool
    count: int
    ok: int
    failed: int
    refused: int
    invalid: int
    error: int
    kinds: dict[str, int]
    in_flight: int
    latency: Latency
    exemplars: list[Exemplar]


class LimiterKey(msgspec.Struct, frozen=True):
    """One key of a limiter.

    Attributes:
        key: Whose: the endpoint's name, and behind a ``/`` the caller.
        level: The share of the burst that is used up, 0 to 1: at 1 the next call is refused.
        remaining: Calls that could come at once now.
        reset_after: Seconds until all of them could.
    """

    key: str
    level: float
    remaining: int
    reset_after: float


class Limiter(msgspec.Struct, frozen=True):
    """One rate limiter.

    Attributes:
        name: Its rate, or what it was called.
        rate: As it was configured.
        burst: Calls that may come at once after a rest; None when it does not say.
        endpoints: The names of those behind it.
        keys: The fullest first.
        known: Of how many keys these are the fullest: those that lately were over the half.
    """

    name: str
    rate: str
    burst: int | None
    endpoints: list[str]
    keys: list[LimiterKey]
    known: int


class BreakerChange(msgspec.Struct, frozen=True):
    """A breaker changed its state.

    Attributes:
        at: When, in seconds since 1970.
        old: The state before.
        new: The state since.
        why: For people.
    """

    at: float
    old: str
    new: str
    why: str


class Breaker(msgspec.Struct, frozen=True):
    """One circuit breaker, the same for all workers of the host if it is shared.

    Attributes:
        id: For ``POST /debug/breakers/<id>``.
        name: Its name.
        state: ``closed``, ``open``, ``half-open``, ``forced-open`` or ``forced-closed``.
        forced: Whether it is forced open or closed.
        shared: False for one of each worker: it is shown as it is in the one that answers.
        seconds: How long it has been in this state.
        retry_after: Seconds until an open one lets a call in.
        calls: Calls of its window.
        failures: Of those, the ones that failed.
        slow: And those that were slow.
        failures_in_a_row: With no success between.
        trips: How often in a row it opened, which is what its wait grows by.
        rules: When it opens, for people.
        endpoints: The names of what it guards.
        changes: The last ones, the latest first.
    """

    id: str
    name: str
    state: str
    forced: bool
    shared: bool
    seconds: float
    retry_after: float
    calls: int
    failures: int
    slow: int
    failures_in_a_row: int
    trips: int
    rules: str
    endpoints: list[str]
    changes: list[BreakerChange]


class Instance(msgspec.Struct, frozen=True):
    """An instance of a service that we call, as the worker sees it that answers.

    Attributes:
        address: ``host:port``.
        zone: Where it is, "" when discovery does not say.
        state: ``up``, ``ejected`` (it failed, and is left out for a while) or ``unhealthy``
            (discovery says so).
        in_flight: Calls of this worker that run there.
        latency: Seconds, the balancer's decaying peak; None until one is known.
        failures_in_a_row: With no success between.
        ejected_for: Seconds for which it is still left out.
    """

    address: str
    zone: str
    state: str
    in_flight: int
    latency: float | None
    failures_in_a_row: int
    ejected_for: float


class Service(msgspec.Struct, frozen=True):
    """A service that we call.

    Attributes:
        name: Its name.
        where: How its instances are found; no secrets.
        failure: Why discovery fails, "" while it works.
        instances: In the order of host and port; at most 100.
        known: How many there are.
        endpoints: What is called there.
    """

    name: str
    where: str
    failure: str
    instances: list[Instance]
    known: int
    endpoints: list[Endpoint]


class Worker(msgspec.Struct, frozen=True):
    """A worker process of this host.

    Attributes:
        pid: Its process id.
        seconds: How long ago it began to serve.
        calls: Calls that it has served, all endpoints together.
        in_flight: Calls that it serves now.
        cpu: Seconds of the processor that it has used; None where the system does not say.
        memory: Bytes of memory that it holds (RSS); None where the system does not say.
        threads: Its threads; None where the system does not say.
    """

    pid: int
    seconds: float
    calls: int
    in_flight: int
    cpu: float | None
    memory: int | None
    threads: int | None


class Happened(msgspec.Struct, frozen=True):
    """A call that failed, or was slow, in whichever worker.

    Attributes:
        at: When it ended, in seconds since 1970.
        endpoint: Its name; ``unmatched`` when no route took it.
        method: Its method.
        path: Its path, as it was sent.
        request_id: Names it in every log.
        seconds: How long it took.
        trace_id: Its trace, if one is recorded, else "".
        kind: The error's class in snake case, "" when it went well.
        message: What the error says, shortened; no secrets that we know of.
        worker: The process id of the worker.
    """

    at: float
    endpoint: str
    method: str
    path: str
    request_id: str
    seconds: float
    trace_id: str
    kind: str
    message: str
    worker: int


class State(msgspec.Struct, frozen=True):
    """What goes on, on one host.

    Attributes:
        version: Of this document, see `VERSION`.
        falconkit: The library's version.
        service: The service's name.
        host: The machine's name.
        run: Names one start of the server on one host: see the module.
        time: When this was read, in seconds since 1970.
        at: The same in seconds of the host's monotonic clock: what rates are computed by.
        uptime: Seconds since the longest-lived worker began.
        draining: Whether the server is about to end.
        may_act: Whether whoever asks may force breakers.
        has_token: Whether there is a token to log in by.
        traces: Whether there is ``/debug/traces``.
        workers: Those of this host that have served, and live.
        endpoints: What we serve; a last one ``unmatched`` for what no route takes.
        limiters: Those in the chains.
        breakers: Those in the chains, of what we serve and of what we call.
        services: What we call.
        errors: The last calls that failed, the latest first; refusals are none.
        slow: The slowest calls of the last minutes, the slowest first.
        slow_after: Seconds from which a call is slow.
        notes: What was left out here, and what does not work as it should; for people.
    """

    version: int
    falconkit: str
    service: str
    host: str
    run: str
    time: float
    at: float
    uptime: float
    draining: bool
    may_act: bool
    has_token: bool
    traces: bool
    workers: list[Worker]
    endpoints: list[Endpoint]
    limiters: list[Limiter]
    breakers: list[Breaker]
    services: list[Service]
    errors: list[Happened]
    slow: list[Happened]
    slow_after: float
    notes: list[str]
