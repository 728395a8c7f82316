"""The path of a metric's series, found by asking the rule that makes paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from falconkit.dashboards.published import Metric
from falconkit.errors import ConfigurationError
from falconkit.metrics.paths import NameOf


class Path:
    """A path with a ``*`` for every label that is not given.

    The rule is asked with letters in place of what is open, and so says where they go.

    >>> from falconkit.metrics.paths import dotted
    >>> count = Metric("counter", "request.count", ("endpoint", "outcome"))
    >>> Path(dotted, count, {"endpoint": ("add", "get")}).text
    'request.count.{add,get}.*'
    >>> Path(dotted, count, {}).text
    'request.count'

    Args:
        rule: How labels reach a path.
        metric: Whose.
        given: Labels, each with its values.
        wanted: Labels that the path is to tell apart, if it can.

    Attributes:
        text: The path.

    Raises:
        ConfigurationError: The rule makes tags of labels.
    """

    def __init__(
        self,
        rule: NameOf,
        metric: Metric,
        given: Mapping[str, Sequence[str]],
        wanted: Sequence[str] = (),
    ) -> None:
        self._rule, self._metric = rule, metric
        self._marks = {label: f"Any{at}Value" for at, label in enumerate(metric.labels)}
        needed = {*given, *wanted}
        paths = self._named({})
        self._at = max(range(len(paths)), key=lambda at: self._fits(paths[at], needed))
        self._marked = paths[self._at]
        if ";" in self._marked:
            raise ConfigurationError(
                f"the paths of {metric.name} have tags, as in {self._marked!r}, for which no "
                "dashboard is written: send by paths.dotted, or by a rule of your own"
            )
        text = self._marked
        for label, mark in self._marks.items():
            text = text.replace(mark, self._spelt(label, given.get(label, ())))
        self.text = text

    def tells(self, label: str) -> bool:
        """Tell whether the label's value is in the path."""
        return self._marks[label] in self._marked

    def nodes(self, labels: Sequence[str], series: str) -> list[int]:
        """Return at which places of ``series``, counted by dots, the open labels are.

        Args:
            labels: Which.
            series: The path with whatever a store put around it.
        """
        first = series.rpartition("(")[2].partition(self.text)[0].count(".")
        nodes, shown = self._marked.split("."), self.text.split(".")
        places = [nodes.index(self._marks[each]) for each in labels if self._marks[each] in nodes]
        return [first + at for at in places if shown[at] == "*"]

    def _named(self, values: Mapping[str, str]) -> list[str]:
        labels = {**self._marks, **values}
        return list(self._rule(self._metric.name, tuple(labels.items())))

    def _fits(self, path: str, needed: set[str]) -> tuple[int, int]:
        there = {label for label, mark in self._marks.items() if mark in path}
        return len(there & needed), -len(there)

    def _spelt(self, label: str, values: Sequence[str]) -> str:
        """Return values as the rule spells them: the dots of a value are no nodes."""
        if not values:
            return "*"
        before, _, after = self._marked.partition(self._marks[label])
        paths = [self._named({label: value})[self._at] for value in values]
        spelt = list(dict.fromkeys(path[len(before) : len(path) - len(after)] for path in paths))
        return spelt[0] if len(spelt) == 1 else f"{{{','.join(spelt)}}}"
