"""A Eureka server's registry, kept up by deltas as Eureka's own clients keep it."""

from __future__ import annotations

from collections import Counter
from typing import Any


class Mirror:
    """Who is in the registry: those of one application in full, of the others what is counted.

    A delta has what changed in the last three minutes, so that the same change comes again and
    again. Whether one was missed shows in ``apps__hashcode``, which counts the instances
    of all applications by their status.

    >>> mirror = Mirror("COUNTER")
    >>> row = {"instanceId": "a", "status": "UP"}
    >>> mirror.take({"applications": {"application": {"name": "COUNTER", "instance": row}}})
    >>> mirror.hashcode()
    'UP_1_'
    >>> gone = {"name": "COUNTER", "instance": [{**row, "actionType": "DELETED"}]}
    >>> mirror.apply({"applications": {"apps__hashcode": "", "application": [gone]}})
    True
    >>> mirror.rows()
    []

    Args:
        app: The application, in capitals.
    """

    def __init__(self, app: str) -> None:
        self._app = app
        self._rows: dict[str, Any] = {}
        self._status: dict[tuple[str, str], str] = {}

    def take(self, answer: Any) -> None:
        """Take over the whole registry.

        Raises:
            OSError: The answer cannot be understood.
        """
        self._rows.clear()
        self._status.clear()
        for app, id, row in _instances(_applications(answer)):
            self._put(app, id, row)

    def apply(self, answer: Any) -> bool:
        """Apply a delta; returns whether this agrees with the server's registry now.

        Raises:
            OSError: The answer cannot be understood.
        """
        applications = _applications(answer)
        for app, id, row in _instances(applications):
            if row.get("actionType") == "DELETED":
                self._status.pop((app, id), None)
                if app == self._app:
                    self._rows.pop(id, None)
            else:
                self._put(app, id, row)
        return applications.get("apps__hashcode") == self.hashcode()

    def hashcode(self) -> str:
        """Return how many there are by status, as Eureka writes it: ``DOWN_1_UP_20_``."""
        counts = Counter(self._status.values())
        return "".join(f"{status}_{count}_" for status, count in sorted(counts.items()))

    def rows(self) -> list[Any]:
        """Return the application's instances, as the server tells of them."""
        return list(self._rows.values())

    def _put(self, app: str, id: str, row: Any) -> None:
        self._status[app, id] = str(row.get("status"))
        if app == self._app:
            self._rows[id] = row


def listed(value: Any) -> list[Any]:
    """Return the elements of a list; one alone may come without it.

    >>> listed([1, 2]), listed(3), listed(None)
    ([1, 2], [3], [])
    """
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def _applications(answer: Any) -> dict[str, Any]:
    try:
        applications = answer["applications"]
        applications.get("application")
    except (KeyError, TypeError, AttributeError) as error:
        raise OSError(f"Eureka's answer cannot be understood: {str(answer)[:200]}") from error
    return applications  # type: ignore[no-any-return]


def _instances(applications: dict[str, Any]) -> list[tuple[str, str, Any]]:
    try:
        return [
            # Servers of old have no id, and mean the host's name.
            (str(app["name"]), str(row.get("instanceId") or row["hostName"]), row)
            for app in listed(applications.get("application"))
            for row in listed(app.get("instance"))
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise OSError(f"Eureka's answer cannot be understood: {error!r}") from error
