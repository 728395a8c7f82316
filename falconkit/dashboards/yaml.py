"""YAML of what JSON can say, as people write it: Prometheus' rule files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

_BARE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_WORDS: Final = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def text(value: Any) -> str:
    r"""Return ``value`` as a YAML document.

    >>> print(text({"groups": [{"name": "a", "rules": [{"expr": 'b{c="d"}'}]}]}), end="")
    groups:
      - name: a
        rules:
          - expr: "b{c=\"d\"}"
    """
    return "".join(f"{line}\n" for line in _lines(value))


def _lines(value: Any) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for name, each in value.items():
            yield from _entry(f"{_scalar(name)}:", each)
    elif isinstance(value, list) and value:
        for each in value:
            first, *rest = _lines(each)
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)
    else:
        yield _scalar(value)


def _entry(head: str, value: Any) -> Iterator[str]:
    if isinstance(value, (dict, list)) and value:
        yield head
        yield from (f"  {line}" for line in _lines(value))
    else:
        yield f"{head} {_scalar(value)}"


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _BARE.fullmatch(value) and value.lower() not in _WORDS:
        return value
    # Every JSON scalar is one of YAML, too.
    return json.dumps(value, ensure_ascii=False)
