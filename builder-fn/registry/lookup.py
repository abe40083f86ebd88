"""I/O: one build's credentials, looked up whenever the daemon asks.

It asks as a pull or a push begins, and a push may come long after the build began: what was read or
fetched for the one may have ended by the other, so nothing is kept for longer than a burst of questions.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import NotReady
from . import credential_helper
from .docker_config import ANONYMOUS, Credentials, server

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..errors import BuilderError
    from .docker_config import RegistryAuth

# At its first use of a registry the daemon asks once for each session it remembers there, to see whose
# connection may be shared (moby/buildkit v0.32.2, util/resolver/authorizer.go, authHandlerNS.get).
_BURST_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class _Answer:
    found: Credentials | NotReady
    until: float  # monotonic

    def get(self) -> Credentials:
        if isinstance(self.found, NotReady):
            raise self.found
        return self.found


class RegistryLookup:
    """Call it with a registry's host; safe for use by many threads."""

    def __init__(
        self, known: Callable[[], RegistryAuth], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """*known* says what there is at the moment, and may raise NotReady."""
        self._known = known
        self._clock = clock
        self._lock = threading.Lock()  # of the two below; nobody is asked under it
        self._answers: dict[str, _Answer] = {}
        self._asking: dict[str, threading.Lock] = {}  # held while a host's helper is asked

    def __call__(self, host: str) -> Credentials | Callable[[], Credentials]:
        """What is known about a registry, or ANONYMOUS; where a helper has to be asked, what asks it.

        That takes as long as the helper, in any thread. Both raise NotReady.
        """
        if answer := self._recent(host):
            return answer.get()
        try:
            known = self._known()
        except NotReady as exc:
            return self._keep(host, exc).get()
        if helper := known.helper(host):
            return lambda: self._asked(host, helper, known)
        return self._keep(host, known.credentials(host)).get()

    def cause_of(self, failure: BuilderError) -> BuilderError:
        """*failure*, or what made a lookup fail if that is what the daemon says of its own failure."""
        with self._lock:
            answers = list(self._answers.values())
        for answer in answers:
            if isinstance(answer.found, NotReady) and str(answer.found) in str(failure):
                return answer.found
        return failure

    def _asked(self, host: str, helper: str, known: RegistryAuth) -> Credentials:
        with self._lock:
            asking = self._asking.setdefault(host, threading.Lock())
        with asking:  # Who waited for somebody to be told the same, has been told it, too.
            answer = self._recent(host)
            if answer is None:
                answer = self._keep(host, _told(host, helper, known))
        return answer.get()

    def _recent(self, host: str) -> _Answer | None:
        with self._lock:
            answer = self._answers.get(host)
        return answer if answer and answer.until >= self._clock() else None

    def _keep(self, host: str, found: Credentials | NotReady) -> _Answer:
        answer = _Answer(found, self._clock() + _BURST_SECONDS)
        with self._lock:
            self._answers[host] = answer
        return answer


def _told(host: str, helper: str, known: RegistryAuth) -> Credentials | NotReady:
    try:
        found = credential_helper.get(helper, server(host))
    except NotReady as exc:
        return exc
    # Docker's tools stop at the helper; but nobody writes down credentials not to be used.
    return known.credentials(host) if found == ANONYMOUS else found
