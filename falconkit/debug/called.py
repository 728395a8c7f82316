"""The services that an app calls, as the page shows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, runtime_checkable

from falconkit.debug.shown import shown
from falconkit.debug.state import Endpoint, Instance, Service
from falconkit.layers import Layer, layers
from falconkit.naming import name_of

MOST_INSTANCES: Final = 100
"""Instances that are shown of a service, and whose breakers are."""


class Wired(Protocol):
    """How an endpoint is wired: `falconkit.transport.http.routes.Wired`."""

    @property
    def method(self) -> str:
        """``POST``."""

    @property
    def path(self) -> str:
        """The route's template."""

    @property
    def name(self) -> str:
        """The endpoint's name."""

    @property
    def layers(self) -> tuple[Layer, ...]:
        """What is around it, the outermost first."""


@runtime_checkable
class Balanced(Protocol):
    """A service with instances: `falconkit.transport.http.Service`."""

    name: str

    @property
    def wired(self) -> tuple[Wired, ...]:
        """How each endpoint is wired, a try with it."""

    @property
    def where(self) -> str:
        """How its instances are found."""

    @property
    def failure(self) -> Exception | None:
        """Why discovery fails."""

    def tries(self, most: int, /) -> Sequence[Wired]:
        """How a try of each endpoint is wired, at so many of its instances."""

    def status(self) -> list[dict[str, object]]:
        """What this process knows of each instance."""


class Bare:
    """How an endpoint is wired that no transport serves: a client's, say."""

    method = path = ""

    def __init__(self, endpoint: Callable[..., Any]) -> None:
        self.name = name_of(endpoint)
        self.layers = layers(endpoint)


def wired_of(called: Any) -> Sequence[Wired]:
    """Return how what is called is wired: a service, or one endpoint of some client."""
    return called.wired if isinstance(called, Balanced) else (Bare(called),)


def all_wired_of(called: Any) -> Sequence[Wired]:
    """Return the same, the tries at each of its instances besides."""
    if not isinstance(called, Balanced):
        return (Bare(called),)
    return (*called.wired, *called.tries(MOST_INSTANCES))


def service_of(called: Any, look: Callable[[Wired], Endpoint]) -> Service:
    """Return what is called as the document has it.

    Args:
        called: A service, or one endpoint of some client.
        look: Returns an endpoint with its numbers.
    """
    endpoints = [look(each) for each in wired_of(called)]
    if not isinstance(called, Balanced):
        return Service(shown(name_of(called)), "", "", [], 0, endpoints)
    known = called.status()
    failure = called.failure
    return Service(
        shown(called.name),
        shown(called.where),
        "" if failure is None else shown(f"{type(failure).__name__}: {failure}"),
        [_instance(each) for each in known[:MOST_INSTANCES]],
        len(known),
        endpoints,
    )


def _instance(status: Mapping[str, Any]) -> Instance:
    away = float(status["ejected_for"])
    state = "ejected" if away > 0 else "up" if status["healthy"] else "unhealthy"
    return Instance(
        shown(status["instance"]),
        shown(status["zone"]),
        state,
        status["in_flight"],
        status["latency"] or None,
        status["failures_in_a_row"],
        round(away, 3),
    )
