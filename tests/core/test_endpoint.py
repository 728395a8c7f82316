import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconkit.context import Context
from falconkit.endpoint import chain, nop
from falconkit.errors import ConfigurationError
from falconkit.layers import layer, layers, observers
from falconkit.naming import name_of, named
from falconkit.testing import Script


def say(word, heard, *, observes=False):
    @layer("say", observes=observes, word=word)
    def wrap(next, /):
        def call(ctx, request):
            heard.append(word)
            return next(ctx, request)

        return call

    return wrap


def bare(word, heard):
    """A middleware as somebody writes it who has not met `layer`."""

    def wrap(next, /):
        def call(ctx, request):
            heard.append(word)
            return next(ctx, request)

        return call

    return wrap


@given(st.lists(st.text(max_size=3), max_size=8))
def test_a_chain_meets_its_middlewares_in_the_order_they_are_named(words):
    heard = []
    endpoint = Script("done")
    wrapped = chain(*(say(word, heard) for word in words))(endpoint)
    assert wrapped(Context(), 1) == "done"
    assert heard == words
    assert [each.config["word"] for each in layers(wrapped)] == words


@given(st.lists(st.lists(st.integers(), max_size=3), max_size=4))
def test_chains_of_chains_are_one_chain(groups):
    heard = []
    chains = [chain(*(say(word, heard) for word in group)) for group in groups]
    chain(*chains)(nop)(Context(), 1)
    assert heard == [word for group in groups for word in group]


def test_an_empty_chain_is_the_endpoint_itself():
    assert chain()(nop) is nop


def test_decorators_and_a_chain_look_alike():
    heard = []

    @say("a", heard)
    @say("b", heard)
    def stacked(ctx, request):
        return request

    chained = chain(say("a", heard), say("b", heard))(nop)
    assert [each.config for each in layers(stacked)] == [each.config for each in layers(chained)]
    assert stacked(Context(), 7) == 7
    assert heard == ["a", "b"]
    assert name_of(stacked) == "stacked"


@pytest.mark.parametrize("wrong", [None, 3, "limit"])
def test_a_chain_refuses_what_is_no_middleware(wrong):
    with pytest.raises(ConfigurationError) as raised:
        chain(say("a", []), wrong)
    assert f"got {wrong!r} at place 1" in str(raised.value)
    assert "was its factory meant to be called?" in str(raised.value)


def test_a_factory_that_was_not_called_is_found_when_the_chain_is_built():
    def factory(next):
        return None

    with pytest.raises(ConfigurationError, match=r"at place 0 of the chain returned None"):
        chain(factory)(nop)


def test_names():
    class Service:
        def method(self, ctx, request): ...

        def __call__(self, ctx, request): ...

    assert name_of(nop) == "nop"
    assert name_of(Service().method) == "method"
    assert name_of(Service()) == "Service"
    assert name_of(functools.partial(nop)) == "nop"
    assert name_of(functools.partial(functools.partial(Service().method))) == "method"
    assert name_of(functools.partial(Service())) == "Service"
    assert name_of(functools.partial(named("sum")(nop))) == "sum"
    assert name_of(functools.partial(chain(bare("a", []))(nop))) == "nop"
    assert name_of(bare("a", [])(nop)) == "call"
    assert name_of(chain(bare("a", []))(functools.partial(nop))) == "nop"


def test_a_given_name_is_the_name_wherever_it_was_given():
    heard = []
    inside = chain(say("a", heard), bare("b", heard))(named("sum")(nop))
    outside = named("sum")(chain(say("a", heard), bare("b", heard))(nop))
    between = say("a", heard)(named("sum")(bare("b", heard)(nop)))
    assert [name_of(each) for each in (inside, outside, between)] == ["sum"] * 3
    for each in (inside, outside, between):
        each(Context(), 1)
    assert heard == ["a", "b"] * 3


def test_the_outer_of_two_names_counts():
    assert name_of(named("outer")(named("inner")(nop))) == "outer"


@pytest.mark.parametrize("wrong", ["", "a b", "a/b", "é", "a\n", "a{b}"])
def test_a_name_is_made_of_few_characters(wrong):
    with pytest.raises(ConfigurationError) as raised:
        named(wrong)
    assert repr(wrong) in str(raised.value)


@given(st.text("abcXYZ019_.-", min_size=1))
def test_good_names_are_taken(name):
    assert name_of(named(name)(nop)) == name


def test_named_passes_calls_on():
    script = Script("answer")
    ctx = Context()
    assert named("x")(script)(ctx, 5) == "answer"
    assert script.calls == [(ctx, 5)]


def test_a_mark_that_functools_wraps_copied_is_shown_once():
    def plain(next, /):
        @functools.wraps(next)
        def call(ctx, request):
            return next(ctx, request)

        return call

    wrapped = chain(plain, plain, say("a", []), plain, say("b", []), plain)(nop)
    assert [each.config["word"] for each in layers(wrapped)] == ["a", "b"]
    assert [each.config["word"] for each in layers(plain(plain(say("a", [])(nop))))] == ["a"]


def test_the_same_middleware_twice_is_shown_twice():
    once = say("a", [])
    assert [each.name for each in layers(once(once(nop)))] == ["say", "say"]


def test_layers_of_a_bare_endpoint():
    assert layers(nop) == ()
    assert layers(chain(bare("a", []))(nop)) == ()


def test_a_layer_says_what_it_is():
    (found,) = layers(say("a", [], observes=True)(nop))
    assert found.name == "say"
    assert found.observes is True
    assert found.config == {"word": "a"}


def test_a_layer_does_not_observe_unless_it_says_so():
    @layer("quiet")
    def wrap(next, /):
        return lambda ctx, request: next(ctx, request)

    (found,) = layers(wrap(nop))
    assert found.observes is False
    assert observers(wrap(nop))(nop) is nop


def test_a_layer_can_be_applied_again():
    heard = []
    (found,) = layers(say("a", heard)(nop))
    again = found.apply(Script("other"))
    assert again(Context(), 1) == "other"
    assert heard == ["a"]
    assert [each.name for each in layers(again)] == ["say"]


def test_observers_are_the_layers_that_observe_in_their_order():
    heard = []
    wrapped = chain(
        say("log", heard, observes=True),
        say("limit", heard),
        bare("bare", heard),
        say("measure", heard, observes=True),
    )(nop)
    script = Script(ValueError("refused"))
    with pytest.raises(ValueError, match="refused"):
        observers(wrapped)(script)(Context(), None)
    assert heard == ["log", "measure"]
    script.done()


def test_a_middleware_that_steps_aside_leaves_the_endpoint_as_it_was():
    @layer("off")
    def wrap(next, /):
        return next

    class Service:
        __slots__ = ()

        def method(self, ctx, request):
            return "answer"

        __call__ = method

    for endpoint in (nop, Service().method, Service()):
        assert wrap(endpoint) is endpoint
        assert chain(wrap)(endpoint) is endpoint
        assert layers(endpoint) == ()


def test_a_middleware_may_return_a_callable_object():
    class Counting:
        def __init__(self, next):
            self.next = next
            self.count = 0

        def __call__(self, ctx, request):
            self.count += 1
            return self.next(ctx, request)

    counting = chain(Counting)(named("sum")(nop))
    counting(Context(), 1)
    assert counting.count == 1
    assert name_of(counting) == "sum"


def test_a_middleware_that_returns_what_cannot_be_named_says_so():
    class Counting:
        def __init__(self, next):
            self.next = next

        def method(self, ctx, request): ...

    with pytest.raises(ConfigurationError, match="return a function"):
        chain(lambda next: Counting(next).method)(nop)
    with pytest.raises(ConfigurationError, match="return a function"):
        layer("counting")(lambda next: Counting(next).method)(nop)


def test_docstring_and_name_are_the_endpoints():
    def greet(ctx, request):
        """Say hello."""

    wrapped = chain(say("a", []), bare("b", []))(greet)
    assert wrapped.__name__ == "greet"
    assert wrapped.__doc__ == "Say hello."
    assert wrapped.__wrapped__.__wrapped__ is greet


def test_a_function_that_carries_attributes_keeps_them_to_itself():
    def greet(ctx, request): ...

    greet.mine = 1
    assert not hasattr(say("a", [])(greet), "mine")


def test_a_chain_in_a_chain_shows_every_layer():
    def marked(name):
        @layer(name, observes=name != "limit")
        def wrap(next, /):
            def call(ctx, request):
                return next(ctx, request)

            return call

        return wrap

    endpoint = chain(chain(marked("log"), marked("measure")), marked("limit"))(nop)
    assert [each.name for each in layers(endpoint)] == ["log", "measure", "limit"]
    assert name_of(endpoint) == "nop"
    assert [each.name for each in layers(observers(endpoint)(nop))] == ["log", "measure"]
