"""Every middleware of falconkit keeps every law. A new one adds its line to `subjects`."""

import pytest

from falconkit.arena import Arena
from falconkit.bulkhead import Bulkhead, bulkhead
from falconkit.coalesce import coalesce
from falconkit.endpoint import chain
from falconkit.errors import Unauthenticated
from falconkit.fallback import fallback, fallback_stale, fallback_to
from falconkit.layers import layer
from falconkit.log import log
from falconkit.metrics import Metrics, measure
from falconkit.ratelimit import TokenBucket, WindowLimiter, delay, limit
from falconkit.shedding import AIMD, CoDel, Gradient2, Priority, shed
from falconkit.testing import ManualClock
from falconkit.testing.conform_middleware import LAWS, Subject

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


def never(error):
    return isinstance(error, Unauthenticated)


def one_for_each(ctx, request):
    return id(request)


def stacked(arena):
    lines, clock = Lines(), ManualClock()
    metrics = Metrics(arena=arena)
    bucket = TokenBucket(WIDE, storage="memory://")

    def factory():
        together = chain(
            log(sink=lines, clock=clock), measure(metrics, clock=clock), limit(bucket), nothing()
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
    "bulkhead": bulkheading,
    "shed": shedding,
    "fallback": lambda arena: Subject(lambda: fallback(0), once=False),
    "fallback on some errors": lambda arena: Subject(lambda: fallback(0, when=never)),
    "fallback_to": lambda arena: Subject(
        lambda: fallback_to(lambda *_: 0, when=never), misconfigured=[lambda: fallback_to(0)]
    ),
    "fallback_stale": lambda arena: Subject(
        lambda: fallback_stale(key=one_for_each, when=never),
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
