"""Decide by a field's name whether its value may be seen in a log."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable

from falconkit.errors import ConfigurationError

NAMES = (
    "password passwords passwd passphrase pwd secret secrets authorization cookie cookies token "
    "api_key apikey access_key secret_key private_key signing_key encryption_key credential "
    "credentials session_id sessionid csrf xsrf jwt otp pin ssn cvv cvc card_number "
    "accesstoken refreshtoken authtoken idtoken bearer"
)
"""The names that are hidden in any case, without regard to case and to ``_``, ``-`` and ``.``."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W_A-Za-z0-9]+")
_LONGEST_NAME = 64
_MOST_WORDS = 12


def hiding(names: Iterable[str] = ()) -> Callable[[str], bool]:
    """Return what tells whether a field of some name is to be hidden.

    A field is hidden when a hidden name stands in its own as whole words:
    ``token`` hides ``access_token``, ``refreshToken``, ``HTTP_X_TOKEN`` and
    ``token-2``, but neither ``tokens_used`` nor ``broken``.

    >>> hides = hiding(["iban"])
    >>> [name for name in ("iban", "Customer-IBAN", "setCookie", "v") if hides(name)]
    ['iban', 'Customer-IBAN', 'setCookie']

    Args:
        names: Further names, beside `NAMES`.

    Raises:
        ConfigurationError: One of ``names`` is not a name.
    """
    if isinstance(names, str):
        raise ConfigurationError(f"redact={names!r}: give a list of field names, not one string")
    hidden = {"".join(_words(name)) for name in NAMES.split()}
    for name in names:
        if not isinstance(name, str) or not _words(name):
            raise ConfigurationError(f"redact has {name!r}: a field's name has letters in it")
        hidden.add("".join(_words(name)))

    @functools.lru_cache(maxsize=2_048)
    def judge(name: str) -> bool:
        words = _words(name)
        return any(
            "".join(words[start:end]) in hidden
            for start in range(len(words))
            for end in range(start + 1, len(words) + 1)
        )

    # Names come from requests: one of a megabyte is judged by its ends, and not kept.
    def hides(name: str) -> bool:
        if len(name) <= _LONGEST_NAME:
            return judge(name)
        return judge(name[:_LONGEST_NAME]) or judge(name[-_LONGEST_NAME:])

    return hides


def _words(name: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(name)[:_MOST_WORDS]]
