"""I/O: one build as any replica can follow it, from its place in line to its end.

What a build says, Status tells from its beginning on, while it runs and ever after; what became of it, the
history does. That is asked again and again rather than listened to: a replica that dies says nothing.
"""

from __future__ import annotations

import queue
import time
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..buildkit.outcome import BuildResult
from ..buildkit.progress.build_log import DaemonLog
from ..buildkit.progress.status_stream import STATUS_ENDED, StatusStream
from ..buildkit.rpc.liveness import Liveness
from ..daemon_errors import translated
from ..errors import DaemonUnavailable, Interrupted
from ..pb import control_pb2 as pb
from .attempt import Attempt
from .journal.entries import JournalLog
from .standing import State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..buildkit.outcome import BuildWarning, Step
    from ..buildkit.progress.build_log import BuildLog
    from ..buildkit.rpc.control import Control
    from ..buildkit.rpc.silence import Silence
    from .attempt import BuildRecord
    from .search import Search

# How often the caller gets to look at its clock and its client.
_TICK_SECONDS = 0.25
# How often the history is asked what has become of the build.
_LOOK_SECONDS = 1.0
# Of one in line the first time; what is delivered twice is mostly about to begin.
_FIRST_LOOK_SECONDS = 0.1
# From the end of Status to the complete record it takes some milliseconds.
_SETTLE_SECONDS = 0.01


class Follow:
    """Iterate it for log lines, then ask for its `result`, as of a Solve; always `close` it.

    *record* is the build's as it was last seen.
    """

    def __init__(  # noqa: PLR0913 - the last two by keyword
        self,
        control: Control,
        search: Search,
        attempt: Attempt,
        record: BuildRecord,
        *,
        patience: float,
        silence: Silence,
    ) -> None:
        """Follow *attempt*; the daemon may leave a question unanswered for *patience* seconds."""
        self.record = record
        self._control = control
        self._search = search
        self._attempt = attempt
        self._patience = patience
        self._liveness = Liveness(lambda: control.info.future(pb.InfoRequest()), patience, silence)
        self._log: BuildLog = JournalLog()  # until it is known what it is
        self._status: StatusStream | None = None

    def __iter__(self) -> Iterator[list[str]]:
        """Log lines as they come, and an empty list at least every quarter of a second.

        The whole log, whenever it begins. Raises DaemonUnavailable if the daemon falls silent.
        """
        with translated():
            yield from self._wait_in_line()
            if self._attempt.build is None:
                return
            yield from self._lines()
            if lines := self._log.finish():
                yield lines
            self._settle()

    @property
    def steps(self) -> tuple[Step, ...]:
        return self._log.steps

    @property
    def warnings(self) -> tuple[BuildWarning, ...]:
        return self._log.warnings

    def result(self) -> BuildResult:
        """Return the build's result, once iterated to its end. Raises BuilderError if it did not succeed."""
        if self.record.error:
            # A copy: the record stays, and would by the traceback lead back to here.
            raise copy(self.record.error)
        return self.record.result or BuildResult()

    def close(self) -> None:
        """Leave it to itself; safe to call at any time."""
        self._liveness.close()
        if self._status:
            self._status.cancel()

    def _wait_in_line(self) -> Iterator[list[str]]:
        looked_at, pause = time.monotonic(), min(_FIRST_LOOK_SECONDS, _LOOK_SECONDS)
        while self.record.state is State.QUEUED:
            yield []
            time.sleep(min(_TICK_SECONDS, pause))
            if time.monotonic() - looked_at >= pause:
                self._look(whichever=True)
                looked_at, pause = time.monotonic(), min(2 * pause, _LOOK_SECONDS)

    def _lines(self) -> Iterator[list[str]]:
        if not self._attempt.is_journal:
            self._log = DaemonLog(self._attempt.pushed_names)
        ref = str(self.record.ref)
        self._status = StatusStream(self._control, ref, heard=self._liveness.heard)
        looked_at = time.monotonic()
        while True:
            try:
                event: Any = self._status.get(_TICK_SECONDS)
            except queue.Empty:
                if self._attempt.lingers:
                    return
                self._liveness.require()
                yield []
            else:
                if event is STATUS_ENDED:
                    return
                yield self._log.update(event)
            if time.monotonic() - looked_at >= _LOOK_SECONDS:
                # A step that the daemon cannot kill may go on, and on, after the build was left.
                if self._attempt.lingers:
                    return
                self._look()
                looked_at = time.monotonic()

    def _settle(self) -> None:
        """Wait for the daemon to complete the record, and take it for the last word."""
        deadline = time.monotonic() + self._patience
        while not (self._pushed or self.record.ended):
            if time.monotonic() > deadline:
                raise DaemonUnavailable("buildkitd does not say how the build ended. Ask again.")
            time.sleep(_SETTLE_SECONDS)
            self._look()
        if self._pushed:
            told = self._attempt.record(result=self._search.image(self._pushed))
        else:
            printer = self._log.printer if isinstance(self._log, DaemonLog) else None
            told = self._search.completed_record(self._attempt, printer)
        self.record = told or self.record

    @property
    def _pushed(self) -> str:
        """The digest of the image, once all its names have it; nothing takes that back."""
        pushes = self._log.pushes if isinstance(self._log, DaemonLog) else None
        return pushes.digest if pushes and pushes.done else ""

    def _look(self, *, whichever: bool = False) -> None:
        """See what has become of the attempt, or of *whichever* is now the last one."""
        for attempt in self._search.attempts(self.record.ref.build_id):
            record = attempt.record()
            if record and (whichever or record.ref == self.record.ref):
                self._attempt, self.record = attempt, record
                return
        # A claim that was released, or a build that went down with the daemon: nothing is left to tell more.
        self._attempt = Attempt(self.record.ref)
        error = Interrupted("The build was given up before its end. Try again.")
        self.record = replace(self.record, state=State.FAILED, error=error)
