"""The handler over real pipes, files and sockets, and over everything that can go wrong."""

import contextlib
import errno
import fcntl
import gc
import io
import json
import logging
import os
import pty
import select
import socket
import stat
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from falconkit.context import Context, current
from falconkit.errors import ConfigurationError
from falconkit.log import Handler, JsonFormatter, RequestLine
from falconkit.log import target as target_module
from falconkit.log.handler import _call_weakly
from falconkit.log.target import Descriptor, open_target
from falconkit.testing import ManualClock, wait_until
from tests.log.hostile import Raises, parsed, record

LINE = b'{"n":1}\n'
FORMATTER = JsonFormatter()
_open = os.open  # a test replaces it


class Pipe:
    """A real pipe, and its writing end as a stream."""

    def __init__(self) -> None:
        self.reader, writer = os.pipe()
        fcntl.fcntl(self.reader, fcntl.F_SETPIPE_SZ, 8_192)
        self.stream = os.fdopen(writer, "w")

    def fill(self) -> None:
        """Leave no room, by a description of its own so that no flag is touched."""
        own = _open(f"/proc/self/fd/{self.stream.fileno()}", os.O_WRONLY | os.O_NONBLOCK)
        for size in (4_096, 1):
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(own, b"." * size)
        os.close(own)

    def read(self) -> bytes:
        """Return all that is in it now."""
        got = b""
        while select.select([self.reader], [], [], 0)[0]:
            part = os.read(self.reader, 65_536)
            if not part:
                break
            got += part
        return got

    def close_reader(self) -> None:
        os.close(self.reader)
        self.reader = -1

    def close(self) -> None:
        if self.reader >= 0:
            os.close(self.reader)
        self.stream.close()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


@pytest.fixture
def handlers() -> Iterator[Any]:
    made: list[Handler] = []

    def make(stream: Any, **options: Any) -> Handler:
        made.append(Handler(stream, **({"wait": 0.001} | options)))
        return made[-1]

    yield make
    for handler in made:
        handler.close()


@pytest.fixture(params=["reopened", "polled"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to a pipe: opened anew, and where the system does not let us, polled."""
    if request.param == "polled":

        def refuse(path: Any, flags: int) -> int:
            raise PermissionError(errno.EACCES, "no", path)

        monkeypatch.setattr(target_module.os, "open", refuse)
    return str(request.param)


def test_a_line_is_one_write(handlers: Any, tmp_path: Path, monkeypatch: Any) -> None:
    writes: list[bytes] = []
    write = os.write
    monkeypatch.setattr(
        target_module.os, "write", lambda fd, line: writes.append(bytes(line)) or write(fd, line)
    )
    with (tmp_path / "log").open("w") as stream:
        handler = handlers(stream)
        handler.write_line(LINE)
        handler.handle(record("x" * 9_000))
        assert len(writes) == 2
        assert (tmp_path / "log").read_bytes() == b"".join(writes)


def test_the_bound_is_by_what_is_written_to(handlers: Any, pipe: Pipe, tmp_path: Path) -> None:
    left, right = socket.socketpair()
    with left, right, (tmp_path / "log").open("w") as file, left.makefile("w") as sock:
        assert handlers(file).limit == 10_000
        assert handlers(sock).limit == 10_000
    assert handlers(pipe.stream).limit == 4_096
    assert handlers(io.StringIO()).limit == 10_000
    assert handlers(pipe.stream, pipe_limit=512).limit == 512
    assert handlers(io.StringIO(), limit=256).limit == 256
    pipe.stream.close()
    assert handlers(pipe.stream).limit == 4_096


def test_a_record_is_shortened_to_the_bound(handlers: Any, pipe: Pipe) -> None:
    handler = handlers(pipe.stream)
    handler.handle(record("x" * 9_000))
    fields = parsed(pipe.read(), 4_096)
    assert fields["truncated"] is True
    assert len(fields["message"]) > 3_800


def test_a_full_pipe_drops_counts_and_says_so(way: str, handlers: Any, pipe: Pipe) -> None:
    handler = handlers(pipe.stream)
    handler.write_line(LINE)
    pipe.fill()
    for _ in range(3):
        handler.write_line(LINE)
    assert handler.dropped == 3
    assert pipe.read().startswith(LINE + b"..")
    token = current.set(Context(request_id="innocent"))
    handler.write_line(LINE)
    current.reset(token)
    first, told = pipe.read().splitlines(keepends=True)
    assert first == LINE
    fields = parsed(told, 4_096)
    assert fields["dropped"] == 3
    assert fields["level"] == "warning"
    assert fields["message"].startswith("3 log lines were dropped")
    assert "request_id" not in fields
    handler.write_line(LINE)
    assert pipe.read() == LINE
    assert handler.dropped == 3


def test_a_full_pipe_is_waited_for_once(handlers: Any, pipe: Pipe, monkeypatch: Any) -> None:
    waits: list[float] = []
    real = select.poll

    class Poll:
        def __init__(self) -> None:
            self._poll = real()
            self.register = self._poll.register

        def poll(self, milliseconds: float) -> list[Any]:
            waits.append(milliseconds)
            return self._poll.poll(0)

    monkeypatch.setattr(target_module.select, "poll", Poll)
    handler = handlers(pipe.stream, wait=0.05)
    pipe.fill()
    for _ in range(3):
        handler.write_line(LINE)
    assert waits == [50, 0, 0]
    pipe.read()
    handler.write_line(LINE)
    pipe.fill()
    handler.write_line(LINE)
    assert waits[3:] == [50]


def test_a_reader_that_comes_in_time_gets_the_line(way: str, handlers: Any, pipe: Pipe) -> None:
    handler = handlers(pipe.stream, wait=10)
    pipe.fill()
    writer = threading.Thread(target=handler.write_line, args=(LINE,))
    writer.start()
    got = b""
    while not got.endswith(LINE):
        got += os.read(pipe.reader, 65_536)
    writer.join()
    assert handler.dropped == 0


def test_no_flag_of_the_shared_pipe_is_touched(way: str, handlers: Any, pipe: Pipe) -> None:
    before = fcntl.fcntl(pipe.stream.fileno(), fcntl.F_GETFL)
    handler = handlers(pipe.stream)
    handler.write_line(LINE)
    pipe.fill()
    handler.write_line(LINE)
    assert fcntl.fcntl(pipe.stream.fileno(), fcntl.F_GETFL) == before
    assert not before & os.O_NONBLOCK


def test_a_pipe_that_others_made_non_blocking(handlers: Any, pipe: Pipe, monkeypatch: Any) -> None:
    os.set_blocking(pipe.stream.fileno(), False)
    handler = handlers(pipe.stream)
    handler.write_line(LINE)
    pipe.fill()
    handler.write_line(LINE)
    assert handler.dropped == 1


def test_a_reader_that_has_gone(way: str, handlers: Any, pipe: Pipe) -> None:
    handler = handlers(pipe.stream)
    handler.write_line(LINE)
    pipe.close_reader()
    for _ in range(3):
        handler.handle(record())
    assert handler.dropped == 3


def test_a_closed_stream_and_none(handlers: Any, pipe: Pipe, monkeypatch: Any) -> None:
    pipe.stream.close()
    handler = handlers(pipe.stream)
    handler.write_line(LINE)
    assert handler.dropped == 1
    monkeypatch.setattr(sys, "stdout", None)
    handler = handlers(None)
    handler.write_line(LINE)
    assert handler.dropped == 1


def test_a_full_disk(handlers: Any) -> None:
    with Path("/dev/full").open("w") as full:
        handler = handlers(full)
        handler.write_line(LINE)
        handler.handle(record())
        assert handler.dropped == 2


def test_stdout_that_became_another_is_found(
    handlers: Any, pipe: Pipe, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(sys, "stdout", pipe.stream)
    handler = handlers(None)
    handler.write_line(LINE)
    pipe.close_reader()
    with (tmp_path / "log").open("w") as file:
        monkeypatch.setattr(sys, "stdout", file)
        handler.write_line(LINE)
        handler.write_line(LINE)
        told = (tmp_path / "log").read_bytes().splitlines(keepends=True)
    assert told[0] == LINE
    assert parsed(told[1], 10_000)["dropped"] == 1


def test_the_note_of_drops_is_kept_when_there_is_no_room_for_it(
    handlers: Any, pipe: Pipe, monkeypatch: Any
) -> None:
    fcntl.fcntl(pipe.reader, fcntl.F_SETPIPE_SZ, 4_096)
    handler = handlers(pipe.stream)
    pipe.fill()
    handler.write_line(LINE)
    pipe.read()
    handler.write_line(b"." * 4_095)  # takes the room that the note would want
    assert pipe.read() == b"." * 4_095
    handler.write_line(LINE)
    first, told = pipe.read().splitlines(keepends=True)
    assert first == LINE
    assert parsed(told, 4_096)["dropped"] == 1
    assert handler.dropped == 1


def test_a_note_that_fails_is_said_later(handlers: Any) -> None:
    class Moody(io.StringIO):
        fails = 0

        def write(self, text: str) -> int:
            self.fails -= 1
            if self.fails in (0, 2):
                raise OSError(errno.ENOSPC, "full")
            return super().write(text)

    stream = Moody()
    handler = handlers(stream)
    stream.fails = 3  # this line fails, the next does not, the note about it does
    handler.write_line(LINE)
    handler.write_line(LINE)
    handler.write_line(LINE)
    first, second, told = stream.getvalue().splitlines(keepends=True)
    assert first == second == LINE.decode()
    assert parsed(told.encode(), 10_000)["dropped"] == 1


# --- short writes, on what is no pipe


class Short:
    """An ``os.write`` that takes so many bytes at each call, or raises."""

    def __init__(self, *takes: int | type[Exception]) -> None:
        self.takes = list(takes)
        self.wrote = b""

    def __call__(self, fd: int, data: bytes) -> int:
        take = self.takes.pop(0) if self.takes else len(data)
        if not isinstance(take, int):
            raise take
        self.wrote += bytes(data[:take])
        return min(take, len(data))


class Room:
    """A ``select.poll`` that answers as told."""

    answers: list[bool]

    def register(self, fd: int, events: int) -> None:
        pass

    def poll(self, milliseconds: float) -> list[int]:
        return [1] if not self.answers or self.answers.pop(0) else []


@pytest.fixture
def faked(monkeypatch: pytest.MonkeyPatch) -> Any:
    def fake(*takes: int | type[Exception], room: list[bool] = []) -> Short:  # noqa: B006
        short = Short(*takes)
        monkeypatch.setattr(target_module.os, "write", short)
        monkeypatch.setattr(target_module.select, "poll", Room)
        Room.answers = list(room)
        return short

    return fake


@pytest.mark.parametrize("polls", [False, True])
def test_the_rest_of_a_short_write_follows(faked: Any, polls: bool) -> None:
    short = faked(3, 2, BlockingIOError, 1)
    target = Descriptor(99, 100, polls=polls, owned=False)
    assert target.write(b"a line\n", 0, 1.0, ManualClock())
    assert short.wrote == b"a line\n"


@pytest.mark.parametrize("polls", [False, True])
def test_a_torn_line_is_ended_before_the_next(faked: Any, polls: bool) -> None:
    short = faked(3, room=[True, False] if polls else [False])
    target = Descriptor(99, 100, polls=polls, owned=False)
    assert not target.write(b"a line\n", 0, 1.0, ManualClock())
    Room.answers = [False]
    assert not target.write(b"lost\n", 0, 1.0, ManualClock())
    assert target.write(b"next\n", 0, 1.0, ManualClock())
    assert target.write(b"last\n", 0, 1.0, ManualClock())
    assert short.wrote == b"a l\nnext\nlast\n"


def test_room_that_is_never_there_is_given_up(faked: Any) -> None:
    clock = ManualClock()

    def busy(fd: int, data: bytes) -> int:
        clock.advance(0.02)
        raise BlockingIOError

    faked()
    target_module.os.write = busy  # undone by the fixture
    assert not Descriptor(99, 100, polls=False, owned=False).write(LINE, 0, 0.05, clock)


def test_a_terminal_and_a_socket_are_asked_for_room(handlers: Any) -> None:
    leader, follower = pty.openpty()
    with os.fdopen(leader, "rb", 0) as read, os.fdopen(follower, "w") as stream:
        handler = handlers(stream)
        handler.write_line(LINE)
        assert read.read(100).replace(b"\r\n", b"\n") == LINE
    left, right = socket.socketpair()
    with left, right, left.makefile("w") as stream:
        left.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_608)
        handler = handlers(stream)
        handler.write_line(LINE)
        assert right.recv(100) == LINE
        while not handler.dropped:
            handler.write_line(b"x" * 500 + b"\n")
        assert left.getblocking()


# --- a request's line, which is written at once and without the lock


def one(number: int = 1) -> RequestLine:
    return RequestLine("", "info", "POST", "/add", number, number, None, "r-1")


def test_no_request_waits_for_another_s_write(handlers: Any, pipe: Pipe) -> None:
    handler = handlers(pipe.stream)
    handler.write_line(LINE)
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with handler.lock:
            held.set()
            done.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(60)
    try:
        handler.write_request(one(), FORMATTER)
        assert pipe.read().splitlines()[1] == FORMATTER.request_line(one())[:-1]
    finally:
        done.set()
        holder.join()


def test_a_request_s_line_that_finds_no_room_is_told(way: str, handlers: Any, pipe: Pipe) -> None:
    handler = handlers(pipe.stream)
    handler.write_request(one(), FORMATTER)
    pipe.fill()
    for number in range(3):
        handler.write_request(one(number), FORMATTER)
    assert handler.dropped == 3
    assert pipe.read().startswith(FORMATTER.request_line(one()) + b"..")
    handler.write_request(one(4), FORMATTER)
    first, told = pipe.read().splitlines(keepends=True)
    assert first == FORMATTER.request_line(one(4))
    assert parsed(told, 4_096)["dropped"] == 3
    handler.write_request(one(5), FORMATTER)
    assert pipe.read() == FORMATTER.request_line(one(5))
    assert handler.dropped == 3


def test_the_rest_of_a_request_s_line_follows(faked: Any, handlers: Any, tmp_path: Path) -> None:
    text = FORMATTER.request_line(one())
    with (tmp_path / "log").open("w") as stream:
        handler = handlers(stream)
        short = faked()
        handler.write_request(one(), FORMATTER)  # opens it
        short.takes = [3, 2, BlockingIOError]
        handler.write_request(one(), FORMATTER)
        assert short.wrote == text * 2
        short.takes, Room.answers = [3], [False]
        handler.write_request(one(), FORMATTER)  # torn: there was no room for the rest
        handler.write_request(one(), FORMATTER)
        ended = short.wrote.removeprefix(text * 2).splitlines(keepends=True)
    assert ended[:2] == [text[:3] + b"\n", text]
    assert parsed(ended[2], 10_000)["dropped"] == handler.dropped == 1


def test_what_fails_is_told_for_a_request_s_line_too(handlers: Any, pipe: Pipe) -> None:
    handler = handlers(pipe.stream)
    handler.write_request(one(), FORMATTER)
    pipe.close_reader()
    handler.write_request(one(), FORMATTER)
    assert handler.dropped == 1


def test_a_number_is_not_given_to_another_file_while_somebody_may_write_to_it(pipe: Pipe) -> None:
    target = open_target(pipe.stream)
    assert isinstance(target, Descriptor)
    put = target.put
    assert put is not None
    number = put.args[0]  # type: ignore[attr-defined]
    assert number != pipe.stream.fileno()
    assert stat.S_ISFIFO(os.fstat(number).st_mode)
    del target
    with pytest.raises(OSError):
        os.fstat(number)


def test_threads_whose_reader_comes_and_goes_tear_no_line(handlers: Any, pipe: Pipe) -> None:
    handler = handlers(pipe.stream, wait=0.0)
    got: list[bytes] = []

    def write() -> None:
        for number in range(200):
            handler.write_request(one(number), FORMATTER)

    writers = [threading.Thread(target=write) for _ in range(4)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        got.append(pipe.read())
    got.append(pipe.read())
    handler.write_request(one(), FORMATTER)  # tells what is not yet told
    got.append(pipe.read())
    told = [json.loads(line) for line in b"".join(got).splitlines()]
    written = sum("request" in each for each in told)
    assert written + handler.dropped == 801
    assert sum(each.get("dropped", 0) for each in told) == handler.dropped


# --- streams without a descriptor, other people's formatters, forks


def test_a_stream_without_a_descriptor(handlers: Any, capsys: pytest.CaptureFixture[str]) -> None:
    handlers(None).write_line("é\n".encode())
    assert capsys.readouterr().out == "é\n"


def test_another_formatter_is_kept_to_one_line(handlers: Any) -> None:
    stream = io.StringIO()
    handler = handlers(stream, formatter=logging.Formatter("%(levelname)s %(message)s"))
    handler.handle(record("two\r\nlines \ud800"))
    assert stream.getvalue() == "INFO two\\r\\nlines \\ud800\n"
    handler.handle(record("é" * 9_000))
    last = stream.getvalue().splitlines()[-1]
    assert len(last.encode()) < 10_000
    assert last.endswith(" bytes)")


def test_another_formatter_that_fails_is_reported(
    handlers: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = handlers(io.StringIO(), formatter=logging.Formatter("%(message)s"))
    handler.handle(record("%s", Raises()))
    assert "Logging error" in capsys.readouterr().err


def test_filters_hold_and_may_change_the_record(handlers: Any) -> None:
    stream = io.StringIO()
    handler = handlers(stream, formatter=logging.Formatter("%(message)s"))
    handler.addFilter(lambda made: made.msg != "not this")
    assert not handler.handle(record("not this"))
    assert handler.handle(record("this"))
    handler.filter = lambda made: record("another")
    handler.handle(record("this"))
    assert stream.getvalue() == "this\nanother\n"


def test_a_repr_that_logs_from_another_thread_meets_no_lock(handlers: Any) -> None:
    stream = io.StringIO()
    handler = handlers(stream)

    class Logs:
        def __repr__(self) -> str:
            other = threading.Thread(target=handler.handle, args=(record("inner"),), daemon=True)
            other.start()
            other.join(60)
            return f"<other alive: {other.is_alive()}>"

    handler.handle(record("outer %s", Logs()))
    inner, outer = (json.loads(line) for line in stream.getvalue().splitlines())
    assert inner["message"] == "inner"
    assert outer["message"] == "outer <other alive: False>"


def test_nothing_is_opened_before_the_first_line(monkeypatch: Any, pipe: Pipe) -> None:
    opened: list[IO[Any]] = []
    monkeypatch.setattr(
        "falconkit.log.handler.open_target",
        lambda stream, *limits: opened.append(stream) or open_target(stream, *limits),
    )
    handler = Handler(pipe.stream)
    assert opened == []
    handler.write_line(LINE)
    handler.write_line(LINE)
    assert opened == [pipe.stream]
    handler.close()
    handler.write_line(LINE)
    assert opened == [pipe.stream] * 2
    handler.close()


def test_what_was_opened_is_closed(pipe: Pipe) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = descriptors()
    handler = Handler(pipe.stream)
    handler.write_line(LINE)
    assert descriptors() == before + 1
    handler.close()
    assert descriptors() == before


def test_a_child_begins_anew(handlers: Any, pipe: Pipe) -> None:
    handler = handlers(pipe.stream)
    pipe.fill()
    handler.write_line(LINE)
    assert handler.dropped == 1
    pipe.read()
    gone = Handler(pipe.stream)
    del gone
    # Another thread holds the lock at the fork, as one that writes would.
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with handler.lock:
            held.set()
            done.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(10)
    with tempfile.TemporaryFile() as answer:
        child = os.fork()
        if child == 0:
            try:
                handler.write_line(LINE)
                os.write(answer.fileno(), b"%d" % handler.dropped)
            finally:
                os._exit(0)
        _, status = wait_until(lambda: (got := os.waitpid(child, os.WNOHANG))[0] and got)
        done.set()
        holder.join()
        answer.seek(0)
        assert (status, answer.read()) == (0, b"0")
    assert pipe.read() == LINE
    handler.write_line(LINE)
    told = pipe.read().splitlines()
    assert json.loads(told[1])["dropped"] == 1


@pytest.mark.parametrize(
    "options", [{"wait": -1}, {"wait": 11}, {"pipe_limit": 199}, {"limit": 10}], ids=str
)
def test_bad_configuration(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        Handler(io.StringIO(), **options)


def test_a_handler_that_is_gone_is_not_called_after_a_fork() -> None:
    class Owner:
        called = 0

        def method(self) -> None:
            self.called += 1

    owner = Owner()
    call = _call_weakly(weakref.WeakMethod(owner.method))
    call()
    assert owner.called == 1
    del owner
    gc.collect()
    call()


def test_json_is_the_default_format() -> None:
    assert isinstance(Handler(io.StringIO()).formatter, JsonFormatter)
