"""What is said of requests that take too long, under a real gunicorn."""

from __future__ import annotations

import pytest

from tests.server.serving import (
    APP,
    PLAIN,
    Call,
    Held,
    json_of,
    lines,
    replaced,
    said,
    until,
)

SOON = {"STUCK_AFTER": "0.2"}
SYNC = ("--worker-class", "sync", "--threads", "1")
ID = "0123456789abcdef0123"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
IDS = {"X-Request-ID": ID, "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}


@pytest.mark.parametrize(
    "args", [(), SYNC, ("--worker-class", "gthread")], ids=["", "sync", "gthread"]
)
def test_a_stuck_request_is_told_once_with_its_stack(held: Held, args: tuple[str, ...]):
    with held.serve(APP, *args, **SOON) as server:
        held.hold("call")
        call = Call(lambda: server.get("/held/call", **IDS))
        until(lambda: said(server, "a request is stuck"))
        held.hold("later")
        held.let_go("call")
        assert call.result()[0] == 200
        [line] = said(server, "a request is stuck")
        assert (line["request_id"], line["trace_id"]) == (ID, TRACE)
        assert (line["path"], line["level"]) == ("/held/call", "error")
        assert "wait" in line["stack"][0], "the innermost first"
        assert any("until_gone" in frame and "apps.py" in frame for frame in line["stack"])
        if not args:
            assert json_of(server, "/debug/vars")["event.request_stuck"] == 1


def test_an_app_that_keeps_no_table_is_watched_too(held: Held):
    with held.serve(PLAIN, **SOON) as server:
        held.hold("call")
        call = Call(lambda: server.get("/call", **{"X-Request-ID": ID}))
        until(lambda: said(server, "a request is stuck"))
        held.let_go("call")
        call.result()
        [line] = said(server, "a request is stuck")
        assert (line["request_id"], line["path"]) == (ID, "/call")


def test_a_worker_all_of_whose_threads_are_stuck_is_replaced(held: Held):
    with held.serve(APP, "--threads", "2", "--timeout", "2", **SOON) as server:
        [old] = server.workers()
        held.hold("call")
        calls = [Call(lambda: server.get("/held/call")) for _ in range(2)]
        until(lambda: said(server, "all 2 threads are stuck: this worker is replaced"))
        until(lambda: replaced(server, {old}))
        held.let_go("call")
        assert json_of(server, "/environ")["pid"] != old
        for each in calls:
            each.join(60)
        assert [line["pid"] for line in lines(server) if line.get("app") == "closed"] == [old]


def test_a_held_interpreter_is_ended_and_its_stack_told(held: Held):
    with held.serve(APP, "--timeout", "1") as server:
        [old] = server.workers()
        Call(lambda: server.get("/gil"))
        until(lambda: said(server, "died where its stacks say"))
        [line] = said(server, "died where its stacks say")
        assert any("apps.py" in frame and "on_get" in frame for frame in line["stack"])
        until(lambda: replaced(server, {old}))


def test_a_sync_worker_that_is_aborted_tells_what_it_served(held: Held):
    with held.serve(APP, *SYNC, "--timeout", "1", STUCK_AFTER="60") as server:
        held.hold("call")
        Call(lambda: server.get("/held/call", **IDS))
        until(lambda: said(server, "aborted while it serves a request"))
        [line] = said(server, "aborted while it serves a request")
        told = (line["request_id"], line["trace_id"], line["path"])
        assert told == (ID, TRACE, "/held/call")
        # It polls, so the signal may find it in any call that this makes.
        assert "handle_abort" not in line["stack"][0], "not the handler of the signal"
        assert any("apps.py" in frame and "until_gone" in frame for frame in line["stack"])
        held.let_go("call")
