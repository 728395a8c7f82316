"""Real instances behind a balancer: killed, slow, gone; and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from falconkit import Context
from falconkit.context import Asked
from falconkit.errors import UpstreamFailed
from falconkit.events import Events, InstanceEjected
from falconkit.sd import Balancer, Endpointer, RoundRobin, Static, from_file
from falconkit.testing import wait_until
from falconkit.transport.http.client import Client
from tests.sd.doubles import Factory

INSTANCE = """
import http.server, sys, time

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        time.sleep(float(sys.argv[1]))
        self.send_response(200)
        self.send_header("Content-Length", "1")
        self.end_headers()
        self.wfile.write(b"1")

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


class Process:
    def __init__(self, delay: float = 0.0) -> None:
        argv = [sys.executable, "-c", INSTANCE, str(delay)]
        self.child = subprocess.Popen(argv, stdout=subprocess.PIPE)
        self.address = f"127.0.0.1:{int(self.child.stdout.readline())}"

    def kill(self) -> None:
        self.child.send_signal(signal.SIGKILL)
        self.child.wait(60)
        self.child.stdout.close()


@pytest.fixture
def processes():
    made = []

    def make(delay=0.0):
        made.append(Process(delay))
        return made[-1]

    yield make
    for each in made:
        each.kill()


def client(instance):
    return Client("GET", f"http://{instance.address}/", returns=int, timeout=10.0)


def write(path, *instances):
    tell(path, *(each.address for each in instances))


def tell(path, *addresses):
    """Write it at once: one that is half written would be read as fewer, or none."""
    new = path.with_suffix(".new")
    new.write_text("\n".join(addresses))
    new.rename(path)


def thrice(call):
    """A retry in its plainest form: an idempotent call, three times at most."""
    ctx = Context()
    for left in (2, 1, 0):
        try:
            call(ctx, None)
            break
        except UpstreamFailed:
            if not left:
                raise
    return ctx.notes.of(Asked)[-1].instance


def test_instances_are_killed_and_added_and_no_caller_sees_it(processes, tmp_path):
    one, two, three = (processes() for _ in range(3))
    path = tmp_path / "instances"
    write(path, one, two, three)
    discovery, heard = from_file(path, every=0.02), []
    call = Balancer(Endpointer(discovery, client), events=Events(heard.append))
    with ThreadPoolExecutor(8) as threads:
        answered = Counter(threads.map(lambda _: thrice(call), range(300)))
        assert set(answered) == {one.address, two.address, three.address}
        going = [threads.submit(thrice, call) for _ in range(150)]
        one.kill()
        going += [threads.submit(thrice, call) for _ in range(300)]
        last = Counter(each.result() for each in going[-150:])
        assert set(last) == {two.address, three.address}
        added = processes()
        write(path, two, three, added)
        wait_until(lambda: added.address in {row["instance"] for row in call.status()})
        assert added.address in Counter(threads.map(lambda _: thrice(call), range(300)))
    assert all(event.instance == one.address for event in heard if type(event) is InstanceEjected)
    call.close()
    discovery.close()


def test_a_slow_instance_gets_next_to_nothing(processes):
    quick, other, slow = processes(), processes(), processes(1.0)
    static = Static(quick.address, other.address, slow.address)
    call = Balancer(Endpointer(static, client))
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: thrice(call), range(100)))  # it is found out
        found = Counter(threads.map(lambda _: thrice(call), range(400)))
    assert found[slow.address] < 0.05 * 400
    call.close()


def test_without_a_retry_nobody_sees_one_that_is_dead(processes):
    alive, dead = processes(), processes()
    dead.kill()
    heard = []
    call = Balancer(
        Endpointer(Static(alive.address, dead.address), client),
        RoundRobin(),
        events=Events(heard.append),
    )
    asked = Counter()
    for _ in range(100):
        ctx = Context()
        assert call(ctx, None) == 1
        asked.update(each.instance for each in ctx.notes.of(Asked))
    assert asked == {alive.address: 100, dead.address: 5}
    assert [type(each) for each in heard] == [InstanceEjected]
    call.close()


OPENED = """
import os, sys, threading
from falconkit import Context
from falconkit.sd import Balancer, Endpointer, RoundRobin, from_file
from falconkit.transport.http.client import Client

def opened():
    return len(os.listdir("/proc/self/fd")), threading.active_count()

def client(instance):
    return Client("GET", f"http://{instance.address}/", returns=int, timeout=10.0)

before = opened()
discovery = from_file(sys.argv[1], every=60.0)
call = Balancer(Endpointer(discovery, client), RoundRobin())
assert opened() == before, "made"
for _ in range(6):
    call(Context(), None)
assert opened() == (before[0] + 3, before[1] + 1), "in use"
call.close()
discovery.close()
assert opened() == before, "closed"
"""


def test_nothing_is_open_before_the_first_call_and_after_close(processes, tmp_path):
    path = tmp_path / "instances"
    write(path, *(processes() for _ in range(3)))
    subprocess.run([sys.executable, "-c", OPENED, str(path)], check=True, timeout=60)


def test_a_worker_forked_after_the_first_call_has_its_own(tmp_path):
    path = tmp_path / "instances"
    path.write_text("a:1\nb:1\n")
    factory = Factory()
    discovery = from_file(path, every=0.02)
    call = Balancer(Endpointer(discovery, factory), RoundRobin())
    assert {call(Context(), None) for _ in range(2)} == {"a:1", "b:1"}
    child = os.fork()
    if not child:
        code = 1
        try:
            assert {call(Context(), None) for _ in range(2)} == {"a:1", "b:1"}
            assert len(factory.made) == 4
            tell(path, "c:1")
            wait_until(lambda: call(Context(), None) == "c:1")
            call.close()
            discovery.close()
            assert threading.active_count() == 1
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    wait_until(lambda: call(Context(), None) == "c:1")
    call.close()
    discovery.close()
