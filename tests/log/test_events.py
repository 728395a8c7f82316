import dataclasses
import io
import json
import logging

from falconkit.events import (
    ArenaDegraded,
    BackendFailed,
    Event,
    Events,
    LabelsFolded,
    LimiterFellBack,
    LimiterRecovered,
    RequestStuck,
)
from falconkit.log import Handler, log_events
from falconkit.testing import ManualClock


@dataclasses.dataclass(frozen=True)
class Odd(Event):
    name: str
    args: int = 1


@dataclasses.dataclass(frozen=True)
class Unhashable(Event):
    tags: list[str]


class Heard:
    def __init__(self) -> None:
        self.out = io.StringIO()
        self.logger = logging.Logger("events", logging.DEBUG)
        self.logger.addHandler(Handler(self.out))

    def read(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.out.getvalue().splitlines()]


def test_each_event_is_a_line_with_its_fields() -> None:
    heard = Heard()
    events = Events(log_events(heard.logger))
    for event in (
        LimiterFellBack("add", "no answer"),
        LimiterRecovered("add"),
        ArenaDegraded("full", "no slot"),
        LabelsFolded("request.count", 1_000),
        BackendFailed("statsd", "STATSD_HOST"),
        RequestStuck("r-1", 21.5),
        Odd("n"),
    ):
        events.tell(event)
    shown = [{k: v for k, v in line.items() if k not in ("ts", "logger")} for line in heard.read()]
    assert shown == [
        {
            "level": "warning",
            "message": "limiter fell back",
            "event": "limiter_fell_back",
            "limiter": "add",
            "cause": "no answer",
        },
        {
            "level": "info",
            "message": "limiter recovered",
            "event": "limiter_recovered",
            "limiter": "add",
        },
        {
            "level": "warning",
            "message": "arena degraded",
            "event": "arena_degraded",
            "what": "full",
            "detail": "no slot",
        },
        {
            "level": "warning",
            "message": "labels folded",
            "event": "labels_folded",
            "metric": "request.count",
            "bound": 1_000,
        },
        {
            "level": "warning",
            "message": "backend failed",
            "event": "backend_failed",
            "backend": "statsd",
            "cause": "STATSD_HOST",
        },
        {"level": "info", "message": "odd", "event": "odd", "name_": "n", "args_": 1},
    ]


def test_the_same_event_again_and_again_has_one_line_a_minute() -> None:
    heard, clock = Heard(), ManualClock()
    listen = log_events(heard.logger, every=60, clock=clock)
    for _ in range(5):
        listen(ArenaDegraded("contended", "add"))
    listen(ArenaDegraded("contended", "sub"))
    clock.advance(59.9)
    listen(ArenaDegraded("contended", "add"))
    assert len(heard.read()) == 2
    clock.advance(0.1)
    for _ in range(2):
        listen(ArenaDegraded("contended", "add"))
    clock.advance(60)
    listen(ArenaDegraded("contended", "add"))
    assert [line.get("repeated") for line in heard.read()] == [None, None, 5, 1]


def test_events_that_cannot_be_compared_each_have_a_line() -> None:
    heard = Heard()
    listen = log_events(heard.logger)
    listen(Unhashable(["a"]))
    listen(Unhashable(["a"]))
    assert len(heard.read()) == 2


def test_what_is_remembered_is_bounded() -> None:
    heard = Heard()
    listen = log_events(heard.logger, clock=ManualClock())
    listen(LimiterRecovered("first"))
    for number in range(300):
        listen(LimiterRecovered(str(number)))
    listen(LimiterRecovered("first"))
    assert len(heard.read()) == 302


def test_its_own_logger_is_the_default() -> None:
    heard = Heard()
    logger = logging.getLogger("falconkit.events")
    handler = heard.logger.handlers[0]
    logger.addHandler(handler)
    try:
        log_events()(BackendFailed("log", "x"))
    finally:
        logger.removeHandler(handler)
    assert heard.read()[0]["logger"] == "falconkit.events"
