"""I/O: probes a function as Kubernetes does, again and again, and keeps how long each probe took."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

# A probe that has no answer by then has none: Kubernetes' own default is one second.
_TIMEOUT = 10.0


class Prober:
    """Probes from the beginning of the block to its end, on a new connection each time."""

    def __init__(
        self, address: tuple[str, int], path: str = "/healthz", *, every: float = 0.02
    ) -> None:
        self.seconds: list[float] = []
        self.failures: list[str] = []
        self._address = address
        self._request = f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()
        self._every = every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="prober", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def p99(self) -> float:
        """Return how long the slowest but one in a hundred took; a failed one took for ever."""
        taken = sorted([*self.seconds, *(float("inf") for _ in self.failures)])
        return taken[min(len(taken) - 1, len(taken) * 99 // 100)]

    def _run(self) -> None:
        while not self._over.wait(self._every):
            begun = time.monotonic()
            try:
                answer = self._probe()
            except OSError as exc:
                self.failures.append(repr(exc))
                continue
            if answer.startswith(b"HTTP/1.1 200"):
                self.seconds.append(time.monotonic() - begun)
            else:
                self.failures.append(answer[:80].decode("latin-1"))

    def _probe(self) -> bytes:
        with socket.create_connection(self._address, timeout=_TIMEOUT) as client:
            client.sendall(self._request)
            return client.recv(4096)
