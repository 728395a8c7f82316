from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from falconkit.arena import Arena
from falconkit.metrics import Metrics
from falconkit.testing.conform_metrics import LAWS, Arrived, Subject
from tests.metrics.benches import BENCHES


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("bench", BENCHES)
def test_law(bench: str, law: Callable[[Subject], None], tmp_path: Path) -> None:
    with BENCHES[bench](tmp_path / "run") as subject:
        law(subject)


def constant(value: float | None) -> Callable[[float], float | None]:
    return lambda q: value


BROKEN = {
    "nothing arrives": Arrived({}, {}, {}, {"conform.seconds": constant(None)}),
    "wrong values": Arrived(
        {"conform.counter": 1, "conform.labels": 1, "conform.hostile": 7, "forged": 1},
        {"conform.gauge": 3.0},
        {"conform.seconds": 12_344},
        {"conform.seconds": constant(0.3), "conform.empty": constant(-1.0)},
    ),
}


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_a_law_sees_a_backend_that_breaks_it(
    law: Callable[[Subject], None], broken: str, arena: Arena
) -> None:
    if (broken, law.__name__) == ("nothing arrives", "nothing_is_told_of_what_was_not_observed"):
        return
    subject = Subject(Metrics(arena=arena), lambda: BROKEN[broken], lambda name, labels: name)
    with pytest.raises(AssertionError):
        law(subject)
