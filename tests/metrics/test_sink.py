from __future__ import annotations

import socket

import pytest

from falconkit.testing.statsd import Line, StatsDSink, parse


def send(sink: StatsDSink, *datagrams: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for each in datagrams:
            sender.sendto(each.encode(), ("127.0.0.1", sink.port))


def test_lines_of_every_kind() -> None:
    assert parse(b"a.b-c_d:3|c\nt:1.5|ms|@0.1\ng:-2|g\ng:0|g\nu:7|s") == [
        Line("a.b-c_d", 3.0, "c"),
        Line("t", 1.5, "ms", 0.1),
        Line("g", -2.0, "g", change=True),
        Line("g", 0.0, "g"),
        Line("u", 7.0, "s"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a:1",
        "a:|c",
        ":1|c",
        "a:1|x",
        "a:1|h",
        "a:1|d",
        "a b:1|c",
        "a/b:1|c",
        "a:1e5|c",
        "a:nan|g",
        "a:1|c|@0",
        "a:1|c|@1.5",
        "a:1|c|@1e-05",
        "a:1|c|#tag:v",
        "a:-1|ms",
        "a:1|c\n",
        "a:1|c ",
        "é:1|c",
    ],
)
def test_what_some_daemon_would_misread_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse(text.encode())


def test_it_adds_up_as_the_daemon_does() -> None:
    with StatsDSink() as sink:
        send(sink, "a:1|c\na:2|c|@0.5", "g:5|g\ng:+2|g\ng:-1|g", "h:3|g", "t:10|ms\nt:20|ms|@0.25")
        assert sink.counters() == {"a": 5.0}
        assert sink.gauges() == {"g": 6.0, "h": 3.0}
        assert sink.timings() == {"t": [(10.0, 1.0), (20.0, 4.0)]}
        send(sink, "g:0|g\ng:-4|g")
        assert sink.gauges()["g"] == -4.0
        assert len(sink.datagrams()) == 5


def test_it_can_be_read_after_it_closed_and_waited_for() -> None:
    with StatsDSink() as sink:
        send(sink, "a:1|c")
        assert sink.wait_for(lambda sink: sink.counters().get("a")) == 1.0
        send(sink, "a:1|c")
    assert sink.counters() == {"a": 2.0}
    with pytest.raises(AssertionError, match="the sink's data: not after 0 s"):
        sink.wait_for(lambda sink: sink.counters().get("b"), timeout=0)


def test_a_bad_line_fails_who_reads() -> None:
    with StatsDSink() as sink:
        send(sink, "a:1|c", "nonsense")
        assert sink.datagrams() == [b"a:1|c", b"nonsense"]
        with pytest.raises(ValueError, match="not a line of StatsD: 'nonsense'"):
            sink.counters()
