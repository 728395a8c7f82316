import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import falcon
import msgspec
import pytest
from pythonjsonlogger.json import JsonFormatter as PythonJsonFormatter

from falconkit import Context, chain, layers, named
from falconkit.errors import (
    BodyTooLarge,
    CircuitOpen,
    ConfigurationError,
    DeadlineExceeded,
    DecodeError,
    Failed,
    FalconkitError,
    Forbidden,
    OutcomeUnknown,
    RateLimited,
    Unauthenticated,
    UpstreamFailed,
)
from falconkit.log import Handler, JsonFormatter, LogfmtFormatter, log
from falconkit.testing import ManualClock, conform_middleware

RID = "9c248150-9c24-4150-9c24-815012345678"
CTX = Context("POST", "/add", RID)


class Lines:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def write_line(self, line: bytes, /) -> None:
        self.lines.append(line)

    def read(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


class Span:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    span_id = "b7ad6b7169203331"


class Total(msgspec.Struct):
    v: int
    error: Exception | None = None

    def failed(self) -> Exception | None:
        return self.error


def raising(error: BaseException) -> Any:
    def endpoint(ctx: Context, request: Any) -> Any:
        raise error

    return endpoint


def test_the_articles_fields() -> None:
    clock, lines = ManualClock(time=1_234_567_890.5), Lines()

    @log(sink=lines, clock=clock)
    def add(ctx: Context, v: int) -> int:
        clock.advance(30.206e-6)
        return v + 1

    assert add(CTX, 1) == 2
    [line] = lines.lines
    assert line == (
        b'{"ts":"2009-02-13T23:31:30.500030Z","level":"info","method":"POST","path":"/add",'
        b'"request":1,"result":2,"err":null,"request_id":"' + RID.encode() + b'",'
        b'"elapsed":0.000030206}\n'
    )


def test_the_articles_line() -> None:
    clock, lines = ManualClock(), Lines()

    @log(sink=lines, format="logfmt", clock=clock)
    def add(ctx: Context, v: int) -> int:
        clock.advance(30.206e-6)
        return v

    add(CTX, 1)
    assert lines.lines[0].decode() == (
        f"path=/add request=1 result=1 err=null request_id={RID} elapsed=30.206µs\n"
    )


def test_the_trace_id_when_there_is_one() -> None:
    lines = Lines()
    call = log(sink=lines)(lambda ctx, request: None)
    call(CTX, None)
    call(CTX.replace(span=Span()), None)
    without, with_span = lines.read()
    assert "trace_id" not in without
    assert with_span["trace_id"] == Span.trace_id


@pytest.mark.parametrize(
    ("error", "level", "err"),
    [
        (RateLimited(), "info", "rate limit exceeded"),
        (DecodeError("expected int", where="$.v"), "info", "$.v: expected int"),
        (BodyTooLarge(9), "info", "the body is larger than 9 bytes"),
        (Unauthenticated(), "info", "unauthenticated"),
        (Forbidden(), "info", "forbidden"),
        (Failed("too much"), "info", "too much"),
        (Failed(), "info", "Failed"),
        (Failed("Failed: twice"), "info", "Failed: twice"),
        (CircuitOpen(), "warning", "circuit breaker is open"),
        (DeadlineExceeded(), "warning", "deadline exceeded"),
        (UpstreamFailed("no answer"), "warning", "no answer"),
        (OutcomeUnknown(), "warning", "the outcome is not known"),
        (FalconkitError("odd"), "error", "odd"),
        (ZeroDivisionError("division by zero"), "error", "ZeroDivisionError: division by zero"),
        (KeyError("v"), "error", "KeyError: 'v'"),
        (ValueError("\ud800"), "error", "ValueError: \\ud800"),
        (SystemExit(3), "error", "SystemExit: 3"),
        (falcon.HTTPNotFound(), "info", "404 Not Found"),
        (falcon.HTTPConflict(title="no", description="taken"), "info", "no: taken"),
        (falcon.HTTPInternalServerError(), "error", "500 Internal Server Error"),
    ],
    ids=lambda v: type(v).__name__,
)
def test_what_was_raised(error: BaseException, level: str, err: str) -> None:
    lines = Lines()
    with pytest.raises(type(error)) as raised:
        log(sink=lines)(raising(error))(CTX, {"v": 1})
    assert raised.value is error
    [fields] = lines.read()
    assert fields["level"] == level
    assert fields["err"] == err
    assert fields["request"] == {"v": 1}
    assert fields["result"] is None


def test_an_error_whose_attributes_raise() -> None:
    class Odd(Exception):
        @property
        def status_code(self) -> int:
            raise RuntimeError

    lines = Lines()
    with pytest.raises(Odd):
        log(sink=lines)(raising(Odd("x")))(CTX, 1)
    assert lines.read()[0]["err"] == "Odd: x"


def test_the_failure_that_a_response_carries() -> None:
    lines = Lines()
    results = iter([Total(1), Total(1, Failed("overflow")), Total(1, ValueError("v"))])
    call = log(sink=lines)(lambda ctx, request: next(results))
    for _ in range(3):
        call(CTX, 1)
    assert [each["err"] for each in lines.read()] == [None, "overflow", "ValueError: v"]
    assert {each["level"] for each in lines.read()} == {"info"}
    assert lines.read()[1]["result"] == {"v": 1, "error": "Failed: overflow"}


def test_what_only_looks_like_a_failure() -> None:
    class Report:
        failed = 3

    class Moody:
        def failed(self) -> None:
            raise RuntimeError("not now")

    class Wordy:
        def failed(self) -> str:
            return "words"

    lines = Lines()
    for result in (Report(), Moody(), Wordy()):
        assert log(sink=lines)(lambda ctx, request, result=result: result)(CTX, 1) is result
    assert [each["err"] for each in lines.read()] == [None, "RuntimeError: not now", None]


def test_many_types_of_results_do_not_fill_the_memory() -> None:
    lines = Lines()
    call = log(sink=lines)(lambda ctx, request: type("T", (), {})())
    for _ in range(1_100):
        call(CTX, 1)
    assert len(lines.lines) == 1_100


def test_fields_are_redacted_also_those_of_the_users_own() -> None:
    lines = Lines()
    call = log(sink=lines, redact=["iban"])(lambda ctx, request: {"token": "t", "ok": 1})
    call(CTX, {"iban": "DE1", "password": "p", "v": 1})
    [fields] = lines.read()
    assert fields["request"] == {"iban": "[redacted]", "password": "[redacted]", "v": 1}
    assert fields["result"] == {"token": "[redacted]", "ok": 1}


def test_a_sink_that_fails_does_not_fail_the_call(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def write_line(self, line: bytes, /) -> None:
            raise OSError("gone")

    call = log(sink=Broken())(lambda ctx, request: "answer")
    assert call(CTX, 1) == "answer"
    [told] = caplog.records
    assert told.name == "falconkit.log"
    assert RID in told.getMessage()
    error = ValueError()
    with pytest.raises(ValueError) as raised:
        log(sink=Broken())(raising(error))(CTX, 1)
    assert raised.value is error


def test_it_says_of_itself_that_it_observes() -> None:
    @log(sink=Lines(), redact=["iban"])
    @named("sum")
    def add(ctx: Context, v: int) -> int:
        return v

    [own] = layers(add)
    assert (own.name, own.observes, own.config) == ("log", True, {"redact": ("iban",)})


@pytest.mark.parametrize("format", ["json", "logfmt", "console"])
def test_laws(format: str) -> None:
    lines = Lines()
    conform_middleware(
        lambda: log(sink=lines, format=format),
        counted=lambda: len(lines.lines),
        misconfigured=[
            lambda: log(format="xml"),
            lambda: log(redact="password"),
            lambda: log(redact=[""]),
            lambda: log(sink=lines, logger=logging.getLogger()),
        ],
    )


def test_laws_hold_by_way_of_the_logger() -> None:
    conform_middleware(log)


def test_a_handler_as_sink_gives_its_format_and_level() -> None:
    out = io.StringIO()
    handler = Handler(out, formatter=LogfmtFormatter(redact=["pan"]))
    handler.setLevel("ERROR")
    call = log(sink=handler, redact=["iban"])(lambda ctx, request: None)
    call(CTX, 1)
    with pytest.raises(ValueError):
        log(sink=handler, redact=["iban"])(raising(ValueError()))(CTX, {"iban": 1, "pan": 2})
    [line] = out.getvalue().splitlines()
    assert line.startswith(
        'path=/add request="{\\"iban\\":\\"[redacted]\\",\\"pan\\":\\"[redacted]\\"}"'
    )


def test_both_a_sink_and_a_logger_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="a sink and a logger"):
        log(sink=Lines(), logger=logging.getLogger())


# --- by way of a logger


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> Iterator[logging.Logger]:
    """The root logger as it is in a process where nothing is set up."""
    root = logging.RootLogger("INFO")
    monkeypatch.setattr(logging, "root", root)  # pytest's own handlers are on the real one
    monkeypatch.setattr(logging.getLogger("falconkit.request"), "parent", root)
    root.setLevel("INFO")  # this also forgets what each logger has found out of levels
    yield root
    root.setLevel("INFO")


class Watched(Handler):
    """Tells which way a line came."""

    def __init__(self, **options: Any) -> None:
        self.out = io.StringIO()
        super().__init__(self.out, **options)
        self.ways: list[str] = []

    def write_request(self, line: Any, formatter: Any) -> None:
        self.ways.append("straight")
        super().write_request(line, formatter)

    def emit(self, record: logging.LogRecord) -> None:
        self.ways.append("record")
        super().emit(record)

    def read(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.getvalue().splitlines()]


def test_straight_to_the_handler_when_it_is_the_only_one(root: logging.Logger) -> None:
    call = log(redact=["iban"])(lambda ctx, request: request)
    handler = Watched()
    root.handlers = [handler]  # pytest has added its own by now
    call(CTX, {"iban": 1})
    assert handler.ways == ["straight"]
    other = Watched()
    root.addHandler(other)
    call(CTX, {"iban": 1})
    assert (handler.ways, other.ways) == (["straight", "record"], ["record"])
    root.removeHandler(handler)
    call(CTX, {"iban": 1})
    assert other.ways == ["record", "straight"]
    first, second = handler.read()
    assert first["request"] == {"iban": "[redacted]"}
    assert first.keys() == second.keys()
    assert {**first, "ts": "", "elapsed": 0} == {**second, "ts": "", "elapsed": 0}


@pytest.mark.parametrize("on", ["logger", "handler"])
def test_filters_are_not_passed_by(root: logging.Logger, on: str) -> None:
    handler = Watched()
    root.handlers = [handler]  # pytest has added its own by now
    logger = logging.Logger("own")
    logger.parent = root
    (logger if on == "logger" else handler).addFilter(lambda made: False)
    log(logger=logger)(lambda ctx, request: request)(CTX, 1)
    assert handler.ways == []


def test_a_handler_on_the_logger_itself(root: logging.Logger) -> None:
    logger, handler = logging.Logger("own"), Watched()
    logger.addHandler(handler)
    call = log(logger=logger)(lambda ctx, request: request)
    call(CTX, 1)
    call(CTX, 1)
    assert handler.ways == ["straight"] * 2
    logger.handlers = [Watched()]
    call(CTX, 1)
    assert handler.ways == ["straight"] * 2
    assert logger.handlers[0].ways == ["straight"]


def test_handlers_that_come_to_the_logger_itself(root: logging.Logger) -> None:
    logger, handler, other = logging.Logger("own"), Watched(), Watched()
    logger.parent = root
    root.handlers = [handler]
    call = log(logger=logger)(lambda ctx, request: request)
    call(CTX, 1)
    logger.addHandler(other)
    call(CTX, 1)
    assert (handler.ways, other.ways) == (["straight", "record"], ["record"])


def test_propagation_is_followed(root: logging.Logger) -> None:
    handler = Watched()
    root.handlers = [handler]  # pytest has added its own by now
    logger = logging.Logger("own")
    logger.parent, logger.propagate = root, False
    log(logger=logger)(lambda ctx, request: request)(CTX, 1)
    assert handler.ways == []


def test_levels_are_respected(root: logging.Logger) -> None:
    handler = Watched()
    root.handlers = [handler]  # pytest has added its own by now
    good = log()(lambda ctx, request: request)
    bad = log()(raising(ValueError()))
    root.setLevel("WARNING")
    good(CTX, 1)
    assert handler.ways == []
    with pytest.raises(ValueError):
        bad(CTX, 1)
    assert [each["level"] for each in handler.read()] == ["error"]
    root.setLevel("INFO")
    handler.setLevel("CRITICAL")
    good(CTX, 1)
    with pytest.raises(ValueError):
        bad(CTX, 1)
    assert len(handler.read()) == 1


def test_the_handlers_formatter_may_be_changed(root: logging.Logger) -> None:
    handler = Watched()
    root.handlers = [handler]  # pytest has added its own by now
    call = log()(lambda ctx, request: request)
    call(CTX, 1)
    handler.setFormatter(LogfmtFormatter())
    call(CTX, 1)
    handler.setFormatter(logging.Formatter("plain: %(message)s"))
    call(CTX, 1)
    as_json, logfmt, plain = handler.out.getvalue().splitlines()
    assert json.loads(as_json)["path"] == "/add"
    assert logfmt.startswith("path=/add request=1 result=1 err=null ")
    assert plain.startswith("plain: path=/add request=1 result=1 err=null ")


def test_a_plain_logging_configuration_gets_the_articles_line(root: logging.Logger) -> None:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s %(request_id)s"))
    root.handlers = [handler]  # pytest has added its own by now
    log(clock=ManualClock())(lambda ctx, request: request)(CTX, {"v": 1, "password": "p"})
    assert out.getvalue() == (
        'INFO falconkit.request path=/add request="{\\"v\\":1,\\"password\\":\\"[redacted]\\"}" '
        'result="{\\"v\\":1,\\"password\\":\\"[redacted]\\"}" '
        f"err=null request_id={RID} elapsed=0s {RID}\n"
    )


def test_python_json_loggers_own_formatter_gets_the_fields(root: logging.Logger) -> None:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(PythonJsonFormatter())
    root.handlers = [handler]  # pytest has added its own by now
    log()(lambda ctx, request: request)(CTX, {"v": 1})
    fields = json.loads(out.getvalue())
    assert fields["request"] == {"v": 1}
    assert fields["path"] == "/add"
    assert fields["err"] is None
    assert fields["method"] == "POST"
    assert isinstance(fields["elapsed"], float)


def test_our_formatter_in_somebodys_configuration(root: logging.Logger) -> None:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(JsonFormatter())
    root.handlers = [handler]  # pytest has added its own by now
    log()(lambda ctx, request: request)(CTX, 1)
    assert list(json.loads(out.getvalue())) == [
        "ts",
        "level",
        "method",
        "path",
        "request",
        "result",
        "err",
        "request_id",
        "elapsed",
    ]


def test_two_in_one_chain_write_two_lines() -> None:
    lines = Lines()
    chain(log(sink=lines), log(sink=lines))(lambda ctx, request: 1)(CTX, 1)
    assert len(lines.lines) == 2


def test_a_client_is_silent_while_all_goes_well(root: logging.Logger) -> None:
    handler = Watched()
    root.handlers = [handler]  # pytest has added its own by now
    good = log(client=True)(lambda ctx, request: request)
    bad = log(client=True)(named("get_user")(raising(UpstreamFailed("no", upstream="users"))))
    good(CTX, 1)
    assert handler.read() == []
    with pytest.raises(UpstreamFailed):
        bad(CTX, 1)
    root.setLevel("DEBUG")
    good(CTX, Total(1, Failed("no")))
    failed, well = handler.read()
    assert (failed["level"], failed["path"], failed["call"]) == ("warning", "/add", "get_user")
    assert (well["level"], well["call"], well["err"]) == ("debug", "<lambda>", "no")
    assert list(failed)[-1] == "call"


def test_people_see_what_was_called(root: logging.Logger) -> None:
    lines = Lines()
    log(sink=lines, format="logfmt", client=True)(named("get_user")(lambda ctx, request: 2))(CTX, 1)
    assert lines.lines[0].startswith(b"path=/add call=get_user request=1 result=2 err=null")
