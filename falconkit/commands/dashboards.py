"""``falconkit dashboards grafana|graphite``: a dashboard of what an app publishes."""

from __future__ import annotations

import argparse
import json
from typing import Any

from falconkit.commands.loading import load
from falconkit.commands.parser import Commands
from falconkit.dashboards import (
    grafana,
    graphite,
    graphite_of,
    prometheus_of,
    published,
    rows,
    source_of,
)
from falconkit.dashboards.stores import LEGACY
from falconkit.errors import ConfigurationError
from falconkit.transport.http import App

_EPILOG = "docs/dashboards.md says how each is imported."


def add(commands: Commands) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "dashboards", help="a dashboard of an app, for Grafana or Graphite", epilog=_EPILOG
    )
    kinds = parser.add_subparsers(dest="kind", required=True)
    for kind, sources in (
        ("grafana", ("prometheus", "statsd", "graphite")),
        ("graphite", ("statsd", "graphite")),
    ):
        one = kinds.add_parser(kind, help=f"as JSON that {kind} imports", epilog=_EPILOG)
        one.add_argument("app", help="as gunicorn takes it: module:app")
        one.add_argument(
            "--source",
            choices=sources,
            help="where the numbers are asked for; the first of these by which the app publishes",
        )
        one.add_argument("--title", help="the dashboard's; the module's name by default")
        one.add_argument(
            "--prefix", help="of Graphite's paths; the backend's by default, * is every host"
        )
        one.add_argument(
            "--namespace",
            default=LEGACY,
            help="StatsD's: legacy (its default), or its globalPrefix with legacyNamespace: false",
        )
        one.add_argument(
            "--percentiles",
            default=(90.0,),
            type=_percentiles,
            help="StatsD's percentThreshold, as in 90,99",
        )
        one.add_argument(
            "--no-gunicorn",
            dest="gunicorn",
            action="store_false",
            help="it is not served with python:falconkit.server.gunicorn",
        )
        one.set_defaults(run=run, sources=sources)


def run(args: argparse.Namespace) -> None:
    """Print the dashboard.

    Raises:
        ConfigurationError: There is nothing to draw, or an option cannot be used.
    """
    app = load(args.app)
    print(json.dumps(_made(app, args), indent=2))


def _made(app: App, args: argparse.Namespace) -> dict[str, Any]:
    title = args.title or args.app.partition(":")[0].partition(".")[0]
    source = args.source or source_of(app, args.sources)
    drawn = rows(published(app, gunicorn=args.gunicorn))
    if source == "prometheus":
        if args.prefix is not None:
            raise ConfigurationError(
                f"--prefix={args.prefix!r}: Prometheus is asked by the app's own names; "
                "--source statsd or graphite has paths"
            )
        return grafana.of_prometheus(title, drawn, prometheus_of(app))
    targets, seconds = graphite_of(
        app,
        source,
        prefix=args.prefix,
        namespace=args.namespace,
        percentiles=args.percentiles,
    )
    write = grafana.of_graphite if args.kind == "grafana" else graphite.dashboard
    return write(title, drawn, targets, seconds)


def _percentiles(text: str) -> tuple[float, ...]:
    return tuple(float(each) for each in text.split(","))
