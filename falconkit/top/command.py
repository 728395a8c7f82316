"""``falconkit top URL``."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from falconkit.errors import ConfigurationError
from falconkit.extras import need
from falconkit.top.ask import Ask

_LARGEST_TOKEN: Final = 4096
_FASTEST, _SLOWEST = 0.1, 3600.0


def add(commands: Any) -> None:
    """Add the command to the subcommands of ``falconkit``."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "top",
        help="what a service does now, in the terminal",
        description="Shows what a service does now: rates, latencies, limiters, breakers, "
        "instances, workers, errors. It asks for /debug/state, with DEBUG_TOKEN if that is set.",
    )
    parser.add_argument("url", help="the service's: http://127.0.0.1:8000")
    parser.add_argument("--token-file", metavar="FILE", help="a file that holds the token")
    parser.add_argument(
        "--every", type=_seconds, default=1.0, metavar="SECONDS", help="between two looks (1)"
    )
    parser.add_argument("--once", action="store_true", help="print it once, without colours")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command; returns its exit status."""
    try:
        show = _needs_rich()
        ask = Ask(args.url, token(args.token_file, os.environ))
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 1
    try:
        status: int = show.show(ask, every=args.every, once=args.once)
    except BrokenPipeError:
        # Whoever read it has seen enough; Python would complain again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        ask.close()
    return status


def token(file: str | None, environ: Mapping[str, str]) -> str:
    """Return the token: a file's first line, else ``DEBUG_TOKEN``; "" for none.

    There is no argument for it: every user of the machine can read those.

    >>> token(None, {"DEBUG_TOKEN": "correct horse battery"})
    'correct horse battery'

    Raises:
        ConfigurationError: It cannot be read, or cannot be sent.
    """
    if file is None:
        where, found = "DEBUG_TOKEN", environ.get("DEBUG_TOKEN", "").strip()
    else:
        where = f"--token-file {file}"
        try:
            with Path(file).open(encoding="utf-8") as lines:
                found = lines.readline(_LARGEST_TOKEN + 1).strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{where} cannot be read: {error}") from error
        if not found:
            raise ConfigurationError(f"{where} is empty: its first line is to be the token")
    if len(found) > _LARGEST_TOKEN or not (found.isascii() and found.isprintable()):
        raise ConfigurationError(
            f"{where} holds no token: it has to be up to {_LARGEST_TOKEN} characters of ASCII"
        )
    return found


def _seconds(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not _FASTEST <= found <= _SLOWEST:
        raise argparse.ArgumentTypeError(
            f"{text!r}: give seconds from {_FASTEST:g} to {_SLOWEST:g}"
        )
    return found


def _needs_rich() -> Any:
    need("top", "rich")
    return importlib.import_module("falconkit.top.show")
