"""The page in a real browser: what it shows, what it asks for, and who can use it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from falconkit.testing import wait_until
from falconkit.testing.gunicorn import Gunicorn
from tests.debug.browser import PATIENCE, Browser, Tab, chromium
from tests.debug.test_processes import TOKEN, ask, serve
from tests.services import require

LIVE = "document.body.className === 'is-live'"


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Browser]:
    with chromium(require("chromium"), tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture(scope="module")
def server() -> Iterator[Gunicorn]:
    with serve() as server:
        for path, body in (("/add", "1"), ("/boom", "1"), ("/charge", "1"), ("/left", "1")):
            ask(server, path, body)
        ask(server, "/boom/<img src=x onerror=window.ran=1>".replace(" ", "%20"))
        yield server


@pytest.fixture
def tab(browser, server) -> Tab:
    tab = browser.tab()
    tab.resize(1280, 900)
    tab.go(f"http://127.0.0.1:{server.port}/debug")
    tab.wait(LIVE)
    return tab


def cells(tab: Tab, table: str, row: str) -> list[str]:
    found: list[str] = tab.run(
        f"[...document.querySelectorAll('#{table} tbody tr')]"
        f".filter((row) => row.textContent.includes({row!r}))"
        ".slice(0, 1).flatMap((row) => [...row.cells].map((cell) => cell.textContent))"
    )
    return found


def logged_in(tab: Tab, server: Gunicorn) -> None:
    tab.call("Network.clearBrowserCookies")
    tab.go(f"http://127.0.0.1:{server.port}/debug/login")
    tab.run(f"document.querySelector('input').value = {TOKEN!r}")
    tab.run("document.querySelector('button').click()")
    tab.wait(f"location.pathname === '/debug' && {LIVE}")


def test_it_shows_what_goes_on(tab, server):
    assert tab.run("document.title") == "shop - debug"
    assert cells(tab, "endpoint-table", "/boom")[9].startswith("runtime error")
    assert "***" in cells(tab, "error-table", "boom")[2]
    assert cells(tab, "breaker-table", "charge")[1] == "closed"
    assert cells(tab, "instance-table", "127.0.0.1:1")[1] == "stock"
    assert len(tab.run("[...document.querySelectorAll('#worker-table tbody tr')].map(String)")) == 2
    chain = tab.run("document.querySelector('#chain-list details').textContent")
    assert "remember → log → trace → measure → limit" in chain
    assert "TokenBucket('5 per 1 hour')" in chain


def test_nothing_hostile_runs_and_nothing_is_asked_of_others(tab, server):
    assert tab.run("window.ran") is None
    assert tab.run("document.querySelectorAll('img, iframe, object, link').length") == 0
    assert "<img" in tab.run("document.body.textContent")
    ours = f"http://127.0.0.1:{server.port}/debug"
    assert {each for each in tab.requests if not each.startswith(ours)} == set()
    assert tab.complaints == []


def test_the_policy_holds_off_what_slipped_through(tab):
    tab.run(
        "document.body.insertAdjacentHTML('beforeend', '<img src=\"http://127.0.0.1:1/x\""
        ' onerror="window.ran = 1"><p style="color: red">x</p>\')'
    )
    tab.run("document.body.append(Object.assign(document.createElement('script'),"
            " { textContent: 'window.ran = 2' }))")  # fmt: skip
    assert tab.run(
        "fetch('http://127.0.0.1:1/').then(() => 'sent', () => 'held off')"
    ) == "held off"  # fmt: skip
    assert tab.run("window.ran") is None
    assert tab.run("getComputedStyle(document.querySelector('p[style]')).color") != "rgb(255, 0, 0)"
    assert any("Content Security Policy" in each for each in tab.complaints)


def test_it_updates_by_itself_where_it_stands(tab, server):
    before = int(cells(tab, "endpoint-table", "/boom")[8])
    tab.run("window.row = document.querySelector('#endpoint-table tbody tr')")
    tab.run("document.querySelector('#chain-list summary').focus()")
    tab.run("document.querySelector('#chain-list details').open = true")
    for _ in range(3):
        ask(server, "/boom")
    tab.wait(
        "[...document.querySelectorAll('#endpoint-table tbody tr')].some((row) =>"
        f" row.cells[0].textContent === 'POST /boom' && row.cells[8].textContent >= {before + 3})"
    )
    assert tab.run("window.row.isConnected")
    assert tab.run("document.activeElement.tagName") == "SUMMARY"
    assert tab.run("document.querySelector('#chain-list details').open")


def test_rates_are_of_the_last_seconds(tab, server):
    row = "[...document.querySelectorAll('#endpoint-table tbody tr')][1]"

    def shown() -> bool:
        ask(server, "/boom")
        return tab.run(
            f"parseFloat({row}.cells[1].textContent) > 0 && {row}.cells[5].textContent !== ''"
            f" && {row}.cells[2].className === 'number bad'"
        )

    wait_until(shown, PATIENCE)


def test_breakers_are_forced_by_whoever_logged_in(tab, server):
    button = "document.querySelector('#breaker-table [aria-label=\"Force open: charge\"]')"
    tab.call("Network.clearBrowserCookies")
    tab.go(f"http://127.0.0.1:{server.port}/debug")
    tab.wait(LIVE)
    assert tab.run(f"{button}.disabled")
    assert ask(server, "/charge") == 200
    logged_in(tab, server)
    assert not tab.run(f"{button}.disabled")
    assert tab.run("document.cookie") == ""  # no script can read it
    tab.answer_dialogs = False
    tab.run(f"{button}.click()")
    assert ask(server, "/charge") == 200
    tab.answer_dialogs = True
    tab.run(f"{button}.focus()")
    tab.press("Enter")
    tab.wait("document.querySelector('#breaker-table').textContent.includes('forced open')")
    assert tab.run(f"document.activeElement === {button}")
    assert ask(server, "/charge") == 503
    tab.run(f"{button.replace('Force open', 'Reset')}.click()")
    tab.wait("!/charge\\s*forced open/.test(document.querySelector('#breaker-table').textContent)")
    assert ask(server, "/charge") == 200
    assert tab.complaints == []


def test_a_trace_is_a_link_away(tab, server):
    link = "document.querySelector('#error-table tbody a')"
    assert tab.run(f"{link}.getAttribute('href')").startswith("/debug/traces#t-")
    trace = tab.run(f"{link}.hash.slice(1)")
    href = tab.run(f"{link}.href")

    def drawn() -> bool:
        # A worker leaves its traces for the others a moment after the request.
        tab.call("Page.navigate", url="about:blank")
        tab.wait("location.pathname === 'blank'")
        tab.call("Page.navigate", url=href)
        tab.wait("location.pathname === '/debug/traces' && document.readyState === 'complete'")
        return tab.run(f"document.getElementById({trace!r}) !== null")

    wait_until(drawn, PATIENCE)
    tab.wait(f"document.getElementById({trace!r}).closest('details').open")


def test_it_says_that_it_is_stale_and_comes_back(tab):
    tab.call("Network.emulateNetworkConditions", offline=True, latency=0,
             downloadThroughput=-1, uploadThroughput=-1)  # fmt: skip
    tab.wait("document.body.className === 'is-stale'")
    assert tab.run("document.querySelector('#status').textContent").startswith("Stale: ")
    assert tab.run("document.querySelectorAll('#endpoint-table tbody tr').length") > 3
    tab.call("Network.emulateNetworkConditions", offline=False, latency=0,
             downloadThroughput=-1, uploadThroughput=-1)  # fmt: skip
    tab.wait(LIVE)


def test_it_can_be_paused_and_rests_while_it_is_hidden(tab):
    tab.run("document.querySelector('#pause').focus()")
    tab.press("Enter")
    tab.wait("document.querySelector('#status').textContent === 'Paused'")
    assert tab.run("document.querySelector('#pause').getAttribute('aria-pressed')") == "true"
    tab.press("Enter")
    tab.wait(LIVE)
    tab.run(
        "Object.defineProperty(document, 'hidden', { configurable: true, get: () => true });"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    tab.wait("!asking")
    assert tab.run("poll().then(() => asking)") is False


@pytest.mark.parametrize(("width", "phone"), [(1280, False), (700, False), (360, True)])
def test_it_fits_the_screen(tab, width, phone):
    tab.resize(width, 780, phone=phone)
    assert tab.run("document.documentElement.scrollWidth") <= width
    wide = tab.run(
        "[...document.querySelectorAll('body *')].filter((each) => each.getClientRects().length &&"
        " getComputedStyle(each).clipPath === 'none' && !each.closest('thead, .skip') &&"
        " each.getBoundingClientRect().right > innerWidth + 1).map((each) => each.outerHTML)"
    )
    assert wide == []


def contrast(tab: Tab, selector: str) -> float:
    """Return the contrast of a text on the page's ground, as WCAG 2.2 defines it (1.4.3)."""
    ratio: float = tab.run(
        "(() => { const light = (rgb) => rgb.match(/[\\d.]+/g).slice(0, 3).map((c) => c / 255)"
        ".map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)"
        ".reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);"
        f"const text = light(getComputedStyle(document.querySelector({selector!r})).color);"
        "const ground = light(getComputedStyle(document.body).backgroundColor);"
        "return (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05); })()"
    )
    return ratio


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_readable_in_light_and_dark(tab, scheme):
    tab.prefer(scheme)
    ground = tab.run("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 22, 27)"}[scheme]
    for selector in ("h1", "caption", "thead th", ".wrong", ".good", "a", "button", "#when"):
        assert contrast(tab, selector) >= 4.5, selector


@pytest.mark.parametrize("width", [1280, 360])
def test_a_screen_reader_meets_tables_and_names(tab, width):
    tab.resize(width, 780)
    found = tab.names()
    roles = [role for role, _ in found]
    for role in ("banner", "navigation", "main", "contentinfo", "status", "columnheader"):
        assert role in roles
    tables = [name for role, name in found if role == "table"]
    assert len(tables) >= 6
    assert all(tables)
    assert roles.count("rowheader") >= len(tables)
    for role in ("button", "link", "meter", "searchbox", "region", "heading"):
        assert all(name for each, name in found if each == role), role
    assert ("button", "Force open: charge") in found


def test_the_keyboard_reaches_everything_in_order(tab):
    seen = []
    for _ in range(8):
        tab.press("Tab")
        seen.append(tab.run("document.activeElement.textContent.trim().slice(0, 20)"))
    assert seen[:3] == ["Skip to the endpoint", "Pause", "Endpoints"]
    assert tab.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_a_stranger_sees_a_form_and_no_more(browser, server):
    tab = browser.tab()
    tab.call("Network.clearBrowserCookies")
    tab.call("Network.setExtraHTTPHeaders", headers={"X-Forwarded-For": "192.0.2.1"})
    tab.go(f"http://127.0.0.1:{server.port}/debug")
    assert tab.run("document.querySelectorAll('form').length") == 1
    assert tab.run("document.querySelectorAll('table, script').length") == 0
    logged_in(tab, server)
    assert tab.run("document.querySelectorAll('#endpoint-table tbody tr').length") > 3
