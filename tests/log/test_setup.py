"""The set-up of a whole process, in processes of their own."""

import io
import json
import logging
import os
import pty
import subprocess
import sys
from typing import Any

import pytest

from falconkit.errors import ConfigurationError
from falconkit.log import (
    ConsoleFormatter,
    Handler,
    JsonFormatter,
    LogfmtFormatter,
    formatter_for,
    setup,
)
from tests.log.hostile import parsed


def run(source: str, *options: str) -> "subprocess.CompletedProcess[bytes]":
    program = "import logging, sys, threading, warnings\nfrom falconkit.log import log, setup\n"
    return subprocess.run(
        [sys.executable, *options, "-c", program + source],
        capture_output=True,
        timeout=60,
        check=False,
    )


def lines(done: "subprocess.CompletedProcess[bytes]") -> list[dict[str, Any]]:
    assert done.stderr == b""
    return [parsed(line, 4_096) for line in done.stdout.splitlines(keepends=True)]


pytestmark = pytest.mark.usefixtures("logging_undone")


def test_an_uncaught_exception_is_one_line() -> None:
    done = run("setup()\n1/0")
    [fields] = lines(done)
    assert done.returncode == 1
    assert fields["level"] == "critical"
    assert fields["message"] == "uncaught exception"
    assert fields["exc_info"].endswith("ZeroDivisionError: division by zero")


def test_an_interrupt_is_pythons_own_matter() -> None:
    done = run("setup()\nraise KeyboardInterrupt")
    assert done.stdout == b""
    assert done.stderr.endswith(b"KeyboardInterrupt\n")


def test_an_exception_in_a_thread_is_one_line() -> None:
    done = run(
        "setup()\n"
        "def work(): raise ValueError('two\\nlines')\n"
        "t = threading.Thread(target=work, name='worker-7'); t.start(); t.join()\n"
        "t = threading.Thread(target=sys.exit); t.start(); t.join()\n"
    )
    [fields] = lines(done)
    assert fields["level"] == "error"
    assert fields["message"] == "uncaught exception in thread worker-7"
    assert fields["exc_info"].endswith("ValueError: two\nlines")


def test_an_exception_in_a_destructor_is_one_line() -> None:
    done = run("setup()\nclass A:\n    def __del__(self): raise ValueError('late')\na = A()\ndel a")
    [fields] = lines(done)
    assert fields["level"] == "error"
    assert fields["message"] == "exception ignored in A.__del__"
    assert fields["exc_info"].endswith("ValueError: late")


def test_a_warning_is_one_line() -> None:
    [fields] = lines(run("setup()\nwarnings.warn('old\\nways')", "-W", "default"))
    assert fields["level"] == "warning"
    assert fields["logger"] == "py.warnings"
    assert "UserWarning: old\nways" in fields["message"]


def test_hooks_of_others_are_called_too() -> None:
    done = run(
        "sys.excepthook = lambda kind, error, trace: print('theirs', file=sys.stderr)\n"
        "threading.excepthook = lambda args: print('thread', file=sys.stderr)\n"
        "sys.unraisablehook = lambda args: print('late', file=sys.stderr)\n"
        "setup(); setup()\n"
        "t = threading.Thread(target=lambda: 1/0); t.start(); t.join()\n"
        "class A:\n    def __del__(self): 1/0\n"
        "A()\n"
        "1/0"
    )
    assert done.stderr.split() == [b"thread", b"late", b"theirs"]
    assert len(done.stdout.splitlines()) == 3


def test_lines_of_users_code_and_of_requests_in_one_stream() -> None:
    done = run(
        "from falconkit import Context, current\n"
        "setup(service='counter', redact=['iban'])\n"
        "@log(redact=['pan'])\n"
        "def add(ctx, request):\n"
        "    logging.getLogger('mine').info('adding', extra={'iban': 'DE1', 'v': 1})\n"
        "    return {'iban': 'DE1', 'pan': 1}\n"
        "ctx = Context('POST', '/add', 'r-1')\n"
        "current.set(ctx)\n"
        "add(ctx, 1)\n"
        "print('a print stays what it is', file=sys.stderr) if 0 else None\n"
    )
    own, request = lines(done)
    assert (own["logger"], own["message"], own["request_id"]) == ("mine", "adding", "r-1")
    assert (own["iban"], own["service"], own["path"]) == ("[redacted]", "counter", "/add")
    assert request["request_id"] == "r-1"
    assert request["result"] == {"iban": "[redacted]", "pan": "[redacted]"}
    assert request["service"] == "counter"


def test_the_level_hides_the_lines_of_good_requests() -> None:
    done = run(
        "from falconkit import Context\n"
        "setup(level='warning')\n"
        "log()(lambda ctx, request: 1)(Context(), 1)\n"
        "logging.info('no'); logging.warning('yes')\n"
    )
    assert [fields["message"] for fields in lines(done)] == ["yes"]


def test_a_fork_after_the_first_line() -> None:
    done = run(
        "import os\n"
        "from falconkit import Context\n"
        "handler = setup()\n"
        "call = log()(lambda ctx, request: request)\n"
        "call(Context(), 'parent')\n"
        "child = os.fork()\n"
        "call(Context(), 'child' if child == 0 else 'parent')\n"
        "if child: os.waitpid(child, 0)\n"
    )
    assert sorted(each["request"] for each in lines(done)) == ["child", "parent", "parent"]


def test_twice_is_once() -> None:
    out = io.StringIO()
    root = logging.getLogger()
    before = list(root.handlers)
    first = setup("json", stream=io.StringIO())
    closed: list[bool] = []
    first.close = lambda: closed.append(True)  # type: ignore[method-assign]
    hooks = sys.excepthook, sys.unraisablehook
    second = setup("logfmt", "DEBUG", stream=out)
    assert [each for each in root.handlers if each not in before] == [second]
    assert first not in root.handlers
    assert closed == [True]
    assert (sys.excepthook, sys.unraisablehook) == hooks
    assert root.level == logging.DEBUG
    logging.debug("once")
    assert out.getvalue().count("msg=once") == 1


def test_formats_by_name() -> None:
    assert type(formatter_for("json")) is JsonFormatter
    assert type(formatter_for("logfmt")) is LogfmtFormatter
    assert type(formatter_for("console")) is ConsoleFormatter
    assert type(formatter_for("auto", io.StringIO())) is JsonFormatter
    closed = io.StringIO()
    closed.close()
    assert type(formatter_for("auto", closed)) is JsonFormatter
    leader, follower = pty.openpty()
    with os.fdopen(leader, "rb", 0), os.fdopen(follower, "w") as terminal:
        assert type(formatter_for("auto", terminal)) is ConsoleFormatter
        assert type(setup(stream=terminal).formatter) is ConsoleFormatter


def test_no_stdout_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    handler = setup()
    logging.info("nobody hears")
    assert handler.dropped == 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"format": "xml"}, "LOG_FORMAT='xml': give one of auto, json, logfmt, console"),
        ({"level": "LOUD"}, "LOG_LEVEL='LOUD': give one of DEBUG, INFO, WARNING, ERROR, CRITICAL"),
        ({"redact": "password"}, "redact='password'"),
        ({"wait": -1.0}, "wait=-1.0"),
    ],
)
def test_bad_configuration_changes_nothing(given: dict[str, Any], words: str) -> None:
    before = list(logging.getLogger().handlers), sys.excepthook
    with pytest.raises(ConfigurationError) as raised:
        setup(**given)
    assert words in str(raised.value)
    assert (logging.getLogger().handlers, sys.excepthook) == before


def test_the_handler_is_returned() -> None:
    handler = setup(stream=io.StringIO(), wait=0.5)
    assert isinstance(handler, Handler)
    assert handler.dropped == 0


def test_dict_config_takes_the_formatter() -> None:
    import logging.config

    logger = logging.getLogger("configured")
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "line": {"()": "falconkit.log.JsonFormatter", "redact": ["iban"]},
                "class": {"class": "falconkit.log.JsonFormatter", "format": "%(message)s"},
            },
            "handlers": {
                "out": {"()": "falconkit.log.Handler", "stream": io.StringIO(), "formatter": "line"}
            },
            "loggers": {"configured": {"handlers": ["out"], "level": "INFO"}},
        }
    )
    [handler] = logger.handlers
    logger.removeHandler(handler)
    handler.handle(logging.makeLogRecord({"msg": "m", "iban": "DE1", "levelname": "INFO"}))
    assert isinstance(handler, Handler)
    assert json.loads(handler._stream.getvalue())["iban"] == "[redacted]"
