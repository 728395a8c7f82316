"""``falconkit env``: what the environment asks for."""

from __future__ import annotations

import argparse

from falconkit.commands.parser import Commands
from falconkit.settings import Settings


def add(commands: Commands) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "env", help="every environment variable: its present value and meaning"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Print the table.

    Raises:
        ConfigurationError: A variable cannot be used.
    """
    rows = Settings.from_env().table()
    wide = [max(len(row[at]) for row in rows) for at in (0, 1)]
    for name, value, meaning in rows:
        print(f"{name:{wide[0]}}  {value:{wide[1]}}  {meaning}")
