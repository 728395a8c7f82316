"""The API gateway: one address for all clients, ``/addsvc/...`` and ``/stringsvc/...``.

Where the services are say ``ADDSVC_URL`` and ``STRINGSVC_URL``; one more service is one more entry.
"""

from typing import Any

from examples.kit import Kit
from examples.messages import Joined, Length, Numbers, Sum, Text, Upper, Words
from falconkit import Context, Endpoint
from falconkit.transport import http

SERVICES: dict[str, dict[str, tuple[type, type]]] = {
    "addsvc": {"sum": (Numbers, Sum), "concat": (Words, Joined)},
    "stringsvc": {"uppercase": (Text, Upper), "count": (Text, Length)},
}


def relay(ask: Endpoint[Any, Any]) -> Endpoint[Any, Any]:
    """Return an endpoint that asks another one."""

    def call(ctx: Context, request: Any) -> Any:
        return ask(ctx, request)

    return call


def build() -> http.App:
    """Route each path to its service."""
    kit = Kit("gateway")
    for service, methods in SERVICES.items():
        behind = kit.calling(service)
        for method, (takes, gives) in methods.items():
            kit.app.post(
                f"/{service}/{method}",
                relay(behind.post(f"/{method}", returns=gives, idempotent=True)),
                kit.serving(),
                decode=http.json_decoder(takes),
                name=f"{service}_{method}",
            )
    return kit.app


app = build()
