"""I/O: the builds of all replicas, as one daemon's history has them: asked for, claimed, ended."""

from __future__ import annotations

import math
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..daemon_errors import translated
from ..errors import Busy
from ..pb import gateway_pb2
from .annotations import verdict_attrs
from .cancellation import CancelListener
from .claim import Claims
from .ended import EndedBuilds
from .follow import Follow
from .journal import Journal
from .memory import Memory
from .ref_lock import RefLock
from .refs import unlisted_ref
from .search import Search
from .verdict import leave_verdict
from .viewer import ALL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ..buildkit import Client
    from ..buildkit.rpc.control import Control
    from ..errors import BuilderError
    from .active import ActiveBuild
    from .attempt import BuildRecord
    from .claim import Claim
    from .refs import Ref
    from .viewer import Viewer

# That are made at one time; each takes the daemon some milliseconds.
_MOST_CLAIMS = 16


class History:
    """The history of *client*'s daemon; safe for use by many threads.

    All methods raise the function's DaemonUnavailable, and NotReady for TLS files that cannot be read.
    """

    def __init__(self, client: Client, ended: EndedBuilds | None = None) -> None:
        """Remember in *ended*, which several histories may share, the builds that ended."""
        self._client = client
        remembered = (ended or EndedBuilds()).of_daemon()
        self._cancellations = CancelListener(client.control_apart, hear=remembered.hear)
        self._memory = Memory(remembered, self._cancellations, client.control_apart)
        self._claims = threading.BoundedSemaphore(_MOST_CLAIMS)

    @translated()
    def claim(
        self, build_id: str, annotations: Mapping[str, str], *, is_new: bool = False
    ) -> Claim | None:
        """Claim a build, so that this replica answers for it; None if it can be followed. See claim.py."""
        with self._claiming() as claims:
            return claims.claim(build_id, annotations, is_new=is_new)

    @translated()
    def wait_until_on_record(self, claim: Claim) -> None:
        """Return once every replica finds the build of *claim*. Raises RecordsOff."""
        with self._claiming() as claims:
            claims.wait_until_on_record(claim)

    @translated()
    def load(self, *, seconds: float) -> int:
        """Count the builds that run there, from any client; asks for at most *seconds*."""
        with self._client.asking_here(seconds) as control:
            return Search(control, patience=seconds).running()

    @translated()
    def active(self, *, seconds: float = math.inf) -> tuple[ActiveBuild, ...]:
        """Return the builds there that wait or run, asking for at most *seconds*."""
        with self._client.asking_here(seconds) as control:
            return Search(control, patience=min(seconds, self._client.patience)).active()

    @translated()
    def begun_since(self, age: float, *, seconds: float = math.inf) -> tuple[ActiveBuild, ...]:
        """Return the builds that began there within the last *age* seconds, also those that ended."""
        with self._client.asking_here(seconds) as control:
            return Search(control, patience=min(seconds, self._client.patience)).begun_since(age)

    @translated()
    def is_claimed(self, build_id: str, *, seconds: float) -> bool:
        """Tell whether a replica answers for a build there now; asks for at most *seconds*."""
        with self._client.asking_here(seconds) as control:
            return Search(control, patience=seconds).is_claimed(build_id)

    @translated()
    def keeps_records(self) -> bool:
        """Tell whether there is a record of any build at all."""
        with self._search() as search:
            return search.keeps_records()

    @translated()
    def journal(self, ref: Ref, annotations: Mapping[str, str]) -> Journal:
        """Begin the public record of a build that is solved as an internal one, under another ref."""
        with self._client.asking() as control:
            return Journal(control, ref, annotations, patience=self._client.patience)

    @translated()
    def occupy(self) -> Callable[[], None]:
        """Have the daemon count a build of which it has no other record; return what ends that.

        By that count all replicas choose the daemons of their builds.
        """
        with self._client.asking() as control:
            ref, patience = unlisted_ref(), self._client.patience
            lock = RefLock(control, ref, {}, patience=patience)
        return lambda: lock.end(gateway_pb2.ReturnRequest(result=gateway_pb2.Result()))

    @translated()
    def follow(self, build_id: str, viewer: Viewer = ALL) -> Follow | None:
        """Return a build that any replica runs or ran; None if there is none. The caller closes it."""
        with self._client.asking() as control:
            search = self._searching(control, viewer, math.inf, math.inf)
            for attempt in search.attempts(build_id):
                if record := attempt.record():
                    return Follow(
                        control,
                        search,
                        attempt,
                        record,
                        patience=self._client.patience,
                        silence=self._client.silence,
                    )
        return None

    @translated()
    def record(
        self,
        build_id: str,
        viewer: Viewer = ALL,
        *,
        may_be_new: bool = False,
        seconds: float = math.inf,
    ) -> BuildRecord | None:
        """Return all that is known of a build but its log; None if there is no such build.

        That there is none is known sooner of one that *may be new*; see Search.attempts. A daemon that does
        not say within *seconds* what it runs is not asked for more.
        """
        with self._search(viewer=viewer, running_patience=seconds) as search:
            return search.record(build_id, may_be_new=may_be_new)

    @translated()
    def records(
        self, *, limit: int, seconds: float = math.inf, viewer: Viewer = ALL
    ) -> tuple[BuildRecord, ...]:
        """Return the newest builds first, asking for at most *seconds*; see Search.records."""
        with self._client.asking() as control:
            patience = min(seconds, self._client.patience)
            return Search(control, patience=patience, viewer=viewer).records(limit=limit)

    @translated()
    def request_cancel(self, build_id: str, viewer: Viewer = ALL) -> BuildRecord | None:
        """Ask whichever replica runs a build to end it, unless it has ended.

        The record is from before; None if there is no such build.
        """
        with self._search(viewer=viewer) as search:
            record = search.record(build_id)
            if record and not record.ended:
                search.request_cancel(record.ref, record.annotations)
            return record

    def on_cancel(self, ref: Ref, cancel: Callable[[], None]) -> None:
        """Have *cancel* called, from any thread, when the build is to be cancelled, until `forget`."""
        self._cancellations.add(ref, cancel)

    def forget(self, ref: Ref) -> None:
        """Stop listening for a request to cancel the build."""
        self._cancellations.remove(ref)

    def declaration(
        self,
        ref: Ref,
        annotations: Mapping[str, str],
        error: BuilderError,
        *,
        claim: Claim | None = None,
        seconds: float = math.inf,
    ) -> Callable[[], bool]:
        """Return what records why the owner of *claim* ends a build; to be called before the build is ended.

        It holds nothing that the traceback of *error* leads to. It returns False if the daemon does not take
        that within *seconds*: it will be tried again.
        """
        attrs = verdict_attrs(annotations, error, claim.token if claim else "")
        return lambda: leave_verdict(lambda: self._search(apart=True, patience=seconds), ref, attrs)

    @contextmanager
    def _claiming(self) -> Iterator[Claims]:
        # More at once only wait for one another in the daemon, and then blame it for being slow.
        if not self._claims.acquire(timeout=self._client.patience):
            raise Busy("More builds are being taken in than this replica can. Try again later.")
        try:
            with self._client.asking_here() as control:
                yield Claims(control, patience=self._client.patience, memory=self._memory)
        finally:
            self._claims.release()

    @contextmanager
    def _search(
        self,
        *,
        apart: bool = False,
        viewer: Viewer = ALL,
        patience: float = math.inf,
        running_patience: float = math.inf,
    ) -> Iterator[Search]:
        with self._client.asking(apart=apart) as control:
            yield self._searching(control, viewer, patience, running_patience)

    def _searching(
        self,
        control: Control,
        viewer: Viewer,
        patience: float,
        running_patience: float,
    ) -> Search:
        return Search(
            control,
            patience=min(patience, self._client.patience),
            running_patience=running_patience,
            memory=self._memory,
            images=self._client.images,
            viewer=viewer,
        )
