"""The app that a command is about, as gunicorn would load it."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback

from gunicorn.errors import AppImportError
from gunicorn.util import import_app

from falconkit.errors import ConfigurationError
from falconkit.server.served import find_app
from falconkit.transport.http import App


def load(target: str) -> App:
    """Import ``module:app``, from the present folder first, without serving it.

    Args:
        target: As gunicorn takes it: ``shop.app:app``, ``shop.app:build()``.

    Raises:
        ConfigurationError: It cannot be imported, or is no app of ours.
    """
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        # What the app prints or logs while it is made is no part of what we write.
        with contextlib.redirect_stdout(sys.stderr):
            wsgi = import_app(target)
    except AppImportError as ex:
        raise ConfigurationError(f"{target}: {ex}") from ex
    except Exception as ex:
        at = traceback.extract_tb(ex.__traceback__)[-1]
        raise ConfigurationError(
            f"{target} cannot be imported: {type(ex).__name__}: {ex} ({at.filename}:{at.lineno})"
        ) from ex
    app = find_app(wsgi)
    if not isinstance(app, App):
        raise ConfigurationError(
            f"{target} is {wsgi!r:.200}, in which there is no falconkit app: name what http.app() "
            "returned"
        )
    return app
