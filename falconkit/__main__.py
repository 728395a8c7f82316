"""The command line: ``falconkit COMMAND``, each of them in `falconkit.commands`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from falconkit.commands import dashboards, env, rules
from falconkit.errors import ConfigurationError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, or 1 for what cannot be used."""
    parser = argparse.ArgumentParser(
        prog="falconkit", description="Tells what a falconkit service would do here."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for each in (env, dashboards, rules):
        each.add(commands)
    args = parser.parse_args(argv)
    try:
        args.run(args)
    except ConfigurationError as ex:
        print(ex, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
