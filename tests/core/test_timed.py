"""What is read off a socket within a time."""

from __future__ import annotations

import math
import socket

import pytest

from falconkit.timed import Timed


@pytest.fixture
def pair():
    here, there = socket.socketpair()
    with here, there:
        yield here, there


def test_when_the_time_is_over_bytes_that_are_there_are_late(pair):
    here, there = pair
    there.sendall(b"1")
    here.settimeout(1e-9)
    late = Timed(here)
    with pytest.raises(TimeoutError):
        late.readinto(bytearray(1))
    late.close()
    late.close()
    assert late.closed


def test_each_wait_for_bytes_is_as_long_as_what_is_left(pair):
    here, there = pair
    here.settimeout(500.0)
    timed = Timed(here)
    assert timed.came == -1
    there.sendall(b"1")
    assert timed.readinto(bytearray(1)) == 1
    assert here.gettimeout() < 500.0
    assert timed.came == 1
    there.shutdown(socket.SHUT_WR)
    assert timed.readinto(bytearray(1)) == 0
    assert timed.came == 0
    timed.close()


def test_a_wait_is_no_longer_than_the_sockets_own(pair):
    here, there = pair
    here.settimeout(500.0)
    timed = Timed(here, until=math.inf)
    there.sendall(b"12")
    timed.readinto(bytearray(1))
    assert here.gettimeout() == 500.0
    timed.until = 1e12
    timed.readinto(bytearray(1))
    assert here.gettimeout() == 500.0
    timed.close()


def test_a_socket_without_a_timeout_is_waited_for(pair):
    here, there = pair
    timed = Timed(here)
    there.sendall(b"1")
    assert timed.readinto(bytearray(1)) == 1
    assert here.gettimeout() is None
    timed.close()
