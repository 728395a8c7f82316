import pytest

from falconkit.testing import ManualClock, Script, wait_until


def answers(*outcomes):
    script = Script(*outcomes)
    return lambda: script(None, None)


def test_it_returns_the_first_true_value():
    clock = ManualClock()
    assert wait_until(answers(None, 0, "up"), interval=0.5, clock=clock) == "up"
    assert clock.slept == [0.5, 0.5]


def test_what_is_true_at_once_waits_for_nothing():
    clock = ManualClock()
    assert wait_until(lambda: 1, timeout=0, clock=clock) == 1
    assert clock.slept == []


def test_a_server_that_is_not_up_yet_is_waited_for():
    asked = answers(ConnectionRefusedError("not yet"), FileNotFoundError("nor yet"), "up")
    assert wait_until(asked, clock=ManualClock()) == "up"


def test_any_other_error_is_the_tests_own():
    with pytest.raises(KeyError):
        wait_until(answers(KeyError("x")), clock=ManualClock())


def test_it_gives_up_and_says_what_it_saw():
    clock = ManualClock()

    def never():
        return []

    with pytest.raises(AssertionError) as raised:
        wait_until(never, timeout=1, interval=0.25, clock=clock)
    assert str(raised.value) == "never: not after 1 s; the last answer was []"
    assert clock.slept == [0.25] * 4


def test_the_message_names_what_was_waited_for():
    def refused():
        raise ConnectionRefusedError("refused")

    with pytest.raises(AssertionError, match=r"the server: not after 0\.5 s; .*refused"):
        wait_until(refused, timeout=0.5, what="the server", clock=ManualClock())
