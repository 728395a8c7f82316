"""Whose rate it is: keys of callers, and what is asked of a limiter for one call."""

from __future__ import annotations

import socket
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

from falconkit.context import Context
from falconkit.errors import ConfigurationError
from falconkit.ratelimit.decision import Decision, Limiter

KeyOf = Callable[[Context, Any], str]
"""Names the one whose rate it is, from the context and the request."""

CostOf = Callable[[Context, Any], int]
"""Says what a call costs, from the context and the request."""

LONGEST = 200
_MAPPED = bytes(10) + b"\xff\xff"


def by_caller(ctx: Context, request: object) -> str:
    """Name the caller; IPv6 addresses by their /64, of which one host has all.

    >>> by_caller(Context(caller="192.0.2.7"), None)
    '192.0.2.7'
    >>> by_caller(Context(caller="2001:db8:1:2:aaaa::7"), None)
    '20010db800010002/64'
    >>> by_caller(Context(caller="::ffff:192.0.2.7"), None)
    '192.0.2.7'
    """
    caller = ctx.caller
    if ":" not in caller:
        return caller
    try:
        address = socket.inet_pton(socket.AF_INET6, caller.partition("%")[0])
    except (OSError, ValueError):
        return caller  # a name that has a colon in it
    if address.startswith(_MAPPED):
        return socket.inet_ntop(socket.AF_INET, address[12:])
    return f"{address[:8].hex()}/64"


def bounded(key: str) -> str:
    """Return ``key``, or a digest of it when it is long: callers choose what keys are made of.

    >>> bounded("add/ann")
    'add/ann'
    >>> len(bounded("x" * 1_000_000))
    39
    """
    return key if len(key) <= LONGEST else _digest(key)


def encodable(key: str) -> str:
    r"""Return ``key`` as `bounded` does, fit for engines that take UTF-8 alone.

    >>> encodable("add/\ud800") == encodable("add/\ud801")
    False
    """
    try:
        key.encode()
    except UnicodeEncodeError:
        return _digest(key)
    return bounded(key)


def _digest(key: str) -> str:
    digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return f"digest:{digest}"


def asking(
    limiter: Limiter, name: str, key: KeyOf | None, cost: int | CostOf
) -> Callable[[Context, Any], Decision]:
    """Return a function that asks ``limiter`` for one call of the endpoint ``name``."""
    take = limiter.take
    if isinstance(cost, int):
        if key is None:
            return lambda ctx, request: take(name, cost)
        return lambda ctx, request: take(f"{name}/{key(ctx, request)}", cost)
    if key is None:
        return lambda ctx, request: take(name, cost(ctx, request))
    return lambda ctx, request: take(f"{name}/{key(ctx, request)}", cost(ctx, request))


def check_cost(limiter: Limiter, cost: int | CostOf) -> None:
    """Refuse a constant cost that could never be paid.

    Raises:
        ConfigurationError: It is below 1, above the limiter's limit, or no number.
    """
    if not isinstance(cost, int):
        if not callable(cost):
            raise ConfigurationError(
                f"cost is {cost!r}: give a whole number, or a function (ctx, request) -> number"
            )
        return
    if isinstance(cost, bool) or cost < 1:
        raise ConfigurationError(f"cost is {cost!r}: give a whole number, 1 or more")
    most = getattr(limiter, "limit", None)
    if isinstance(most, int) and cost > most:
        raise ConfigurationError(
            f"cost is {cost} and {limiter!r} holds {most}: no call would ever pass; "
            "give the limiter a larger burst"
        )
