"""What is sent is what urllib3 sends, byte for byte; what it refuses is refused."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from urllib3.connection import HTTPConnection
from urllib3.util import SKIP_HEADER

from falconkit.transport.http.client_pool import _TimedHTTP

NAMES = st.one_of(
    st.sampled_from(["Accept", "X-Request-ID", "user-agent", "Host", "Accept-Encoding"]),
    st.text(max_size=8),
    st.binary(max_size=4),
)
VALUES = st.one_of(
    st.text(max_size=12),
    st.text(st.sampled_from("a \t\r\n\0:é€"), max_size=6),
    st.binary(max_size=6),
    st.integers(),
    st.just(SKIP_HEADER),
)


def sent(kind, headers, body, method="POST"):
    """Return all that a connection would send, or what it raises."""

    class Kept(kind):
        def connect(self):
            self.sock = self  # which has a settimeout and a sendall

        def settimeout(self, seconds):
            pass

        def sendall(self, data):
            pieces.append(bytes(data))

        def close(self):
            self.sock = None

    pieces: list[bytes] = []
    connection = Kept("127.0.0.1", 8000)
    try:
        connection.request(method, "/a?b=c", body, headers)
    except (ValueError, TypeError, AttributeError) as error:
        return type(error), str(error)
    finally:
        connection.close()
    return b"".join(pieces)


@given(st.dictionaries(NAMES, VALUES, max_size=4), st.sampled_from([None, b"", b"{}"]))
@example({"X-A": "b\r\nX-Evil: c"}, None)
@example({"X-A\r\nX-Evil": "c"}, None)
@example({"X-A: b": "c"}, None)
@example({"X-A": "b\r\n c"}, None)
@example({"X-A": "b\n"}, None)
@example({"X-A": "€"}, None)
@example({"X-A": ""}, b"{}")
@example({b"X-A": "b", "X-B": b"b", "X-C": 7}, b"{}")
@example({"Host": SKIP_HEADER, "User-Agent": SKIP_HEADER, "Accept-Encoding": SKIP_HEADER}, None)
@example({"X-A": SKIP_HEADER}, None)
@example({"Content-Length": "2"}, b"{}")
def test_what_is_sent_is_what_urllib3_sends(headers, body):
    assert sent(_TimedHTTP, headers, body) == sent(HTTPConnection, headers, body)


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
def test_of_every_method(method):
    headers = {"Accept": "application/json", "X-Request-ID": "r-1"}
    assert sent(_TimedHTTP, headers, None, method) == sent(HTTPConnection, headers, None, method)
    assert sent(_TimedHTTP, headers, None, method).startswith(method.encode())
