"""Recording and alert rules for Prometheus: is an endpoint's error budget spent too fast?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from falconkit.dashboards.promql import matcher
from falconkit.dashboards.published import SERVED, Published, routed
from falconkit.dashboards.slo import BURNS, WINDOWS, Burn, budget
from falconkit.errors import ConfigurationError
from falconkit.metrics.exposition import number
from falconkit.metrics.prometheus import Prometheus

OUTCOMES: Final = ("ok", "failed", "refused", "invalid", "error")
_GOOD: Final = ("ok", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What a service promises of its endpoints.

    Attributes:
        percent: So many of 100 calls are answered well.
        bad: The outcomes that are not. A refusal (``refused``) and what could not be
            read (``invalid``) are neither good nor bad unless they are named here.
        latency: Seconds in which calls are answered, a bound of the histogram's buckets;
            None when nothing is promised of it.
        latency_percent: So many of 100 calls are answered by then.
        job: Prometheus' name of the service; when None, each job has alerts of its own.
    """

    percent: float = 99.9
    bad: tuple[str, ...] = ("error",)
    latency: float | None = None
    latency_percent: float = 99.0
    job: str | None = None

    def __post_init__(self) -> None:
        if not self.bad or not set(self.bad) <= {*OUTCOMES} - {"ok"}:
            raise ConfigurationError(
                f"bad outcomes are some of {', '.join(OUTCOMES[1:])}, got {self.bad!r}"
            )


def rules(of: Published, exposed: Prometheus, objective: Objective) -> dict[str, Any]:
    """Return the rules of an app, as Prometheus' rule file has them.

    Args:
        of: What the app publishes.
        exposed: What the app shows to Prometheus.
        objective: What is promised.

    Raises:
        ConfigurationError: Nothing that is served is measured, or an objective cannot be kept
            watch over.
    """
    endpoints = [each.name for each in routed(of.measured.get(SERVED, ()))]
    if not endpoints:
        raise ConfigurationError(
            f"no endpoint that is served is measured as {SERVED}.count: put measure(metrics) "
            "into the chain of one"
        )
    select = [matcher("job", [objective.job])] if objective.job else []
    select.append(matcher("endpoint", sorted(endpoints)))
    told = [_errors(of, exposed, objective, select)]
    if objective.latency is not None:
        told.append(_slowness(of, exposed, objective, objective.latency, select))
    return {"groups": [group for each in told for group in each.groups()]}


@dataclass(frozen=True, slots=True)
class _Indicator:
    """The share of calls that are not as promised.

    Attributes:
        name: For the names of groups and alerts.
        series: For the name of what is recorded.
        share: Its expression, with ``[W]`` for the window.
        percent: The objective.
        promise: It, for people.
    """

    name: str
    series: str
    share: str
    percent: float
    promise: str

    def groups(self) -> Iterator[dict[str, Any]]:
        most = budget(self.percent)
        yield {
            "name": f"falconkit-{self.name.lower()}-ratios",
            "rules": [
                {"record": self._recorded(window), "expr": self.share.replace("[W]", f"[{window}]")}
                for window in WINDOWS
            ],
        }
        yield {
            "name": f"falconkit-{self.name.lower()}-burn",
            "rules": [
                self._alert(severity, [each for each in BURNS if each.severity == severity], most)
                for severity in dict.fromkeys(each.severity for each in BURNS)
            ],
        }

    def _recorded(self, window: str) -> str:
        return f"job_endpoint:{self.series}:ratio_rate{window}"

    def _alert(self, severity: str, burns: Sequence[Burn], share: float) -> dict[str, Any]:
        said = " or ".join(
            f"{float(100 * each.spent):g} % in {each.long} ({each.rate:g} times too fast)"
            for each in burns
        )
        return {
            "alert": f"{self.name}BudgetBurn",
            "expr": " or ".join(self._burning(each, share) for each in burns),
            "labels": {"severity": severity},
            "annotations": {
                "summary": "{{ $labels.endpoint }} of {{ $labels.job }} spends its "
                f"{self.name.lower()} budget too fast",
                "description": f"Promised: {self.promise}. At least {said} of the budget of "
                "30 days is being spent; now {{ $value | humanizePercentage }} of the calls "
                "are not as promised.",
            },
        }

    def _burning(self, burn: Burn, share: float) -> str:
        most = f"({burn.rate:g} * {share:.10g})"
        long, short = self._recorded(burn.long), self._recorded(burn.short)
        return f"({long} > {most} and {short} > {most})"


def _errors(
    of: Published, exposed: Prometheus, objective: Objective, select: Sequence[str]
) -> _Indicator:
    count = of.metrics[f"{SERVED}.count"]
    name = exposed.exposed(count.kind, count.name)
    judged = [each for each in OUTCOMES if each in (*_GOOD, *objective.bad)]
    bad = _rate(f"{name}_total", [*select, matcher("outcome", objective.bad)])
    every = _rate(f"{name}_total", [*select, matcher("outcome", judged)])
    return _Indicator(
        "Error",
        f"{name}_bad",
        # Before the first bad call there is no series of bad ones: that is none, not unknown.
        f"({bad} or {every} * 0) / ({every} > 0)",
        objective.percent,
        f"{objective.percent:g} % of calls end in none of: {', '.join(objective.bad)}",
    )


def _slowness(
    of: Published, exposed: Prometheus, objective: Objective, latency: float, select: Sequence[str]
) -> _Indicator:
    seconds = of.metrics[f"{SERVED}.seconds"]
    bounds = exposed.bounds(seconds.name, seconds.unit)
    if latency not in bounds:
        raise ConfigurationError(
            f"calls under {latency:g} s are not counted: the latency is one of the buckets' "
            f"bounds, which are {', '.join(f'{each:g}' for each in bounds)}"
        )
    name = exposed.exposed(seconds.kind, seconds.name)
    quick = _rate(f"{name}_bucket", [*select, matcher("le", [number(latency)])])
    return _Indicator(
        "Latency",
        f"{name}_slow",
        f"1 - {quick} / ({_rate(f'{name}_count', select)} > 0)",
        objective.latency_percent,
        f"{objective.latency_percent:g} % of calls take at most {latency:g} s",
    )


def _rate(series: str, select: Sequence[str]) -> str:
    return f"sum by (job, endpoint) (rate({series}{{{','.join(select)}}}[W]))"
