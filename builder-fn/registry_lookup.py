"""I/O: one build's credentials, looked up whenever the daemon asks.

It asks as a pull or a push begins, and a push may come long after the build began: what was read or
fetched for the one may have ended by the other, so nothing is kept for longer than a burst of questions.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import credential_helper
from .errors import NotReady
from .registry_auth import ANONYMOUS, Credentials, server

if TYPE_CHECKING:
    from collections.abc import Callable

    from .errors import BuilderError
    from .registry_auth import RegistryAuth

# At its first use of a registry the daemon asks once for each session it remembers there, to see whose
# connection may be shared (moby/buildkit v0.32.2, util/resolver/authorizer.go, authHandlerNS.get).
_BURST_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class _Answer:
    found: Credentials | NotReady
    until: float  # monotonic


class RegistryLookup:
    """Call it with a registry's host; for one thread at a time."""

    def __init__(
        self, known: Callable[[], RegistryAuth], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """*known* says what there is at the moment, and may raise NotReady."""
        self._known = known
        self._clock = clock
        self._answers: dict[str, _Answer] = {}

    def __call__(self, host: str) -> Credentials:
        """What is known about a registry, or ANONYMOUS. Raises NotReady."""
        answer = self._answers.get(host)
        if answer is None or answer.until < self._clock():
            found = self._look_up(host)
            answer = self._answers[host] = _Answer(found, self._clock() + _BURST_SECONDS)
        if isinstance(answer.found, NotReady):
            raise answer.found
        return answer.found

    def cause_of(self, failure: BuilderError) -> BuilderError:
        """*failure*, or what made a lookup fail if that is what the daemon says of its own failure."""
        for answer in self._answers.values():
            if isinstance(answer.found, NotReady) and str(answer.found) in str(failure):
                return answer.found
        return failure

    def _look_up(self, host: str) -> Credentials | NotReady:
        try:
            known = self._known()
            helper = known.helper(host)
            found = credential_helper.get(helper, server(host)) if helper else ANONYMOUS
            # Docker's tools stop at the helper; but nobody writes down credentials not to be used.
            return known.credentials(host) if found == ANONYMOUS else found
        except NotReady as exc:
            return exc
