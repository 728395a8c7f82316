import contextvars
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconkit.context import Context, Key, Notes, current
from falconkit.events import Events

FIELDS = {
    "method": "POST",
    "path": "/add",
    "request_id": "r-1",
    "deadline": 4.5,
    "span": object(),
    "caller": "10.0.0.1",
    "notes": Notes(),
    "events": Events(),
}


def test_fields_are_what_was_given():
    ctx = Context(**FIELDS)
    for name, value in FIELDS.items():
        assert getattr(ctx, name) is value


def test_fields_by_place():
    ctx = Context("POST", "/add", "r-1", 4.5, None, "ann")
    got = (ctx.method, ctx.path, ctx.request_id, ctx.deadline, ctx.span, ctx.caller)
    assert got == ("POST", "/add", "r-1", 4.5, None, "ann")


def test_everything_has_a_default():
    ctx = Context()
    assert (ctx.method, ctx.path, ctx.request_id, ctx.caller) == ("", "", "", "")
    assert ctx.deadline is None
    assert ctx.span is None
    assert not ctx.notes
    assert isinstance(ctx.events, Events)
    assert type(ctx) is Context


def test_two_contexts_share_no_notes():
    first, second = Context(), Context()
    first.notes.leave("x")
    assert not second.notes


@pytest.mark.parametrize("name", [*FIELDS, "_values", "invented"])
def test_nothing_can_be_set_or_deleted(name):
    ctx = Context(**FIELDS)
    with pytest.raises(AttributeError, match=rf"use ctx.replace\({name}="):
        setattr(ctx, name, "changed")
    with pytest.raises(AttributeError, match="cannot be changed"):
        delattr(ctx, name)
    for field, value in FIELDS.items():
        assert getattr(ctx, field) is value


@pytest.mark.parametrize("name", FIELDS)
def test_replace_changes_one_field_of_a_copy(name):
    ctx = Context(**FIELDS)
    changed = ctx.replace(**{name: "changed"})
    assert getattr(changed, name) == "changed"
    assert getattr(ctx, name) is FIELDS[name]
    for other in FIELDS.keys() - {name}:
        assert getattr(changed, other) is FIELDS[other]


def test_replace_without_changes_is_an_equal_copy():
    key = Key("k")
    ctx = Context(**FIELDS).having(key, 1)
    copied = ctx.replace()
    assert copied is not ctx
    assert copied.get(key) == 1
    for name, value in FIELDS.items():
        assert getattr(copied, name) is value


def test_replace_refuses_an_unknown_field():
    with pytest.raises(TypeError, match="dead_line"):
        Context().replace(dead_line=3)


def test_a_key_is_itself_and_not_its_name():
    mine, yours = Key("user"), Key("user")
    ctx = Context().having(mine, "ann")
    assert ctx.get(mine) == "ann"
    assert ctx.get(yours) is None
    assert ctx.get(yours, "nobody") == "nobody"
    assert repr(mine) == "Key('user')"


def test_a_value_that_is_none_is_not_a_missing_one():
    key = Key("k")
    assert Context().having(key, None).get(key, "default") is None


@given(st.lists(st.tuples(st.integers(0, 3), st.integers())))
def test_having_is_a_dictionary_that_never_changes(steps):
    keys = [Key(str(n)) for n in range(4)]
    ctx, model = Context(), {}
    for at, value in steps:
        before, seen = ctx, dict(model)
        ctx = ctx.having(keys[at], value)
        model[at] = value
        assert [before.get(key, "none") for key in keys] == [seen.get(n, "none") for n in range(4)]
    assert [ctx.get(key, "none") for key in keys] == [model.get(n, "none") for n in range(4)]


def test_having_keeps_fields_and_replace_keeps_values():
    key = Key("k")
    ctx = Context(**FIELDS).having(key, 7).replace(path="/other")
    assert ctx.get(key) == 7
    assert ctx.path == "/other"
    assert ctx.notes is FIELDS["notes"]
    assert ctx.events is FIELDS["events"]


def test_notes_come_in_order_and_by_type():
    notes = Notes()
    assert not notes
    for note in ("a", 1, "b", 2.5):
        notes.leave(note)
    assert notes
    assert notes.of(str) == ("a", "b")
    assert notes.of(int) == (1,)
    assert notes.of(bytes) == ()
    assert notes.of(object) == ("a", 1, "b", 2.5)


def test_notes_tell_of_which_endpoint_they_are():
    def ours(ctx, request): ...

    def another(ctx, request): ...

    notes = Notes()
    notes.leave("ours", by=ours)
    notes.leave("another's", by=another)
    notes.leave("everybody's")
    assert notes.of(str) == ("ours", "another's", "everybody's")
    assert notes.of(str, by=ours) == ("ours", "everybody's")
    assert notes.of(str, by=print) == ("everybody's",)
    others = Notes()
    others.leave("before")
    others.add(notes.after(1))
    assert (len(others), len(notes)) == (3, 3)
    assert others.of(str, by=ours) == ("before", "everybody's")


def test_notes_cannot_be_taken_back():
    notes = Notes()
    notes.leave("a")
    with pytest.raises(AttributeError):
        notes.other = 1
    assert notes.of(str) == ("a",)


def test_notes_are_shared_by_every_copy_of_the_context():
    ctx = Context()
    ctx.replace(path="/x").having(Key("k"), 1).notes.leave("seen")
    assert ctx.notes.of(str) == ("seen",)


def test_repr_shows_no_values_of_the_users_own():
    ctx = Context("GET", "/", "r-1", caller="ann").having(Key("password"), "hunter2")
    assert repr(ctx) == "Context(method='GET', path='/', request_id='r-1', caller='ann')"


def test_a_context_has_no_dictionary():
    assert not hasattr(Context(path="/add"), "__dict__")


def test_current_is_none_outside_a_request_and_each_threads_own():
    assert current.get() is None
    ctx = Context(request_id="r-1")
    seen = []

    def inside():
        current.set(ctx)
        thread = threading.Thread(target=lambda: seen.append(current.get()))
        thread.start()
        thread.join()
        return current.get()

    assert contextvars.copy_context().run(inside) is ctx
    assert seen == [None]
    assert current.get() is None
