"""Show metrics to Performance Co-Pilot, by a file that its agent maps into memory."""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple

from falconkit.errors import ConfigurationError
from falconkit.metrics import mmv
from falconkit.metrics.distribution import Distribution
from falconkit.metrics.paths import QUANTILES
from falconkit.metrics.sample import Kind, Labels, Sample
from falconkit.metrics.tags import LONGEST_NAME, Tags

_FILE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)*")
_UNFIT: Final = re.compile(r"[\s,=]")
_UNITS: Final = {"s": mmv.SECONDS, "byte": mmv.BYTES}
_OF_HISTOGRAM: Final = ("count", "sum", *QUANTILES)


class PCP:
    """A backend that shows totals to Performance Co-Pilot, for `Metrics.add_backend`.

    It writes one file, in place as long as there are no new series, which the agent ``mmv``
    shows as ``mmv.NAME.request.count``. Labels are instances, as in ``endpoint=add,outcome=ok``. A
    histogram has ``count`` and ``sum``, and the quantiles of what was observed lately.

    >>> PCP("shop", folder="/tmp").interval
    1.0

    Args:
        name: The file's, a letter and then letters, digits and ``_``.
        folder: Where the agent looks; when None ``mmv`` in what ``PCP_TMP_DIR`` names, else
            in ``/var/lib/pcp/tmp``.
        interval: Seconds between two writes.

    Raises:
        ConfigurationError: A value cannot be used.
    """

    def __init__(
        self, name: str, *, folder: str | os.PathLike[str] | None = None, interval: float = 1.0
    ) -> None:
        if not isinstance(name, str) or not _FILE.fullmatch(name):
            raise ConfigurationError(
                f"the file's name is a letter and then letters, digits and '_', got {name!r:.200}"
            )
        if not interval > 0:
            raise ConfigurationError(f"give interval > 0, got {interval}")
        base = os.environ.get("PCP_TMP_DIR") or "/var/lib/pcp/tmp"
        self._folder = Path(base, "mmv") if folder is None else Path(folder)
        self._file = self._folder / name
        self._cluster = zlib.crc32(name.encode()) % 4095 + 1
        # PERF: 10 of 15 ms for 1,000 series are saved while there is nothing new.
        self._layout = lru_cache(maxsize=2)(partial(mmv.layout, cluster=self._cluster))
        self._tags = Tags(None, room=LONGEST_NAME + mmv.LONGEST, unfit=_UNFIT)
        self._leaves: dict[str, str] = {}
        self.name, self.interval = "pcp", interval

    def check(self, kind: Kind, name: str, labels: tuple[str, ...], /) -> None:
        """Refuse a metric that Performance Co-Pilot's tree of names has no place for.

        Raises:
            ConfigurationError: The name cannot be used, is a branch of another or has it as a
                branch; its labels do not fit; or there are too many metrics.
        """
        self._tags.check(name, labels)
        if not _NAME.fullmatch(name):
            raise ConfigurationError(
                f"Performance Co-Pilot's names are letters, digits and '_' between dots, a letter "
                f"first after each; got {name!r}"
            )
        mine = [f"{name}.{each}" for each in _OF_HISTOGRAM] if kind == "histogram" else [name]
        others = {leaf: owner for leaf, owner in self._leaves.items() if owner != name}
        for leaf in mine:
            for other, owner in others.items():
                if f"{leaf}.".startswith(f"{other}.") or f"{other}.".startswith(f"{leaf}."):
                    raise ConfigurationError(
                        f"{leaf} of {name} and {other} of {owner}: in Performance Co-Pilot no "
                        "name is both a metric and a branch; give one of them another name"
                    )
        if len(others) + len(mine) > mmv.MOST_METRICS:
            raise ConfigurationError(
                f"{name}: a file has {mmv.MOST_METRICS} metrics at most, a histogram being "
                f"{len(_OF_HISTOGRAM)} of them"
            )
        self._leaves |= dict.fromkeys(mine, name)

    def show(self, samples: Sequence[Sample], lately: Sequence[Sample], /) -> None:
        """Write the file.

        Raises:
            OSError: It cannot be written.
        """
        metrics: dict[str, _Metric] = {}
        for each in _metrics(self._tags.fitted(samples), self._tags.fitted(lately)):
            # Of another kind under the same name is what another version of the program left.
            metrics.setdefault(each.shape.name, each)
        if not metrics:
            return
        layout = self._layout(tuple(each.shape for each in metrics.values()))
        values = layout.values(number for each in metrics.values() for number in each.numbers)
        if not self._in_place(layout.head, values):
            # The agent passes over what begins with a dot, and so never sees half a file.
            draft = self._folder / f".{self._file.name}.{os.getpid()}"
            draft.write_bytes(layout.head + values)
            draft.rename(self._file)

    def close(self) -> None:
        """Nothing: the file stays, with the last totals."""

    def _in_place(self, head: bytes, values: bytes) -> bool:
        try:
            with self._file.open("r+b", buffering=0) as file:
                if file.read(len(head)) != head:
                    return False
                os.pwrite(file.fileno(), values, len(head))
                return True
        except FileNotFoundError:
            return False


class _Metric(NamedTuple):
    shape: mmv.Shape
    numbers: tuple[float, ...]


def _metrics(samples: Sequence[Sample], lately: Sequence[Sample]) -> Iterator[_Metric]:
    recent = {each.key: each for each in lately}
    ordered = sorted(samples, key=lambda each: each.key)
    for (kind, name, unit), found in groupby(ordered, key=lambda each: each.key[:3]):
        some = list(found)
        if kind == "histogram":
            news = [recent.get(each.key, Sample(each.key, Distribution())) for each in some]
            yield from _histogram(name, _UNITS.get(unit, mmv.PLAIN), some, news)
        else:
            semantics, units = (
                (mmv.COUNTER, mmv.COUNT) if kind == "counter" else (mmv.INSTANT, mmv.PLAIN)
            )
            yield _metric(name, f"The {kind} {name}.", semantics, units, some, _plain)


def _histogram(name: str, units: int, some: list[Sample], news: list[Sample]) -> Iterator[_Metric]:
    yield _metric(
        f"{name}.count", f"How often {name} was observed.", mmv.COUNTER, mmv.COUNT, some, _count
    )
    yield _metric(f"{name}.sum", f"All that {name} amounts to.", mmv.COUNTER, units, some, _sum)
    for title, q in QUANTILES.items():
        told = f"The {title} of {name} in the last interval."
        seen = _metric(f"{name}.{title}", told, mmv.INSTANT, units, news, _quantile(q))
        if seen.numbers:
            yield seen


def _metric(
    name: str,
    told: str,
    semantics: int,
    units: int,
    some: list[Sample],
    value: Callable[[Sample], float | None],
) -> _Metric:
    values = {_instance(each.labels): value(each) for each in some}
    there = {instance: number for instance, number in values.items() if number is not None}
    if len(there) > 1 and "" in there:
        there["none"] = there.pop("")  # another version of the program had no labels
    return _Metric(mmv.Shape(name, semantics, units, told, tuple(there)), tuple(there.values()))


# PERF: a histogram has six metrics of the same instances.
@lru_cache(maxsize=65536)
def _instance(labels: Labels) -> str:
    return ",".join(f"{label}={value}" for label, value in labels)


def _plain(sample: Sample) -> float | None:
    return None if isinstance(sample.value, Distribution) else sample.value


def _count(sample: Sample) -> float | None:
    return float(sample.value.count) if isinstance(sample.value, Distribution) else None


def _sum(sample: Sample) -> float | None:
    return sample.value.sum if isinstance(sample.value, Distribution) else None


def _quantile(q: float) -> Callable[[Sample], float | None]:
    return lambda each: each.value.quantile(q) if isinstance(each.value, Distribution) else None
