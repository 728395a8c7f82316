"""What CloudWatch takes, whichever way it comes there."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from falconkit.errors import ConfigurationError
from falconkit.metrics.tags import Tags

UNITS: Final = {"s": "Seconds", "byte": "Bytes"}
"""CloudWatch's names of the units of histograms; others have none."""

UNFIT: Final = re.compile(r"[^ -~]|^ +")
"""What becomes ``_`` in a dimension's value, which is ASCII and no mere space."""

_NAMESPACE: Final = re.compile(r"[A-Za-z0-9_./#:-]{1,255}")


def check_namespace(namespace: str) -> None:
    """Refuse a namespace that CloudWatch would.

    Raises:
        ConfigurationError: It cannot be used.
    """
    if not isinstance(namespace, str) or not _NAMESPACE.fullmatch(namespace):
        raise ConfigurationError(
            "CloudWatch's namespace is 1 to 255 letters, digits and any of . - _ / # :, "
            f"got {namespace!r:.300}"
        )
    if namespace.startswith(":"):
        raise ConfigurationError(f"CloudWatch's namespace begins with no ':', got {namespace!r}")
    if namespace.startswith("AWS/"):
        raise ConfigurationError(f"namespaces AWS/... are Amazon's own, got {namespace!r}")


def check_dimensions(
    tags: Tags, name: str, labels: tuple[str, ...], *, most: int, by: str
) -> list[str]:
    """Return the dimensions of a metric, the constant ones first.

    Args:
        tags: Have the constant ones.
        name: The metric's.
        labels: The names of its labels.
        most: How many there may be.
        by: What takes no more.

    Raises:
        ConfigurationError: There are too many, or one is there twice.
    """
    tags.check(name, labels)
    every = [*dict(tags.constant), *labels]
    if len(every) > most:
        raise ConfigurationError(
            f"{name} has {len(every)} dimensions, {most} are the most that {by} takes: {every}"
        )
    return every


@lru_cache(maxsize=4096)
def shown(value: float) -> str:
    """Write one of a histogram's values, of which there are few thousand, in JSON.

    >>> shown(0.0123456789), shown(0.0)
    ('0.0123457', '0')
    """
    return f"{value:.6g}"
