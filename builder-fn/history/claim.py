"""I/O: settle among all replicas of the builder which one answers for a build.

A claim is a lock (ref_lock.py) beside the build's own, from before its wait in line until its end. So it
is on record while it waits, and found abandoned when its replica dies, whatever its steps do.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..buildkit import DaemonUnavailable
from ..errors import Busy, RecordsOff
from ..pb import gateway_pb2
from .annotations import claim_attrs
from .ref_lock import RefLock
from .refs import Part, Ref
from .search import Search

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..buildkit.rpc.control import Control
    from .attempt import Attempt
    from .memory import Memory

# The daemon keeps a ref for so long after its build (moby/buildkit v0.32.2 solver/jobs.go, Discard).
_REF_TAKEN_SECONDS = 10.0
_PAUSE_SECONDS = 0.1
_POLL_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Claim:
    """Held until `release`, or until this process or its connection to the daemon ends.

    The build is to be solved under *ref*.
    """

    ref: Ref
    token: str  # that tells it from others of the same ref
    lock: RefLock = field(repr=False)

    @property
    def is_lost(self) -> bool:
        """Tell whether it has ended, though nobody here released it: its daemon is gone, or was."""
        return self.lock.is_lost

    def release(self) -> None:
        """Say that the build has ended, or is not to begin. Does not wait; safe to call twice."""
        # An end without an error is told from a holder's death. The record stays: to delete one, the daemon
        # searches all its content for what is not needed any more (0.9 s with 16,000 records, measured).
        self.lock.end(gateway_pb2.ReturnRequest(result=gateway_pb2.Result()))


class Claims:
    """Makes claims; *patience* is how many seconds the daemon may take to answer."""

    def __init__(self, control: Control, *, patience: float, memory: Memory | None = None) -> None:
        self._control = control
        self._patience = patience
        self._search = Search(control, patience=patience, memory=memory)

    def claim(
        self, build_id: str, annotations: Mapping[str, str], *, is_new: bool = False
    ) -> Claim | None:
        """Claim a build; None if it waits, runs or has ended: it can be followed.

        One that *is_new* has an id that was drawn by chance just now: that needs no look.

        One that was abandoned, or whose claim was released with nothing to tell, may be claimed again at
        once, as its next attempt. Where nothing contends this costs a look and a lock. Raises
        DaemonUnavailable, Busy.
        """
        if is_new and (claim := self._locked(Ref(build_id), annotations)):
            return claim
        deadline = time.monotonic() + _REF_TAKEN_SECONDS + self._patience
        while time.monotonic() < deadline:
            looked_at = time.monotonic()
            earlier = self._search.attempts(build_id, may_be_new=True)
            if self._is_answered_for(earlier):
                return None
            # All that claim a build at one time come to the same ref, of which one gets it.
            claim = self._locked(_next_ref(build_id, earlier), annotations)
            if claim is None:
                time.sleep(_PAUSE_SECONDS)
                continue
            # The daemon refuses a ref for so long after its build that no claim of it can have come and gone
            # since the look.
            if time.monotonic() - looked_at < _REF_TAKEN_SECONDS:
                return claim
            claim.release()
            claim.lock.wait()
        raise Busy("The build was given up just now. Try again.")

    def wait_until_on_record(self, claim: Claim) -> None:
        """Return once others that ask for the build find it. Raises DaemonUnavailable, RecordsOff."""
        deadline = time.monotonic() + self._patience
        while not self._search.is_active(claim.ref, Part.CLAIM):
            if time.monotonic() > deadline:
                if self._search.keeps_records():
                    raise DaemonUnavailable(
                        "buildkitd does not show what it accepted. Try again later."
                    )
                raise RecordsOff
            time.sleep(_POLL_SECONDS)

    def _locked(self, ref: Ref, annotations: Mapping[str, str]) -> Claim | None:
        token = secrets.token_hex(16)
        attrs = claim_attrs(annotations, token)
        lock = RefLock(self._control, ref.of(Part.CLAIM), attrs, patience=self._patience)
        return Claim(ref, token, lock) if lock.is_ours() else None

    def _is_answered_for(self, earlier: Sequence[Attempt]) -> bool:
        """Return whether there is an attempt for which no other one may be made."""
        records = map(self._search.completed_record, (each for each in earlier if each.record()))
        return any(record is not None and not record.repeatable for record in records)


def _next_ref(build_id: str, earlier: Sequence[Attempt]) -> Ref:
    """Return the ref for another attempt than *earlier* ones, of which the last one is the first."""
    if not earlier:
        return Ref(build_id)
    last = earlier[0]
    return last.ref.next() if last.record() or last.was_released else last.ref
