"""Writes the pictures of ``docs/debug.md``, and measures how soon the page is there.

Run it by ``python -m tests.debug.screenshots``; it needs Chromium.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from pathlib import Path

from tests.debug.browser import Browser, Tab, chromium
from tests.debug.test_browser import LIVE
from tests.debug.test_processes import TOKEN, ask, serve
from tests.services import require

IMAGES = Path(__file__).parents[2] / "docs" / "images"
_FILLED = (
    "performance.getEntriesByName('filled').length > 0 &&"
    " performance.getEntriesByType('paint').length > 0"
)


def main() -> None:
    """Do both."""
    IMAGES.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as home,
        chromium(require("chromium"), Path(home)) as browser,
    ):
        take(browser)
        measure(browser)


def take(browser: Browser) -> None:
    """Write the pictures of a service that has some trouble."""
    with serve(SLOW="0.002") as server:
        tab = browser.tab()
        tab.resize(1280, 960)
        tab.go(f"http://127.0.0.1:{server.port}/debug/login")
        tab.run(f"document.querySelector('input').value = {TOKEN!r}")
        tab.run("document.querySelector('button').click()")
        tab.wait(f"location.pathname === '/debug' && {LIVE}")
        for number in range(40):
            ask(server, "/add", **{"X-User": ("ann", "bob", "eve")[number % 3]})
            ask(server, "/charge", "-1" if number > 30 else "1")
            ask(server, "/bank")
        ask(server, "/left")
        busy = (
            "[...document.querySelectorAll('#endpoint-table td')].some((c) => c.textContent > '1')"
        )
        tab.wait(f"{busy} && document.querySelector('#breaker-table').textContent.includes('open')")
        write(tab, "debug-light.png")
        tab.prefer("dark")
        write(tab, "debug-dark.png")
        tab.resize(360, 780, phone=True)
        tab.run("document.querySelector('#breakers').scrollIntoView()")
        write(tab, "debug-phone.png")


def write(tab: Tab, name: str) -> None:
    (IMAGES / name).write_bytes(tab.picture())


def measure(browser: Browser, times: int = 7) -> None:
    """Print when the first of the page was painted, and when its numbers were."""
    with serve(MANY="250") as server:
        read = json.loads(server.get("/debug/vars")[2])
        painted, filled = [], []
        for _ in range(times):
            tab = browser.tab()
            tab.go(f"http://127.0.0.1:{server.port}/debug")
            tab.wait(_FILLED)
            painted.append(tab.run("performance.getEntriesByType('paint')[0].startTime"))
            filled.append(tab.run("performance.getEntriesByName('filled')[0].startTime"))
            rows = tab.run("document.querySelectorAll('#endpoint-table tbody tr').length")
            tab.call("Page.close")
    series = sum("{" in name for name in read)
    print(f"{series} series, {rows} endpoints, {times} times, ms (median, most):")
    print(f"first paint {statistics.median(painted):.0f}, {max(painted):.0f}")
    print(f"all numbers {statistics.median(filled):.0f}, {max(filled):.0f}")


if __name__ == "__main__":
    main()
