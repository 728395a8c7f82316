"""Clients of the gateway: plain ones that try nothing twice, so they see what there is to see."""

import http.client
import itertools
import json
import threading
from collections import Counter
from typing import Self

QUESTIONS = (
    ("/stringsvc/uppercase", {"s": "hello, world"}, {"v": "HELLO, WORLD"}),
    ("/stringsvc/count", {"s": "hello, world"}, {"v": 12}),
    ("/addsvc/sum", {"a": 1, "b": 2}, {"v": 3}),
    ("/addsvc/concat", {"a": "hello, ", "b": "world"}, {"v": "hello, world"}),
)


class Callers:
    """So many threads that ask one question after another until they are stopped.

    Attributes:
        calls: How many were answered, or not.
        errors: What went wrong, and how often.
    """

    def __init__(self, port: int, *, threads: int = 4, pause: float = 0.01) -> None:
        self.calls = 0
        self.errors: Counter[str] = Counter()
        self._port, self._pause = port, pause
        self._stop = threading.Event()
        # Daemons, lest a Ctrl-C between two of their starts leave the first to run on.
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]

    def __enter__(self) -> Self:
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for each in self._threads:
            each.join()

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        for path, question, expected in itertools.cycle(QUESTIONS):
            try:
                connection.request("POST", path, json.dumps(question))
                answer = connection.getresponse()
                status, body = answer.status, answer.read()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                self.errors[f"{path}: {error!r}"] += 1
            else:
                if status != 200 or json.loads(body) != expected:
                    self.errors[f"{path}: {status} {body.decode(errors='replace')}"] += 1
            self.calls += 1
            if self._stop.wait(self._pause):
                break
        connection.close()
