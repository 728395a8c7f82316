import datetime
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconkit.log.stamp import Stamp


@given(st.lists(st.integers(0, 4_000_000_000_000_000), min_size=1, max_size=5))
def test_it_is_the_moment_in_utc(micros: list[int]) -> None:
    stamp = Stamp()
    for at in micros:
        text = stamp.of(at / 1e6)
        assert len(text) == 27
        assert text.endswith("Z")
        gone = datetime.datetime.fromisoformat(text) - datetime.datetime.fromtimestamp(
            0, datetime.UTC
        )
        assert abs(gone // datetime.timedelta(microseconds=1) - at) <= 1


def test_seconds_change() -> None:
    stamp = Stamp()
    assert [stamp.of(s) for s in (1.5, 1.75, 2.0, 1.25)] == [
        "1970-01-01T00:00:01.500000Z",
        "1970-01-01T00:00:01.750000Z",
        "1970-01-01T00:00:02.000000Z",
        "1970-01-01T00:00:01.250000Z",
    ]


@pytest.mark.parametrize("beyond", [float("nan"), float("inf"), 1e20, -1e20])
def test_a_moment_beyond_the_calendar_does_no_harm(beyond: float) -> None:
    assert Stamp().of(beyond) == "1970-01-01T00:00:00.000000Z"


def test_threads_do_not_mix_seconds() -> None:
    stamp, wrong = Stamp(), []

    def write(second: int) -> None:
        expected = (
            datetime.datetime.fromtimestamp(second, datetime.UTC).isoformat()[:19] + ".000000Z"
        )
        wrong.extend(text for _ in range(500) if (text := stamp.of(second)) != expected)

    threads = [threading.Thread(target=write, args=(n * 1_000,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
