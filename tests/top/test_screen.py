from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from falconkit.top.pace import paces
from falconkit.top.screen import View, draw, shares
from falconkit.top.words import harmless
from tests.top.documents import NOW, endpoint, full, happened, state

URL = "http://127.0.0.1:8000/debug/state"
PAGE = Path(__file__).parents[2] / "docs" / "top.md"
TEXT = st.text(st.characters(), max_size=60)


def rendered(view: View, *, width: int = 120, lines: int | None = None, color: bool = False) -> str:
    out = io.StringIO()
    console = Console(
        file=out, width=width, color_system="standard" if color else None, force_terminal=color
    )
    console.print(draw(view, lines))
    return out.getvalue()


def whole(**options) -> str:
    earlier, later = full(), full(since=1)
    view = View(URL, NOW + 1, later, paces(earlier, later), hint="every 1 s, q quits")
    return rendered(view, **options)


def test_everything_is_there():
    shown = whole()
    for words in (
        "counter on web-1",
        "2 workers",
        "120 calls/s",
        "POST /add",
        "get_user",
        "22 of 40 calls failed",
        "closed → open 8s ago",
        "add/192.0.2.7",
        "100%",
        "under 50%",
        "10.0.0.8:8000 (b)",
        "ejected",
        "key_error: 'v'",
        "9c248150-9c24-4150-9c24-815012345678",
        "Slow, over 500ms",
        "42%",
        "48.0 MiB",
    ):
        assert words in shown


def test_the_sample_in_the_docs_is_what_is_drawn():
    clock = re.compile(r"\d\d:\d\d:\d\d")  # the time of day depends on where one is
    [sample] = re.findall(r"```text\n(counter on .*?)```", PAGE.read_text(), re.DOTALL)
    drawn = "".join(f"{line.rstrip()}\n" for line in whole(width=118).splitlines())
    assert clock.sub("", sample) == clock.sub("", drawn)


@pytest.mark.parametrize("width", [20, 40, 80, 200])
@pytest.mark.parametrize("lines", [1, 2, 5, 10, 24, 60])
def test_it_fits(width, lines):
    drawn = whole(width=width, lines=lines).splitlines()
    assert len(drawn) <= max(lines, 2)
    assert all(cell_len(line) <= width for line in drawn)


@given(st.lists(st.integers(0, 30), max_size=9), st.integers(-3, 100))
def test_lines_are_dealt_out_and_no_more_of_them_than_there_are(wanted, lines):
    given = shares(wanted, lines)
    assert all(0 <= got <= rows for got, rows in zip(given, wanted, strict=True))
    used = sum(got + 3 for got in given if got)
    assert used <= max(lines, 0)
    if used < lines and all(got or not rows for got, rows in zip(given, wanted, strict=True)):
        assert given == wanted  # nothing is left out while there is room


def test_what_does_not_fit_is_told():
    errors = [happened(request_id=f"r-{number}") for number in range(50)]
    shown = rendered(View(URL, NOW, state(errors=errors)), lines=20)
    assert re.search(r"Recent errors  \d+ more", shown)


def test_while_the_service_is_away_the_last_figures_stay():
    view = View(URL, NOW + 75, full(), away_since=NOW, trouble="it cannot be reached")
    shown = rendered(view)
    assert re.search(r"AWAY since \d\d:\d\d:\d\d \(1m15s\): it cannot be reached", shown)
    assert "POST /add" in shown
    assert "1.01k calls so far" in shown


def test_before_the_first_document():
    assert rendered(View(URL, NOW)).startswith(f"asking {URL}")
    shown = rendered(View(URL, NOW, away_since=NOW, trouble="nobody is there"))
    assert "nobody is there" in shown


def test_what_is_not_measured_says_so():
    assert "not measured" in rendered(View(URL, NOW, state(endpoints=[endpoint(measured=False)])))
    assert "DRAINING" in rendered(View(URL, NOW, state(draining=True)))


HOSTILE = [
    "\x1b[2J\x1b[31mred",
    "[bold red]markup[/] [link=http://evil]x[/link]",
    "\x1b]0;title\x07",
    "\u202egnp.exe",
    "line\nbreak\r\ttab",
    "\x9b31m",
    "\ud800",
    ":smile:",
    "x" * 100_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("color", [False, True])
def test_hostile_texts_are_shown_harmlessly(text, color):
    document = state(
        service=text,
        host=text,
        endpoints=[endpoint(text, path=text)],
        errors=[happened(endpoint=text, kind=text, message=text, request_id=text, path=text)],
        slow=[happened(path=text)],
        notes=[text],
    )
    shown = rendered(
        View(URL + text, NOW, document, away_since=NOW, trouble=text), width=4000, color=color
    )
    # Of escapes only rich's own colours are there.
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert "\x1b[2J" not in shown
    assert all(c.isprintable() or c == "\n" for c in plain)
    assert harmless(text)[:20] in plain
    if "[bold" in text:
        assert text in plain


@settings(max_examples=50, deadline=None)
@given(TEXT, st.integers(20, 150), st.integers(1, 40))
def test_any_text_leaves_the_screen_whole(text, width, lines):
    document = state(service=text, errors=[happened(message=text, endpoint=text)], notes=[text])
    drawn = rendered(View(URL, NOW, document), width=width, lines=lines)
    assert all(c.isprintable() or c == "\n" for c in drawn)
    assert len(drawn.splitlines()) <= max(lines, 2)


@given(st.text())
def test_harmless_texts_are_printable_and_bounded(text):
    shown = harmless(text)
    assert shown.isprintable()
    assert len(shown) <= 200 * 10
    if text.isprintable() and len(text) <= 200:
        assert shown == text
