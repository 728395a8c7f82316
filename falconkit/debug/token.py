"""The token that opens what is under ``/debug``, and the cookie that stands for it."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

import falcon

from falconkit.clock import Clock, system_clock
from falconkit.errors import ConfigurationError

COOKIE: Final = "falconkit_debug"
SECONDS: Final = 12 * 3600
"""For which a cookie is good: a shift."""

_SHORTEST: Final = 16


class Token:
    """A secret that whoever is on call has.

    It comes as ``Authorization: Bearer``, or by a form, once, for a cookie. It is never in an
    address: those are kept in histories and logs. The cookie is not the token but what only
    who has it can make, for some hours; any worker can check it.

    >>> token = Token("correct horse battery")
    >>> token.fits("correct horse battery"), token.fits(""), Token("").fits("")
    (True, False, False)
    >>> token
    Token(***)

    Args:
        secret: The token; "" for none, which nothing fits.
        clock: Tells when a cookie is too old.

    Raises:
        ConfigurationError: It is so short that it could be guessed.
    """

    def __init__(self, secret: str, *, clock: Clock = system_clock) -> None:
        if secret and (len(secret) < _SHORTEST or not secret.isprintable()):
            raise ConfigurationError(
                f"DEBUG_TOKEN has {len(secret)} characters: give {_SHORTEST} or more that can be "
                "printed, as `openssl rand -hex 16` makes"
            )
        # Digests have one length, so that not even that of the secret is told by a comparison.
        self._digest = _digest(secret) if secret else b""
        self._clock = clock

    def __bool__(self) -> bool:
        return bool(self._digest)

    def fits(self, given: str) -> bool:
        """Return whether it is the token, in a time that tells nothing of it."""
        return bool(self._digest) and hmac.compare_digest(self._digest, _digest(given))

    def is_with(self, req: falcon.Request) -> bool:
        """Return whether a request carries the token, or a good cookie."""
        if not self._digest:
            return False
        return self.is_bearer(req) or any(
            self.made(each) for each in req.get_cookie_values(COOKIE) or ()
        )

    def is_bearer(self, req: falcon.Request) -> bool:
        """Return whether a request carries the token in ``Authorization``."""
        scheme, _, given = (req.auth or "").partition(" ")
        return scheme.lower() == "bearer" and self.fits(given.strip())

    def cookie(self) -> str:
        """Return a cookie's value that is good for some hours."""
        until = str(int(self._clock.time()) + SECONDS)
        return f"{until}.{self._seal(until)}"

    def made(self, cookie: str) -> bool:
        """Return whether a cookie's value was made by `cookie`, and is good now."""
        until, _, seal = cookie.partition(".")
        if not hmac.compare_digest(seal.encode(), self._seal(until).encode()):
            return False
        return int(until) > self._clock.time()

    def _seal(self, until: str) -> str:
        return hmac.digest(self._digest, b"cookie " + until.encode(), "sha256").hex()

    def __repr__(self) -> str:
        return "Token(***)" if self._digest else "Token()"


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
