"""Every middleware of falconkit keeps every law. A new one adds its line to `subjects`."""

import pytest

from falconkit.arena import Arena
from falconkit.bulkhead import Bulkhead, bulkhead
from falconkit.circuitbreaker import CircuitBreaker, guard
from falconkit.coalesce import coalesce
from falconkit.deadline import deadline, timeout
from falconkit.endpoint import chain, nop
from falconkit.errors import Unauthenticated
from falconkit.fallback import fallback, fallback_stale, fallback_to
from falconkit.layers import layer
from falconkit.log import log
from falconkit.metrics import Metrics, measure
from falconkit.ratelimit import TokenBucket, WindowLimiter, delay, limit
from falconkit.retry import Budget, Threads, fixed, hedge, retry, seconds, tries
from falconkit.shedding import AIMD, CoDel, Gradient2, Priority, shed
from falconkit.testing import ManualClock
from falconkit.testing.conform_middleware import LAWS, Subject
from falconkit.tracing import LeanTracer, SpanList, never, trace
from falconkit.tracing.otel import OTelTracer

WIDE = "1000000/second"


class Lines:
    def __init__(self):
        self.lines = []

    def write_line(self, line, /):
        self.lines.append(line)


def nothing():
    @layer("nothing")
    def wrap(next, /):
        def call(ctx, request):
            return next(ctx, request)

        return call

    return wrap


def logging(arena):
    lines = Lines()
    return Subject(
        lambda: log(sink=lines),
        counted=lambda: len(lines.lines),
        misconfigured=[
            lambda: log(sink=lines, format="xml"),
            lambda: log(sink=lines, redact=[""]),
        ],
    )


def measuring(arena):
    metrics = Metrics(arena=arena)

    def counted():
        return sum(sample.value for sample in metrics.read() if sample.name == "request.count")

    return Subject(lambda: measure(metrics), counted=counted, misconfigured=[lambda: measure(None)])


def limiting(storage):
    def subject(arena):
        return Subject(
            lambda: limit(TokenBucket(WIDE, storage=storage, arena=arena)),
            misconfigured=[
                lambda: limit("often"),
                lambda: limit(TokenBucket("1/second", storage="memory://"), cost=2),
                lambda: limit(TokenBucket("1/second", storage="memory://"), cost=0),
                lambda: TokenBucket("1/second", storage="unknown://"),
            ],
        )

    return subject


def limiting_by_window(arena):
    return Subject(lambda: limit(WindowLimiter(WIDE, storage="memory://")))


def delaying(arena):
    clock = ManualClock()
    return Subject(
        lambda: delay(TokenBucket(WIDE, storage="memory://", clock=clock), clock=clock),
        misconfigured=[
            lambda: delay("often"),
            lambda: delay(TokenBucket(WIDE, storage="memory://"), max_wait=-1),
            lambda: delay(TokenBucket(WIDE, storage="memory://"), max_waiters=-1),
        ],
    )


def tracing(sampler=None):
    def subject(arena):
        spans = SpanList(most=10_000)
        tracer = LeanTracer("counter", reporter=spans, sampler=sampler)
        return Subject(
            lambda: trace(tracer),
            counted=None if sampler else lambda: len(spans),
            misconfigured=[
                lambda: trace(None),
                lambda: trace(tracer, name=""),
                lambda: trace(tracer, kind="internal"),
            ],
        )

    return subject


def tracing_by_opentelemetry(arena):
    tracer = OTelTracer()
    return Subject(lambda: trace(tracer))


def retrying(arena):
    # Of the laws' errors none is worth a further try, so it calls once, as the others do.
    return Subject(
        retry,
        misconfigured=[
            lambda: tries(0),
            lambda: seconds(-1),
            lambda: fixed(-1),
            lambda: retry(when="always"),
            lambda: retry(max_retry_after=-1),
            lambda: Budget(ratio=-0.1),
        ],
    )


def retrying_all(arena):
    clock = ManualClock()
    return Subject(lambda: retry(when=lambda error: True, clock=clock), once=False)


def hedging(arena):
    threads = Threads(8)  # they end with it, when nobody has it any more
    return Subject(
        lambda: hedge(threads, warm_up=1, at_least=600.0, idempotent=True),
        misconfigured=[
            lambda: hedge(None),
            lambda: hedge(threads, quantile=1.0),
            lambda: hedge(threads, warm_up=0),
            lambda: hedge(threads, at_least=-1),
            lambda: Threads(1),
        ],
    )


def guarding(**config):
    def subject(arena):
        given = config or {"arena": arena}
        return Subject(
            # One for each endpoint, and so that a row of specimens does not open it.
            lambda: guard(lambda name: CircuitBreaker(name, minimum_calls=20, **given)),
            misconfigured=[
                lambda: guard("billing"),
                lambda: guard(lambda name: None)(nop),
                lambda: CircuitBreaker(""),
                lambda: CircuitBreaker("billing", failure_ratio=1.5),
                lambda: CircuitBreaker("billing", window_calls=5),
                lambda: CircuitBreaker("billing", wait=float("nan")),
            ],
        )

    return subject


def bulkheading(arena):
    return Subject(
        lambda: bulkhead(4, max_wait=30.0, max_waiters=200),
        misconfigured=[
            lambda: bulkhead(0),
            lambda: bulkhead(8, max_wait=-1),
            lambda: bulkhead(Bulkhead(8), max_wait=1.0),
        ],
    )


def shedding(arena):
    return Subject(
        lambda: shed(Gradient2(initial=200), priority=lambda *_: Priority.NORMAL, queue=CoDel()),
        misconfigured=[
            lambda: shed(8),
            lambda: shed(AIMD(timeout=0)),
            lambda: shed(priority="high"),
        ],
    )


def unauthenticated(error):
    return isinstance(error, Unauthenticated)


def one_for_each(ctx, request):
    return id(request)


def stacked(arena):
    lines, clock = Lines(), ManualClock()
    metrics = Metrics(arena=arena)
    bucket = TokenBucket(WIDE, storage="memory://")
    tracer = LeanTracer("counter", reporter=SpanList(), clock=clock)

    def factory():
        together = chain(
            log(sink=lines, clock=clock),
            trace(tracer),
            measure(metrics, clock=clock),
            limit(bucket),
            deadline(clock=clock),
            retry(clock=clock),
            guard(lambda name: CircuitBreaker(name, minimum_calls=20, arena=arena)),
            timeout(1.0, clock=clock),
            nothing(),
        )
        return layer("stack")(lambda next: together(next))

    return Subject(factory, counted=lambda: len(lines.lines))


subjects = {
    "nothing": lambda arena: Subject(nothing),
    "log": logging,
    "measure": measuring,
    "limit on the arena": limiting("arena://"),
    "limit in memory": limiting("memory://"),
    "limit by window": limiting_by_window,
    "delay": delaying,
    "trace": tracing(),
    "trace, not sampled": tracing(never),
    "trace by OpenTelemetry": tracing_by_opentelemetry,
    "timeout": lambda arena: Subject(
        lambda: timeout(60.0),
        misconfigured=[lambda: timeout(0), lambda: timeout(-1.0), lambda: timeout(float("nan"))],
    ),
    "deadline": lambda arena: Subject(deadline),
    "retry": retrying,
    "retry of everything": retrying_all,
    "hedge": hedging,
    "guard on the arena": guarding(),
    "guard of this process": guarding(shared=False),
    "bulkhead": bulkheading,
    "shed": shedding,
    "fallback": lambda arena: Subject(lambda: fallback(0), once=False),
    "fallback on some errors": lambda arena: Subject(lambda: fallback(0, when=unauthenticated)),
    "fallback_to": lambda arena: Subject(
        lambda: fallback_to(lambda *_: 0, when=unauthenticated),
        misconfigured=[lambda: fallback_to(0)],
    ),
    "fallback_stale": lambda arena: Subject(
        lambda: fallback_stale(key=one_for_each, when=unauthenticated),
        misconfigured=[lambda: fallback_stale(key="id")],
    ),
    "coalesce": lambda arena: Subject(
        lambda: coalesce(key=one_for_each), misconfigured=[lambda: coalesce(key="id")]
    ),
}


@pytest.fixture
def arena(tmp_path):
    arena = Arena(tmp_path)
    yield arena
    arena.close()


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", subjects)
def test_law(name, law, arena):
    law(subjects[name](arena))


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law_of_all_together(law, arena):
    if law.__name__ == "name_and_layer_can_be_read":
        return  # a chain shows each of its layers
    law(stacked(arena))
