"""Packages that only one part needs."""

from __future__ import annotations

import importlib
from typing import Any

from falconkit.errors import ConfigurationError


def need(extra: str, package: str, *more: str) -> Any:
    """Import the package of a part, and return its topmost module.

    >>> need("dns", "no_such_package")
    Traceback (most recent call last):
    falconkit.errors.ConfigurationError: no_such_package is missing: pip install 'falconkit[dns]'

    Args:
        extra: The extra of falconkit that brings it.
        package: The module to import.
        *more: Further modules of it.

    Raises:
        ConfigurationError: It is not installed; the message names the extra.
    """
    top = package.partition(".")[0]
    try:
        for name in (package, *more):
            importlib.import_module(name)
        return importlib.import_module(top)
    except ImportError as error:
        raise ConfigurationError(f"{top} is missing: pip install 'falconkit[{extra}]'") from error
