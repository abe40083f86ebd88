"""I/O: looks up one build's credentials, whenever the daemon asks.

It asks as a pull or a push begins, and a push may come long after the build began: what was read or
fetched for the one may have ended by the other, so nothing is kept for longer than a burst of questions.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..buildkit import ANONYMOUS, CredentialsUnavailable
from ..errors import BuilderError
from . import credential_helper
from .docker_config import server

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..buildkit import Credentials
    from .docker_config import RegistryAuth

# At its first use of a registry the daemon asks once for each session it remembers there, to see whose
# connection may be shared (moby/buildkit v0.32.2, util/resolver/authorizer.go, authHandlerNS.get).
_BURST_SECONDS = 2.0

_ID_BYTES = 8
_FAILURE = re.compile(rf"\(lookup ([0-9a-f]{{{2 * _ID_BYTES}}})\)")


@dataclass(frozen=True, slots=True)
class _Answer:
    found: Credentials | BuilderError
    until: float  # monotonic


class RegistryLookup:
    """Answers when called with a registry's host; safe for use by many threads."""

    def __init__(
        self, known: Callable[[], RegistryAuth], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Look credentials up in what *known* returns at the moment. It and a helper may raise NotReady."""
        self._known = known
        self._clock = clock
        self._lock = threading.Lock()  # of the three below; nobody is asked under it
        self._answers: dict[str, _Answer] = {}
        self._asking: dict[str, threading.Lock] = {}  # held while a host is looked up
        self._failures: dict[str, BuilderError] = {}  # by the id that the daemon was told

    def __call__(self, host: str) -> Credentials:
        """Return what is known about a registry, or ANONYMOUS; a helper is asked for as long as it takes.

        Raises CredentialsUnavailable with an id, by which `cause_of` finds what was wrong.
        """
        with self._lock:
            asking = self._asking.setdefault(host, threading.Lock())
        with asking:  # Of those that come together one asks, and all get its answer.
            answer = self._recent(host) or self._keep(host, self._found(host))
        if isinstance(answer.found, BuilderError):
            raise self._failed(answer.found)
        return answer.found

    def cause_of(self, failure: BuilderError) -> BuilderError:
        """Return what made a lookup fail if *failure* quotes its id, else *failure* itself."""
        if match := _FAILURE.search(str(failure)):
            with self._lock:
                return self._failures.get(match[1], failure)
        return failure

    def _found(self, host: str) -> Credentials | BuilderError:
        try:
            known = self._known()
            if helper := known.helper(host):
                found = credential_helper.get(helper, server(host))
                if found != ANONYMOUS:
                    return found
            # Docker's tools stop at the helper; but nobody writes down credentials not to be used.
            return known.credentials(host)
        except BuilderError as exc:
            return exc.with_traceback(None)

    def _failed(self, error: BuilderError) -> CredentialsUnavailable:
        failure_id = secrets.token_hex(_ID_BYTES)
        with self._lock:
            self._failures[failure_id] = error
        return CredentialsUnavailable(f"{error} (lookup {failure_id})")

    def _recent(self, host: str) -> _Answer | None:
        with self._lock:
            answer = self._answers.get(host)
        return answer if answer and answer.until >= self._clock() else None

    def _keep(self, host: str, found: Credentials | BuilderError) -> _Answer:
        answer = _Answer(found, self._clock() + _BURST_SECONDS)
        with self._lock:
            self._answers[host] = answer
        return answer
