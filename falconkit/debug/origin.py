"""Whether a request that changes something was meant: by our own page, or by a program."""

from __future__ import annotations

from urllib.parse import urlsplit

import falcon

from falconkit.errors import Forbidden


def check_origin(req: falcon.Request, *, program: bool) -> None:
    """Refuse what another site made a browser send (cross-site request forgery).

    A browser says where a request comes from, in ``Sec-Fetch-Site`` and ``Origin``, and a
    page cannot make it say otherwise. Each that is there has to say that it is our own.

    Args:
        req: The request.
        program: Whether it proves itself by what no browser adds on its own, as by
            ``Authorization``: then it may say nothing.

    Raises:
        Forbidden: It was sent from elsewhere, or nobody knows.
    """
    site = req.get_header("Sec-Fetch-Site")
    origin = req.get_header("Origin")
    if site is None and origin is None:
        if not program:
            raise Forbidden("it is not known which page sent this: use the one under /debug")
        return
    if site not in (None, "same-origin") or (origin is not None and not _is_ours(req, origin)):
        raise Forbidden("another site sent this: only the page under /debug may")


def _is_ours(req: falcon.Request, origin: str) -> bool:
    # A proxy may have put its own name into Host; no page can set X-Forwarded-Host.
    ours = {req.get_header("Host"), req.get_header("X-Forwarded-Host")} - {None}
    try:
        return urlsplit(origin).netloc in ours
    except ValueError:
        return False
