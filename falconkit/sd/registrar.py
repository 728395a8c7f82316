"""Tells a registry of this instance, for as long as it lives."""

from __future__ import annotations

import atexit
import logging
import os
import random
import threading
from contextlib import nullcontext, suppress
from typing import Protocol, runtime_checkable

from falconkit.errors import ConfigurationError
from falconkit.events import Deregistered, Events, Registered, RegistrationFailed
from falconkit.sd.election import Election
from falconkit.sd.instance import Instance
from falconkit.sd.process import PerProcess
from falconkit.sd.stop import Stop
from falconkit.sd.telling import tell

_LOG = logging.getLogger("falconkit.sd")
_BEATS = 3
"""Renewals in one time to live: two may be lost."""

_LAST_JOIN = 5.0


class Registry(Protocol):
    """Where an instance is registered; one thread at a time uses it.

    Made without opening anything.
    """

    def keep(self, service: str, instance: Instance, ttl: float) -> None:
        """Register, or renew what is registered, so that it stands for ``ttl`` seconds.

        It may have been registered by another process of this host, which has died.

        Raises:
            Exception: It could not; the registry may have it or not.
        """

    def drop(self, service: str, instance: Instance) -> None:
        """Remove it, whichever process of this host registered it.

        Raises:
            Exception: It could not.
        """

    def close(self) -> None:
        """Close what is open. The next use opens it again."""


@runtime_checkable
class Breakable(Protocol):
    """A `Registry` whose waits can be broken off, so that a process need not wait for them to end.

    One that has none of this is waited for, 5 s at most.
    """

    def abort(self) -> None:
        """Break what another thread waits for in `Registry.keep`, which then raises."""


class Registrar:
    """Registers an instance, once a host and not once a worker, and takes it out at the end.

    The workers elect one that renews the registration three times in its time to live; when
    it dies another goes on in time. The last worker that leaves deregisters: close it at the
    beginning of a worker's end, so that nobody is sent to a port that is about to close.

    >>> class Printing:
    ...     def keep(self, service, instance, ttl):
    ...         kept.set()
    ...     def drop(self, service, instance):
    ...         print(f"{instance.address} leaves {service}")
    ...     def close(self):
    ...         pass
    >>> kept = threading.Event()
    >>> registrar = Registrar(
    ...     Printing(), "counter", Instance("10.0.0.1", 8000), directory="run", events=Events()
    ... )
    >>> registrar.start()
    >>> kept.wait(60.0)
    True
    >>> registrar.close()
    10.0.0.1:8000 leaves counter

    Args:
        registry: Where.
        service: As what.
        instance: As whom: where others reach this host, not ``127.0.0.1``.
        ttl: Seconds after which the registry forgets an instance that does not renew.
        directory: The run directory of the host's workers; found when None.
        events: Who hears of it; the log when None.
        rng: Chance, for tests.

    Raises:
        ConfigurationError: A value cannot be used.
    """

    def __init__(
        self,
        registry: Registry,
        service: str,
        instance: Instance,
        *,
        ttl: float = 15.0,
        directory: str | os.PathLike[str] | None = None,
        events: Events | None = None,
        rng: random.Random | None = None,
    ) -> None:
        if not 1 <= ttl <= 86_400:
            raise ConfigurationError(f"ttl is 1 to 86400 s, got {ttl!r}")
        self.service, self.instance, self.ttl = service, instance, ttl
        self._registry = registry
        self._events = events
        self._rng = rng or random.Random()
        self._election = Election(f"{service} {instance.address}", directory=directory)
        self._here = PerProcess(lambda: _Beat(self))

    def start(self) -> None:
        """Begin, in this process: a worker calls it when it is about to serve."""
        self._here.get().start()

    def leave(self) -> None:
        """Begin to close, and do not wait for the registry; `close` does."""
        if self._here.found() is not None:
            threading.Thread(target=self.close, name="falconkit-sd-leaving").start()

    def close(self) -> None:
        """End it. The host's last process deregisters; never raises for that."""
        beat = self._here.found()
        if beat is None:
            return
        if not beat.end():
            beat.ended.wait(_LAST_JOIN)  # another thread is at it
            return
        try:
            self._election.leave(self._drop)
            self._registry.close()
        finally:
            beat.ended.set()

    # What its thread asks of it.

    def join(self) -> None:
        """Be there, so that nobody who leaves takes himself for the last."""
        with suppress(OSError):  # the next beat tells of it
            self._election.join()

    def beat(self, stop: Stop) -> None:
        """Renew until told to stop."""
        registry = self._registry
        breaking = stop.waking(registry.abort) if isinstance(registry, Breakable) else nullcontext()
        with breaking:
            self._beat(stop)

    def _beat(self, stop: Stop) -> None:
        registered, failing = False, False
        while not stop:
            joined = True
            try:
                joined = self._election.join()
                if joined and self._election.leads():
                    self._registry.keep(self.service, self.instance, self.ttl)
                    if failing or not registered:
                        self._tell(Registered(self.service, self.instance.address))
                    registered, failing = True, False
            except Exception as error:  # whatever it is, the next beat tries again
                if not failing and not stop:
                    failing = True
                    cause = f"{type(error).__name__}: {error}"[:500]
                    self._tell(RegistrationFailed(self.service, self.instance.address, cause))
            # A lost beat is made up for soon.
            wait = self.ttl / _BEATS if joined and not failing else min(1.0, self.ttl / _BEATS)
            stop.wait(wait * self._rng.uniform(0.8, 1.0))

    def _drop(self) -> None:
        try:
            self._registry.drop(self.service, self.instance)
        except Exception:
            _LOG.exception(
                "%s at %s could not be deregistered: the registry forgets it in %g s",
                self.service,
                self.instance.address,
                self.ttl,
            )
            return
        self._tell(Deregistered(self.service, self.instance.address))

    def _tell(self, event: Registered | Deregistered | RegistrationFailed) -> None:
        tell(self._events, event)

    def __repr__(self) -> str:
        return f"Registrar({self.service!r}, {self.instance.address!r})"


class _Beat:
    """The thread of one process.

    Attributes:
        ended: False from its start until all that it did is undone.
    """

    def __init__(self, registrar: Registrar) -> None:
        self.ended = threading.Event()
        self.ended.set()
        self._registrar = registrar
        self._lock = threading.Lock()
        self._stop = Stop()
        self._thread = threading.Thread(
            target=registrar.beat, args=(self._stop,), name="falconkit-sd-registrar", daemon=True
        )

    def start(self) -> None:
        with self._lock:
            if self._thread.ident is None and not self._stop:
                self.ended.clear()
                self._registrar.join()
                self._thread.start()
                atexit.register(self._registrar.close)

    def end(self) -> bool:
        """Stop the thread; returns whether it ran until now."""
        with self._lock:
            ran = self._thread.ident is not None and not self._stop
            self._stop.set()
        if ran:
            atexit.unregister(self._registrar.close)
            self._thread.join(_LAST_JOIN)
        return ran
