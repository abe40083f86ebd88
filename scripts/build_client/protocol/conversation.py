"""Threads. Makes a call beside the terminal, so that clocks tick and Ctrl-C works meanwhile.

The thread only reports; everything that is shown or decided happens in the caller's thread. It is a
daemon: leaving the program closes the connection, which tells the builder to stop.
"""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import transport

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True)
class Sent:
    """The bytes of the body that are on their way so far."""

    count: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """The call is tried again after so many seconds; *sentence* says why."""

    seconds: float
    sentence: str


@dataclass(frozen=True, slots=True)
class Answered:
    document: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Tick:
    """Nothing happened for a moment."""


Happening = Sent | Waiting | Answered | Tick


@dataclass(frozen=True, slots=True)
class _Ended:
    error: BaseException | None


def converse(request: transport.Request, *, tick: float) -> Iterator[Happening]:
    """Report the call until the answer's last document; raise what `transport.documents` raises."""
    happenings: queue.SimpleQueue[Happening | _Ended] = queue.SimpleQueue()

    def call() -> None:
        try:
            for document in transport.documents(
                request,
                on_sent=lambda count: happenings.put(Sent(count)),
                on_wait=lambda seconds, why: happenings.put(Waiting(seconds, why)),
            ):
                happenings.put(Answered(document))
        except BaseException as exc:  # noqa: BLE001  raised again in the other thread
            happenings.put(_Ended(exc))
        else:
            happenings.put(_Ended(None))

    threading.Thread(target=call, name="conversation", daemon=True).start()
    while True:
        try:
            happening = happenings.get(timeout=tick)
        except queue.Empty:
            yield Tick()
            continue
        if isinstance(happening, _Ended):
            if happening.error is not None:
                raise happening.error
            return
        yield happening
