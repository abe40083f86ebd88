"""Pure. Keeps how long one daemon has been silent, whoever asked it something.

Of many that ask a daemon which has fallen silent, the first finds that out; what the others ask meanwhile may
take no longer than the first's question does.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# A question may take so long in any case: the one before it may be on a connection that is dead, while the
# daemon is not.
_LEAST_SECONDS = 0.25


class Silence:
    """One daemon's; safe for use by many threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._unanswered: dict[object, float] = {}  # the questions, and when they were asked
        self._heard_at = clock()

    def heard(self) -> None:
        """Note that the daemon has said something."""
        self._heard_at = self._clock()

    def asked(self) -> object:
        """Note that the daemon was asked something; what is returned ends that, by `no_longer_asked`."""
        question = object()
        with self._lock:
            self._unanswered[question] = self._clock()
        return question

    def no_longer_asked(self, question: object) -> None:
        """Note that a question was answered or given up; safe to call twice."""
        with self._lock:
            self._unanswered.pop(question, None)

    @contextmanager
    def asking(self, seconds: float) -> Iterator[float]:
        """Lend the seconds that a question may take if *seconds* of silence are too many.

        The block raises if there was no answer.
        """
        question = self.asked()
        try:
            yield max(seconds - self._lasting(), min(seconds, _LEAST_SECONDS))
            self.heard()
        finally:
            self.no_longer_asked(question)

    def _lasting(self) -> float:
        """Return for how many seconds the daemon has owed an answer, and said nothing."""
        with self._lock:
            since = min(self._unanswered.values())
        return self._clock() - max(since, self._heard_at)
