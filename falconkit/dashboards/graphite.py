"""A dashboard for graphite-web, as its ``/dashboard/save`` takes it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlencode

from falconkit.dashboards.panels import Panel, Row
from falconkit.dashboards.targets import Targets

_SIZE: Final = {"width": 586, "height": 308}
_TIMES: Final = {"from": "-1hours", "until": "now"}
_UNITS: Final = {"rate": "calls/s", "share": "share of 1", "number": ""}


def dashboard(title: str, rows: Sequence[Row], targets: Targets, seconds: str) -> dict[str, Any]:
    """Return the state of a dashboard.

    Args:
        title: The dashboard's name.
        rows: Its panels.
        targets: Write queries.
        seconds: The unit in which Graphite has seconds: ``s`` or ``ms``.
    """
    made = (
        _graph(row, panel, targets, {**_UNITS, "seconds": seconds}[panel.unit])
        for row in rows
        for panel in row.panels
    )
    return {
        "name": title,
        "timeConfig": {
            "type": "relative",
            "relativeStartQuantity": "1",
            "relativeStartUnits": "hours",
            "relativeUntilQuantity": "",
            "relativeUntilUnits": "now",
            "startDate": "1970-01-01T00:00:00",
            "startTime": "9:00 AM",
            "endDate": "1970-01-01T00:00:00",
            "endTime": "5:00 PM",
        },
        "refreshConfig": {"enabled": True, "interval": 60000},
        "graphSize": _SIZE,
        "defaultGraphParams": {**_TIMES, **_SIZE},
        "graphs": [graph for graph in made if graph is not None],
    }


def _graph(row: Row, panel: Panel, targets: Targets, unit: str) -> list[Any] | None:
    found = [target for query in panel.queries for target in targets.of(query)]
    if not found:
        return None
    params: dict[str, Any] = {
        "title": f"{row.title}: {panel.title}",
        "target": found,
        "yMin": "0",
        "lineMode": "connected",
        **({"vtitle": unit} if unit else {}),
        **({"yMax": "1"} if panel.unit == "share" else {}),
    }
    # The page's own notation: how it knows the graph, its parameters, what draws it.
    return [json.dumps(found), params, "/render?" + urlencode({**_SIZE, **params}, doseq=True)]
