from __future__ import annotations

import gc
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator

import hypothesis
import pytest
from coverage import Coverage

from falconkit.log.handler import Handler


class _CoverageLock:
    """Is held over each fork, lest a thread's hold on it be inherited for ever by the child.

    coverage takes it when a thread meets a new file, and has no hook for forks of its own.
    Nothing that it measures may run meanwhile, so nothing is collected as garbage.
    """

    def __init__(self) -> None:
        self._held: threading.Lock | None = None
        self._collects = False
        os.register_at_fork(
            before=self.take, after_in_parent=self.give_back, after_in_child=self.give_back
        )

    def take(self) -> None:
        collector = getattr(Coverage.current(), "_collector", None)
        self._held = getattr(collector, "data_lock", None)
        self._collects = gc.isenabled()
        gc.disable()
        if self._held is not None:
            self._held.acquire()

    def give_back(self) -> None:
        if self._held is not None:
            self._held.release()
        if self._collects:
            gc.enable()


def pytest_configure() -> None:
    _CoverageLock()
    # How fast this machine is today is no property of what is tested.
    hypothesis.settings.register_profile(
        "patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("patient")


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Leave no other test the handlers, loggers and hooks that this one has set up."""
    root = logging.getLogger()
    level, ours = root.level, [each for each in root.handlers if isinstance(each, Handler)]
    loggers = [logging.getLogger(n) for n in ("falconkit", "gunicorn.error", "gunicorn.access")]
    before = [(each.propagate, each.level, list(each.handlers)) for each in loggers]
    hooks = sys.excepthook, sys.unraisablehook, threading.excepthook
    yield
    for each in [one for one in root.handlers if isinstance(one, Handler) and one not in ours]:
        root.removeHandler(each)
    root.setLevel(level)
    for logger, (propagate, severity, handlers) in zip(loggers, before, strict=True):
        logger.propagate, logger.handlers = propagate, handlers
        logger.setLevel(severity)
    sys.excepthook, sys.unraisablehook, threading.excepthook = hooks


@pytest.fixture
def logging_undone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo what ``falconkit.log.setup`` does to this process, also what it did before."""
    root = logging.getLogger()
    level = root.level
    others = [each for each in root.handlers if not isinstance(each, Handler)]
    monkeypatch.setattr(root, "handlers", others)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    yield
    root.setLevel(level)
    logging.captureWarnings(False)
