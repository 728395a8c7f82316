"""What the dialects of StatsD that have tags have in common besides."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Unpack

from falconkit.metrics.datagrams import Batch
from falconkit.metrics.dialect import Dialect, Sending
from falconkit.metrics.sample import Kind, Sample
from falconkit.metrics.tags import Tags


class TaggedDialect(Dialect):
    """A dialect whose labels are tags, cut so that each line fits a datagram."""

    def __init__(
        self,
        host: str | None,
        port: int,
        prefix: str,
        *,
        tags: Mapping[str, str] | None,
        unfit: re.Pattern[str],
        **sending: Unpack[Sending],
    ) -> None:
        """Say where to send, and with which tags.

        Args:
            host: As in `Dialect`, as the rest is.
            port: As there.
            prefix: As there.
            tags: Stand on every series, before its own.
            unfit: Characters of a tag's value that the dialect has for itself.
            **sending: As there.

        Raises:
            ConfigurationError: A value cannot be used.
        """
        super().__init__(host, port, prefix, **sending)
        self._tags = Tags(tags, room=self._room, unfit=unfit)

    def check(self, kind: Kind, name: str, labels: tuple[str, ...], /) -> None:
        """Refuse a metric whose tags do not fit.

        Raises:
            ConfigurationError: A label cannot be carried.
        """
        self._tags.check(name, labels)

    def _write(self, batch: Batch, samples: Sequence[Sample]) -> None:
        self._write_fitted(batch, self._tags.fitted(samples))

    @abstractmethod
    def _write_fitted(self, batch: Batch, samples: Sequence[Sample]) -> None:
        """Write the lines of ``samples``, whose tags fit."""
