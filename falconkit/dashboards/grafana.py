"""A dashboard for Grafana, as its import takes it: the classic JSON model."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from string import ascii_uppercase
from typing import Any, Final

from falconkit.dashboards.panels import Panel, Row
from falconkit.dashboards.promql import PromQL
from falconkit.dashboards.queries import Query, Share
from falconkit.dashboards.targets import Targets
from falconkit.metrics.prometheus import Prometheus

_SCHEMA: Final = 39
"""Of Grafana 11; older ones read what they know, newer ones bring it up to theirs."""

_WIDTH, _HEIGHT = 12, 8
_LONGEST_UID: Final = 40

Lines = Callable[[Query], list[dict[str, Any]]]
"""Makes the targets of a query, without their letter and their source."""


def of_prometheus(title: str, rows: Sequence[Row], exposed: Prometheus) -> dict[str, Any]:
    """Return a dashboard that asks Prometheus.

    Args:
        title: The dashboard's.
        rows: Its panels.
        exposed: What the app shows to Prometheus.
    """
    ql = PromQL(exposed, select=('job=~"$job"', 'instance=~"$instance"'), window="$__rate_interval")
    # Every app has it: there is no dashboard without a measured endpoint.
    workers = rows[0].panels[0].queries[0]
    probe = re.split(r"[{(\[]", ql.of(workers).rpartition("(")[2])[0]

    def lines(query: Query) -> list[dict[str, Any]]:
        return [{"expr": ql.of(query), "legendFormat": _legend(query)}]

    variables = [
        _label_values("job", probe, "Job"),
        _label_values("instance", f'{probe}{{job=~"$job"}}', "Instance"),
    ]
    return _dashboard(title, rows, "prometheus", lines, {"seconds": "s"}, variables)


def of_graphite(title: str, rows: Sequence[Row], targets: Targets, seconds: str) -> dict[str, Any]:
    """Return a dashboard that asks Graphite.

    Args:
        title: The dashboard's.
        rows: Its panels.
        targets: Write queries.
        seconds: The unit in which Graphite has seconds: ``s`` or ``ms``.
    """

    def lines(query: Query) -> list[dict[str, Any]]:
        return [{"target": target} for target in targets.of(query)]

    return _dashboard(title, rows, "graphite", lines, {"seconds": seconds}, [])


def _legend(query: Query) -> str:
    asked = query.part if isinstance(query, Share) else query
    return " ".join([*(f"{{{{{label}}}}}" for label in asked.by), asked.legend]).strip() or (
        asked.metric.name
    )


def _dashboard(
    title: str,
    rows: Sequence[Row],
    kind: str,
    lines: Lines,
    units: Mapping[str, str],
    variables: list[dict[str, Any]],
) -> dict[str, Any]:
    source = {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": kind,
        "refresh": 1,
        "hide": 0,
        "includeAll": False,
        "multi": False,
    }
    return {
        "uid": _uid(title, kind),
        "title": title,
        "tags": ["falconkit"],
        "timezone": "browser",
        "editable": True,
        "graphTooltip": 1,
        "schemaVersion": _SCHEMA,
        "version": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [source, *variables]},
        "annotations": {"list": []},
        "links": [],
        "panels": list(_panels(rows, kind, lines, {"rate": "reqps", "share": "percentunit",
                                                   "number": "short", **units})),
    }  # fmt: skip


def _uid(title: str, kind: str) -> str:
    """Return an id that stays the same: what is imported again takes the old one's place."""
    words = re.sub(r"[^a-z0-9]+", "-", f"falconkit-{kind}-{title.lower()}").strip("-")
    return words[:_LONGEST_UID].rstrip("-")


def _label_values(name: str, series: str, label: str) -> dict[str, Any]:
    query = f"label_values({series}, {name})"
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "definition": query,
        "query": {"query": query, "refId": "StandardVariableQuery"},
        "refresh": 2,
        "sort": 1,
        "hide": 0,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _panels(
    rows: Sequence[Row], kind: str, lines: Lines, units: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    source = {"type": kind, "uid": "${datasource}"}
    number, y = 0, 0
    for row in rows:
        drawn = [(panel, found) for panel in row.panels if (found := _found(panel, lines))]
        if not drawn:
            continue
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "panels": [],
            "gridPos": {"x": 0, "y": y, "w": 2 * _WIDTH, "h": 1},
        }
        y += 1
        for at, (panel, found) in enumerate(drawn):
            number += 1
            place = {"x": _WIDTH * (at % 2), "y": y + _HEIGHT * (at // 2)}
            yield {
                "id": number,
                "gridPos": {**place, "w": _WIDTH, "h": _HEIGHT},
                **_drawn(panel, found, source, units[panel.unit]),
            }
        y += _HEIGHT * ((len(drawn) + 1) // 2)


def _found(panel: Panel, lines: Lines) -> list[dict[str, Any]]:
    return [line for query in panel.queries for line in lines(query)]


def _drawn(
    panel: Panel, lines: Sequence[dict[str, Any]], source: Mapping[str, str], unit: str
) -> dict[str, Any]:
    bounds = {"min": 0, "max": 1} if panel.unit == "share" else {"min": 0}
    return {
        "type": "timeseries",
        "title": panel.title,
        "description": panel.help,
        "datasource": source,
        "fieldConfig": {
            "defaults": {
                "unit": unit,
                **bounds,
                "custom": {"drawStyle": "line", "fillOpacity": 10, "showPoints": "never"},
            },
            "overrides": [],
        },
        "options": {
            "legend": {
                "showLegend": True,
                "displayMode": "table",
                "placement": "bottom",
                "calcs": ["lastNotNull", "max"],
            },
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": [
            {"refId": _letters(at), "datasource": source, **line} for at, line in enumerate(lines)
        ],
    }


def _letters(at: int) -> str:
    """Return the name of a target as Grafana counts: A to Z, then AA.

    >>> _letters(0), _letters(25), _letters(26)
    ('A', 'Z', 'AA')
    """
    tens, ones = divmod(at, len(ascii_uppercase))
    return (_letters(tens - 1) if tens else "") + ascii_uppercase[ones]
