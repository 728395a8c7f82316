"""The fast way to a line, the safe way, and python-json-logger's give the same fields."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from falconkit.log import JsonFormatter, RequestLine
from falconkit.log.formatter import LineFormatter
from tests.log.hostile import SPECIMENS, Card, Login, Point, record, text, values

TS = "2009-02-13T23:31:30.123456Z"


class Add(msgspec.Struct):
    v: int


class Tagged(msgspec.Struct, tag=True):
    v: int


class Sparse(msgspec.Struct, omit_defaults=True):
    v: int = 0


class Row(msgspec.Struct, array_like=True):
    v: int


class Secret(msgspec.Struct):
    v: int
    api_key: str


class Renamed(msgspec.Struct, rename={"api_key": "k"}):
    api_key: str


STRUCTS = [
    Renamed("hush"),
    Add(1),
    Add(2**70),
    Tagged(1),
    Sparse(),
    Row(1),
    Secret(1, "k"),
    Login("a", "t"),
]


def line_of(request: Any, result: Any, err: str | None = None, path: str = "/add") -> RequestLine:
    return RequestLine(TS, "info", "POST", path, request, result, err, "r-1", elapsed=1.5e-5)


def as_python_json_logger(line: RequestLine, limit: int) -> dict[str, Any]:
    """The same fields, as a record that any code might log."""
    fields = line.fields()
    level, _ = fields.pop("level"), fields.pop("ts")
    made = record(fields, name="falconkit.request")
    assert made.levelname.lower() == level
    shown = json.loads(JsonFormatter().record_line(made, limit))
    assert (shown.pop("logger"), shown.pop("message")) == ("falconkit.request", "")
    return dict(shown)


def same(line: RequestLine, limit: int) -> None:
    fast = JsonFormatter().request_line(line, limit)
    safe = LineFormatter.request_line(JsonFormatter(), line, limit)
    assert list(json.loads(fast).items()) == list(json.loads(safe).items())
    other = as_python_json_logger(line, limit)
    if "truncated" not in other:  # that record has two fields more, so less room for these
        assert json.loads(fast) == other


@pytest.mark.parametrize("value", [*SPECIMENS, *STRUCTS], ids=lambda v: type(v).__name__)
@pytest.mark.parametrize("limit", [4_096, 10_000])
def test_specimens(value: Any, limit: int) -> None:
    same(line_of(value, 1), limit)
    same(line_of(1, value), limit)


@given(values, values, st.none() | text, text)
@example({"password": "p"}, Secret(1, "k"), None, "/")
@example({"a": 1}, Point(1.5, "x"), "\ud800", "/\x7f")
@example({1: 2}, Card(1, 2), None, "/")
@example({"k" * 65: 1, "j" * 300: 2}, {str(i): i for i in range(20)}, None, "/")
@example(1, {str(i): i for i in range(100)}, None, "/")
@settings(max_examples=150, deadline=None)
def test_anything(request: Any, result: Any, err: str | None, path: str) -> None:
    same(line_of(request, result, err, path), 4_096)


@given(
    text,
    text,
    text | st.just(msgspec.UNSET),
    st.floats() | st.integers(0, 10**12).map(lambda ns: ns / 1e9),
    st.sampled_from(["info", "warning", "error"]),
    st.sampled_from(["", "counter", "\u202e\x7f\ud800", "s" * 5_000]),
)
@example("POST\x7f", "\ud800", "t" * 4_096, float("inf"), "info", "")
@settings(max_examples=150, deadline=None)
def test_every_other_field(
    method: str, request_id: str, trace_id: Any, elapsed: float, level: str, service: str
) -> None:
    def line() -> RequestLine:
        return RequestLine(
            TS, level, method, "/add", 1, Add(1), None, request_id, trace_id, elapsed
        )

    formatter = JsonFormatter(service=service)
    fast = json.loads(formatter.request_line(line(), 4_096))
    safe = json.loads(LineFormatter.request_line(formatter, line(), 4_096))
    # As pairs: their order is the schema's, too.
    assert list(fast.items()) == list(safe.items())


@pytest.mark.parametrize("value", [1, "x", None, True, 1.5, float("nan"), Add(1), {"v": 1}])
def test_plain_values_take_the_fast_way(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: Any) -> bytes:
        raise AssertionError("the slow way")

    monkeypatch.setattr(LineFormatter, "request_line", slow)
    fields = json.loads(JsonFormatter().request_line(line_of(value, value)))
    assert fields["request"] == fields["result"]


def test_the_fast_way_keeps_to_the_bound() -> None:
    formatter = JsonFormatter()
    spare = 4_095 - len(formatter.request_line(line_of("", 1), 4_096))
    assert len(formatter.request_line(line_of("x" * spare, 1), 4_096)) == 4_095
    assert b"truncated" not in formatter.request_line(line_of("x" * spare, 1), 4_096)
    assert b"truncated" in formatter.request_line(line_of("x" * (spare + 1), 1), 4_096)


def test_a_struct_is_an_object_and_an_int_a_number() -> None:
    assert b'"request":{"v":1},"result":1,' in JsonFormatter().request_line(line_of(Add(1), 1))


def test_hidden_fields_of_a_struct_are_hidden_each_time() -> None:
    formatter = JsonFormatter()
    for _ in range(3):
        line = formatter.request_line(line_of(Secret(1, "hush"), {"token": "hush"}))
        assert b"hush" not in line
        assert line.count(b"[redacted]") == 2
        assert b"hush" not in formatter.request_line(line_of(Renamed("hush"), 1))


def test_what_an_annotation_hides_is_found_in_the_value() -> None:
    odd = Add({"password": "hush"})  # type: ignore[arg-type]
    assert b"hush" not in JsonFormatter().request_line(line_of(odd, 1))


def test_many_types_do_not_fill_the_memory() -> None:
    formatter = JsonFormatter()
    for number in range(2_500):
        kind = msgspec.defstruct(f"S{number}", [("v", int)])
        formatter.request_line(line_of(kind(number), 1))
    assert len(formatter._structs) <= 1_000
