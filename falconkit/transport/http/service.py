"""A service that this one calls: its instances found, its calls balanced, in one line."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Callable, Mapping
from typing import Any, TypedDict, Unpack

from falconkit.clock import Clock, system_clock
from falconkit.endpoint import Endpoint, Middleware, chain
from falconkit.errors import ConfigurationError
from falconkit.events import Events
from falconkit.layers import layers
from falconkit.sd import Balancer, Endpointer, Instance, Instancer, Outliers, Policy
from falconkit.sd.endpointer import Narrow
from falconkit.sd.member import Member
from falconkit.transport.http.client import Client
from falconkit.transport.http.client_pool import Pool
from falconkit.transport.http.routes import Wired
from falconkit.transport.http.service_place import Place, place_of
from falconkit.transport.http.service_verbs import CallOptions, Calls, Res

_ANYBODY = "host:80"
_At = Callable[[Any], Endpoint[Any, Any]]


class Balancing(TypedDict, total=False):
    """How one of the instances is chosen: see `falconkit.sd.Balancer`."""

    outliers: Outliers | None
    counts: Callable[[BaseException], bool]
    slow_start: float
    panic: float
    zone: str


def service(
    name: str,
    *,
    sd: Instancer | str | None = None,
    around: Middleware | None = None,
    each: Middleware | None = None,
    by: Policy | None = None,
    scheme: str | None = None,
    tls: ssl.SSLContext | None = None,
    stale_for: float | None = None,
    first_wait: float = 1.0,
    narrow: Narrow | None = None,
    events: Events | None = None,
    clock: Clock = system_clock,
    environ: Mapping[str, str] | None = None,
    **balancing: Unpack[Balancing],
) -> Service:
    """Return a service, whose endpoints then are one line each.

    Where it is says the environment: ``COUNTER_URL`` of ``counter``, which has what
    `falconkit.sd.from_url` reads; a path in it stands before every endpoint's.
    Nothing is opened before the first call, and a process forked later opens its own.

    >>> counter = service("counter", environ={"COUNTER_URL": "static://10.0.0.1:80,10.0.0.2:80"})
    >>> add = counter.post("/add", returns=int)
    >>> total = counter.get("/total/{id}", returns=int)
    >>> counter
    Service('counter', Static('10.0.0.1:80', '10.0.0.2:80'))
    >>> counter.close()

    Args:
        name: The service's name in errors, events, metrics and spans.
        sd: Says which instances there are, in place of the environment: an `Instancer`,
            or its URL. It is closed with the service.
        around: What stands around a whole call, its tries included:
            ``chain(log(), retry())``.
        each: What stands around one try, at one instance: ``chain(guard(), timeout(2.0))``.
        by: Chooses an instance; `PeakEwma` when None.
        scheme: How instances are spoken to, ``http`` or ``https``; what a URL that
            begins with one of them says, else ``http``.
        tls: The TLS settings; the default verifies by the system's certificates.
        stale_for: Seconds for which the last known set is called while discovery fails.
        first_wait: Seconds that the first calls wait for discovery's first answer.
        narrow: Chooses of the instances, see `falconkit.sd.subset`.
        events: Who hears of instances; the call's own listeners, and the log, when None.
        clock: Whose seconds these are.
        environ: The environment; ``os.environ`` when None.
        **balancing: What else a `falconkit.sd.Balancer` is told: ``zone=``, ``slow_start=``,
            ``outliers=``, ``panic=``, ``counts=``.

    Raises:
        ConfigurationError: Something of this cannot work; the message names the variable.
    """
    place = place_of(name, sd, scheme, os.environ if environ is None else environ)
    if place.scheme == "https" and tls is None:
        tls = ssl.create_default_context()

    def factory(instance: Instance) -> _Remote:
        return _Remote(instance.address, Pool(tls=tls))

    endpointer = Endpointer(
        place.instancer,
        factory,
        service=name,
        stale_for=stale_for,
        first_wait=first_wait,
        narrow=narrow,
        events=events,
        clock=clock,
    )
    balancer = Balancer(endpointer, by, events=events, clock=clock, **balancing)
    return Service(name, place, balancer, _given("around", around), _given("each", each), clock)


class Service(Calls):
    """Makes endpoints that share one set of instances and what is known of each; see `service`.

    Attributes:
        name: What it is called.
    """

    def __init__(
        self,
        name: str,
        place: Place,
        balancer: Balancer,
        around: Middleware,
        each: Middleware,
        clock: Clock,
    ) -> None:
        self.name = name
        self._place, self._balancer = place, balancer
        self._around, self._each = around, each
        self._clock = clock
        self._made: dict[tuple[str, str, str], tuple[Endpoint[Any, Any], _At]] = {}

    def endpoint(
        self,
        method: str,
        path: str,
        *,
        returns: type[Res] | None = None,
        **options: Unpack[CallOptions],
    ) -> Endpoint[Any, Res]:
        """Return an endpoint of the service: ``method`` on ``path``, at the instance best then.

        Args:
            method: The HTTP method.
            path: Where, as in ``/total/{id}``: fields of the request fill the names.
            returns: The type of the answer's JSON; None takes any JSON.
            **options: See `CallOptions`, and `Client` for what they mean.

        Raises:
            ConfigurationError: Something of this cannot work.
        """
        if not path.startswith("/"):
            raise ConfigurationError(f"an endpoint's path begins with '/', got {path!r}")
        options = {"name": _name(self.name, method, path), **options}
        scheme, prefix = self._place.scheme, self._place.prefix

        def client(address: str, pool: Pool | None) -> Client[Any, Res]:
            return Client(
                method,
                f"{scheme}://{address}{prefix}{path}",
                returns=returns,
                pool=pool,
                service=self.name,
                clock=self._clock,
                **options,
            )

        first = client(_ANYBODY, None)  # refuses now what cannot be used
        each = self._each

        def at(remote: _Remote) -> Endpoint[Any, Res]:
            return remote.endpoints.get(at) or remote.add(
                at, each(client(remote.address, remote.pool))
            )

        balanced = self._balancer.through(
            at,
            name=options["name"],
            idempotent=first.idempotent,
            specimen=lambda: each(first),
        )
        made = self._around(balanced)
        self._made[method, path, options["name"]] = made, at
        return made

    @property
    def wired(self) -> tuple[Wired, ...]:
        """How each endpoint is wired: around a call, then around a try at the first instance."""
        tries = self._tries(self._balancer.members[:1])
        return tuple(
            Wired(
                *which, (*layers(made), *(tries[which][0].layers if which in tries else ())), made
            )
            for which, (made, _) in self._made.items()
        )

    def tries(self, most: int) -> tuple[Wired, ...]:
        """Return how a try of each endpoint is wired, at ``most`` of the instances."""
        found = self._tries(self._balancer.members[:most])
        return tuple(each for tries in found.values() for each in tries)

    def _tries(self, members: tuple[Member, ...]) -> dict[tuple[str, str, str], list[Wired]]:
        # Made now if no call has made it yet, so that every worker shows the same.
        return {
            which: [_wired(which, at(member.endpoint)) for member in members]
            for which, (_, at) in self._made.items()
            if members
        }

    @property
    def where(self) -> str:
        """How its instances are found, for people."""
        return repr(self._place.instancer)

    @property
    def failure(self) -> Exception | None:
        """Why discovery fails, None while it works."""
        return self._balancer.failure

    def status(self) -> list[dict[str, object]]:
        """Return what this process knows of each instance, for people."""
        return self._balancer.status()

    def close(self) -> None:
        """Close connections and discovery. A call that is running still ends; later ones fail."""
        self._balancer.close()
        self._place.instancer.close()

    def __repr__(self) -> str:
        return f"Service({self.name!r}, {self._place.instancer!r})"


class _Remote:
    """One instance as the endpoints call it, over connections that are its own.

    Its own, so that they are closed when it goes.
    """

    __slots__ = ("address", "endpoints", "pool")

    def __init__(self, address: str, pool: Pool) -> None:
        self.address = address
        self.pool = pool
        self.endpoints: dict[object, Endpoint[Any, Any]] = {}

    def add(self, key: object, endpoint: Endpoint[Any, Any]) -> Endpoint[Any, Any]:
        return self.endpoints.setdefault(key, endpoint)

    def close(self) -> None:
        self.pool.close()


def _wired(which: tuple[str, str, str], endpoint: Endpoint[Any, Any]) -> Wired:
    return Wired(*which, layers(endpoint), endpoint)


def _given(what: str, middleware: Middleware | None) -> Middleware:
    if middleware is None:
        return chain()
    if not callable(middleware):
        raise ConfigurationError(
            f"{what}= is a middleware, as chain(...) makes, got {middleware!r}"
        )
    return chain(middleware)


def _name(service: str, method: str, path: str) -> str:
    return "_".join(re.findall(r"[A-Za-z0-9.-]+", f"{service} {method.lower()} {path}"))
