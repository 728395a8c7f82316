"""Each format, over ordinary and hostile records: one line, under the bound, nothing forged."""

import json
import logging
import re
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from falconkit.context import Context, current
from falconkit.errors import ConfigurationError
from falconkit.log import ConsoleFormatter, JsonFormatter, LogfmtFormatter, RequestLine
from falconkit.log.formatter import LineFormatter
from tests.log.hostile import SPECIMENS, Card, Login, Point, Raises, parsed, record, text, values

TS = "2009-02-13T23:31:30.123456Z"
RID = "9c248150-9c24-4150-9c24-815012345678"


class Span:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    span_id = "b7ad6b7169203331"


def request_line(request: Any = 1, result: Any = 1, **fields: Any) -> RequestLine:
    given = {"method": "POST", "path": "/add", "request_id": RID, "elapsed": 30.206e-6}
    return RequestLine(TS, "info", request=request, result=result, **(given | fields))


def unquoted(line: str) -> list[tuple[str, str]]:
    """Read logfmt, as a collector does."""
    found = re.findall(r'([^\s="]+)=("(?:[^"\\]|\\.)*"|[^\s="]*)(?: |$)', line)
    assert "".join(f"{k}={v} " for k, v in found).rstrip(" ") == line.rstrip(" ")
    return [(k, json.loads(v) if v.startswith('"') else v) for k, v in found]


def the_format(line: bytes, formatter: LineFormatter, limit: int) -> None:
    """Hold one line to what each line of its format must be."""
    assert len(line) < limit
    text = line.decode("utf-8")
    if isinstance(formatter, JsonFormatter):
        parsed(line, limit)
        return
    first, *below = text[:-1].split("\n")
    assert first.isprintable()
    if isinstance(formatter, LogfmtFormatter):
        assert below == []
        unquoted(first)
    assert all(each.startswith("    ") and each.isprintable() for each in below)


FORMATTERS = [JsonFormatter(), LogfmtFormatter(), ConsoleFormatter(colour=False)]
BOUNDS = [4_096, 10_000]
each_format = pytest.mark.parametrize("formatter", FORMATTERS, ids=lambda f: type(f).__name__)


# --- JSON


def test_json_of_a_record() -> None:
    line = JsonFormatter().format(record("hi %s", "ann", port=8000, at=(1, 2)))
    assert line == (
        f'{{"ts":"{TS}","level":"info","logger":"app","message":"hi ann","port":8000,"at":[1,2]}}'
    )


def test_json_of_a_request() -> None:
    assert (
        JsonFormatter().request_line(request_line())
        == (
            f'{{"ts":"{TS}","level":"info","method":"POST","path":"/add","request":1,"result":1,'
            f'"err":null,"request_id":"{RID}","elapsed":0.000030206}}\n'
        ).encode()
    )


def test_json_of_a_request_with_trace_and_service() -> None:
    fields = json.loads(
        JsonFormatter(service="counter").request_line(request_line(trace_id=Span.trace_id))
    )
    assert fields["trace_id"] == Span.trace_id
    assert fields["service"] == "counter"


def test_a_record_within_a_request_carries_its_ids() -> None:
    token = current.set(Context("POST", "/add", RID, span=Span()))
    try:
        fields = json.loads(JsonFormatter().format(record()))
        own = json.loads(JsonFormatter().format(record(path="/mine", request_id="other")))
    finally:
        current.reset(token)
    assert list(fields) == [
        "ts",
        "level",
        "logger",
        "message",
        "request_id",
        "trace_id",
        "path",
    ]
    assert (fields["request_id"], fields["path"]) == (RID, "/add")
    assert fields["trace_id"] == Span.trace_id
    assert (own["request_id"], own["path"]) == ("other", "/mine")
    assert "request_id" not in json.loads(JsonFormatter().format(record()))


def test_an_exception_is_one_string() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        made = record("it failed")
        made.exc_info = sys.exc_info()
    made.stack_info = "Stack:\n  here"
    fields = parsed(JsonFormatter().record_line(made), 10_000)
    assert fields["exc_info"].startswith("Traceback (most recent call last):\n")
    assert fields["exc_info"].endswith("ValueError: two\nlines")
    assert fields["stack_info"] == "Stack:\n  here"


def test_no_exception_is_no_field() -> None:
    made = record()
    made.exc_info = (None, None, None)
    assert "exc_info" not in json.loads(JsonFormatter().format(made))
    made.exc_info, made.exc_text = None, "of before"
    assert json.loads(JsonFormatter().format(made))["exc_info"] == "of before"


def test_an_exception_whose_traceback_cannot_be_had() -> None:
    class Broken(JsonFormatter):
        def formatException(self, ei: Any) -> str:
            raise RuntimeError

    made = record()
    made.exc_info = (ValueError, ValueError("v"), None)
    assert json.loads(Broken().format(made))["exc_info"] == "ValueError: v"


def test_a_dict_as_message() -> None:
    fields = json.loads(JsonFormatter().format(record({"a": 1, "message": "m", "token": "t"})))
    assert fields["message"] == "m"
    assert fields["a"] == 1
    assert fields["token"] == "[redacted]"
    assert json.loads(JsonFormatter().format(record({"a": 1})))["message"] == ""


def test_an_extra_cannot_pass_for_the_schema() -> None:
    fields = json.loads(JsonFormatter().format(record(level="debug", ts="never", logger="x")))
    assert (fields["level"], fields["ts"], fields["logger"]) == ("info", TS, "app")
    assert (fields["level_"], fields["ts_"], fields["logger_"]) == ("debug", "never", "x")


@pytest.mark.parametrize(
    ("msg", "args", "expected"),
    [
        ("%d", ("x",), "%d ['x'] <not formatted: TypeError: "),
        ("%s %s", (1,), "%s %s [1] <not formatted: TypeError: "),
        ("%(a)s", ({"b": 1},), "%(a)s {'b': 1} <not formatted: KeyError: 'a'>"),
        ("%s", (Raises(),), "%s ['<unprintable Raises: RuntimeError>'] <not formatted: "),
    ],
)
def test_a_message_that_cannot_be_formatted_is_not_lost(
    msg: str, args: tuple[Any, ...], expected: str
) -> None:
    assert json.loads(JsonFormatter().format(record(msg, *args)))["message"].startswith(expected)


def test_a_record_that_cannot_be_read_is_not_lost() -> None:
    class Broken(JsonFormatter):
        def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
            raise RuntimeError("of the user's own")

    fields = parsed(Broken().record_line(record("precious", name="n\n")), 10_000)
    assert fields == {
        "ts": TS,
        "level": "info",
        "logger": "n\n",
        "message": "precious",
        "log_error": "RuntimeError: of the user's own",
    }


def test_arguments_of_a_message_are_redacted_when_they_have_named_fields() -> None:
    def message(msg: str, *args: Any) -> str:
        return str(json.loads(JsonFormatter().format(record(msg, *args)))["message"])

    assert message("got %s", {"user": "ann", "password": "p"}) == (
        "got {'user': 'ann', 'password': '[redacted]'}"
    )
    assert message("%s %s", 1, Login("ann", "t")) == (
        "1 {'userName': 'ann', 'accessToken': '[redacted]'}"
    )
    assert message("%(user)s %(password)s", {"user": "ann", "password": "p"}) == "ann [redacted]"
    assert message("%s %5.1f", (1, 2), 2.0) == "(1, 2)   2.0"


def test_the_record_is_left_as_it_was() -> None:
    made = record("got %s", {"password": "p"})
    before = dict(vars(made))
    JsonFormatter().format(made)
    assert vars(made) == before


def test_the_users_own_names_and_limit() -> None:
    formatter = JsonFormatter(redact=["iban"], limit=300)
    assert json.loads(formatter.format(record(iban="DE1")))["iban"] == "[redacted]"
    assert len(formatter.format(record("x" * 1_000))) < 300
    assert len(formatter.request_line(request_line("x" * 1_000))) < 300
    assert b"ann" in formatter.request_line(request_line(Point("ann")))
    wider = formatter.hiding_also(["holder", "x"])
    assert b"ann" not in wider.request_line(request_line(Point("ann")))
    assert b"DE1" not in wider.request_line(request_line(Card("ann", 1), {"iban": "DE1"}))
    assert b"ann" not in wider.request_line(request_line(Card("ann", 1)))
    assert b"ann" in formatter.request_line(request_line(Card("ann", 1)))


def test_a_string_for_redact_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="one string"):
        JsonFormatter(redact="password")


def test_options_of_python_json_logger_hold() -> None:
    formatter = JsonFormatter(
        "%(asctime)s %(lineno)d", rename_fields={"message": "msg"}, static_fields={"dc": "eu"}
    )
    fields = json.loads(formatter.format(record()))
    assert fields["msg"] == "hello"
    assert fields["dc"] == "eu"
    assert fields["lineno"] == 1
    assert fields["asctime"].startswith("2009-02-1")


def test_the_fields_are_bounded_in_number() -> None:
    fields = parsed(JsonFormatter().record_line(record(**{f"f{i}": 1 for i in range(999)})), 10_000)
    assert len(fields) <= 257
    assert fields["truncated"] is True


def test_what_a_walk_left_out_is_said() -> None:
    fields = parsed(JsonFormatter().record_line(record(value=[0] * 5_000, ok=1)), 10_000)
    assert fields["value"][-1] == "…(+4001 more)"
    assert fields["truncated"] is True


def test_controls_that_json_allows_bare_are_written_out() -> None:
    shown = JsonFormatter().record_line(record("\x7f\x9b2J\u2028\u202eé"))
    assert b'"\\u007f\\u009b2J\\u2028\\u202e\xc3\xa9"' in shown


# --- logfmt


def test_logfmt_is_the_articles_line() -> None:
    assert LogfmtFormatter().request_line(request_line()).decode() == (
        f"path=/add request=1 result=1 err=null request_id={RID} elapsed=30.206µs\n"
    )


def test_logfmt_of_a_request_that_failed() -> None:
    line = LogfmtFormatter().request_line(
        request_line({"v": 1}, None, err="rate limit exceeded", trace_id=Span.trace_id)
    )
    assert line.decode() == (
        'path=/add request="{\\"v\\":1}" result=null err="rate limit exceeded" '
        f"request_id={RID} trace_id={Span.trace_id} elapsed=30.206µs\n"
    )


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("", ""),
        ("a", "a"),
        ("é", "é"),
        ("a b", '"a b"'),
        ("a=b", '"a=b"'),
        ('a"b', '"a\\"b"'),
        ("a\\b", '"a\\\\b"'),
        ("null", '"null"'),
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        ([1, "x"], '"[1,\\"x\\"]"'),
        ("\x1b[2J", '"\\u001b[2J"'),
        ("\x9b2J", '"\\u009b2J"'),
        ("\U000e0041", '"\\udb40\\udc41"'),
        ("a\nlevel=error", '"a\\nlevel=error"'),
        ("\t\r", '"\\t\\r"'),
    ],
)
def test_logfmt_values(value: Any, written: str) -> None:
    line = LogfmtFormatter().format(record(value=value))
    assert line == f"ts={TS} level=info logger=app msg=hello value={written}"
    assert unquoted(line)[-1][0] == "value"


def test_logfmt_keys() -> None:
    made = record({'a b="\n': 1, "": 2, "é": 3, "message": "m"})
    assert (
        LogfmtFormatter()
        .format(made)
        .endswith(
            "msg=m a_b___=1 _=2 é=3",
        )
    )


def test_an_elapsed_time_that_is_none() -> None:
    line = request_line(elapsed=float("nan"))
    assert LogfmtFormatter().request_line(line).endswith(b" elapsed=null\n")
    assert b'"elapsed":null' in JsonFormatter().request_line(line)


# --- console


def test_console_of_a_request() -> None:
    assert ConsoleFormatter(colour=False).request_line(request_line()).decode() == (
        f"23:31:30.123 INFO     POST /add request=1 result=1 request_id={RID} elapsed=30.206µs\n"
    )
    refused = request_line(1, None, err="no")
    assert b" err=no " in ConsoleFormatter(colour=False).request_line(refused)


def test_console_of_an_exception() -> None:
    made = record("it failed")
    made.exc_info = (ValueError, ValueError("a\n12:00:00.000 INFO     app: forged"), None)
    assert ConsoleFormatter(colour=False).format(made) == (
        "23:31:30.123 INFO     app: it failed\n"
        "    ValueError: a\n"
        "    12:00:00.000 INFO     app: forged"
    )


def test_console_colours() -> None:
    formatter = ConsoleFormatter()
    made = record("m")
    for level, colour in ((20, "32"), (30, "33"), (40, "31"), (50, "31"), (10, "1")):
        made.levelname = logging.getLevelName(level)
        shown = f"\x1b[{colour}m{made.levelname:8}\x1b[0m"
        assert formatter.format(made) == f"\x1b[2m23:31:30.123\x1b[0m {shown} app: m"


# --- all of them


INJECTIONS = [
    '/add\n{"level":"error"}',
    "/add\r\npath=/admin err=null",
    '/add" err="forged',
    "/add\x1b[2K\x1b[1Aforged",
    "/add\x9b2Jforged",
    "/add\x85forged\u2028forged\u2029",
    "/add\u202egnp.exe",
    "/add\x00\x08\x7f",
    "/add\ud800",
]


@each_format
@pytest.mark.parametrize("path", INJECTIONS)
def test_nothing_of_a_request_can_forge_a_line(formatter: LineFormatter, path: str) -> None:
    for line in (
        formatter.request_line(request_line(path, path, path=path, request_id=path, err=path)),
        formatter.record_line(record(path, name=path, **{path: path})),
    ):
        the_format(line, formatter, 10_000)


def test_an_injected_path_reads_back_as_it_was() -> None:
    for path in INJECTIONS[:-1]:
        line = request_line(path, path=path)
        assert json.loads(JsonFormatter().request_line(line))["path"] == path
        fields = unquoted(LogfmtFormatter().request_line(line).decode()[:-1])
        assert [k for k, _ in fields] == [
            "path",
            "request",
            "result",
            "err",
            "request_id",
            "elapsed",
        ]
        assert fields[0] == ("path", path)


@each_format
@pytest.mark.parametrize("limit", BOUNDS)
@pytest.mark.parametrize("value", SPECIMENS, ids=lambda v: type(v).__name__)
def test_specimens(formatter: LineFormatter, limit: int, value: Any) -> None:
    lines = [
        formatter.record_line(record(value), limit),
        formatter.record_line(record("%s", value), limit),
        formatter.record_line(record(value=value, other=value), limit),
        formatter.request_line(request_line(value, value), limit),
    ]
    for line in lines:
        the_format(line, formatter, limit)


@each_format
@given(msg=values, args=st.lists(values, max_size=2), extra=st.dictionaries(text, values))
@settings(max_examples=60, deadline=None)
def test_any_record(
    formatter: LineFormatter, msg: Any, args: list[Any], extra: dict[str, Any]
) -> None:
    made = record(msg, *args)
    vars(made).update({name: value for name, value in extra.items() if name not in vars(made)})
    for limit in BOUNDS:
        the_format(formatter.record_line(made, limit), formatter, limit)


@each_format
@given(values, values, text, text, st.none() | text)
@settings(max_examples=60, deadline=None)
def test_any_request(
    formatter: LineFormatter, request: Any, result: Any, path: str, rid: str, err: str | None
) -> None:
    line = request_line(request, result, path=path, request_id=rid, err=err)
    for limit in BOUNDS:
        the_format(formatter.request_line(line, limit), formatter, limit)
