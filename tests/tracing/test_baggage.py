"""Baggage: read, set for the calls that go on from here, and bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconkit import Context
from falconkit.events import BaggageDropped, Events
from falconkit.tracing import Baggage, LeanTracer, baggage, carrying, headers, trace

T, S = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TOKEN = "!#$%&'*+-.^_`|~019azAZ"
OCTETS = {chr(n) for n in range(0x21, 0x7F)} - set('",;\\')

names = st.text(TOKEN, min_size=1, max_size=20)
values = st.text(st.characters(codec="utf-8"), max_size=200)
properties = st.dictionaries(names, values | st.none(), max_size=3)
bags = st.lists(st.tuples(names, values, properties), max_size=20)


def packed(members: list[tuple[str, str, dict[str, str | None]]]) -> Baggage:
    bag = Baggage()
    for name, value, said in members:
        bag = bag.having(name, value, said)
    return bag


@given(bags)
def test_what_is_set_is_what_the_next_service_reads(members):
    bag = packed(members)
    read = Baggage.read(bag.header)
    assert dict(read) == dict(bag)
    assert not read.dropped
    assert [read.properties(name) for name in read] == [bag.properties(name) for name in bag]
    if not bag.dropped:
        assert bag == {name: value for name, value, _ in members}
        assert all(bag.properties(name) == said for name, _, said in packed_last(members))


def packed_last(members):
    return {name: (name, value, said) for name, value, said in members}.values()


@given(names, values, properties)
def test_only_what_the_standard_lets_pass_is_sent(name, value, said):
    sent = Baggage().having(name, value, said).header
    assert sent.startswith(f"{name}=")
    assert set(sent) <= OCTETS | {";"}


@given(bags, names, values)
def test_a_change_is_a_copy_and_leaves_the_rest_alone(members, name, value):
    bag = packed(members)
    before = bag.header
    changed, less = bag.having(name, value), bag.without(name)
    assert bag.header == before
    assert changed[name] == value
    assert changed.properties(name) == bag.properties(name)
    assert name not in less
    assert dict(less) == {key: bag[key] for key in bag if key != name}
    assert less.without(name).header == less.header
    if not changed.dropped:
        assert dict(changed.without(name)) == dict(less)


@given(st.lists(st.tuples(names, st.text("v", max_size=3000)), max_size=100))
def test_it_is_never_more_than_every_service_passes_on(members):
    bag = Baggage()
    for name, value in members:
        bag = bag.having(name, value)
        assert bag[name] == value, "what was set last is there"
        assert len(bag.header) <= 8192
        assert len(bag.header.split(",")) <= 64
    assert len(bag) + bag.dropped >= len(dict(members))


def test_what_came_makes_room_whole_for_what_is_set_here():
    came = Baggage.read(",".join(f"k{n}={n}" for n in range(64)))
    bag = came.having("ours", "1")
    assert (len(bag), bag.dropped, came.dropped) == (64, 1, 0)
    assert "k63" not in bag
    assert bag["k62"] == "62"
    assert len(bag.having("ours", "2")) == 64
    assert bag.having("ours", "2").dropped == 1


def test_properties_are_kept_as_they_came_until_they_are_changed():
    bag = Baggage.read("a=1;x=%20y ; z,b=2")
    assert bag.properties("a") == {"x": " y", "z": None}
    assert bag.having("b", "3").header == "b=3,a=1;x=%20y ; z"
    assert bag.having("a", "2").header == "a=2;x=%20y ; z,b=2"
    assert bag.having("a", "2", {"q": None, "r": ""}).header == "a=2;q;r=,b=2"
    assert bag.having("a", "2", {}).header == "a=2,b=2"
    assert bag.properties("b") == bag.properties("none") == {}


def test_of_a_name_that_came_twice_both_go_on_and_the_last_is_read():
    bag = Baggage.read("a=1,b=2,a=3")
    assert (bag["a"], len(bag), bag.header) == ("3", 2, "a=1,b=2,a=3")
    assert bag.having("a", "4").header == "a=4,b=2"
    assert bag.without("a").header == "b=2"


@pytest.mark.parametrize("name", ["", "a b", "a,b", "a=b", "ü", "a;b", 'a"', "a\n", None])
def test_a_name_that_is_no_token_is_refused(name):
    with pytest.raises(ValueError, match="token"):
        Baggage().having(name, "1")
    with pytest.raises(ValueError, match="token"):
        Baggage().having("a", "1", {name: None})


def test_what_cannot_be_sent_is_refused_to_who_sets_it():
    for value in (1, None, b"1"):
        with pytest.raises(ValueError, match="text"):
            Baggage().having("a", value)
    with pytest.raises(ValueError, match="surrogates"):
        Baggage().having("a", "\ud800")
    with pytest.raises(ValueError, match="8193 bytes"):
        Baggage().having("a", "v" * 8191)
    assert len(Baggage().having("a", "v" * 8190).header) == 8192
    with pytest.raises(KeyError):
        Baggage()["a"]


def test_what_is_set_goes_on_from_there_and_nowhere_else():
    tracer = LeanTracer("counter")
    joined = tracer.join({"traceparent": f"00-{T}-{S}-00", "baggage": "user=ann;ttl=3"})
    outer = Context(span=joined)
    inner = carrying(outer, baggage(outer).having("plan", "free"))
    seen = []
    trace(tracer)(lambda ctx, v: seen.append(ctx))(inner, 1)
    assert headers(outer)["baggage"] == "user=ann;ttl=3"
    for ctx in (inner, *seen):
        assert headers(ctx)["baggage"] == "plan=free,user=ann;ttl=3"
        assert headers(ctx)["traceparent"].startswith(f"00-{T}-")
        assert baggage(ctx) == {"plan": "free", "user": "ann"}
    assert "baggage" not in headers(carrying(outer, Baggage()))
    assert headers(carrying(Context(), Baggage().having("a", "1"))) == {"baggage": "a=1"}
    assert repr(baggage(inner)) == "Baggage.read('plan=free,user=ann;ttl=3')"


def test_what_had_to_go_is_told_once():
    heard = []
    ctx = Context(events=Events(heard.append))
    full = Baggage.read(",".join(f"k{n}={n}" for n in range(64)))
    ctx = carrying(ctx, full.having("a", "1").having("b", "2"))
    carrying(ctx, baggage(ctx).having("b", "3"))
    assert heard == [BaggageDropped(2)]
    tracer = LeanTracer("counter")
    tracer.join({"baggage": "broken"})  # nobody listens yet
    tracer.attach(Events(heard.append), lambda what, n: None)
    tracer.join({"baggage": "a=1, broken,, =,b=2"})
    tracer.join({"baggage": "a=1"})
    assert heard[1:] == [BaggageDropped(2)]
