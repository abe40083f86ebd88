"""I/O: the public record of a build whose own must not be kept, because its steps may print secrets.

It is a lock on the public ref (ref_lock.py), whose build the daemon keeps in its history: the log as we
redacted it goes through the LLBBridge's warnings, which Status shows to all that ask while the build runs and
afterwards; the end is what we return.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING

import grpc

from ...buildkit.failure.status_details import failed_with
from ...errors import Busy
from ...pb import gateway_pb2 as pb
from ..annotations import journal_attrs, journal_metadata
from ..outcome_json import ERROR_DETAIL, error_document, result_document
from ..ref_lock import RefLock
from .entries import Entries, steps_entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ...buildkit.outcome import BuildResult, BuildWarning, Step
    from ...buildkit.rpc.control import Control
    from ...errors import BuilderError
    from ..refs import Ref

# For so long a build waits for an entry to arrive; then the next ones wait by themselves, 8 MiB at most.
_WAIT_SECONDS = 0.25

_log = logging.getLogger(__name__)


class Journal:
    """Open from construction until `succeed` or `fail`; one thread writes it.

    It dies with its process, and is then a build that was abandoned. If the daemon will not take an entry,
    the build goes on without: its record is then incomplete, or interrupted.
    """

    def __init__(
        self,
        control: Control,
        ref: Ref,
        annotations: Mapping[str, str],
        *,
        patience: float,
    ) -> None:
        """Open a journal under *ref*. Raises Busy if the ref is taken, DaemonUnavailable."""
        self._patience = patience
        attrs = journal_attrs(annotations)
        self._lock = RefLock(control, str(ref), attrs, patience=patience)
        if not self._lock.is_ours():
            raise Busy("The build is going on already. Ask for it by its id.")
        self._entries = Entries()
        # They are in order only one after the other: so the latest, and those that wait for it.
        self._sent: grpc.Future[pb.WarnResponse] | None = None
        self._waiting: deque[pb.WarnRequest] = deque()
        self._is_late = False

    def write(self, lines: Iterable[str]) -> None:
        """Add log lines, without secrets. A daemon that takes none for a while holds up nobody."""
        self._waiting.extend(self._entries.of(lines))
        while self._waiting and self._arrived(0.0 if self._is_late else _WAIT_SECONDS):
            self._send(self._waiting.popleft())

    def succeed(
        self, result: BuildResult, steps: Iterable[Step], warnings: Iterable[BuildWarning]
    ) -> None:
        """End it. Returns when the record is complete, or there is no more patience."""
        metadata = journal_metadata(result_document(result))
        self._end(pb.ReturnRequest(result=pb.Result(metadata=metadata)), steps, warnings)

    def fail(
        self, error: BuilderError, steps: Iterable[Step], warnings: Iterable[BuildWarning]
    ) -> None:
        """Close the journal as that of a failed build, like `succeed`."""
        status = failed_with(str(error), ERROR_DETAIL, error_document(error).encode())
        self._end(pb.ReturnRequest(error=status), steps, warnings)

    def drop(self) -> None:
        """Leave it as it is, to a verdict on the build: its daemon does not answer. Does not wait."""
        self._lock.drop()

    def _end(
        self,
        request: pb.ReturnRequest,
        steps: Iterable[Step],
        warnings: Iterable[BuildWarning],
    ) -> None:
        self._waiting.extend(self._entries.rest())
        self._arrived()
        while self._waiting and not self._is_late:
            self._send(self._waiting.popleft())
            self._arrived()
        self._send(steps_entry(steps, warnings))
        self._arrived()
        self._lock.end(request)
        self._lock.wait()

    def _send(self, entry: pb.WarnRequest) -> None:
        self._sent = self._lock.bridge.warn(entry, timeout=self._patience)

    def _arrived(self, seconds: float | None = None) -> bool:
        """Wait for the latest entry, for at most *seconds*, and tell whether it is on its way no more."""
        if self._sent is None:
            return True
        try:
            self._sent.result(seconds)
            self._is_late = False
        except grpc.FutureTimeoutError:
            self._is_late = True
            return False
        except grpc.RpcError as exc:
            self._is_late = exc.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            _log.warning("the journal of build %s lost an entry: %s", self._lock.ref, exc.details())
        self._sent = None
        return True
