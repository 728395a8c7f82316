"""An endpoint's request and response types, read from its annotations."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any, NamedTuple

from falconkit.errors import ConfigurationError
from falconkit.naming import name_of


class Types(NamedTuple):
    """What an endpoint takes and gives, ``inspect.Parameter.empty`` where it does not say."""

    request: Any
    response: Any


def types_of(endpoint: Callable[..., Any]) -> Types:
    """Return the annotated types of an endpoint, of the innermost function's.

    Middlewares are seen through (``__wrapped__``), and so are bound methods,
    callable objects and partials.

    >>> def double(ctx: object, v: int) -> int:
    ...     return 2 * v
    >>> types_of(double).request
    <class 'int'>

    Raises:
        ConfigurationError: It does not take a context and a request, or an
            annotation cannot be resolved.
    """
    innermost: Any = endpoint
    # A bound method stays whole: what its function wraps would take self too.
    while not inspect.ismethod(innermost) and hasattr(innermost, "__wrapped__"):
        innermost = innermost.__wrapped__
    names = _positional(innermost, endpoint)
    function = _function_of(innermost)
    hints = _hints(function, endpoint)
    empty = inspect.Parameter.empty
    return Types(hints.get(names[1], empty), hints.get("return", empty))


def request_type(endpoint: Callable[..., Any]) -> Any:
    """Return the type of an endpoint's request.

    Raises:
        ConfigurationError: It cannot be inferred; the message names what to give.
    """
    found = types_of(endpoint).request
    if found in (inspect.Parameter.empty, Any, object) or isinstance(found, typing.TypeVar):
        raise ConfigurationError(
            f"the endpoint {name_of(endpoint)!r} does not say the type of its request: "
            "annotate its second parameter, or give decode="
        )
    return found


def _positional(innermost: Any, endpoint: Callable[..., Any]) -> list[str]:
    try:
        signature = inspect.signature(innermost)
    except (TypeError, ValueError) as ex:
        raise ConfigurationError(
            f"the signature of the endpoint {name_of(endpoint)!r} cannot be read ({ex}): "
            "give decode="
        ) from None
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [each.name for each in signature.parameters.values() if each.kind in kinds]
    if len(names) < 2:
        raise ConfigurationError(
            f"the endpoint {name_of(endpoint)!r} takes ({', '.join(names)}): an endpoint takes "
            "(ctx, request); for another shape wrap it in a function, or give decode="
        )
    return names


def _function_of(innermost: Any) -> Any:
    while isinstance(innermost, functools.partial):
        innermost = innermost.func
    if inspect.isfunction(innermost) or inspect.ismethod(innermost):
        return inspect.unwrap(innermost)
    return inspect.unwrap(type(innermost).__call__)


def _hints(function: Any, endpoint: Callable[..., Any]) -> dict[str, Any]:
    plain = getattr(function, "__func__", function)
    try:
        # Types that are local to the function which made the endpoint are
        # found when the endpoint uses them; annotations alone do not keep them.
        local = inspect.getclosurevars(plain).nonlocals if hasattr(plain, "__code__") else {}
        return typing.get_type_hints(plain, localns=dict(local) or None, include_extras=True)
    except NameError as ex:
        raise ConfigurationError(
            f"the annotations of the endpoint {name_of(endpoint)!r} cannot be resolved ({ex}): "
            "move the type to the module's top level, or give decode="
        ) from None
    except TypeError as ex:
        raise ConfigurationError(
            f"the endpoint {name_of(endpoint)!r} has no annotations to read ({ex}): give decode="
        ) from None
