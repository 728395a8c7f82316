"""The lean tracer: traces that arrive and begin, and the spans in them."""

from __future__ import annotations

import os
import random
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconkit import Context
from falconkit.arena import Arena
from falconkit.errors import ConfigurationError
from falconkit.testing import ManualClock
from falconkit.tracing import (
    B3_MULTI,
    B3_SINGLE,
    W3C,
    LeanTracer,
    Recording,
    SpanList,
    always,
    annotate,
    baggage,
    never,
    per_second,
    ratio,
    tag,
)

T, S, P = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "05e3ac9a4f6e3b90"
SAMPLED, NOT_SAMPLED = f"00-{T}-{S}-01", f"00-{T}-{S}-00"


def recording(**options) -> LeanTracer:
    return LeanTracer("counter", reporter=SpanList(), clock=ManualClock(), **options)


def opened(tracer: LeanTracer, headers: dict[str, str] | None = None, kind=None) -> Recording:
    span = tracer.open(Context(span=tracer.join(headers or {})), "add", kind)
    assert isinstance(span, Recording)
    return span


def test_a_span_continues_the_trace_that_arrived():
    tracer = recording()
    span = opened(tracer, {"traceparent": SAMPLED, "tracestate": "rojo=1"})
    assert (span.trace_id, f"{span.parent:016x}", span.kind) == (T, S, "server")
    assert span.span_id not in (S, "0" * 16)
    assert span.headers() == [
        ("traceparent", f"00-{T}-{span.span_id}-01"),
        ("tracestate", "rojo=1"),
    ]
    within = tracer.open(Context(span=span), "load")
    assert (within.trace_id, within.parent, within.kind) == (T, span.number, "local")


def test_a_trace_that_begins_here_has_a_first_span_without_a_parent():
    tracer = recording(rng=random.Random(7))
    span = opened(tracer)
    assert span.parent == 0
    assert len(span.trace_id) == 32
    # Level 2: our ids are random, and say so.
    assert span.headers() == [("traceparent", f"00-{span.trace_id}-{span.span_id}-03")]


@pytest.mark.parametrize("flags", ["00", "01", "02", "03"])
def test_the_random_flag_is_kept_as_it_came(flags):
    tracer = recording()
    trace = tracer.join({"traceparent": f"00-{T}-{S}-{flags}"})
    span = tracer.open(Context(span=trace), "add")
    assert dict(span.headers())["traceparent"][-2:] == flags


@pytest.mark.parametrize(("value", "sampler"), [(SAMPLED, never), (NOT_SAMPLED, always)])
def test_the_caller_s_decision_is_kept(value, sampler):
    tracer = recording(sampler=sampler)
    trace = tracer.join({"traceparent": value})
    assert trace.sampled == (value == SAMPLED)
    span = tracer.open(Context(span=trace), "add")
    assert isinstance(span, Recording) == trace.sampled
    assert dict(span.headers())["traceparent"][-2:] == value[-2:]


def test_what_is_not_recorded_goes_on_with_a_parent_of_its_own_each_time():
    tracer = recording()
    ctx = Context(span=tracer.join({"traceparent": NOT_SAMPLED}))
    span = tracer.open(ctx, "add")
    assert span is ctx.span
    sent = [dict(span.headers())["traceparent"] for _ in range(3)]
    assert all(each.startswith(f"00-{T}-") and each.endswith("-00") for each in sent)
    assert len({S, *(each.split("-")[2] for each in sent)}) == 4


def test_a_service_that_records_nothing_hands_a_recorded_trace_through():
    tracer = LeanTracer("gateway")
    ctx = Context(span=tracer.join({"traceparent": SAMPLED, "tracestate": "a=1"}))
    span = tracer.open(ctx, "add")
    assert span.headers() == [("traceparent", SAMPLED), ("tracestate", "a=1")]
    assert dict(tracer.join({}).headers())["traceparent"].endswith("-02")


@pytest.mark.parametrize(
    ("headers", "names"),
    [
        ({"traceparent": SAMPLED}, ["traceparent"]),
        ({"b3": f"{T}-{S}-1"}, ["b3"]),
        (
            {"x-b3-traceid": T, "x-b3-spanid": S, "x-b3-sampled": "1"},
            ["X-B3-TraceId", "X-B3-SpanId", "X-B3-ParentSpanId", "X-B3-Sampled"],
        ),
        ({"traceparent": SAMPLED, "b3": f"{'f' * 32}-{P}-1"}, ["traceparent"]),
        ({"traceparent": "broken", "b3": f"{T}-{S}-1"}, ["b3"]),
        ({"b3": f"{T}-{S}-1", "x-b3-traceid": "f" * 32, "x-b3-spanid": P}, ["b3"]),
    ],
)
def test_what_arrives_is_what_goes_on(headers, names):
    span = opened(recording(), headers)
    assert span.trace_id == T
    assert [name for name, _ in span.headers()] == names


def test_several_formats_go_on_at_once():
    tracer = recording(propagation=(B3_SINGLE, W3C), sends=(W3C, B3_SINGLE, B3_MULTI))
    span = opened(tracer, {"b3": f"{S}-{P}-d", "baggage": "user=ann"})
    padded = f"{'0' * 16}{S}"
    assert span.trace_id == padded
    assert span.headers() == [
        ("traceparent", f"00-{padded}-{span.span_id}-01"),
        ("b3", f"{S}-{span.span_id}-d-{P}"),
        ("X-B3-TraceId", S),
        ("X-B3-SpanId", span.span_id),
        ("X-B3-ParentSpanId", P),
        ("X-B3-Flags", "1"),
        ("baggage", "user=ann"),
    ]


@pytest.mark.parametrize(("decision", "recorded"), [("0", False), ("1", True), ("d", True)])
def test_a_decision_alone_is_kept_for_the_new_trace(decision, recorded):
    tracer = recording(sampler=never if recorded else always)
    trace = tracer.join({"b3": decision})
    assert trace.sampled is recorded
    span = tracer.open(Context(span=trace), "add")
    assert isinstance(span, Recording) is recorded
    assert not getattr(span, "parent", 0)
    assert dict(span.headers())["b3"].split("-")[2] == decision


def test_baggage_goes_on_without_a_trace_and_can_be_read():
    tracer = recording()
    span = opened(
        tracer, {"traceparent": "broken", "baggage": "user=ann;ttl=3, plan=free%20one, ?"}
    )
    assert dict(span.headers())["baggage"] == "user=ann;ttl=3,plan=free%20one"
    assert baggage(Context(span=span)) == {"user": "ann", "plan": "free one"}
    assert baggage(Context()) == {}


def test_a_public_service_continues_nobody_s_trace():
    tracer = recording(public=True, sampler=never)
    assert tracer.fields == ()


def test_fields_are_those_of_the_formats_and_baggage():
    assert recording(propagation=(W3C,)).fields == ("traceparent", "tracestate", "baggage")


def test_a_span_without_any_trace_begins_one():
    tracer = recording()
    span = tracer.open(Context(), "job")
    assert isinstance(span, Recording)
    assert (span.kind, span.parent, span.tags) == ("local", 0, {})


def test_a_span_of_somebody_else_s_is_no_parent():
    class Other:
        trace_id, span_id = T, S

        def headers(self):
            return ()

    span = recording().open(Context(span=Other()), "add")
    assert span.trace_id != T


def test_what_a_span_keeps():
    clock = ManualClock(time=1_000.0)
    spans = SpanList()
    tracer = LeanTracer("counter", reporter=spans, clock=clock)
    ctx = Context("POST", "/add", "r-1", span=tracer.join({}), caller="10.0.0.9")
    span = tracer.open(ctx, "add")
    inner = ctx.inside(span)
    clock.advance(0.25)
    annotate(inner, "cache missed")
    tag(inner, "user", "ann")
    clock.advance(0.5)
    assert list(spans) == []
    span.finish()
    span.finish()
    tag(inner, "user", "late")
    annotate(inner, "late")
    assert list(spans) == [span]
    assert (span.started, span.seconds, span.caller) == (1_000.0, 0.75, "10.0.0.9")
    assert span.tags == {
        "http.method": "POST",
        "http.path": "/add",
        "request.id": "r-1",
        "user": "ann",
    }
    assert span.annotations == [(1_000.25, "cache missed")]
    assert "Recording('add', server, " in repr(span)


def test_tags_and_annotations_are_bounded():
    span = opened(recording())
    for n in range(1000):
        span.tag(f"t{n}", n)
        span.annotate(str(n))
    span.tag("t0", "again")
    assert len(span.tags) == len(span.annotations) == 64
    assert span.tags["t0"] == "again"


def test_tagging_outside_of_a_recorded_span_does_nothing():
    ctx = Context(span=recording(sampler=never).join({}))
    for each in (ctx, Context()):
        tag(each, "user", "ann")
        annotate(each, "seen")


@given(st.floats(0, 1), st.randoms(use_true_random=False))
def test_a_ratio_takes_its_share_and_all_services_the_same(share, rng):
    ours, theirs = ratio(share), ratio(share)
    drawn = [rng.getrandbits(128) for _ in range(50)]
    assert [ours(each) for each in drawn] == [theirs(each) for each in drawn]
    wider = ratio(min(1.0, share + 0.1))
    assert all(wider(each) for each in drawn if ours(each))


def test_a_ratio_is_right_in_the_long_run():
    rng, tenth = random.Random(3), ratio(0.1)
    taken = sum(tenth(rng.getrandbits(128)) for _ in range(100_000))
    assert 9_500 < taken < 10_500  # over five standard deviations
    assert not any(ratio(0)(rng.getrandbits(128)) for _ in range(100))
    assert all(ratio(1)(rng.getrandbits(128)) for _ in range(100))


def test_so_many_a_second_holds_for_all_processes_together(tmp_path):
    clock = ManualClock()
    arena, other = Arena(tmp_path, clock=clock), Arena(tmp_path, clock=clock)
    ours, theirs = per_second(5, arena=arena), per_second(5, arena=other)
    assert sum(ours(1) for _ in range(20)) + sum(theirs(1) for _ in range(20)) == 5
    clock.advance(0.4)
    assert sum(each(1) for each in (ours, theirs) * 10) == 2
    arena.close()
    other.close()


def test_a_sampler_that_fails_records_nothing_and_says_so_once(caplog):
    def broken(trace_id: int) -> bool:
        raise OSError("no arena")

    tracer = recording(sampler=broken)
    assert [tracer.join({}).sampled for _ in range(3)] == [False] * 3
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    "build",
    [
        lambda: LeanTracer(""),
        lambda: LeanTracer(None),
        lambda: LeanTracer("counter", propagation=()),
        lambda: LeanTracer("counter", propagation=("w3c",)),
        lambda: LeanTracer("counter", sends=()),
        lambda: ratio(1.5),
        lambda: ratio(-0.1),
        lambda: ratio(float("nan")),
        lambda: per_second(0),
        lambda: per_second(-1),
        lambda: per_second(float("inf")),
    ],
)
def test_what_cannot_work_is_said_at_once(build):
    with pytest.raises(ConfigurationError) as refused:
        build()
    assert len(str(refused.value)) > 20


def test_ids_never_repeat_across_threads():
    tracer = recording()
    seen: list[list[int]] = []

    def draw() -> None:
        seen.append([opened(tracer).number for _ in range(2000)])

    threads = [threading.Thread(target=draw) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    drawn = [number for part in seen for number in part]
    assert len(set(drawn)) == len(drawn) == 16_000


@pytest.mark.parametrize("rng", [None, "seeded"])
def test_a_forked_child_draws_other_ids_than_its_parent_and_its_brothers(rng):
    tracer = recording(rng=random.Random(1) if rng else None)
    drawn = []
    for _ in range(3):
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            span = opened(tracer)
            os.write(writer, f"{span.trace_id}{span.span_id}".encode())
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as pipe:
            drawn.append(pipe.read())
        assert os.waitpid(pid, 0)[1] == 0
    span = opened(tracer)
    drawn.append(f"{span.trace_id}{span.span_id}")
    assert {len(each) for each in drawn} == {48}
    assert len(set(drawn)) == 4
