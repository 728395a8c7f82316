"""A headless Chromium, driven over a pair of pipes by the DevTools protocol."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from falconkit.testing import wait_until

PATIENCE = 120.0
"""Seconds for which a browser is waited for, however much else the machine has to do."""


_CHANGE_PLACE = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4);"
    "os.execv(sys.argv[3], sys.argv[3:])"
)


class Tab:
    """One page of a browser.

    Attributes:
        requests: The addresses that it asked for.
        complaints: What it said on its console, and in its log: errors, refusals by a policy.
    """

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.answer_dialogs = True

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Ask the browser for something."""
        return self._browser.call(method, params, self._session)

    def go(self, url: str) -> None:
        """Open an address and wait until it has loaded."""
        self.call("Page.navigate", url=url)
        self.wait("location.href !== 'about:blank' && document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """Return what an expression amounts to, in the page."""
        done = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in done:
            raise AssertionError(json.dumps(done["exceptionDetails"])[:2000])
        return done["result"].get("value")

    def wait(self, condition: str) -> None:
        """Wait until an expression is true in the page."""

        def holds() -> bool:
            with contextlib.suppress(AssertionError):  # the page is being replaced
                return bool(self.run(condition))
            return False

        wait_until(holds, PATIENCE, what=condition)

    def press(self, key: str) -> None:
        """Press a key: ``Tab``, ``Enter``."""
        codes = {"Tab": 9, "Enter": 13}
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=codes[key],
                **(text if kind == "keyDown" else {}),
            )

    def resize(self, width: int, height: int, *, phone: bool = False) -> None:
        """Make it another size, as on a screen or on a phone."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=phone,
        )

    def prefer(self, scheme: str) -> None:
        """Prefer ``dark`` or ``light``."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def picture(self) -> bytes:
        """Return what is seen, as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def names(self) -> list[tuple[str, str]]:
        """Return role and name of each node that a screen reader meets."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        return [
            (each["role"]["value"], each.get("name", {}).get("value", ""))
            for each in nodes
            if not each.get("ignored") and "role" in each
        ]

    def hear(self, method: str, params: dict[str, Any]) -> None:
        """Take in what the browser tells by itself."""
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params["exceptionDetails"])[:1000])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.complaints.append(json.dumps(params["args"])[:1000])
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(params["entry"]["text"])
        elif method == "Page.javascriptDialogOpening":
            self._browser.send(
                "Page.handleJavaScriptDialog", {"accept": self.answer_dialogs}, self._session
            )


class Browser:
    """The process. Use `chromium`."""

    def __init__(self, command: str, home: Path) -> None:
        theirs, self._to = os.pipe()
        self._from, ours = os.pipe()
        # Chromium talks on 3 and 4, which may be anything here: they change place in the child.
        pair = [fcntl.fcntl(each, fcntl.F_DUPFD, 10) for each in (theirs, ours)]
        os.close(theirs)
        os.close(ours)
        argv = [
            *(sys.executable, "-S", "-c", _CHANGE_PLACE, *map(str, pair), command),
            *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *("--no-first-run", "--disable-background-networking", "--hide-scrollbars"),
            *(f"--user-data-dir={home / 'profile'}", "--remote-debugging-pipe", "about:blank"),
        ]
        self._process = subprocess.Popen(
            argv,
            pass_fds=pair,
            env=os.environ | {"HOME": str(home)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for each in pair:
            os.close(each)
        self._number = 0
        self._answers: dict[int, dict[str, Any]] = {}
        self._news = threading.Condition()
        self._tabs: dict[str, Tab] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def tab(self) -> Tab:
        """Open a page with nothing on it."""
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        attached = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})
        tab = self._tabs[attached["sessionId"]] = Tab(self, attached["sessionId"])
        for each in ("Page", "Runtime", "Log", "Network"):
            tab.call(f"{each}.enable")
        return tab

    def send(self, method: str, params: dict[str, Any], session: str | None = None) -> int:
        """Ask for something and do not wait."""
        with self._news:
            self._number += 1
            number = self._number
        message = {"id": number, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        return number

    def call(
        self, method: str, params: dict[str, Any], session: str | None = None
    ) -> dict[str, Any]:
        """Ask for something and return the answer."""
        number = self.send(method, params, session)
        with self._news:
            there = self._news.wait_for(lambda: number in self._answers, PATIENCE)
            assert there, f"the browser did not answer {method}"
            answer = self._answers.pop(number)
        assert "error" not in answer, f"{method}: {answer}"
        result: dict[str, Any] = answer["result"]
        return result

    def _read(self) -> None:
        rest = b""
        while chunk := os.read(self._from, 1 << 16):
            *messages, rest = (rest + chunk).split(b"\0")
            for each in messages:
                self._take(json.loads(each))

    def _take(self, message: dict[str, Any]) -> None:
        if "id" in message:
            with self._news:
                self._answers[message["id"]] = message
                self._news.notify_all()
        elif message.get("sessionId") in self._tabs:
            self._tabs[message["sessionId"]].hear(message["method"], message["params"])

    def close(self) -> None:
        """End it, and what it started."""
        with contextlib.suppress(AssertionError, OSError):
            self.call("Browser.close", {})
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, 9)
        self._process.wait()
        self._reader.join(20)
        os.close(self._to)
        os.close(self._from)


@contextlib.contextmanager
def chromium(command: str, home: Path) -> Iterator[Browser]:
    """Start a browser, and end it."""
    browser = Browser(command, home)
    try:
        yield browser
    finally:
        browser.close()
