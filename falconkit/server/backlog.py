"""Observes the queue in front of the workers: connections that none of them has accepted."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from typing import Any

from falconkit.metrics import Metrics

# In Linux' struct tcp_info of a listening socket: how many wait, and how many may.
_WAITING_AND_MOST = struct.Struct("24xII")


class Backlog:
    """Observes the queue of a worker's listening sockets, as often as it is told to look.

    Each worker sees the same queue, so it is a histogram, as gunicorn's own is: its
    quantiles are right however many look.

    Args:
        listeners: gunicorn's, whose ``sock`` is None once they are closed.
        metrics: Get ``gunicorn.backlog``, the connections that wait, and
            ``gunicorn.backlog_full``, the share of the queue that they take: at 1 the kernel
            drops what comes.

    >>> from falconkit.arena import Arena
    >>> metrics = Metrics(arena=Arena("run"))
    >>> Backlog([], metrics).look()
    """

    def __init__(self, listeners: Iterable[Any], metrics: Metrics) -> None:
        self._listeners = listeners
        self._waiting = metrics.histogram("gunicorn.backlog", unit="connection").labels()
        self._full = metrics.histogram("gunicorn.backlog_full", unit="1").labels()

    def look(self) -> None:
        """Observe once."""
        queues = [queue for queue in map(_queue, self._listeners) if queue is not None]
        if queues:
            self._waiting.observe(sum(waiting for waiting, _ in queues))
            self._full.observe(max(waiting / max(most, 1) for waiting, most in queues))


def _queue(listener: Any) -> tuple[int, int] | None:
    """Return how many wait and may; None where there is no telling: not Linux, not TCP, closed."""
    try:
        told = listener.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _WAITING_AND_MOST.size)
        waiting, most = _WAITING_AND_MOST.unpack(told)
    except (AttributeError, OSError, struct.error):
        return None
    return waiting, most
