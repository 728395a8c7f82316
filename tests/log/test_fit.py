import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from falconkit.log.fit import cut_text, fit, shorten
from falconkit.log.jsonable import jsonable
from tests.log.hostile import values


def render(fields: dict[str, Any]) -> bytes:
    return msgspec.json.encode(fields) + b"\n"


def fitted(fields: dict[str, Any], limit: int = 4_096) -> dict[str, Any]:
    line = fit(fields, limit, render)
    assert len(line) < limit
    read = json.loads(line)
    assert isinstance(read, dict)
    return read


def test_what_fits_is_left_as_it_is() -> None:
    fields = {"a": "x" * 4_085}
    assert len(render(fields)) == 4_094
    assert fitted(fields) == fields
    fields["a"] += "x"
    assert len(render(fields)) == 4_095
    assert fitted(fields) == fields
    fields["a"] += "x"
    assert fitted(fields)["truncated"] is True


def test_the_largest_is_cut_and_the_others_stay() -> None:
    read = fitted({"message": "m" * 500, "value": "v" * 50_000, "other": "o" * 500})
    assert read["message"] == "m" * 500
    assert read["other"] == "o" * 500
    kept, mark = read["value"].split("…")
    assert mark == f"(+{50_000 - len(kept)} bytes)"
    assert len(kept) > 2_900
    assert read["truncated"] is True


def test_two_large_ones_share() -> None:
    read = fitted({"a": "a" * 9_000, "b": "b" * 3_000, "c": "c"})
    assert 1_900 < len(read["a"]) < 2_100
    assert abs(len(read["a"]) - len(read["b"])) <= 2
    assert read["c"] == "c"


def test_bytes_are_counted_not_characters_and_none_is_split() -> None:
    read = fitted({"a": "😀" * 5_000})
    kept, mark = read["a"].split("…")
    assert set(kept) == {"😀"}
    assert mark == f"(+{(5_000 - len(kept)) * 4} bytes)"


def test_escapes_count_as_what_they_take() -> None:
    assert len(fitted({"a": "\x00" * 3_000})["a"]) < 700


def test_a_traceback_keeps_both_ends() -> None:
    trace = "Traceback\n" + "  File x\n" * 2_000 + "ValueError: the end"
    read = fitted({"exc_info": trace})
    assert read["exc_info"].startswith("Traceback\n")
    assert read["exc_info"].endswith("ValueError: the end")
    assert " bytes)…" in read["exc_info"]


def test_a_mark_of_before_is_counted_on() -> None:
    earlier = "x" * 9_000 + "…(+1000 bytes)"
    kept, mark = fitted({"a": earlier})["a"].split("…")
    assert mark == f"(+{10_000 - len(kept)} bytes)"


def test_a_large_object_keeps_its_shape() -> None:
    read = fitted({"request": {"id": 7, "text": "t" * 9_000, "tags": ["a" * 9_000, "b"]}})
    assert read["request"]["id"] == 7
    assert read["request"]["tags"][1] == "b"
    assert len(read["request"]["text"]) > 1_900


def test_a_long_list_says_how_many_are_missing() -> None:
    read = fitted({"request": list(range(5_000))})
    *numbers, last = read["request"]
    assert numbers == list(range(len(numbers)))
    assert last == f"…(+{5_000 - len(numbers)} more)"
    assert len(numbers) > 700


def test_a_wide_object_says_how_many_are_missing() -> None:
    read = fitted({"request": {f"k{i}": i for i in range(2_000)}})
    rest = read["request"].pop("…")
    assert rest == f"+{2_000 - len(read['request'])} more"
    assert len(read["request"]) > 250


def test_the_first_fields_stay_when_there_are_too_many() -> None:
    read = fitted({"ts": "now", "level": "info"} | {f"f{i}": "x" * 90 for i in range(500)})
    assert read["ts"] == "now"
    assert read["level"] == "info"
    assert read["truncated"] is True
    assert "…" in read


def test_a_format_that_needs_more_room_than_json_fits_too() -> None:
    def wasteful(fields: dict[str, Any]) -> bytes:
        return json.dumps(json.dumps(json.dumps(fields))).encode()

    assert len(fit({"a": {"b": '"' * 3_000}, "c": 1}, 1_000, wasteful)) < 1_000


def test_the_last_resort_keeps_what_there_is_room_for() -> None:
    def padded(fields: dict[str, Any]) -> bytes:
        return render(fields) + b" " * (150 * len(fields))

    line = fit({f"f{i}": i for i in range(9)}, 600, padded)
    assert json.loads(line) == {"truncated": True, "f0": 0, "f1": 1}


def test_small_values_are_never_cut() -> None:
    assert shorten("x" * 38, 1) == "x" * 38
    assert shorten(1.5, 1) == 1.5
    assert len(str(shorten("x" * 39, 1))) < 39


@given(st.text(max_size=300), st.integers(40, 200), st.booleans())
def test_cut_text_says_the_truth(text: str, budget: int, middle: bool) -> None:
    text = text.replace("…", "") + "." * 300
    cut = cut_text(text, budget, middle=middle)
    assert len(msgspec.json.encode(cut)) <= budget
    head, mark, *tail = cut.split("…")
    end = tail[0] if tail else ""
    assert text.startswith(head)
    assert text.endswith(end)
    lost = len(text.encode()) - len(head.encode()) - len(end.encode())
    assert mark == f"(+{lost} bytes)"


@pytest.mark.parametrize("limit", [200, 4_096, 10_000])
@given(fields=st.dictionaries(st.text(max_size=20), values, max_size=8))
@settings(max_examples=60, deadline=None)
def test_anything_fits(limit: int, fields: dict[str, Any]) -> None:
    safe = jsonable(fields)
    assert isinstance(safe, dict)
    fitted(safe, limit)
