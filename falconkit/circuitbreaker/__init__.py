"""Circuit breaking: do not call what is known to be down, and find out when it is up again."""

from falconkit.circuitbreaker.breaker import CircuitBreaker
from falconkit.circuitbreaker.middleware import guard
from falconkit.circuitbreaker.verdict import is_failure

__all__ = ["CircuitBreaker", "guard", "is_failure"]
