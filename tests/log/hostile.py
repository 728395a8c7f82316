"""Values that break loggers, and strategies that find more."""

import dataclasses
import json
import logging
from collections import deque
from typing import Any

import msgspec
from hypothesis import strategies as st


class Raises:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class Recurses:
    def __repr__(self) -> str:
        return repr(self)


class Plain:
    """An object of which Python prints the address."""


class Point(msgspec.Struct):
    x: Any
    y: Any = None


class Login(msgspec.Struct, rename="camel"):
    user_name: Any
    access_token: Any


@dataclasses.dataclass
class Card:
    holder: Any
    card_number: Any


def cycle() -> list[Any]:
    ring: list[Any] = [1]
    ring.append({"again": ring})
    return ring


def deep(levels: int) -> list[Any]:
    at: list[Any] = []
    for _ in range(levels):
        at = [at]
    return at


SPECIMENS = [
    None,
    True,
    0,
    -(2**63) - 1,
    2**64,
    10**4_299,
    1 << 70_000,
    1.5,
    float("nan"),
    float("inf"),
    -0.0,
    1e-320,
    "",
    "null",
    "two\nlines\r\n\x00\x1b[31m\x7f\x85\u2028\u202e",
    'quote " backslash \\ equals = ',
    "lone \ud800 and \udcff",
    "µ€😀" * 5_000,
    "\x00" * 20_000,
    '"' * 9_000,
    "x" * 1_000_000,
    b"bytes \xff\xfe",
    bytearray(b"more"),
    memoryview(b"views"),
    {(1, 2): "tuple key", None: 1, 1: 2, "1": 3, b"k": 4, 1.5: 5},
    {"k" * 100_000: 1},
    {f"key {i}": i for i in range(50_000)},
    list(range(100_000)),
    {3, 4},
    deque([1, 2]),
    cycle(),
    deep(100_000),
    Raises(),
    Recurses(),
    Plain(),
    Point(1, Point(float("nan"), b"\xff")),
    Point("\udc80", cycle()),
    Point(msgspec.UNSET),
    Card("ann", "4111"),
    ValueError("two\nlines"),
    KeyError(),
    ValueError,
    lambda: None,
    iter([1, 2]),
    object(),
]

text = st.text(st.characters(), max_size=60) | st.sampled_from(["\ud800", "null", "a=b", "\x9b2J"])
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | text
    | st.binary(max_size=40)
    | st.builds(Raises)
    | st.integers(15_000, 20_000).map(lambda bits: 1 << bits)
    | st.integers(1, 6_000).map(lambda n: "é\n" * n)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.tuples(inner, inner)
        | st.dictionaries(text | st.integers() | st.tuples(st.integers()), inner, max_size=5)
        | st.builds(Point, inner, inner)
        | st.builds(Card, inner, inner)
    ),
    max_leaves=12,
)


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def parsed(line: bytes, limit: int) -> dict[str, Any]:
    """Read one line of JSON, and hold it to what every line must be."""
    assert len(line) < limit
    assert line.endswith(b"\n")
    text = line.decode("utf-8")
    assert len(text.splitlines()) == 1
    assert not any(c < " " or "\x7f" <= c <= "\x9f" for c in text[:-1])
    fields = json.loads(text, parse_constant=refuse)
    assert isinstance(fields, dict)
    return fields


def record(msg: Any = "hello", *args: Any, name: str = "app", **extra: Any) -> logging.LogRecord:
    made = logging.LogRecord(name, logging.INFO, "app.py", 1, msg, args, None)
    made.created = 1_234_567_890.123456
    vars(made).update(extra)
    return made
