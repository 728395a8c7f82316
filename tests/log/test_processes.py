"""Several processes on one pipe, as gunicorn's workers are."""

import json
import os
import subprocess
import sys
from collections import Counter

from falconkit.testing import wait_until

WRITER = """
import logging, sys
from falconkit import Context
from falconkit.log import log, setup

who = sys.argv[1]
handler = setup("json", stream=sys.stdout, wait=10)
call = log()(lambda ctx, request: request)
for n in range(150):
    call(Context("POST", "/add", f"{who}-{n}"), who * (3000 + n * 9))
    logging.warning("%s", who * 50_000, extra={"request_id": f"{who}-w{n}"})
sys.exit(handler.dropped)
"""


def start(who: str, stdout: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", WRITER, who], stdout=stdout)


def test_lines_of_four_processes_never_mix() -> None:
    reader, writer = os.pipe()
    workers = [start(who, writer) for who in "abcd"]
    os.close(writer)
    with os.fdopen(reader, "rb") as lines:
        read = [(len(line), json.loads(line)) for line in lines]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0, 0]
    assert max(size for size, _ in read) < 4_096
    assert max(size for size, _ in read) > 4_000
    ids = Counter(fields["request_id"] for _, fields in read)
    assert ids == Counter(f"{who}-{w}{n}" for who in "abcd" for w in ("", "w") for n in range(150))
    for _, fields in read:
        text = fields.get("request") or fields["message"]
        assert set(text.split("…")[0]) == {fields["request_id"][0]}


def test_a_reader_that_is_killed_hurts_nobody() -> None:
    reader, writer = os.pipe()
    worker = start("a", writer)
    os.close(writer)
    os.read(reader, 1)
    os.close(reader)
    dropped = wait_until(lambda: worker.poll(), 60)
    assert dropped  # by its exit status
    assert worker.returncode > 0


def test_a_reader_that_only_stands_still_hurts_nobody() -> None:
    reader, writer = os.pipe()
    worker = subprocess.Popen(
        [sys.executable, "-c", WRITER.replace("wait=10", "wait=0.01"), "a"], stdout=writer
    )
    os.close(writer)
    assert wait_until(lambda: worker.poll(), 60)
    os.close(reader)
