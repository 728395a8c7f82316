"""Which errors are worth a further try: values that combine.

The question is not only whether a further try may work, but whether the failed one has run.

    =========================================  ===================  ====================
    error                                      was it run?          tried again
    =========================================  ===================  ====================
    UpstreamUnavailable                        no                   always
    Refused by an upstream, with retry_after   no                   always
    both, with ``perhaps_run``                 perhaps, in part     if it is repeatable
    UpstreamFailed, UpstreamTimeout            perhaps              if it is repeatable
    UpstreamFailed that is ``lasting``         it would fail alike  never
    OutcomeUnknown                             nobody knows         never
    any with ``final``                         it has been tried    never, by any `When`
    Refused by ourselves (CircuitOpen, ...)    no                   never: it would be again
    DeadlineExceeded                           no                   never: nobody waits
    Failed, DecodeError, Forbidden, all else   it would fail alike  never
    =========================================  ===================  ====================
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from falconkit.errors import ConfigurationError, Refused, UpstreamFailed, UpstreamUnavailable

Condition = Callable[[Exception], bool]
"""A plain function, in place of a `When`: ``(error) -> whether to try again``."""


class When:
    """Whether an error is worth a further try: `transient`, `on`, or one of your own.

    ``|``, ``&`` and ``~`` combine it with others, and with plain functions of the error.

    >>> transient | on(ConnectionError, TimeoutError) & repeatable
    transient | on(ConnectionError, TimeoutError) & repeatable
    """

    __slots__ = ()

    def holds(self, error: Exception, repeatable: bool, /) -> bool:
        """Tell whether to try again.

        Args:
            error: What the try raised.
            repeatable: Whether the call may be made again, though it may have run.
        """
        raise NotImplementedError

    def __or__(self, other: When | Condition) -> When:
        return _Any(self, as_when(other))

    def __ror__(self, other: Condition) -> When:
        return _Any(as_when(other), self)

    def __and__(self, other: When | Condition) -> When:
        return _All(self, as_when(other))

    def __rand__(self, other: Condition) -> When:
        return _All(as_when(other), self)

    def __invert__(self) -> When:
        return _Not(self)


def on(*kinds: type[Exception]) -> When:
    """Try again on these errors, whether the call is repeatable or not: you say so.

    >>> on(ConnectionError).holds(ConnectionResetError(), False)
    True

    Raises:
        ConfigurationError: None is given, or something else than a class of exceptions.
    """
    fit = [isinstance(each, type) and issubclass(each, Exception) for each in kinds]
    if not fit or not all(fit):
        raise ConfigurationError(f"on{kinds!r}: give classes of exceptions")
    return _On(kinds)


def as_when(given: When | Condition) -> When:
    """Return a `When`, made of a plain function of the error if need be.

    Raises:
        ConfigurationError: It is neither.
    """
    if isinstance(given, When):
        return given
    if isinstance(given, type) or not callable(given):
        raise ConfigurationError(
            f"when={given!r}: give transient, on(SomeError), or a function of the error"
        )
    return _Function(given)


@dataclass(frozen=True, slots=True, repr=False)
class _Transient(When):
    def holds(self, error: Exception, repeatable: bool, /) -> bool:
        if isinstance(error, UpstreamUnavailable):
            return repeatable or not error.perhaps_run
        if isinstance(error, UpstreamFailed):
            return repeatable and not error.lasting
        if isinstance(error, Refused) and error.upstream is not None:
            return error.retry_after is not None and (repeatable or not error.perhaps_run)
        return False

    def __repr__(self) -> str:
        return "transient"


transient: When = _Transient()
"""What a further try may well not meet, and does no harm: see the table above."""


@dataclass(frozen=True, slots=True, repr=False)
class _Repeatable(When):
    def holds(self, error: Exception, repeatable: bool, /) -> bool:
        return repeatable

    def __repr__(self) -> str:
        return "repeatable"


repeatable: When = _Repeatable()
"""Whether the call may be made again, though it may have run: ``on(OSError) & repeatable``."""


@dataclass(frozen=True, slots=True, repr=False)
class _On(When):
    kinds: tuple[type[Exception], ...]

    def holds(self, error: Exception, repeatable: bool, /) -> bool:
        return isinstance(error, self.kinds)

    def __repr__(self) -> str:
        return f"on({', '.join(kind.__name__ for kind in self.kinds)})"


@dataclass(frozen=True, slots=True, repr=False)
class _Function(When):
    function: Condition

    def holds(self, error: Exception, repeatable: bool, /) -> bool:
        return bool(self.function(error))

    def __repr__(self) -> str:
        return getattr(self.function, "__name__", repr(self.function))


@dataclass(frozen=True, slots=True, repr=False)
class _Any(When):
    one: When
    other: When

    def holds(self, error: Exception, repeatable: bool, /) -> bool:
        return self.one.holds(error, repeatable) or self.other.holds(error, repeatable)

    def __repr__(self) -> str:
        return f"{self.one!r} | {self.other!r}"


@dataclass(frozen=True, slots=True, repr=False)
class _All(When):
    one: When
    other: When

    def holds(self, error: Exception, repeatable: bool, /) -> bool:
        return self.one.holds(error, repeatable) and self.other.holds(error, repeatable)

    def __repr__(self) -> str:
        return f"{_bound(self.one)} & {_bound(self.other)}"


@dataclass(frozen=True, slots=True, repr=False)
class _Not(When):
    one: When

    def holds(self, error: Exception, repeatable: bool, /) -> bool:
        return not self.one.holds(error, repeatable)

    def __repr__(self) -> str:
        inner = f"({self.one!r})" if isinstance(self.one, _Any | _All) else repr(self.one)
        return f"~{inner}"


def _bound(when: When) -> str:
    return f"({when!r})" if isinstance(when, _Any) else repr(when)
