import dataclasses
import logging

import pytest

from falconkit import events
from falconkit.events import Event, Events, LimiterRecovered

KINDS = [
    kind
    for kind in vars(events).values()
    if isinstance(kind, type) and issubclass(kind, Event) and kind is not Event
]


def test_everybody_hears_in_order():
    heard = []
    told = Events(lambda event: heard.append(("first", event)))
    told.listen(lambda event: heard.append(("second", event)))
    event = LimiterRecovered("add")
    told.tell(event)
    assert heard == [("first", event), ("second", event)]


def test_nobody_listens():
    Events().tell(LimiterRecovered("add"))


def test_two_events_share_no_listeners():
    heard = []
    first, second = Events(), Events()
    first.listen(heard.append)
    second.tell(LimiterRecovered("add"))
    assert heard == []


def test_a_listener_that_raises_is_logged_and_the_others_hear(caplog):
    heard = []

    def broken(event):
        raise ValueError("deaf")

    event = LimiterRecovered("add")
    with caplog.at_level(logging.ERROR):
        Events(broken, heard.append).tell(event)
    assert heard == [event]
    (record,) = caplog.records
    assert record.name == "falconkit.events"
    assert "LimiterRecovered(limiter='add')" in record.getMessage()
    assert record.exc_info[0] is ValueError


def test_a_listener_may_listen_while_it_hears():
    heard = []
    told = Events()
    told.listen(lambda event: told.listen(heard.append))
    told.tell(LimiterRecovered("one"))
    assert heard == []
    told.tell(LimiterRecovered("two"))
    assert heard == [LimiterRecovered("two")]


def test_a_worker_that_is_told_to_exit_exits():
    def leaves(event):
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        Events(leaves).tell(LimiterRecovered("add"))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_events_are_values(kind):
    given = {
        field.name: 1.5 if "float" in str(field.type) else 1 if "int" in str(field.type) else "x"
        for field in dataclasses.fields(kind)
    }
    event = kind(**given)
    assert event == kind(**given)
    assert hash(event) == hash(kind(**given))
    with pytest.raises((AttributeError, TypeError)):
        setattr(event, next(iter(given)), "changed")
    with pytest.raises((AttributeError, TypeError)):
        event.invented = 1
