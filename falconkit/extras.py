"""Packages that only one part needs."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from falconkit.errors import ConfigurationError


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Name the extra that brings what is imported within.

    >>> with needing("dns"):
    ...     import no_such_package
    Traceback (most recent call last):
    falconkit.errors.ConfigurationError: no_such_package is missing: pip install 'falconkit[dns]'

    Args:
        extra: The extra of falconkit that brings it.

    Raises:
        ConfigurationError: It cannot be imported; the message names the extra.
    """
    try:
        yield
    except ImportError as error:
        # An installed package of another version than the extra's has other names in it.
        missing = isinstance(error, ModuleNotFoundError)
        what = f"{error.name} is missing" if missing else str(error)
        raise ConfigurationError(f"{what}: pip install 'falconkit[{extra}]'") from error


def need(extra: str, package: str, *more: str) -> Any:
    """Import a package that has no types, or is not read by name; return its topmost module.

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
    with needing(extra):
        for name in (package, *more):
            importlib.import_module(name)
        return importlib.import_module(top)
