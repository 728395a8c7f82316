"""The command as it is run: a real process, a real gunicorn, and a terminal of its own."""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from falconkit.__main__ import main
from falconkit.errors import ConfigurationError
from falconkit.testing import wait_until
from falconkit.testing.gunicorn import Gunicorn
from falconkit.testing.peer import Peer, answer
from falconkit.top.command import token
from tests.services import free_port
from tests.top.documents import full

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
TOKEN = "correct-horse-battery-staple"
DOCUMENT = msgspec.json.encode(full())
ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"
SHOW_CURSOR = "\x1b[?25h"
# What a shell does: the terminal is the one whose ^C and resizes the process hears of.
IN_ITS_TERMINAL = """
import fcntl, runpy, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
runpy.run_module("falconkit", run_name="__main__", alter_sys=True)
"""


def serve(**env: str) -> Gunicorn:
    env = {"DEBUG_PAGE": "local", "DRAIN_SECONDS": "0"} | env
    return Gunicorn("tests.top.apps:app", workers=2, cwd=ROOT, timeout=PATIENCE, **env)


def post(server: Gunicorn, body: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.request("POST", "/add", body=body)
        connection.getresponse().read()


def command(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "falconkit", "top", *args],
        env={"COLUMNS": "150", **environ(), **env},
        cwd=ROOT,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=2 * PATIENCE,
    )


def said(words: str, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run it until it says so: on a busy machine an answer may take too long for it."""

    def run() -> subprocess.CompletedProcess[str] | None:
        done = command(*args, **env)
        return done if words in done.stdout + done.stderr else None

    return wait_until(run, PATIENCE, what=words)


def environ() -> dict[str, str]:
    left_out = ("DEBUG_TOKEN", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE")
    return {name: value for name, value in os.environ.items() if name not in left_out}


class Screen:
    """The command in a terminal of its own."""

    def __init__(self, *args: str, size: tuple[int, int] = (40, 150), **env: str) -> None:
        self.ours, self.theirs = pty.openpty()
        self.resize(*size)
        self.before = termios.tcgetattr(self.theirs)
        self.process = subprocess.Popen(
            [sys.executable, "-c", IN_ITS_TERMINAL, "top", *args],
            env=environ() | {"TERM": "xterm-256color"} | env,
            cwd=ROOT,
            stdin=self.theirs,
            stdout=self.theirs,
            stderr=self.theirs,
            start_new_session=True,
        )
        self.text = ""

    def resize(self, lines: int, columns: int) -> None:
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def press(self, keys: str) -> None:
        os.write(self.ours, keys.encode())

    def read(self) -> str:
        """All that it has drawn so far."""
        while select.select([self.ours], (), (), 0)[0]:
            self.text += os.read(self.ours, 65536).decode("utf-8", "replace")
        return self.text

    def until(self, words: str) -> str:
        def drawn() -> bool:
            # Read first: what it has drawn before it ended is still there.
            found = re.search(words, self.read()) is not None
            assert found or self.process.poll() is None, self.text
            return found

        wait_until(drawn, PATIENCE, what=words)
        return self.text

    def forget(self) -> None:
        self.read()
        self.text = ""

    def ends(self) -> int:
        """Wait for its end, and draw on: a terminal that nobody reads is full some time."""
        wait_until(lambda: (self.read(), self.process.poll() is not None)[1], PATIENCE)
        self.read()
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.ours)
        os.close(self.theirs)


@contextlib.contextmanager
def screen(*args: str, **options) -> Iterator[Screen]:
    made = Screen(*args, **options)
    try:
        yield made
    finally:
        made.close()


def assert_clean(shown: Screen) -> None:
    assert termios.tcgetattr(shown.theirs) == shown.before
    assert shown.text.count(ENTER) == shown.text.count(LEAVE) == 1
    assert shown.text.rindex(SHOW_CURSOR) > shown.text.index(ENTER)
    assert "Traceback" not in shown.text


def test_a_real_service_on_a_screen_of_its_own():
    with serve() as server:
        url = f"http://127.0.0.1:{server.port}"
        with screen(url, "--every", "0.2") as shown:
            shown.until("2 workers")
            for _ in range(5):
                post(server, "1")
            post(server, "-1")
            shown.until("key_error")
            shown.until("POST /add")
            assert "\x1b[2J" not in shown.text.replace("\x1b[2J\x1b[H", "")
            shown.press("q")
            assert shown.ends() == 0
            assert_clean(shown)
        done = said("POST /add", url, "--once", "--every", "0.2")
        assert (done.returncode, done.stderr) == (0, "")
        assert re.search(r"add +POST /add", done.stdout)
        assert "\x1b" not in done.stdout


def test_a_larger_window_shows_more():
    with (
        Peer(*[answer(200, DOCUMENT)] * 10_000) as peer,
        screen(peer.url, size=(12, 80)) as shown,
    ):
        assert "Slow, over" not in shown.until("POST /add")
        shown.resize(60, 150)
        shown.until("Slow, over")
        shown.press("q")
        assert shown.ends() == 0
        assert_clean(shown)


def test_the_token_is_asked_for_and_taken(tmp_path):
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    with serve(DEBUG_PAGE="token", DEBUG_TOKEN=TOKEN) as server:
        url = f"http://127.0.0.1:{server.port}"
        once = (url, "--once", "--every", "0.2")
        refused = said("set DEBUG_TOKEN to the service's, or give --token-file", *once)
        assert (refused.returncode, refused.stdout) == (1, "")
        wrong = said("it does not take this token", *once, DEBUG_TOKEN="x" * 20)
        assert (wrong.returncode, wrong.stdout) == (1, "")
        assert said("POST /add", *once, DEBUG_TOKEN=TOKEN).returncode == 0
        assert said("POST /add", *once, "--token-file", str(file)).returncode == 0
        with screen(url) as shown:
            assert shown.ends() == 1
            assert "set DEBUG_TOKEN" in shown.text
            assert_clean(shown)


def test_a_service_that_goes_and_comes_back_is_waited_for():
    port = free_port()
    with screen(f"http://127.0.0.1:{port}", "--every", "0.2") as shown:
        shown.until("AWAY since")
        with coming_back(port) as peer:
            shown.until("counter on web-1")
            assert peer.requests
        shown.forget()
        shown.until("AWAY since")
        shown.press("\x03")
        assert shown.ends() == 0
        assert termios.tcgetattr(shown.theirs) == shown.before
        assert LEAVE in shown.text


@contextlib.contextmanager
def coming_back(port: int) -> Iterator[Peer]:
    create = socket.create_server

    def at_port(address):
        return create(("127.0.0.1", port))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("falconkit.testing.peer.socket.create_server", at_port)
        peer = Peer(*[answer(200, DOCUMENT)] * 10_000)
    with peer:
        yield peer


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_the_terminal_clean(number):
    with Peer(*[answer(200, DOCUMENT)] * 10_000) as peer, screen(peer.url) as shown:
        shown.until("counter on web-1")
        os.kill(shown.process.pid, number)
        assert shown.ends() == (0 if number == signal.SIGINT else 128 + number)
        assert_clean(shown)


def test_keys_count_while_an_answer_is_awaited():
    def never(peer, connection):
        peer.closed.wait(PATIENCE)

    with Peer(*[never] * 100) as peer, screen(peer.url) as shown:
        shown.until("asking")
        wait_until(lambda: peer.requests, PATIENCE)
        shown.press("q")
        assert shown.ends() == 0
        assert_clean(shown)


def test_a_terminal_that_can_do_nothing_gets_a_plain_table():
    with Peer(*[answer(200, DOCUMENT)] * 3) as peer:
        with screen(peer.url, "--every", "0.1", TERM="dumb") as shown:
            assert shown.ends() == 0
        assert "counter on web-1" in shown.text
        assert "\x1b" not in shown.text


def test_nobody_there_once():
    done = command(f"http://127.0.0.1:{free_port()}", "--once")
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_rich_the_extra_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "rich", None)
    assert main(["top", "http://127.0.0.1:1"]) == 1
    assert "pip install 'falconkit[top]'" in capsys.readouterr().err


@pytest.mark.parametrize("every", ["0", "-1", "nan", "soon", "99999"])
def test_a_pace_that_cannot_be_kept(every, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["top", "http://127.0.0.1:1", "--every", every])
    assert caught.value.code == 2
    assert "give seconds from 0.1 to 3600" in capsys.readouterr().err


def test_a_url_with_a_password_is_refused_and_not_repeated(capsys):
    assert main(["top", "http://u:hunter2@127.0.0.1:1"]) == 1
    told = capsys.readouterr().err
    assert "--token-file" in told
    assert "hunter2" not in told


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b"two\x01words", b"x" * 5000])
def test_files_that_hold_no_token(tmp_path, content):
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match="--token-file"):
        token(str(file), {})
    with pytest.raises(ConfigurationError, match="cannot be read"):
        token(str(tmp_path / "none"), {})


def test_where_the_token_comes_from(tmp_path):
    file = tmp_path / "token"
    file.write_text("from-the-file \nand more\n")
    assert token(str(file), {"DEBUG_TOKEN": "other"}) == "from-the-file"
    assert token(None, {"DEBUG_TOKEN": " from-the-environment "}) == "from-the-environment"
    assert token(None, {}) == ""
    with pytest.raises(ConfigurationError, match="DEBUG_TOKEN"):
        token(None, {"DEBUG_TOKEN": "a\nb"})
