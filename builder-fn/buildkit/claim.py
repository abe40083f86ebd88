"""I/O: who answers for a build, settled among all replicas of the builder.

A claim is a held build beside the build's own, from before the build is in line until after its end. So it
is on record while it waits, and found abandoned when its replica dies, whatever its steps do.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import Busy, DaemonUnavailable
from ..pb import control_pb2, gateway_pb2
from .held_build import HeldBuild, keep_alive
from .history import History
from .records import State, build_attrs
from .refs import Part, Ref

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .control import Control
    from .records import Attempt, BuildRecord

_MAX_TRIES = 20
_MAX_PAUSE_SECONDS = 0.05
_POLL_SECONDS = 0.005
# How long a claim may be held and not be seen.
_VISIBLE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Claim:
    """Held until `release`, or until this process or its connection to the daemon ends.

    The build is to be solved under *ref*, as one that is claimed.
    """

    ref: Ref
    _held: HeldBuild = field(repr=False)
    _control: Control = field(repr=False)

    def release(self) -> None:
        """Say that the build has ended, or is not to begin. Does not wait; safe to call twice."""
        # An end without an error is told from a holder's death.
        self._held.end(gateway_pb2.ReturnRequest(result=gateway_pb2.Result()))
        self._held.when_ended(self._forget)

    def _forget(self) -> None:
        request = control_pb2.UpdateBuildHistoryRequest(Ref=self._held.ref, Delete=True)
        keep_alive(self._control.update_build_history.future(request))


class Claims:
    """Makes claims; *patience* is how many seconds the daemon may take to answer."""

    def __init__(self, control: Control, *, patience: float) -> None:
        self._control = control
        self._patience = patience
        self._history = History(control, patience=patience)

    def claim(self, build_id: str, annotations: Mapping[str, str]) -> Claim | None:
        """None if the build waits, runs or has ended: it can be followed.

        One that was abandoned may be claimed again. Raises DaemonUnavailable, Busy.
        """
        ref = Ref(build_id)
        for _ in range(_MAX_TRIES):
            claim = self._held(ref, annotations)
            others = self._others(claim) if claim else self._holders(build_id)
            answering = self._answering(others)
            if claim and not answering and all(each.ref < ref for each in others):
                return claim
            if claim:
                claim.release()
            # Of two who see each other's claims both step back, and not for the same time.
            if answering and not (claim and answering.state is State.QUEUED):
                return None
            time.sleep(random.uniform(0, _MAX_PAUSE_SECONDS))  # noqa: S311 - only to differ
            ref = max([ref, *(each.ref for each in others)]).next()
        raise Busy("Too many requests ask for this build at one time. Try again.")

    def _held(self, ref: Ref, annotations: Mapping[str, str]) -> Claim | None:
        attrs = build_attrs(annotations, claimed=True)
        held = HeldBuild(self._control, ref.of(Part.CLAIM), attrs, patience=self._patience)
        return Claim(ref, held, self._control) if held.is_ours() else None

    def _others(self, claim: Claim) -> Sequence[Attempt]:
        """What there is of the build beside *claim*.

        Who sees himself in the history sees all who came before him, and those who come after see him.
        """
        deadline = time.monotonic() + self._patience
        while not self._history.is_active(claim.ref, Part.CLAIM):
            if time.monotonic() > deadline:
                claim.release()
                raise DaemonUnavailable(
                    "buildkitd does not show what it accepted. Try again later."
                )
            time.sleep(_POLL_SECONDS)
        tried = self._history.attempts(claim.ref.build_id)
        for each in tried:
            if each.ref == claim.ref:
                each.records.pop(Part.CLAIM)
        return [each for each in tried if each.records]

    def _holders(self, build_id: str) -> Sequence[Attempt]:
        """What there is of a build whose ref is taken: by somebody, or by a claim that has just ended."""
        deadline = time.monotonic() + _VISIBLE_SECONDS
        while True:
            tried = self._history.attempts(build_id)
            if self._answering(tried) or time.monotonic() > deadline:
                return tried
            time.sleep(_POLL_SECONDS)

    def _answering(self, tried: Sequence[Attempt]) -> BuildRecord | None:
        """The attempt for which no other one may be made."""
        records = map(self._history.told, tried)
        return next((record for record in records if record and not record.repeatable), None)
