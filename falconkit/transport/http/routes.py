"""One path of an app: the endpoint of each method, as one Falcon resource."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import falcon

from falconkit.errors import ConfigurationError
from falconkit.layers import Layer, layers
from falconkit.transport.http import params
from falconkit.transport.http.server import METHODS, Server

_FIELD: Final = re.compile(r"{([A-Za-z_]\w*)(?::[^{}]*)?}")

MethodAnswers = Callable[[falcon.Request, falcon.Response], None]


@dataclass(frozen=True, slots=True)
class Wired:
    """How one endpoint of an app is wired: for whoever draws or watches the app.

    Attributes:
        method: ``POST``.
        path: The route's template: ``/users/{id}``.
        name: The endpoint's name, under which its metrics and limits go.
        layers: What is around it, the outermost first.
        endpoint: It itself, with what is around it.
    """

    method: str
    path: str
    name: str
    layers: tuple[Layer, ...]
    endpoint: Callable[..., Any]


class Route:
    """The endpoints of one path, by method.

    A GET endpoint answers HEAD too, without the body (RFC 9110, 9.3.2), and
    OPTIONS tells the methods.

    Args:
        path: As in Falcon: ``/users/{id}``.
        seen: Shows a request that no endpoint takes to the layers that observe.
    """

    def __init__(self, path: str, seen: Callable[[falcon.Request], None]) -> None:
        self.path = path
        self.servers: dict[str, Server] = {}
        self._seen = seen

    def add(self, method: str, server: Server) -> None:
        """Let ``server`` answer ``method``.

        Raises:
            ConfigurationError: Another one does.
        """
        if method in self.servers:
            raise ConfigurationError(
                f"{method} {self.path} is the endpoint {self.servers[method].name!r} already"
            )
        self.servers[method] = server
        setattr(self, f"on_{method.lower()}", server.respond)
        if method == "GET":
            self.servers.setdefault("HEAD", server)
            self.on_head = server.respond

    def wired(self) -> tuple[Wired, ...]:
        """Return how each endpoint is wired."""
        return tuple(
            Wired(method, self.path, server.name, layers(server.endpoint), server.endpoint)
            for method, server in self.servers.items()
            if method in server.methods
        )

    def on_options(self, req: falcon.Request, resp: falcon.Response, **_: Any) -> None:
        """Tell which methods there are."""
        self._seen(req)
        resp.status = 204
        resp.set_header("Allow", ", ".join(methods_of(self)))


def methods_of(resource: object) -> tuple[str, ...]:
    """Return the methods that a Falcon resource takes, OPTIONS with them."""
    found = {each for each in METHODS if hasattr(resource, f"on_{each.lower()}")}
    return tuple(
        sorted(found | {"OPTIONS"} | ({"HEAD"} if hasattr(resource, "on_head") else set()))
    )


def check_template(path: str, method: str, kind: Any, name: str) -> None:
    """Refuse a route from which the endpoint's request could never be filled.

    Args:
        path: The route's template.
        method: Its method.
        kind: The request's type.
        name: The endpoint's name.

    Raises:
        ConfigurationError: The path names a field that the request has not,
            or a request that is no object has nowhere to come from.
    """
    names = _FIELD.findall(path)
    known = params.fields_of(kind)
    if known is not None:
        missing = [each for each in names if each not in known]
        if missing:
            raise ConfigurationError(
                f"the path {path!r} has {{{missing[0]}}}, and the request of the endpoint "
                f"{name!r}, {kind!r}, has no such field: it has {', '.join(known) or 'none'}"
            )
    elif method == "GET" and len(names) != 1 and not _takes_anything(kind):
        raise ConfigurationError(
            f"GET {path} has no body to make the request of the endpoint {name!r} from: its "
            f"type {kind!r} has no fields for query parameters; use a Struct, or give decode="
        )


def _takes_anything(kind: Any) -> bool:
    return kind is None or (
        isinstance(kind, type) and issubclass(kind, type(None) | falcon.Request)
    )
