"""The command line: ``falconkit COMMAND``, each of them in `falconkit.commands`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from falconkit.commands import dashboards, env, rules
from falconkit.errors import ConfigurationError
from falconkit.top import command as top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, or 1 for what cannot be used."""
    parser = argparse.ArgumentParser(
        prog="falconkit", description="Tells what a falconkit service would do here."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for each in (env, dashboards, rules, top):
        each.add(commands)
    args = parser.parse_args(argv)
    try:
        return int(args.run(args) or 0)
    except ConfigurationError as ex:
        print(ex, file=sys.stderr)
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
