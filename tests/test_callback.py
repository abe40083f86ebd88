"""Callbacks to receivers on loopback; only what is said of other addresses stays on paper."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from function import callback
from function.callback import Target, deliver, target
from function.config import Settings
from function.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

ANYONE = Settings(callback_hosts=("*",))


class Receiver(ThreadingHTTPServer):
    """Answers with *statuses*, one after the other, the last one for ever."""

    def __init__(self, *statuses: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.statuses = list(statuses)
        self.received: list[tuple[str, bytes, str]] = []

    @property
    def target(self) -> Target:
        return Target("http", "127.0.0.1", self.server_address[1], "/built?a=1")


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.path, body, self.headers["X-Test"]))
        statuses = self.server.statuses
        self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
        self.send_header("Location", f"http://127.0.0.1:{self.server.server_address[1]}/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def receiver(*statuses: int) -> Iterator[Receiver]:
    with Receiver(*statuses) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class Delays:
    """Stands for the passing of time; gives up after *most* delays."""

    def __init__(self, most: int = 99) -> None:
        self.seconds: list[float] = []
        self._most = most

    def __call__(self, seconds: float) -> bool:
        self.seconds.append(seconds)
        return len(self.seconds) >= self._most


def delivered(to: Target, delays: Delays, *, private: bool = True) -> bool:
    return deliver(to, b"{}", {"X-Test": "yes"}, private=private, wait=delays)


def test_is_taken_at_the_first_attempt() -> None:
    delays = Delays()
    with receiver(202) as server:
        assert delivered(server.target, delays)

    assert server.received == [("/built?a=1", b"{}", "yes")]
    assert delays.seconds == []


def test_tries_again_later_and_later() -> None:
    delays = Delays()
    with receiver(500, 503, 429, 200) as server:
        assert delivered(server.target, delays)

    assert len(server.received) == 4
    assert all(
        0.7 < later / earlier < 3.1
        for earlier, later in zip(delays.seconds, delays.seconds[1:], strict=False)
    )
    assert delays.seconds[0] < delays.seconds[2]


@pytest.mark.parametrize("status", [400, 401, 404, 410, 301, 307])
def test_who_refuses_is_not_asked_again(status: int) -> None:
    with receiver(status) as server:
        assert not delivered(server.target, Delays())

    assert len(server.received) == 1


def test_a_redirect_is_never_followed() -> None:
    with receiver(307) as server:
        delivered(server.target, Delays())

    assert [path for path, *_ in server.received] == ["/built?a=1"]


def test_gives_up_in_the_end() -> None:
    delays = Delays()
    with receiver(500) as server:
        assert not delivered(server.target, delays)

    assert len(server.received) == len(delays.seconds) + 1 == 11
    assert 600 < sum(delays.seconds) < 1500


def test_gives_up_when_the_replica_stops() -> None:
    with receiver(500) as server:
        assert not delivered(server.target, Delays(most=2))

    assert len(server.received) == 2


def test_a_receiver_that_is_down_is_tried_again() -> None:
    with receiver(200) as server:
        gone = server.target
    delays = Delays(most=3)

    assert not delivered(gone, delays)
    assert len(delays.seconds) == 3


def test_private_addresses_are_not_called_unless_allowed() -> None:
    with receiver(200) as server:
        assert not delivered(server.target, Delays(most=1), private=False)

    assert server.received == []


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "169.254.169.254",
        "::1",
        "fe80::1%eth0",
        "::ffff:10.0.0.1",
        "fd00::1",
        "192.0.2.1",
        "224.0.0.1",
    ],
)
def test_knows_which_addresses_are_not_everybodys(address: str) -> None:
    assert not callback._is_public(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1"])
def test_knows_which_addresses_are_everybodys(address: str) -> None:
    assert callback._is_public(address)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://example.com", Target("https", "example.com", 443, "/")),
        ("http://Example.com:8080/a?b=c", Target("http", "example.com", 8080, "/a?b=c")),
        ("https://example.com./x", Target("https", "example.com", 443, "/x")),
    ],
)
def test_reads_where_to_call(url: str, expected: Target) -> None:
    assert target(url, ANYONE) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "ftp://example.com",
        "https://",
        "https://user:pw@example.com",
        "https://example.com:port",
        "https://example.com/a b",
        "https://exämple.com",
        "https://example.com/\r\nX: y",
    ],
)
def test_refuses_what_is_no_address_to_call(url: str) -> None:
    with pytest.raises(ConfigError, match="callbackUrl must be"):
        target(url, ANYONE)


@pytest.mark.parametrize(
    ("allowed", "host", "called"),
    [
        (("example.com",), "example.com", True),
        (("example.com",), "a.example.com", False),
        ((".example.com",), "a.example.com", True),
        ((".example.com",), "example.com", False),
        ((".example.com",), "badexample.com", False),
        (("Example.COM",), "example.com", True),
        ((), "example.com", False),
    ],
)
def test_calls_only_who_the_operator_allows(
    allowed: tuple[str, ...], host: str, *, called: bool
) -> None:
    settings = Settings(callback_hosts=allowed)
    if called:
        assert target(f"https://{host}/", settings).host == host
    else:
        with pytest.raises(ConfigError, match="have the operator add it to callback_hosts"):
            target(f"https://{host}/", settings)
