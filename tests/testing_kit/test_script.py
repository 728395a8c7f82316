import threading

import pytest

from falconkit.context import Context
from falconkit.naming import name_of
from falconkit.testing import Script

CTX = Context()


def test_values_come_in_order_and_by_identity():
    values = [None, 0, "", object()]
    script = Script(*values)
    for value in values:
        assert script(CTX, 1) is value
    script.done()


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_exceptions_are_raised_instances_by_identity(kind):
    error = kind("x")
    script = Script(error, kind)
    with pytest.raises(kind) as raised:
        script(CTX, 1)
    assert raised.value is error
    with pytest.raises(kind):
        script(CTX, 1)
    script.done()


def test_functions_get_the_call():
    ctx = Context(path="/add")
    script = Script(lambda ctx, request: (ctx.path, request))
    assert script(ctx, 5) == ("/add", 5)


def test_calls_are_remembered():
    first, second = Context(path="/a"), Context(path="/b")
    script = Script(1, ValueError("no"))
    script(first, "x")
    with pytest.raises(ValueError, match="no"):
        script(second, "y")
    assert script.calls == [(first, "x"), (second, "y")]
    assert script.requests == ["x", "y"]
    assert script.contexts == [first, second]


def test_a_call_too_many_fails_the_test():
    script = Script(1, name="billing")
    script(CTX, "x")
    with pytest.raises(AssertionError) as raised:
        script(CTX, "y")
    assert str(raised.value) == (
        "billing was called 2 times and has 1 outcomes; the call too many had request 'y'"
    )


def test_an_outcome_too_many_fails_the_test():
    script = Script(1, 2, 3)
    script(CTX, "x")
    with pytest.raises(AssertionError) as raised:
        script.done()
    assert str(raised.value) == "script was called 1 times, 2 of its outcomes remain: [2, 3]"


def test_it_has_a_name():
    assert name_of(Script()) == "script"
    assert name_of(Script(name="billing")) == "billing"


def test_threads_get_each_outcome_once():
    script = Script(*range(800))
    got = []

    def run():
        got.extend(script(CTX, None) for _ in range(100))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == list(range(800))
    script.done()
