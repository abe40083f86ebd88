"""Sockets on loopback. Holds a build back until the test lets it go."""

from __future__ import annotations

import socket
from contextlib import closing
from typing import TYPE_CHECKING, Self

from stack.daemons import ports

if TYPE_CHECKING:
    from types import TracebackType

_SECONDS = 100.0  # less than a test may take


class Gate:
    """Build steps that end with `command` wait there until `open` is called.

    Steps share this machine's loopback (buildkitd's --oci-worker-net=host).
    """

    def __init__(self) -> None:
        self._listener = socket.create_server((ports.LOOPBACK, 0))
        self._listener.settimeout(_SECONDS)
        self._port = int(self._listener.getsockname()[1])
        self._waiting: list[socket.socket] = []

    @property
    def command(self) -> str:
        """Says "arrived" and waits; fails when the gate is closed for good.

        It takes the shell's place: without a process sandbox the daemon ends no more of a cancelled
        step than its first process. The quotes keep the word out of the step's title.
        """
        path = f"/dev/tcp/{ports.LOOPBACK}/{self._port}"  # known to bash alone
        return f"exec bash -c 'exec 3<>{path}; echo arr\"\"ived; read -u 3 said; test $said = open'"

    def open(self) -> None:
        """Wait for a step to arrive, if none has, and let it through."""
        with closing(self._listener.accept()[0]) as step:
            step.sendall(b"open\n")

    def wait_until_arrived(self) -> None:
        """Wait until a step waits here, which it does until the end of the block."""
        step, _ = self._listener.accept()
        self._waiting.append(step)

    def let_go(self) -> None:
        """Let all steps through that were waited for."""
        for step in self._waiting:
            step.sendall(b"open\n")

    def wait_until_left(self) -> None:
        """Wait until a step that waits here has ended without being let through."""
        with closing(self._listener.accept()[0]) as step:
            step.settimeout(_SECONDS)
            assert step.recv(1) == b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.close()
        for step in self._waiting:
            step.close()
