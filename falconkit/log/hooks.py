"""Log what would otherwise be printed to stderr over many lines."""

from __future__ import annotations

import logging
import sys
import threading
from types import TracebackType
from typing import Any

_MARK = "__falconkit__"


def install_hooks() -> None:
    """Log uncaught exceptions, also of threads and of destructors, and warnings.

    Calling it again changes nothing. A hook that somebody else has installed
    is called afterwards; Python's own are not, since they print.
    """
    logging.captureWarnings(True)
    logger = logging.getLogger("falconkit.uncaught")
    if not hasattr(sys.excepthook, _MARK):
        sys.excepthook = _excepthook(logger, sys.excepthook)
    if not hasattr(threading.excepthook, _MARK):
        threading.excepthook = _thread_hook(logger, threading.excepthook)
    if not hasattr(sys.unraisablehook, _MARK):
        sys.unraisablehook = _unraisable_hook(logger, sys.unraisablehook)


def _excepthook(logger: logging.Logger, previous: Any) -> Any:
    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
            return
        logger.critical("uncaught exception", exc_info=(kind, error, trace))
        if previous is not sys.__excepthook__:
            previous(kind, error, trace)

    setattr(hook, _MARK, True)
    return hook


def _thread_hook(logger: logging.Logger, previous: Any) -> Any:
    def hook(args: threading.ExceptHookArgs) -> None:
        if issubclass(args.exc_type, SystemExit):
            return
        name = args.thread.name if args.thread is not None else "?"
        error = args.exc_value if args.exc_value is not None else args.exc_type()
        logger.error(
            "uncaught exception in thread %s",
            name,
            exc_info=(args.exc_type, error, args.exc_traceback),
        )
        if previous is not threading.__excepthook__:
            previous(args)

    setattr(hook, _MARK, True)
    return hook


def _unraisable_hook(logger: logging.Logger, previous: Any) -> Any:
    def hook(unraisable: Any) -> None:
        error = unraisable.exc_value
        logger.error(
            "%s %s",
            unraisable.err_msg or "exception ignored in",
            _name(unraisable.object),
            exc_info=(unraisable.exc_type, error, unraisable.exc_traceback) if error else None,
        )
        if previous is not sys.__unraisablehook__:
            previous(unraisable)

    setattr(hook, _MARK, True)
    return hook


def _name(thing: object) -> str:
    # Its repr is not asked for: the object may be half destroyed.
    return str(getattr(thing, "__qualname__", type(thing).__qualname__))
