"""Loopback I/O. A way to a daemon whose connections can be silenced without being closed."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

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
        self._closed = False
        self.accepted = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def silence(self) -> None:
        """Drop what comes on the connections that there are, from now on."""
        self._silent.update(self._open)

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
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

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

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK):
                if source not in self._silent:
                    sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._closed = True
            with suppress(OSError):
                # To close it would not wake the thread that waits in `accept`, which would take one more.
                self._listening.shutdown(socket.SHUT_RDWR)
            for connection in (self._listening, *self._open):
                connection.close()
