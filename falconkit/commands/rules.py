"""``falconkit rules``: recording and alert rules for Prometheus."""

from __future__ import annotations

import argparse

from falconkit.commands.loading import load
from falconkit.commands.parser import Commands
from falconkit.dashboards import Objective, prometheus_of, published, rules, yaml


def add(commands: Commands) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "rules",
        help="recording and alert rules of an app, for Prometheus",
        epilog="Alerts go by burn rates of the error budget: see docs/dashboards.md.",
    )
    parser.add_argument("app", help="as gunicorn takes it: module:app")
    parser.add_argument(
        "--objective", type=float, default=99.9, help="so many of 100 calls are good (%(default)s)"
    )
    parser.add_argument(
        "--bad",
        type=_words,
        default=("error",),
        help="the outcomes that are not good, as in error,refused (error)",
    )
    parser.add_argument("--latency", type=float, help="seconds in which calls are answered")
    parser.add_argument(
        "--latency-objective",
        type=float,
        default=99.0,
        help="so many of 100 calls are answered by then (%(default)s)",
    )
    parser.add_argument("--job", help="Prometheus' name of the service; all jobs by default")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Print the rules.

    Raises:
        ConfigurationError: Nothing is measured, or an option cannot be used.
    """
    app = load(args.app)
    objective = Objective(
        percent=args.objective,
        bad=args.bad,
        latency=args.latency,
        latency_percent=args.latency_objective,
        job=args.job,
    )
    made = rules(published(app), prometheus_of(app), objective)
    print(yaml.text(made), end="")


def _words(text: str) -> tuple[str, ...]:
    return tuple(each.strip() for each in text.split(","))
