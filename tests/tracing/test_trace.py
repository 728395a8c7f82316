"""`trace`: a span around every call, closed however it ends."""

from __future__ import annotations

import pytest

from falconkit import Context, chain, named, nop
from falconkit.context import current
from falconkit.errors import (
    CircuitOpen,
    ConfigurationError,
    DeadlineExceeded,
    DecodeError,
    Failed,
    Forbidden,
    NoInstance,
    Overloaded,
    RateLimited,
    Unauthenticated,
    UpstreamFailed,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from falconkit.layers import layers
from falconkit.retry import retry
from falconkit.testing import ManualClock, Script
from falconkit.tracing import Callee, LeanTracer, Recording, SpanList, never, trace
from falconkit.transport import http


@pytest.fixture
def spans() -> SpanList:
    return SpanList()


@pytest.fixture
def tracer(spans: SpanList) -> LeanTracer:
    return LeanTracer("counter", reporter=spans)


def only(spans: SpanList) -> Recording:
    (span,) = spans
    return span


def called(tracer: LeanTracer, outcome: object, **options) -> None:
    """Call an endpoint that a request meets first, which ends as said."""
    script = Script(outcome, name="add")
    with pytest.raises(type(outcome)) as raised:
        trace(tracer, **options)(script)(Context(span=tracer.join({})), 1)
    assert raised.value is outcome


class Refusing(NoInstance):
    upstream = "users"


@pytest.mark.parametrize(
    ("error", "tag", "annotation"),
    [
        (RateLimited(), "refused", "refused"),
        (Unauthenticated(), "refused", None),
        (Forbidden(), "refused", None),
        (DecodeError("no"), "invalid", None),
        (Failed("taken"), "failed", None),
        (Refusing(), "error", "refused"),
        (CircuitOpen(), "error", "broken"),
        (Overloaded(), "error", "refused"),
        (NoInstance(), "error", "refused"),
        (DeadlineExceeded(), "error", "timed out"),
        (UpstreamTimeout("users did not answer"), "error", "timed out"),
        (UpstreamFailed("users answered 500", status=500), "error", None),
        (TimeoutError(), "error", "timed out"),
        (KeyError("secret"), "error", None),
        (KeyboardInterrupt(), "error", None),
        (SystemExit(1), "error", None),
        (GeneratorExit(), "error", None),
    ],
    ids=repr,
)
def test_how_a_served_call_s_error_is_told(tracer, spans, error, tag, annotation):
    called(tracer, error)
    span = only(spans)
    told = {name: value for name, value in span.tags.items() if name in _TOLD}
    assert list(told) == [tag]
    assert told[tag].startswith(type(error).__name__)
    assert "secret" not in told[tag]
    assert [what for _, what in span.annotations or ()] == ([annotation] if annotation else [])
    assert span.seconds is not None


_TOLD = ("error", "failed", "refused", "invalid")


@pytest.mark.parametrize("error", [RateLimited(), DecodeError("no"), Forbidden()], ids=repr)
def test_a_client_s_own_fault_fails_its_span(tracer, spans, error):
    called(tracer, error, kind="client")
    assert "error" in only(spans).tags


def test_a_business_failure_never_fails_a_span(tracer, spans):
    class Taken:
        def failed(self) -> Exception:
            return Failed("the name is taken")

    class Fine:
        def failed(self) -> None:
            return None

    class Broken:
        def failed(self) -> Exception:
            raise OSError

    call = trace(tracer)(Script(Taken(), Fine(), Taken(), Broken(), 1, 1))
    for _ in range(6):
        call(Context(), None)
    told = [{name for name in span.tags if name in _TOLD} for span in spans]
    assert told == [{"failed"}, set(), {"failed"}, set(), set(), set()]


def test_the_span_is_the_current_one_within_and_no_longer_after(tracer, spans):
    seen = []

    def endpoint(ctx: Context, request: int) -> int:
        seen.append((ctx.span, current.get()))
        if request == 2:
            raise KeyError
        return request

    call = trace(tracer)(endpoint)
    outer = Context(path="/outer")
    token = current.set(outer)
    try:
        call(Context(), 1)
        with pytest.raises(KeyError):
            call(Context(), 2)
        assert current.get() is outer
    finally:
        current.reset(token)
    for (span, ctx), recorded in zip(seen, spans, strict=True):
        assert span is ctx.span is recorded


def test_a_trace_that_nobody_records_still_gives_the_log_its_id(spans):
    tracer = LeanTracer("counter", reporter=spans, sampler=never)
    seen = []
    call = trace(tracer)(lambda ctx, v: seen.append((ctx, current.get())))
    call(Context(), 1)
    call(Context(span=tracer.join({})), 1)
    (first, now), (second, untouched) = seen
    assert now is first
    assert len(first.span.trace_id) == len(second.span.trace_id) == 32
    assert untouched is None  # the transport has set it already
    assert not list(spans)


def test_layers_within_layers_and_clients_within_servers(tracer, spans):
    client = http.Client("GET", "http://10.0.0.7:81/users/{id}", returns=dict, service="users")
    ask = trace(tracer)(_Asks(client))
    load = trace(tracer, name="load")(lambda ctx, v: ask(ctx, v))
    serve = trace(tracer)(named("show")(lambda ctx, v: load(ctx, v)))
    serve(Context("GET", "/show", "r-1", caller="10.0.0.9", span=tracer.join({})), 1)
    user, loaded, shown = spans
    assert [(s.name, s.kind) for s in (shown, loaded, user)] == [
        ("show", "server"),
        ("load", "local"),
        ("get_users_id", "client"),
    ]
    assert (shown.parent, loaded.parent, user.parent) == (0, shown.number, loaded.number)
    assert len({s.trace_id for s in spans}) == 1
    assert user.callee == Callee("users", "10.0.0.7", 81)
    assert user.tags == {"instance": "10.0.0.7:81"}
    assert Callee("users", "::1", 81).instance == "[::1]:81"
    assert Callee("users", "users").instance == "users"
    assert (shown.caller, loaded.caller, user.caller) == ("10.0.0.9", "", "")
    client.close()


class _Asks:
    """A client endpoint that is answered without a network."""

    def __init__(self, client: http.Client) -> None:
        self.__endpoint__ = client.__endpoint__
        self.service, self.url = client.service, client.url

    def __call__(self, ctx: Context, request: object) -> object:
        return request


def test_tries_are_spans_under_their_call_and_numbered(tracer, spans):
    class Users:
        service, url, idempotent = "users", "http://10.0.0.7:81/", True
        answers = Script(UpstreamUnavailable("away"), UpstreamUnavailable("away"), 7)

        def __call__(self, ctx: Context, request: int) -> int:
            return self.answers(ctx, request)

    ask = chain(
        trace(tracer, name="call", kind="local"),
        retry(clock=ManualClock()),
        trace(tracer, name="try"),
    )(Users())
    assert ask(Context(), 1) == 7
    *each_try, whole = spans
    assert {span.parent for span in each_try} == {whole.number}
    assert [(span.kind, "error" in span.tags) for span in spans] == [
        ("client", True),
        ("client", True),
        ("client", False),
        ("local", False),
    ]
    assert [span.tags.get("retry.attempt") for span in each_try] == [None, 2, 3]
    assert {span.tags["instance"] for span in each_try} == {"10.0.0.7:81"}
    assert whole.callee is None, "its tries are the calls; Zipkin would count it as one more"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (UpstreamUnavailable("users is away"), "UpstreamUnavailable: users is away (3 tries"),
        (ConnectionError("secret"), "ConnectionError"),
    ],
)
def test_what_was_tried_in_vain_tells_as_much_as_its_last_try(tracer, spans, error, told):
    again = retry(when=lambda error: True, idempotent=True, clock=ManualClock())
    call = chain(trace(tracer), again)(Script(error, error, error))
    with pytest.raises(type(error)):
        call(Context(), 1)
    assert only(spans).tags["error"].startswith(told)
    assert "secret" not in only(spans).tags["error"]


def test_a_tracer_that_cannot_tell_stops_no_call(spans, caplog):
    class Mute(Recording):
        def tag(self, name, value, /):
            raise OSError

    class Tracer(LeanTracer):
        def open(self, *args):
            span = super().open(*args)
            return Mute(*(getattr(span, name) for name in span.__struct_fields__))

    error = RateLimited()
    called(Tracer("counter", reporter=spans), error)
    assert only(spans).seconds is not None
    assert "could not be told" in caplog.text


@pytest.mark.parametrize(
    "build",
    [
        lambda tracer: trace(None),
        lambda tracer: trace("zipkin"),
        lambda tracer: trace(tracer, name=" "),
        lambda tracer: trace(tracer, kind="internal"),
    ],
)
def test_what_cannot_work_is_said_when_the_chain_is_built(tracer, build):
    with pytest.raises(ConfigurationError):
        build(tracer)


def test_it_observes_and_keeps_the_name(tracer):
    (layer,) = layers(chain(trace(tracer))(nop))
    assert (layer.name, layer.observes) == ("trace", True)
    assert layer.config["tracer"] == repr(tracer)
