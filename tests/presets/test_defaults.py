"""The table of defaults says what is in the code, all of it."""

import ast
import inspect
import re
from pathlib import Path

import pytest

import falconkit.bulkhead
import falconkit.circuitbreaker
import falconkit.coalesce
import falconkit.deadline
import falconkit.fallback
import falconkit.log
import falconkit.metrics
import falconkit.presets
import falconkit.ratelimit
import falconkit.retry
import falconkit.sd
import falconkit.shedding
import falconkit.tracing
from falconkit.tracing.batches import Batches
from falconkit.transport.http.client import Client
from falconkit.transport.http.client_pool import Pool

PAGE = (Path(__file__).parents[2] / "docs" / "presets.md").read_text()
PUBLIC = {
    name: getattr(module, name)
    for module in (
        falconkit.bulkhead,
        falconkit.circuitbreaker,
        falconkit.coalesce,
        falconkit.deadline,
        falconkit.fallback,
        falconkit.log,
        falconkit.metrics,
        falconkit.presets,
        falconkit.ratelimit,
        falconkit.retry,
        falconkit.sd,
        falconkit.shedding,
        falconkit.tracing,
    )
    for name in module.__all__
} | {"Client": Client, "Pool": Pool}
ROWS = re.findall(r"^\| `(\w+\([^`]*\))` \|", PAGE, re.MULTILINE)
# What is no policy: what carries a result, is made by another, or is for a terminal.
NO_POLICIES = {
    *("Baggage", "Callee", "Carried", "Counter", "Distribution", "Gauge", "Histogram", "Instance"),
    *("Priority", "RequestLine", "Snapshot", "State", "Window"),
    *("ConsoleFormatter", "LogfmtFormatter", "FileReporter", "LogReporter", "setup"),
    *("full_jitter", "call_stack", "try_stack"),  # told by retry() and client_stack()
}


def defaults(factory):
    found = {
        name: each.default
        for name, each in inspect.signature(factory).parameters.items()
        if each.default is not each.empty
    }
    # The options of a reporter's queue have their defaults where the queue is.
    return {**defaults(Batches), **found} if factory is falconkit.tracing.BatchReporter else found


def shown(value):
    return ast.unparse(ast.parse(repr(value), mode="eval"))


def told():
    """Return each default of the table: of what, which, and the words for it."""
    calls = [ast.parse(row, mode="eval").body for row in ROWS]
    return [
        (call.func.id, each.arg, ast.unparse(each.value))
        for call in calls
        for each in call.keywords
    ]


@pytest.mark.parametrize(("factory", "name", "words"), told())
def test_the_table_says_what_is_in_the_code(factory, name, words):
    assert words == shown(defaults(PUBLIC[factory])[name])


def test_every_number_is_in_the_table():
    numbers = set()
    for factory, made in PUBLIC.items():
        if factory in NO_POLICIES or not callable(made):
            continue
        try:
            found = defaults(made)
        except (TypeError, ValueError):
            continue  # a Protocol, a type alias
        for name, value in found.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                numbers.add((factory, name))
    assert numbers <= {(factory, name) for factory, name, _ in told()}


def test_the_halves_of_the_client_stack_have_its_numbers():
    whole = defaults(falconkit.presets.client_stack)
    assert defaults(falconkit.presets.call_stack)["timeout"] == whole["timeout"]
    assert defaults(falconkit.presets.try_stack)["timeout"] == whole["per_try_timeout"]
