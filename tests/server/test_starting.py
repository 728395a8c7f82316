"""Settings, hooks and the run directory under a real gunicorn."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from falconkit.testing.gunicorn import SETTINGS, Gunicorn, environment
from tests.server.serving import (
    APP,
    PLAIN,
    ROOT,
    Held,
    gone,
    json_of,
    lines,
    replaced,
    said,
    until,
)

HOSTILE = {
    "GUNICORN_CMD_ARGS": "--access-logfile - --log-level info",
    "FORWARDED_ALLOW_IPS": "*",
    "WEB_CONCURRENCY": "02",
}


def run_folders(pid: int) -> list[str]:
    return [
        each for each in os.listdir("/dev/shm") if re.fullmatch(rf"falconkit-.*-{pid}-\w+", each)
    ]


def run_to_its_end(held: Held, *args: str) -> tuple[int, bytes, int]:
    child = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "-c", SETTINGS, *args, APP],
        cwd=ROOT,
        env=environment({"HELD": str(held.folder)}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output, _ = child.communicate(timeout=30)
    return child.returncode, output, child.pid


def fails(held: Held, app: str = APP, config: str = SETTINGS, **env: str) -> tuple[int, str]:
    server = Gunicorn(app, config=config, cwd=ROOT, HELD=str(held.folder), **env)
    server.start()
    try:
        return server.wait(), server.output()
    finally:
        server.kill()


def test_they_hold_whatever_a_buildpack_sets(held: Held):
    with held.serve(workers=2, **HOSTILE) as server:
        seen = json_of(server, "/environ", **{"SCRIPT_NAME": "/environ", "User-Agent": "curl/8"})
        assert len(server.workers()) == 2
    assert (seen["SCRIPT_NAME"], seen["PATH_INFO"]) == ("", "/environ")
    assert lines(server)
    assert "curl/8" not in server.output(), "no second access log"


def test_gunicorns_lines_are_json_with_its_level_and_name(held: Held):
    with held.serve() as server:
        pass
    [line] = said(server, "Starting gunicorn")
    assert (line["level"], line["logger"]) == ("info", "gunicorn.error")


def test_lines_of_an_app_without_a_logging_setup_are_json_too(held: Held):
    with held.serve(PLAIN, PYTHONWARNINGS="error") as server:
        server.get("/")
    assert lines(server)


@pytest.mark.parametrize("log_format", ["logfmt", "console"])
def test_the_log_has_the_format_that_was_asked_for(held: Held, log_format: str):
    with held.serve(LOG_FORMAT=log_format) as server:
        pass
    assert "Starting gunicorn" in server.output()
    assert "{" not in server.output().splitlines()[0]


def test_a_log_file_is_json_and_is_reopened(held: Held, tmp_path: Path):
    file = tmp_path / "error.log"
    with held.serve(APP, "--error-logfile", str(file)) as server:
        file.rename(tmp_path / "old.log")
        server.signal(signal.SIGUSR1)
        until(file.exists)
    assert [json.loads(line)["level"] for line in file.read_text().splitlines()]
    assert "Starting" in (tmp_path / "old.log").read_text()


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"PORT": "http"}, "PORT='http': give a whole number from 0 to 65535"),
        ({"STUCK_AFTER": "soon"}, "STUCK_AFTER='soon': give seconds"),
        ({"FALCONKIT_RUN": "/proc/nowhere"}, "FALCONKIT_RUN='/proc/nowhere' cannot be used"),
    ],
)
def test_a_misconfigured_server_says_so_in_one_line_and_ends(held: Held, env, words):
    status, output = fails(held, **env)
    assert status == 1
    assert sum(words in line for line in output.splitlines()) == 1
    assert "Traceback" not in output


def test_a_misconfigured_app_says_so_in_one_line_and_ends(held: Held):
    status, output = fails(held, "tests.server.misconfigured:app", WEB_CONCURRENCY="1")
    assert status == 4
    [line] = [line for line in output.splitlines() if "COLOUR" in line]
    assert json.loads(line)["message"] == "COLOUR='loud': give one of red, green"
    assert json.loads(line)["level"] == "critical"
    assert "Traceback" not in output


def test_hooks_of_the_user_and_ours_all_run(held: Held):
    with held.serve(config="tests/server/user_settings.py") as server:
        server.get("/environ", **{"User-Agent": "curl/8"})
    told = [line["user"] for line in lines(server) if "user" in line]
    assert told == ["on_starting True", "post_worker_init 3", "worker_exit"]
    assert [line["app"] for line in lines(server) if "app" in line] == ["closed"]
    assert said(server, "the user's hook failed")
    assert "curl/8" not in server.output()


def test_the_run_directory_lives_as_long_as_the_server(held: Held):
    with held.serve(workers=2) as server:
        [made] = run_folders(server.pid)
        assert json_of(server, "/environ")["run"] == f"/dev/shm/{made}"
        assert Path("/dev/shm", made).stat().st_mode & 0o777 == 0o700
        victim = server.workers()[0]
        os.kill(victim, signal.SIGKILL)
        until(lambda: replaced(server, {victim}, 2))
        assert json_of(server, "/environ")["run"] == f"/dev/shm/{made}"
        assert server.stop() == 0
        assert not run_folders(server.pid)


def test_a_server_that_was_killed_is_swept_by_the_next(held: Held):
    with held.serve() as server:
        workers = server.workers()
        os.kill(server.pid, signal.SIGKILL)
        server.wait()
        until(lambda: all(map(gone, workers)))
    with held.serve():
        assert not run_folders(server.pid)


def test_a_folder_that_the_user_named_stays(held: Held, tmp_path: Path):
    named = tmp_path / "run"
    named.mkdir(mode=0o700)
    with held.serve(FALCONKIT_RUN=str(named)) as server:
        assert json_of(server, "/environ")["run"] == str(named)
    assert named.is_dir()


def test_check_config_leaves_nothing_behind(held: Held):
    status, output, pid = run_to_its_end(held, "--check-config")
    assert (status, output) == (0, b"")
    assert not run_folders(pid)


def test_a_taken_port_leaves_nothing_behind(held: Held):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        status, output, pid = run_to_its_end(held, "-b", address)
    assert status == 1
    assert b"in use" in output
    assert not run_folders(pid)
