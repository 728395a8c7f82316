"""The command line: ``falconkit env`` prints what the environment asks for, ``top`` watches."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from falconkit.errors import ConfigurationError
from falconkit.settings import Settings
from falconkit.top import command as top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, or 1 for a bad environment."""
    parser = argparse.ArgumentParser(
        prog="falconkit", description="Tells what a falconkit service would do here."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("env", help="every environment variable: its present value and meaning")
    top.add_to(commands)
    args = parser.parse_args(argv)
    if "run" in args:
        return int(args.run(args))
    try:
        rows = Settings.from_env().table()
    except ConfigurationError as ex:
        print(ex, file=sys.stderr)
        return 1
    wide = [max(len(row[at]) for row in rows) for at in (0, 1)]
    for name, value, meaning in rows:
        print(f"{name:{wide[0]}}  {value:{wide[1]}}  {meaning}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
