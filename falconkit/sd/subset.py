"""Which part of a large set one client connects to."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from falconkit.errors import ConfigurationError
from falconkit.sd.instance import Instance


def subset(size: int, *, client: int) -> Callable[[tuple[Instance, ...]], tuple[Instance, ...]]:
    """Return a choice of instances for ``narrow=`` of an `Endpointer`.

    Deterministic subsetting after Google's Site Reliability Engineering, chapter 20:
    each round of ``n // size`` clients, numbered from 0 on, deals the whole set out
    among them, so that every instance has just one client of each round; the next
    round deals it in another order. The order is by a digest of round and address, so
    that one instance that goes moves few others.

    >>> ten = tuple(Instance(f"10.0.0.{n}", 80) for n in range(1, 11))
    >>> parts = [subset(5, client=client)(ten) for client in (0, 1)]
    >>> len(parts[0]), len(parts[1]), set(parts[0]) | set(parts[1]) == set(ten)
    (5, 5, True)

    Args:
        size: How many instances a client has at least; less than twice as many at most.
            Enough that the loss of some does no harm.
        client: The client's number among all clients of the service.

    Raises:
        ConfigurationError: ``size`` is less than 1, or ``client`` less than 0.
    """
    if size < 1 or client < 0:
        raise ConfigurationError(
            f"size is 1 or more and client 0 or more, got {size!r} and {client!r}"
        )

    def narrow(instances: tuple[Instance, ...]) -> tuple[Instance, ...]:
        parts = len(instances) // size
        if parts < 2:
            return instances
        dealt_in, part = divmod(client, parts)
        dealt = sorted(instances, key=lambda each: _place(dealt_in, each.address))
        begin, end = part * len(dealt) // parts, (part + 1) * len(dealt) // parts
        return tuple(sorted(dealt[begin:end], key=lambda each: (each.host, each.port)))

    return narrow


def _place(dealt_in: int, address: str) -> bytes:
    return hashlib.blake2b(f"{dealt_in} {address}".encode(), digest_size=8).digest()
