import dataclasses
import datetime
import decimal
import enum
import json
import pathlib
import uuid
from collections import deque, namedtuple
from types import MappingProxyType
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

from falconkit.log.jsonable import Walk, jsonable
from falconkit.log.redact import hiding
from falconkit.log.text import clean, error_text
from tests.log.hostile import (
    SPECIMENS,
    Card,
    Login,
    Plain,
    Point,
    Raises,
    Recurses,
    cycle,
    deep,
    refuse,
    values,
)


class Colour(enum.Enum):
    RED = "red"
    POINT = (1, 2)


class Level(enum.IntEnum):
    LOW = 1


class Shout(str):
    def __str__(self) -> str:
        raise RuntimeError("not this one")


class Metres(float):
    pass


@dataclasses.dataclass
class Account:
    name: str
    key: str = dataclasses.field(repr=False, default="k")


class Unset(msgspec.Struct):
    a: int | msgspec.UnsetType = msgspec.UNSET
    b: int = 2


class ByName:
    """As a class that `attrs` made looks."""

    __attrs_attrs__ = (
        namedtuple("Attribute", "name repr")("shown", True),
        namedtuple("Attribute", "name repr")("quiet", False),
    )
    shown = 1
    quiet = 2


Pair = namedtuple("Pair", "left right")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (7, 7),
        (-(2**70), -(2**70)),
        (1 << 70_000, "<an int of 70001 bits>"),
        (1.5, 1.5),
        (float("nan"), None),
        (float("inf"), None),
        (float("-inf"), None),
        (Metres(2.5), 2.5),
        ("µ😀\n", "µ😀\n"),
        ("\ud800x", "\\ud800x"),
        (Shout("loud"), "loud"),
        (b"caf\xc3\xa9\xff", "café\\xff"),
        (bytearray(b"a"), "a"),
        (memoryview(b"ab"), "ab"),
        (memoryview(b"abcd").cast("H"), "abcd"),
        (Colour.RED, "red"),
        (Colour.POINT, [1, 2]),
        (Level.LOW, 1),
        (datetime.date(2025, 1, 2), "2025-01-02"),
        (datetime.timedelta(seconds=90), "0:01:30"),
        (decimal.Decimal("1.10"), "1.10"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (pathlib.PurePosixPath("/tmp"), "/tmp"),
        (ValueError("bad", 1), "ValueError: ('bad', 1)"),
        (KeyError(), "KeyError"),
        (int, "<class 'int'>"),
        (Plain(), "<tests.log.hostile.Plain>"),
        ((1, [2]), [1, [2]]),
        (deque([1]), [1]),
        (frozenset([1]), [1]),
        (Pair(1, "b"), {"left": 1, "right": "b"}),
        (Point(1, None), {"x": 1, "y": None}),
        (Login("ann", "t"), {"userName": "ann", "accessToken": "t"}),
        (Account("ann"), {"name": "ann"}),
        (Unset(), {"b": 2}),
        (ByName(), {"shown": 1}),
        (MappingProxyType({"a": 1}), {"a": 1}),
        ({1: "a", "1": "b", None: 0, 2.5: 1}, {"1": "a", "1'": "b", "null": 0, "2.5": 1}),
        ({True: 1}, {"true": 1}),
        ({b"k": 1, (1, b"x"): 2, "\udc80": 3}, {"k": 1, "[1, 'x']": 2, "\\udc80": 3}),
        (cycle(), [1, {"again": "<cycle>"}]),
        (Raises(), "<unprintable Raises: RuntimeError>"),
        (Recurses(), "<unprintable Recurses: RecursionError>"),
        ([], []),
        ({}, {}),
    ],
    ids=lambda v: type(v).__name__,
)
def test_value(value: Any, expected: Any) -> None:
    got = jsonable(value)
    assert got == expected
    assert type(got) is type(expected)


def test_the_same_object_twice_is_no_cycle() -> None:
    one = [1]
    assert jsonable([one, one]) == [[1], [1]]


def test_depth_is_bounded() -> None:
    shown = json.dumps(jsonable(deep(100_000)), ensure_ascii=False)
    assert shown == "[" * 12 + '"…"' + "]" * 12


def test_a_list_is_bounded_and_says_how_much_is_missing() -> None:
    walk = Walk()
    shown = walk.of(list(range(5_000)))
    assert isinstance(shown, list)
    assert shown[:3] == [0, 1, 2]
    assert shown[-1] == f"…(+{5_000 - (len(shown) - 1)} more)"
    assert len(shown) == 1_000
    assert walk.cut


def test_a_dict_is_bounded_and_says_how_much_is_missing() -> None:
    walk = Walk()
    shown = walk.of({f"k{i}": None for i in range(5_000)})
    assert isinstance(shown, dict)
    assert len(shown) == 1_001
    assert shown["…"] == "+4000 more"
    assert walk.cut


def test_nodes_are_bounded_over_the_whole_value() -> None:
    walk = Walk()
    shown = walk.of([[1] * 400] * 10)
    assert walk.cut
    assert len(json.dumps(shown)) < 5_000


def test_the_bound_holds_for_the_value_of_an_enum() -> None:
    walk = Walk()
    shown = walk.of([1] * 998 + [Colour.RED])
    assert isinstance(shown, list)
    assert shown[-2:] == [1, "…"]
    assert walk.cut


def test_text_is_bounded_over_the_whole_value() -> None:
    walk = Walk()
    shown = walk.of(["é" * 19_999, "abc", "def"])
    assert walk.cut
    assert shown == ["é" * 19_999, "a…(+2 bytes)", "…(+3 bytes)"]


def test_bytes_are_bounded() -> None:
    assert jsonable(b"x" * 20_010) == "x" * 20_000 + "…(+10 bytes)"


def test_a_long_key_is_shortened() -> None:
    walk = Walk()
    assert walk.of({"k" * 201: 1, "j" * 200: 2}) == {"k" * 200 + "…": 1, "j" * 200: 2}
    assert walk.cut


def test_what_fits_is_not_cut() -> None:
    walk = Walk()
    walk.of({"a": [1, "x" * 1_000, {"b": None}]})
    assert not walk.cut
    assert not walk.redacted


def test_an_iterator_is_not_consumed() -> None:
    numbers = iter([1, 2])
    assert jsonable(numbers) == "<builtins.list_iterator>"
    assert list(numbers) == [1, 2]


def test_named_fields_are_hidden_at_any_depth() -> None:
    walk = Walk(hiding())
    shown = walk.of(
        {
            "user": "ann",
            "nested": [{"Password": "p"}, Login("ann", "t"), Card("ann", "4111")],
            "headers": [("Authorization", "Bearer x"), [b"set-cookie", "s"], ("Host", "h")],
            b"api_key": 1,
            "token": {"deep": "inside"},
        }
    )
    assert shown == {
        "user": "ann",
        "nested": [
            {"Password": "[redacted]"},
            {"userName": "ann", "accessToken": "[redacted]"},
            {"holder": "ann", "card_number": "[redacted]"},
        ],
        "headers": [
            ["Authorization", "[redacted]"],
            ["set-cookie", "[redacted]"],
            ["Host", "h"],
        ],
        "api_key": "[redacted]",
        "token": "[redacted]",
    }
    assert walk.redacted


def test_a_renamed_field_is_hidden_by_its_own_name() -> None:
    class Short(msgspec.Struct, rename={"password": "p"}):
        user: str
        password: str

    assert jsonable(Short("ann", "hush"), hides=hiding()) == {"user": "ann", "p": "[redacted]"}


@pytest.mark.parametrize("value", SPECIMENS, ids=lambda v: type(v).__name__)
def test_specimens(value: Any) -> None:
    text = json.dumps(jsonable(value), ensure_ascii=False, allow_nan=False)
    assert json.loads(text.encode("utf-8"), parse_constant=refuse) is not ...


@given(values)
@settings(max_examples=200, deadline=None)
def test_anything_becomes_json(value: Any) -> None:
    shown = jsonable(value)
    text = json.dumps(shown, ensure_ascii=False, allow_nan=False).encode("utf-8")
    assert json.loads(text, parse_constant=refuse) == shown


def test_clean_and_error_text() -> None:
    assert clean("ok") == "ok"
    assert clean("é\ud800") == "é\\ud800"

    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError

    assert error_text(Mute()) == "Mute: <unprintable: ValueError>"
    assert error_text(ValueError("no")) == "ValueError: no"
