"""Threads. Clients that keep asking while something else changes."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

from .waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Answer = TypeVar("Answer")


class Client(Generic[Answer]):
    """One caller, which asks again as soon as there is an answer, and *most* times whatever happens."""

    def __init__(self, ask: Callable[[], Answer], most: int = 2000) -> None:
        self.answers: list[Answer] = []
        self._ask = ask
        self._most = most

    def keep_asking(self, leave: threading.Event) -> None:
        while not leave.is_set() and len(self.answers) < self._most:
            self.answers.append(self._ask())


@contextmanager
def flowing(clients: Sequence[Client[Answer]]) -> Iterator[None]:
    """Let every client ask until the block ends. Raises what a client could not do."""
    leave = threading.Event()
    with ThreadPoolExecutor(len(clients)) as threads:
        running = [threads.submit(client.keep_asking, leave) for client in clients]
        try:
            yield
        finally:
            leave.set()
        for each in running:
            each.result()


def until_each_was_answered(clients: Sequence[Client[Answer]]) -> None:
    """Wait until every client has the answer to a request that it began after now."""
    # The first answer from now on may be to a request that was under way.
    wanted = [len(client.answers) + 2 for client in clients]
    wait_until(
        lambda: all(len(c.answers) >= n for c, n in zip(clients, wanted, strict=True)),
    )
