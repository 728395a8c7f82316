"""The traces that are kept, and the page that draws them."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import subprocess
import threading
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconkit import Context
from falconkit.arena import Arena
from falconkit.debug.traces import page
from falconkit.errors import ConfigurationError
from falconkit.testing import ManualClock, wait_until
from falconkit.tracing import LeanTracer, Several, SpanList, TraceRing
from falconkit.tracing.zipkin_json import Endpoint, ZipkinSpan
from tests.services import require
from tests.tracing.receiver import Receiver
from tests.tracing.test_processes import ask, serve
from tests.transport.serving import call, environ, make

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def arena(tmp_path):
    arena = Arena(tmp_path / "run")
    yield arena
    arena.close()


def ring_of(arena: Arena, clock: ManualClock, **options) -> tuple[TraceRing, LeanTracer]:
    ring = TraceRing(arena=arena, clock=clock, interval=3600, **options)
    ring.batches._start = lambda: None
    return ring, LeanTracer("counter", reporter=ring, clock=clock)


def served(tracer: LeanTracer, clock: ManualClock, name: str, seconds: float, failed=False) -> None:
    ctx = Context("GET", "/", "r-1", span=tracer.join({}))
    outer = tracer.open(ctx, name)
    inner = tracer.open(ctx.inside(outer), f"{name}_inner")
    clock.advance(seconds)
    if failed:
        inner.fail(KeyError())
    inner.finish()
    outer.finish()


def names(ring: TraceRing) -> list[str]:
    return [spans[0].name for spans in ring.read()]


def test_the_slowest_and_the_last_failed_are_kept(arena):
    clock = ManualClock()
    ring, tracer = ring_of(arena, clock, most=3)
    for n in (5, 1, 9, 3, 7):
        served(tracer, clock, f"ok{n}", n / 10)
    for n in (4, 2, 8, 6):
        served(tracer, clock, f"bad{n}", n / 10, failed=True)
    assert names(ring) == ["bad8", "bad6", "bad2", "ok9", "ok7", "ok5"]
    assert [len(spans) for spans in ring.read()] == [2] * 6
    outer, inner = ring.read()[0]
    assert inner.parent_id == outer.id


def test_what_is_old_is_gone_and_makes_room(arena):
    clock = ManualClock()
    ring, tracer = ring_of(arena, clock, most=1, seconds=60)
    served(tracer, clock, "slow", 5)
    clock.advance(50)
    served(tracer, clock, "quick", 1)
    assert names(ring) == ["slow"]
    clock.advance(61)
    assert names(ring) == []
    served(tracer, clock, "late", 1)
    assert names(ring) == ["late"]


def test_a_flood_of_spans_is_bounded(arena):
    clock = ManualClock()
    ring, tracer = ring_of(arena, clock)
    ctx = Context(span=tracer.join({}))
    outer = tracer.open(ctx, "outer")
    for _ in range(500):
        tracer.open(ctx.inside(outer), "inner").finish()
    outer.finish()
    for _ in range(3000):  # children whose parents never end
        child = tracer.open(Context(span=tracer.open(Context(span=tracer.join({})), "open")), "c")
        child.finish()
    ring.flush()
    assert [len(spans) for spans in ring.read()] == [100]
    assert len(ring._open) <= 1000


def test_a_worker_shows_what_the_others_have_kept(arena):
    clock = ManualClock()
    ring, tracer = ring_of(arena, clock)
    served(tracer, clock, "ours", 1)
    pid = os.fork()
    if pid == 0:
        assert names(ring) == []
        served(tracer, clock, "theirs", 2)
        ring.flush()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert names(ring) == ["theirs", "ours"]
    (arena.folder() / "traces.1.json").write_text("rubbish")
    assert names(ring) == ["theirs", "ours"]
    clock.set_time(4e9)  # long after: files of ended workers are removed
    assert names(ring) == []
    assert [file.name for file in arena.folder().glob("traces.*")] == [f"traces.{os.getpid()}.json"]


def test_without_a_folder_a_process_shows_its_own():
    clock = ManualClock()
    ring, tracer = ring_of(Arena(directory=None), clock)
    served(tracer, clock, "ours", 1)
    assert names(ring) == ["ours"]


def test_several_reporters_get_each_span():
    first, second = SpanList(), SpanList()
    both = Several(first, second)
    tracer = LeanTracer("counter", reporter=both)
    tracer.open(Context(), "add").finish()
    both.flush()
    tracer.close()
    assert [*first] == [*second] != []
    assert (first.service, second.service) == ("counter", "counter")


@pytest.mark.parametrize(
    "build",
    [
        lambda: TraceRing(0),
        lambda: TraceRing(seconds=0),
        lambda: TraceRing(interval=0),
        lambda: Several(),
        lambda: Several("zipkin"),
    ],
)
def test_what_cannot_work_is_said_at_once(build):
    with pytest.raises(ConfigurationError):
        build()


def test_the_page_is_for_this_machine_unless_opened(tmp_path, arena):
    clock = ManualClock()
    ring, tracer = ring_of(arena, clock)
    served(tracer, clock, "slow", 1.5)
    for setting, remote, status in (
        ("closed", "10.0.0.9", "403"),
        ("closed", "127.0.0.1", "200"),
        ("open", "10.0.0.9", "200"),
    ):
        app = make(tmp_path, tracer=tracer, traces=ring, settings={"debug_vars": setting})
        env = environ("GET", "/debug/traces", REMOTE_ADDR=remote)
        answer, headers, body = call(app, env)
        assert answer.startswith(status)
        if status == "200":
            assert b"slow" in body
            assert b"1.5s" in body
            assert "default-src 'none'" in headers["content-security-policy"]


class Tags(HTMLParser):
    """Reads a page; each tag that is opened must be closed in its turn."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


texts = st.text(max_size=20) | st.sampled_from(
    ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "'", "&lt;", "</details>"]
)
ids = st.sampled_from(["a", "b", "c", "d", ""])
zipkin_spans = st.builds(
    ZipkinSpan,
    trace_id=texts,
    id=ids,
    name=texts,
    timestamp=st.integers(0, 1000),
    duration=st.integers(1, 1000),
    local=st.builds(Endpoint, service=texts),
    parent_id=ids,
    kind=st.sampled_from(["", "SERVER", "CLIENT"]) | texts,
    tags=st.dictionaries(texts, texts, max_size=3),
)


@given(st.lists(st.lists(zipkin_spans, min_size=1, max_size=6), max_size=3))
def test_no_span_breaks_the_page_or_runs_on_it(traces):
    drawn = page(traces)
    reader = Tags()
    reader.feed(drawn)
    assert reader.open == []
    assert not {"script", "img", "iframe"} & reader.seen
    assert drawn.count('class="bar ') == sum(map(len, traces))


def test_any_worker_shows_the_traces_of_all():
    with Receiver() as zipkin, serve(zipkin.url, workers=2) as server:
        assert [ask(server) for _ in range(20)] == [200] * 20

        def all_shown() -> bool:
            # Whichever worker answers: each of ten times.
            pages = [server.get("/debug/traces")[2] for _ in range(10)]
            return all(page.count(b"<details>") == 20 for page in pages)

        wait_until(all_shown)


HARNESS = b"""<!doctype html><body><iframe id=f src="/traces" width=1200 height=900></iframe>
<pre id=out></pre><script>
document.getElementById("f").onload = () => {
  const page = document.getElementById("f").contentDocument;
  page.querySelectorAll("details").forEach((each) => { each.open = true });
  const rows = [...page.querySelectorAll(".row")].map((row) => {
    const bar = row.querySelector(".bar").getBoundingClientRect();
    const track = row.querySelector(".track").getBoundingClientRect();
    return { name: row.querySelector(".name").textContent, color:
      page.defaultView.getComputedStyle(row.querySelector(".bar")).backgroundColor,
      from: (bar.left - track.left) / track.width, to: (bar.right - track.left) / track.width,
      top: bar.top, height: bar.height };
  });
  document.getElementById("out").textContent =
    "RESULT" + JSON.stringify({ rows, title: page.title, ran: !!window.ran }) + "END";
};
</script>"""


@contextlib.contextmanager
def served_page(html: bytes):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = html if self.path == "/traces" else HARNESS
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_browser_draws_the_bars_where_the_time_was(tmp_path):
    chromium = require("chromium")
    hostile = "<img src=x onerror='parent.ran=1'>"
    local = Endpoint("counter")
    spans = [
        ZipkinSpan("t1", "1", "add", 1_000, 1_000, local, kind="SERVER", tags={"v": hostile}),
        ZipkinSpan("t1", "2", hostile, 1_250, 500, local, "1", "CLIENT", tags={"error": "no"}),
        ZipkinSpan("t1", "3", "late", 1_900, 100, local, "1"),
    ]
    with served_page(page([spans]).encode()) as url:
        done = subprocess.run(
            [
                chromium,
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                f"--user-data-dir={tmp_path / 'profile'}",
                "--virtual-time-budget=10000",
                "--dump-dom",
                url,
            ],
            env=os.environ | {"HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
    result = done.stdout.split('id="out">RESULT')[1].split("END</pre>")[0]
    found = json.loads(result.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    add, asked, late = found["rows"]
    assert (found["title"], found["ran"]) == ("traces", False)
    assert (add["name"], asked["name"]) == ("counter add", f"counter {hostile}")
    for row, start, end in ((add, 0.0, 1.0), (asked, 0.25, 0.75), (late, 0.9, 1.0)):
        assert row["from"] == pytest.approx(start, abs=0.01)
        assert row["to"] == pytest.approx(end, abs=0.01)
        assert row["height"] > 5
    assert add["top"] < asked["top"] < late["top"]
    assert asked["color"] == "rgb(176, 0, 32)"
    assert len({row["color"] for row in found["rows"]}) == 3
