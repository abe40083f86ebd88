"""Loopback I/O. A way to a daemon that can be silenced, or held up, without a connection being closed."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK = 64 << 10


class Relay:
    """Forwards connections to *url*, which is tcp:// or unix://.

    As a context manager it closes all of them at the end. They are taken from *listening*, which is
    closed, too: a new listener unless given.
    """

    def __init__(self, url: str, listening: socket.socket | None = None) -> None:
        self._url = urlsplit(url)
        self._listening = listening or socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._listening.getsockname()[1]}"
        self._open: list[socket.socket] = []
        self._silent: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._allowed: int | None = None  # bytes that may still go there, if they are counted
        self._may_go = threading.Condition()
        self.holds = False
        self._closed = False
        self.accepted = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def silence(self) -> None:
        """Drop what comes on the connections that there are, from now on."""
        self._silent.update(self._open)

    def hold(self, after: int = 0) -> None:
        """Let *after* more bytes through to the other end, and then none, until `let_go`."""
        with self._may_go:
            self._allowed = after

    def let_go(self) -> None:
        with self._may_go:
            self._allowed = None
            self._may_go.notify_all()

    def _wait_for_leave(self, count: int) -> None:
        with self._may_go:
            if self._allowed is None:
                return
            self._allowed -= count
            if self._allowed < 0:
                self.holds = True
                self._may_go.wait_for(lambda: self._allowed is None)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                self.accepted += 1
                with self._lock:
                    if self._closed:
                        near.close()
                        return
                    self._open.append(near)
                    try:
                        far = self._connected()
                    except OSError:  # nobody is there now; the next connection may find somebody
                        near.close()
                        continue
                    self._open.append(far)
                for source, sink, wait in (
                    (near, far, self._wait_for_leave),
                    (far, near, lambda _count: None),
                ):
                    arguments = (source, sink, wait)
                    threading.Thread(target=self._pump, args=arguments, daemon=True).start()

    def _connected(self) -> socket.socket:
        if self._url.scheme == "unix":
            far = socket.socket(socket.AF_UNIX)
            try:
                far.connect(self._url.path)
            except OSError:
                far.close()
                raise
            return far
        assert self._url.hostname
        assert self._url.port
        return socket.create_connection((self._url.hostname, self._url.port))

    def _pump(
        self, source: socket.socket, sink: socket.socket, wait: Callable[[int], None]
    ) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK):
                wait(len(data))
                if source not in self._silent:
                    sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()
        with self._lock:
            self._closed = True
            with suppress(OSError):
                # To close it would not wake the thread that waits in `accept`, which would take one more.
                self._listening.shutdown(socket.SHUT_RDWR)
            for connection in (self._listening, *self._open):
                connection.close()
