"""An endpoint's response as a reply: plain values, answers, failures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from falconkit.context import Context
from falconkit.errors import Failed, FalconkitError
from falconkit.transport.http.codec import JSON, Encode
from falconkit.transport.http.reply import BODILESS, Answer, Reply, check_headers
from falconkit.transport.http.status import status_of_failure

JSON_TYPE: Final = ("Content-Type", JSON)


def made(ctx: Context, response: Any, encode: Encode[Any], usual: int) -> Reply:
    """Return the reply to an endpoint's response, an `Answer` or the plain value.

    Args:
        ctx: The request's context.
        response: What the endpoint returned.
        encode: Makes bytes or a whole reply of it.
        usual: The status of a success.

    Raises:
        FalconkitError: The response is a `Failer` that failed.
    """
    if type(response) is not Answer:
        none = 204 if usual == 200 else usual
        response = Answer(response, none if response is None else usual)
        if response.value is None:
            return Reply(response.status, [], b"")
    value = response.value
    failed = getattr(value, "failed", None)
    if failed is not None and callable(failed):
        raise_failure(failed())
    given = response.headers
    headers = list(given.items() if isinstance(given, Mapping) else given)
    if response.status in BODILESS:
        return Reply(response.status, headers, b"")
    encoded = encode(ctx, value)
    if isinstance(encoded, Reply):
        status = encoded.status if response.status == usual else response.status
        return Reply(status, encoded.headers + headers, encoded.body)
    if not any(name.lower() == "content-type" for name, _ in headers):
        headers.insert(0, JSON_TYPE)
    return Reply(response.status, headers, encoded)


def raise_failure(failure: Exception | None) -> None:
    """Raise a business failure as an error of the tree; nothing when there is none."""
    if failure is None:
        return
    if isinstance(failure, FalconkitError):
        raise failure
    error = Failed(str(failure))
    error.status = status_of_failure(failure)  # type: ignore[attr-defined]
    raise error from failure


def checked(reply: Reply) -> Reply:
    """Return a reply that can be sent.

    Raises:
        ValueError: Its status or a header cannot.
    """
    if not 200 <= reply.status <= 599:
        raise ValueError(f"the status {reply.status!r} is not one of 200 to 599")
    return Reply(reply.status, check_headers(reply.headers), reply.body)
