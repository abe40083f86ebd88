"""I/O: asks a daemon that has been silent whether it is there.

A host that vanished leaves a connection that looks alive, and gRPC's own keepalive is not the daemon's to
allow. So what waits for its word asks it something else now and then.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from ..errors import DaemonUnavailable, Trouble

if TYPE_CHECKING:
    from collections.abc import Callable

    from .silence import Silence

# After so long without a word the daemon is asked whether it is there.
_QUIET_SECONDS = 1.0


class Question(Protocol):
    def done(self) -> bool:
        """Tell whether there is an answer, whatever it is."""


class Liveness:
    """The knowledge of one conversation that its daemon is there."""

    def __init__(self, ask: Callable[[], Question], patience: float, silence: Silence) -> None:
        """Watch over the daemon, which may leave what *ask* asks unanswered for *patience* seconds.

        It is asked on the conversation's own connection; whoever asks it otherwise knows by *silence*.
        """
        self._ask = ask
        self._patience = patience
        self._silence = silence
        self._last_heard = time.monotonic()
        self._probe: Question | None = None
        self._unanswered: object = None

    def heard(self) -> None:
        """Note that the daemon has said something. Any thread may call this."""
        self._last_heard = time.monotonic()
        self._silence.heard()

    def close(self) -> None:
        """Owe nobody an answer any more; safe to call twice."""
        self._silence.no_longer_asked(self._unanswered)

    def require(self) -> None:
        """Raise DaemonUnavailable if the daemon is gone; to be called again and again while waiting."""
        now = time.monotonic()
        if self._probe is not None:
            if self._probe.done():
                self._probe = None
                self.close()
                self.heard()
            elif now - self._last_heard > self._patience:
                self.close()
                raise DaemonUnavailable(
                    f"buildkitd has not answered for {self._patience:.0f} s; the build was given up. "
                    "Try again later.",
                    Trouble.SILENT,
                )
        elif now - self._last_heard > _QUIET_SECONDS:
            self._unanswered = self._silence.asked()
            self._probe = self._ask()
