"""Trace headers, to the letter: what is valid goes round, what is not restarts the trace."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from falconkit.errors import ConfigurationError
from falconkit.tracing import (
    B3_MULTI,
    B3_SINGLE,
    W3C,
    Baggage,
    Carried,
    LeanTracer,
    TraceContext,
    tracestate,
)

T, S, P = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "05e3ac9a4f6e3b90"
FORMATS = (W3C, B3_SINGLE, B3_MULTI)


def parent(value: str, state: str | None = None) -> Carried | None:
    return W3C.read({"traceparent": value} | ({} if state is None else {"tracestate": state}))


@pytest.mark.parametrize(
    ("value", "sampled", "random"),
    [
        (f"00-{T}-{S}-00", False, False),
        (f"00-{T}-{S}-01", True, False),
        (f"00-{T}-{S}-02", False, True),
        (f"00-{T}-{S}-03", True, True),
        (f"00-{T}-{S}-fd", True, False),  # bits nobody knows yet
        (f"cc-{T}-{S}-01", True, False),  # a version to come
        (f"cc-{T}-{S}-01-what-the-future-will-be-like", True, False),
        (f"01-{T}-{S}-01-", True, False),
        (f" 00-{T}-{S}-01\t", True, False),  # OWS of the field
    ],
)
def test_traceparent(value, sampled, random):
    found = parent(value)
    assert found == Carried(int(T, 16), int(S, 16), sampled=sampled, random=random)
    # Whatever version came, version 00 goes on, and the bits that we know.
    flags = (1 if sampled else 0) | (2 if random else 0)
    assert W3C.write(found) == [("traceparent", f"00-{T}-{S}-{flags:02x}")]


@pytest.mark.parametrize(
    "value",
    [
        "",
        "00",
        f"00-{T}-{S}",
        f"00-{T}-{S}-1",
        f"00-{T}-{S}-01-more",
        f"00-{T}-{S}-01-",
        f"00-{T}-{S}-01.what",
        f"cc-{T}-{S}-01.what",
        f"ff-{T}-{S}-01",
        f"00-{'0' * 32}-{S}-01",
        f"00-{T}-{'0' * 16}-01",
        f"00-{T.upper()}-{S}-01",
        f"00-{T}-{S.upper()}-01",
        f"0x-{T}-{S}-01",
        f"00-{T}-{S}-0x",
        f"00-{T[1:]}-{S}-01",
        f"00-{T}0-{S}-01",
        f"00_{T}_{S}_01",
        f"00-{T}-{S}-01\n",
        f"00-{T}-{S}-01,00-{T}-{S}-01",  # two headers, as WSGI joins them
        f"00-{T}-{S}-01, 00-{T}-{S}-01",
        f"٠٠-{T}-{S}-01",  # digits, and no hexadecimal ones
    ],
)
def test_a_malformed_traceparent_restarts_the_trace(value):
    assert parent(value, "rojo=1") is None
    tracer = LeanTracer("counter")
    began = tracer.join({"traceparent": value, "tracestate": "rojo=1"})
    assert began.trace_id != T
    assert [name for name, _ in began.headers()] == ["traceparent"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
        ("foo=1 \t , \t bar=2, \t baz=3", "foo=1,bar=2,baz=3"),
        ("foo=1,,,bar=2,", "foo=1,bar=2"),
        ("foo=1,bar=2,rojo=1,rojo=2", "foo=1,bar=2,rojo=1,rojo=2"),
        (f"{'z' * 256}={'v' * 256}", f"{'z' * 256}={'v' * 256}"),
        (f"{'t' * 241}@{'v' * 14}=1", f"{'t' * 241}@{'v' * 14}=1"),
        ("0tenant@sys=1", "0tenant@sys=1"),
        ("a*_-/=x  y", "a*_-/=x  y"),
        (",".join(f"bar{n}={n}" for n in range(32)), ",".join(f"bar{n}={n}" for n in range(32))),
        (",".join(f"bar{n}={n}" for n in range(33)), ""),
        ("foo =1", ""),
        ("FOO=1", ""),
        ("foo.bar=1", ""),
        ("foo@=1", ""),
        ("@foo=1", ""),
        ("foo@@bar=1", ""),
        ("foo@bar@baz=1", ""),
        (f"{'z' * 257}=1", ""),
        (f"{'t' * 242}@v=1", ""),
        (f"t@{'v' * 15}=1", ""),
        ("foo=bar=baz", ""),
        ("foo=", ""),
        (f"foo={'v' * 257}", ""),
        ("foo", ""),
        ("foo=1,bar=\x00", ""),
        ("foo=é", ""),
        ("", ""),
    ],
)
def test_tracestate_goes_on_whole_or_not_at_all(given, kept):
    found = parent(f"00-{T}-{S}-01", given)
    assert found is not None
    assert found.state == kept
    assert dict(W3C.write(found)).get("tracestate", "") == kept


def test_our_own_member_stands_at_the_left_once():
    ours = TraceContext(vendor="acme")
    state = ",".join(f"v{n}=1" for n in range(31)) + ",acme=old"
    found = ours.read({"traceparent": f"00-{T}-{S}-01", "tracestate": state})
    written = dict(ours.write(found))["tracestate"].split(",")
    assert written[0] == f"acme={S}"
    assert len(written) == 32
    assert [each for each in written if each.startswith("acme=")] == [f"acme={S}"]
    full = tracestate.put(",".join(f"v{n}=1" for n in range(32)), "acme", "x").split(",")
    assert (full[0], full[-1], len(full)) == ("acme=x", "v30=1", 32)


def test_too_long_a_tracestate_loses_long_members_first_then_those_at_the_right():
    long = [f"long{n}={'v' * 250}" for n in range(20)]
    short = [f"short{n}={'v' * 120}" for n in range(12)]
    whole = ",".join([*long[:10], *short, *long[10:]])
    assert len(whole) <= tracestate.MOST
    assert tracestate.accepted(whole) == whole
    wide = [f"long{n}={'v' * 256}" for n in range(31)]
    cut = tracestate.accepted(",".join([f"k={'v' * 126}", *wide])).split(",")
    assert cut[0].startswith("k=")
    assert cut[1:] == wide[: len(cut) - 1]
    assert 512 <= len(",".join(cut)) <= tracestate.MOST


@pytest.mark.parametrize("vendor", ["", "Acme", "acme=1", "a b", "t@", "x" * 257])
def test_a_vendor_that_is_no_key_is_refused(vendor):
    with pytest.raises(ConfigurationError, match="tracestate"):
        TraceContext(vendor=vendor)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (f"{T}-{S}-1-{P}", Carried(int(T, 16), int(S, 16), int(P, 16), True)),
        (f"{T}-{S}-0", Carried(int(T, 16), int(S, 16), 0, False)),
        (f"{T}-{S}", Carried(int(T, 16), int(S, 16), 0, None)),
        (f"{T}-{S}-d", Carried(int(T, 16), int(S, 16), 0, True, True)),
        (f"{S}-{P}-1", Carried(int(S, 16), int(P, 16), 0, True)),
        ("0", Carried(sampled=False)),
        ("1", Carried(sampled=True)),
        ("d", Carried(sampled=True, debug=True)),
        ("", None),
        ("2", None),
        (f"{T}-{S}-", None),
        (f"{T}-{S}-2", None),
        (f"{T}-{S}-1-", None),
        (f"{T}-{S}-1-{P}-", None),
        (f"{T}-{S}-1-{P[1:]}", None),
        (f"{T.upper()}-{S}-1", None),
        (f"{T[:20]}-{S}-1", None),
        (f"{'0' * 32}-{S}-1", None),
        (f"{'0' * 16}-{S}-1", None),
        (f"{T}-{'0' * 16}-1", None),
        (f"{T}-{S}-1,{T}-{S}-1", None),
    ],
)
def test_b3_in_one_header(value, found):
    assert B3_SINGLE.read({"b3": value}) == found


def many(**fields: str) -> dict[str, str]:
    return {f"x-b3-{name}": value for name, value in fields.items()}


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        (many(traceid=T, spanid=S), Carried(int(T, 16), int(S, 16))),
        (
            many(traceid=T, spanid=S, parentspanid=P, sampled="1"),
            Carried(int(T, 16), int(S, 16), int(P, 16), True),
        ),
        (many(traceid=S, spanid=P, sampled="False"), Carried(int(S, 16), int(P, 16), 0, False)),
        (many(traceid=T, spanid=S, sampled="TRUE"), Carried(int(T, 16), int(S, 16), 0, True)),
        (many(traceid=T, spanid=S, flags="1"), Carried(int(T, 16), int(S, 16), 0, True, True)),
        (
            many(traceid=T, spanid=S, flags="1", sampled="0"),
            Carried(int(T, 16), int(S, 16), 0, True, True),
        ),
        (many(sampled="0"), Carried(sampled=False)),
        (many(flags="1"), Carried(sampled=True, debug=True)),
        (many(traceid=T, spanid=S, parentspanid="?"), Carried(int(T, 16), int(S, 16))),
        (many(flags="0"), None),
        (many(traceid=T), None),
        (many(spanid=S), None),
        (many(traceid=T, spanid=S, sampled="maybe"), None),
        (many(traceid=f"{T},{T}", spanid=S), None),
        ({}, None),
    ],
)
def test_b3_in_many_headers(headers, found):
    assert B3_MULTI.read(headers) == found


def lower(written: list[tuple[str, str]]) -> dict[str, str]:
    return {name.lower(): value for name, value in written}


ids = st.integers(1, 2**64 - 1)
carried = st.builds(
    Carried,
    trace_id=st.integers(1, 2**128 - 1) | ids,
    span_id=ids,
    parent_id=ids | st.just(0),
    sampled=st.booleans(),
)


@given(carried, st.booleans())
def test_what_b3_writes_it_reads(one, debug):
    one = Carried(one.trace_id, one.span_id, one.parent_id, one.sampled or debug, debug)
    assert B3_SINGLE.read(lower(B3_SINGLE.write(one))) == one
    assert B3_MULTI.read(lower(B3_MULTI.write(one))) == one


PRINTABLE = "".join(chr(n) for n in range(0x20, 0x7F) if chr(n) not in ",=")
key = st.tuples(st.sampled_from("abz"), st.text("abc019_*/-", max_size=20)).map("".join)
value = st.tuples(st.text(PRINTABLE, max_size=20), st.sampled_from("a~!")).map("".join)
states = st.lists(st.tuples(key, value).map("=".join), max_size=32).map(",".join)


@given(carried, st.booleans(), states)
def test_what_w3c_writes_it_reads(one, random, state):
    one = Carried(one.trace_id, one.span_id, 0, one.sampled, False, random, state)
    assert W3C.read(lower(W3C.write(one))) == one


# What WSGI may hand over: any Latin-1. And what looks nearly right.
nearly = st.one_of(
    st.text(st.characters(max_codepoint=255)),
    st.text("0123456789abcdefABCDEFdx-,;= \t", max_size=80),
    st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{31,33}-[0-9a-f]{15,17}-[0-9a-f]{2}.?", fullmatch=True),
    st.from_regex(
        r"[0-9a-f]{16}([0-9a-f]{16})?-[0-9a-f]{16}(-[01d2](-[0-9a-f]{16})?)?", fullmatch=True
    ),
    st.sampled_from([f"00-{T}-{S}-01", f"{T}-{S}-1", T, S, "1", "0", "d", "true", "a=1,b=2"]),
)
NAMES = (*(name for each in FORMATS for name in each.fields), "baggage")
_parent = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]").fullmatch


@given(st.dictionaries(st.sampled_from(NAMES), nearly))
@example({"traceparent": f"00-{T}-{S}-01", "b3": "0", "baggage": "a=1,\xff=2"})
def test_no_header_makes_a_request_fail_and_what_goes_on_is_valid(headers):
    tracer = LeanTracer("counter", sends=FORMATS)
    trace = tracer.join(headers)
    assert int(trace.trace_id, 16) != 0
    went = lower(trace.headers())
    assert all(text.isascii() and text.isprintable() for text in went.values())
    assert _parent(went["traceparent"])
    again = tracer.join(went)
    assert again.trace_id == trace.trace_id
    assert again.sampled == trace.sampled
    assert again.baggage == trace.baggage
    for each in FORMATS:
        read = each.read(went)
        assert read is not None
        assert f"{read.trace_id:032x}" == trace.trace_id


@given(st.text(st.characters(max_codepoint=255)) | st.text("abc=;,% \t1", max_size=200))
@example("a=1;" * 4000)
@example(",".join(["a=1"] * 400))
@example(f"a={'v' * 9000},b=1")
@example("a" + " \t" * 5000 + "= ;")
def test_baggage_is_bounded_and_goes_on_unchanged(header):
    kept = Baggage.read(header).header
    assert len(kept) <= 8192
    assert len(kept.split(",")) <= 64
    assert Baggage.read(kept).header == kept
    assert not Baggage.read(kept).dropped
    came = [part.strip(" \t") for part in header.split(",")]
    assert all(member in came for member in kept.split(",") if member)


def test_baggage_keeps_as_much_as_everybody_must():
    full = ",".join(f"k{n}={'v' * (120 - len(str(n)))}" for n in range(64))
    assert len(full) <= 8192
    assert Baggage.read(full).header == full
    assert (Baggage.read(f"{full},a=1").header, Baggage.read(f"{full},a=1").dropped) == (full, 1)
    longest = f"k={'v' * 8190}"
    assert Baggage.read(longest).header == longest
    assert (Baggage.read(longest + "v").header, Baggage.read(longest + "v").dropped) == ("", 1)
