"""Starts every service under a gunicorn of its own, on loopback, and ends them all."""

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

from falconkit.testing.gunicorn import Gunicorn

ROOT = Path(__file__).parents[1]
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Running:
    """All services, each on a free port; a file tells which string services there are.

    Attributes:
        instances: Those of the string service, each by a letter.
    """

    def __init__(self, folder: Path, **env: str) -> None:
        self._folder = folder
        self._registry = folder / "stringsvc"
        self._env = env
        self._servers: list[Gunicorn] = []
        self.instances = {letter: self._server("stringsvc") for letter in "abc"}
        self.addsvc = self._server("addsvc")
        self.proxy = self._server("stringproxy", STRINGSVC_URL=f"file://{self._registry}")

    def __enter__(self) -> Self:
        try:
            with uninterrupted():
                with ThreadPoolExecutor() as starting:
                    list(starting.map(Gunicorn.__enter__, self._servers))
                self._tell()
                self.gateway = self._server(
                    "gateway", ADDSVC_URL=url(self.addsvc), STRINGSVC_URL=url(self.proxy)
                )
                self.gateway.__enter__()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def kill(self, letter: str) -> None:
        """Kill an instance with -9, master and worker; nobody tells the registry."""
        self.instances[letter].kill()

    def add(self, letter: str) -> None:
        """Start one more instance, and tell the registry which ones live."""
        with uninterrupted():
            added = self.instances[letter] = self._server("stringsvc")
            added.__enter__()
            self._tell()

    def end(self) -> None:
        """End what was started: by SIGTERM, and what is left of it at once."""
        with uninterrupted():
            started = [each for each in self._servers if each.port]
            for each in started:
                each.signal(signal.SIGTERM)
            for each in started:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    each.wait()
                each.kill()

    def _tell(self) -> None:
        alive = [each for each in self.instances.values() if each.process.poll() is None]
        new = self._registry.with_suffix(".new")
        new.write_text("".join(f"127.0.0.1:{each.port}\n" for each in alive))
        new.replace(self._registry)  # at once, lest half of it be read

    def _server(self, name: str, **env: str) -> Gunicorn:
        # Here and not in /dev/shm: what one that is killed leaves goes with the folder.
        run = self._folder / f"run-{len(self._servers)}"
        own = {"DRAIN_SECONDS": "0", "LOG_FORMAT": "json", "FALCONKIT_RUN": str(run)}
        variables: Any = own | self._env | env
        server = Gunicorn(f"examples.{name}:app", cwd=ROOT, **variables)
        self._servers.append(server)
        return server


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Let a Ctrl-C wait: of what is half started or half ended, something would be left."""
    came: list[int] = []
    before = {each: signal.signal(each, lambda number, _: came.append(number)) for each in _ENDING}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    if came:
        raise KeyboardInterrupt


def url(server: Gunicorn) -> str:
    """Return where it listens."""
    return f"http://127.0.0.1:{server.port}"
