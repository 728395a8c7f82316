"""The stacks around a service that is called."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from falconkit import deadline
from falconkit.circuitbreaker import CircuitBreaker, guard
from falconkit.clock import Clock, system_clock
from falconkit.endpoint import Endpoint, Middleware, Req, Res, chain
from falconkit.errors import ConfigurationError
from falconkit.log import log
from falconkit.metrics import Metrics, measure
from falconkit.naming import name_of
from falconkit.presets.policies import quick_breaker, strict_budget
from falconkit.retry import Budget, retry
from falconkit.tracing import Tracer, trace
from falconkit.tracing.middleware import callee_of
from falconkit.tracing.span import Kind

CALL_SECONDS = 10.0
TRY_SECONDS = 3.0

Breaker = CircuitBreaker | Callable[[str], CircuitBreaker]
"""A breaker, or what makes one for whom a client calls: ``(name) -> breaker``."""


def client_stack(
    metrics: Metrics,
    *,
    tracer: Tracer | None = None,
    timeout: float = CALL_SECONDS,
    per_try_timeout: float = TRY_SECONDS,
    breaker: Breaker | None = None,
    budget: Budget | None = None,
    idempotent: bool | None = None,
    redact: Iterable[str] = (),
    clock: Clock = system_clock,
) -> Middleware:
    """`call_stack` around `try_stack`: around a client of one address.

    Make one for each service that is called, and put it around all clients of that service:
    they share a budget, and a breaker for each address.

    >>> from falconkit import layers
    >>> from falconkit.transport.http.client import Client
    >>> users = client_stack(Metrics())
    >>> get_user = users(Client("GET", "http://users:8000/users/{id}"))
    >>> [each.name for each in layers(get_user)]
    ['log', 'measure', 'timeout', 'retry', 'guard', 'timeout']

    Args:
        metrics: Where calls are counted, as ``call.count`` and its like.
        tracer: Opens a span around each call, and one around each try.
        timeout: Seconds for all tries of a call, and the waits between them.
        per_try_timeout: Seconds for each try.
        breaker: As for `try_stack`.
        budget: As for `call_stack`.
        idempotent: As for `call_stack`.
        redact: Names of fields that the log hides.
        clock: Whose seconds these are, and the deadlines are in.

    Raises:
        ConfigurationError: Something of this cannot be used.
    """
    if per_try_timeout > timeout:
        raise ConfigurationError(
            f"a try may take {per_try_timeout!r} s, but all of them only {timeout!r} s: "
            "give a per_try_timeout= that is no more than timeout="
        )
    return chain(
        call_stack(
            metrics,
            tracer=tracer,
            timeout=timeout,
            budget=budget,
            idempotent=idempotent,
            redact=redact,
            clock=clock,
        ),
        try_stack(tracer=tracer, timeout=per_try_timeout, breaker=breaker, clock=clock),
    )


def call_stack(
    metrics: Metrics,
    *,
    tracer: Tracer | None = None,
    timeout: float = CALL_SECONDS,
    budget: Budget | None = None,
    idempotent: bool | None = None,
    redact: Iterable[str] = (),
    clock: Clock = system_clock,
) -> Middleware:
    """Log -> trace -> measure -> timeout -> retry: around a call with all its tries.

    It stands outside of a `falconkit.sd.Balancer`, and `try_stack` around each instance.
    A call that went well is logged at ``debug``; one that failed says in ``call`` which it was.

    >>> from falconkit import layers
    >>> from falconkit.sd import Balancer, Endpointer, Static
    >>> from falconkit.transport.http.client import Client
    >>> each = try_stack()
    >>> instances = Static("10.0.0.1:8000", "10.0.0.2:8000")
    >>> endpointer = Endpointer(
    ...     instances,
    ...     lambda instance: each(Client("GET", f"http://{instance.address}/users/{{id}}")),
    ...     service="users",
    ... )
    >>> get_user = call_stack(Metrics())(Balancer(endpointer, name="get_user", idempotent=True))
    >>> [each.name for each in layers(get_user)]
    ['log', 'measure', 'timeout', 'retry']

    Args:
        metrics: Where calls are counted, as ``call.count`` and its like.
        tracer: Opens a span around each call; without one there is no `trace`.
        timeout: Seconds for all tries, and the waits between them.
        budget: What keeps retries few. When None, a `strict_budget` for all that this
            stack is put around.
        idempotent: Whether a call that may have run may run again, as for `retry`. When
            None, the endpoint says.
        redact: Names of fields that the log hides.
        clock: Whose seconds these are, and the deadlines are in.

    Raises:
        ConfigurationError: Something of this cannot be used.
    """
    return chain(
        log(redact=redact, client=True, clock=clock),
        *_traced(tracer, "local"),
        measure(metrics, prefix="call", clock=clock),
        deadline.timeout(timeout, clock=clock),
        retry(
            budget=strict_budget(clock=clock) if budget is None else budget,
            idempotent=idempotent,
            clock=clock,
        ),
    )


def try_stack(
    *,
    tracer: Tracer | None = None,
    timeout: float = TRY_SECONDS,
    breaker: Breaker | None = None,
    clock: Clock = system_clock,
) -> Middleware:
    """Guard -> trace -> timeout: around one try, at one instance.

    >>> from falconkit import layers
    >>> from falconkit.transport.http.client import Client
    >>> get_user = try_stack()(Client("GET", "http://10.0.0.1:8000/users", service="users"))
    >>> [each.name for each in layers(get_user)]
    ['guard', 'timeout']
    >>> layers(get_user)[0].config["breaker"]
    CircuitBreaker('users@10.0.0.1:8000')

    Args:
        tracer: Opens a span around each try; without one there is no `trace`.
        timeout: Seconds for each try.
        breaker: One for all, or what makes one of the name of whom a client calls, as in
            ``users@10.0.0.1:8000``: clients of one address share it. Around what is no
            client the name is the endpoint's. When None, a `quick_breaker`.
        clock: Whose seconds these are, and the deadlines are in.

    Raises:
        ConfigurationError: Something of this cannot be used.
    """
    make = partial(quick_breaker, clock=clock) if breaker is None else breaker
    guard(make)  # says now what is wrong with it
    inner = chain(*_traced(tracer), deadline.timeout(timeout, clock=clock))

    def around(next: Endpoint[Req, Res], /) -> Endpoint[Req, Res]:
        chosen = make if isinstance(make, CircuitBreaker) else make(_whom(next))
        return chain(guard(chosen), inner)(next)

    return around


def _traced(tracer: Tracer | None, kind: Kind | None = None) -> tuple[Middleware, ...]:
    return () if tracer is None else (trace(tracer, kind=kind),)


def _whom(endpoint: Callable[..., object]) -> str:
    """Return the name of whom a client calls: the service's, and the address if it is another."""
    callee = callee_of(endpoint)
    if callee is None:
        return name_of(endpoint)
    service, host, port = callee
    address = f"{host}:{port}" if port else host
    return address if service == host else f"{service}@{address}"
