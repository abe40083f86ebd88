"""I/O: takes builds in, finds those that any replica runs, and asks the daemon for all others."""

from __future__ import annotations

import math
import threading
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from ..build_secrets.opened import BuildSecrets
from ..daemon_errors import translated
from ..daemons.daemon import QUESTION_SECONDS
from ..daemons.pool import none_answers
from ..errors import (
    Busy,
    CallerGone,
    Interrupted,
    NotFound,
    NotReady,
    Unavailable,
)
from ..history import ALL
from ..telemetry import metrics
from .admission import Account
from .build import Build
from .followed import FollowedBuild, Followers
from .placing import Placed
from .replica import Replica
from .tenant_limits.all_replicas import counted
from .tenant_limits.place import TenantPlace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ..answers.ongoing import Ongoing
    from ..config import Settings
    from ..daemons.daemon import Daemon
    from ..daemons.finding import Finder
    from ..daemons.pool import Daemons
    from ..history import BuildRecord, Follow, Ref, Viewer
    from ..tenants import Principal
    from .admission import Place
    from .job import Job

# For calls that find no room: so many look at one time for a build that they may be redelivered for, and wait
# so long for their turn. A crowd of a hundred is refused within a second.
_MOST_LOOKS = 4
_LOOK_SECONDS = 0.5

# Of a call that two replicas both give up to one another, before it is refused.
_MOST_PLACINGS = 3

# Of a list, from each daemon beyond its share.
_MORE_LISTED = 8


class Builder:
    """The replica's one builder: all that is asked of the daemon is asked here."""

    def __init__(self, settings: Settings) -> None:
        """Open what the settings lead to. Raises NotReady if that cannot be a daemon."""
        self.settings = settings
        self.replica = Replica.of(settings)
        self._followers = Followers(settings.max_followers)
        self._looking = threading.BoundedSemaphore(_MOST_LOOKS)

    def stop(self) -> None:
        """End all running builds now; each answers that it was interrupted."""
        self.replica.stopping.set()
        self.replica.deliveries.stop()

    @property
    def idle(self) -> bool:
        """Tell whether no detached build runs, and no callback is to be delivered."""
        # In this order: what ends in the background leaves a callback behind.
        return self.replica.background.idle and self.replica.deliveries.idle

    def scraped(self) -> bytes:
        """Return the metrics as Prometheus reads them, with all keys that requests may be signed with."""
        for name in self._key_names():
            self.replica.metrics.expect_key(name)
        return self.replica.metrics.text()

    def daemon_versions(self) -> tuple[dict[str, str], int]:
        """Ask all daemons for their versions, by name; say how many there are.

        Raises DaemonUnavailable, NotReady if none answers.
        """
        pools = self.replica.pools.seen_by(ALL)
        names = {daemon: name for name, daemon in self.replica.pools.watched().items()}
        versions: dict[str, str] = {}
        errors: list[Unavailable] = []
        for daemons in (pool.daemons for pool in pools):
            is_alone = len(pools) == 1 and daemons.is_one
            seconds = math.inf if is_alone else QUESTION_SECONDS
            asked = [daemon for daemon in daemons.current() if not daemon.is_down]
            for daemon, said in daemons.ask(asked, partial(_version, seconds=seconds)):
                if isinstance(said, Unavailable):
                    daemons.mark_down(daemon, said)
                    errors.append(said)
                else:
                    versions[names.get(daemon, daemon.name)] = said
        if not versions:
            raise errors[0] if errors else none_answers()
        return versions, len(self.replica.pools.current())

    @property
    def process_sandbox(self) -> bool | None:
        """Tell whether all daemons keep steps of different builds apart, as far as is known by now."""
        return _of_all([each.process_sandbox.is_there for each in self.replica.pools.current()])

    @property
    def steps_are_limited(self) -> bool | None:
        """Tell whether all daemons keep steps within the limits of policies; None if there are no limits."""
        tenants = self.replica.askers.tenants
        if tenants is None or not tenants.limit_steps:
            return None
        return _of_all([each.step_limits.are_kept for each in self.replica.pools.current()])

    def require_room(self, principal: Principal, build_id: str = "") -> None:
        """Refuse a build of a tenant that is over its limits, as far as that is known.

        Raises TenantLimit, NotReady.
        """
        if tenant := counted(principal.tenant):
            self.replica.pools.of(principal).all_replicas.require_room(
                tenant, build_id, expected=self.replica.admission.expected
            )

    def build(self, job: Job) -> Build | FollowedBuild:
        """Line up for a build, or follow the one that this job has already become, in any replica.

        The caller closes it. Raises Busy, NotReady, SecretsError, DaemonUnavailable, RecordsOff.
        """
        # A malformed file is better said before the build.
        self.replica.askers.registry_auth(job.principal)
        build_secrets = self._opened(job)
        may_be_there = job.claimed
        try:
            if counted(job.principal.tenant):
                job = replace(job, claimed=True)
            self.require_room(job.principal, job.build_id)
            # Before the daemon is asked, so that a crowd is refused at once and costs it nothing.
            place = self._place(job)
        except Busy:
            if may_be_there and (found := self._found(job)):
                return found
            raise
        try:
            placed = self._placed(job)
            if isinstance(placed, Placed):
                return self._begun(placed, job, build_secrets, place)
        except BaseException:
            place.leave()
            raise
        place.leave()
        return placed

    def _placed(self, job: Job, lost: Mapping[Daemon, Ref] = {}) -> Placed | FollowedBuild:
        """Give *job* a daemon that is none of *lost*, or follow what it has become already.

        See Placing.place. Raises like `build`.
        """
        placing = self.replica.pools.of(job.principal).placing
        for _ in range(_MOST_PLACINGS):
            if placed := placing.place(job, lost=lost):
                return placed
            with suppress(NotFound):  # the one that had it has just given it up
                return self._again(job)
        raise Busy("The build was given up just now. Try again.")

    def _place(self, job: Job) -> Place:
        return self.replica.admission.request(
            Account(
                job.principal.account,
                job.bundle.config.image.name,
                tenant=job.principal.name,
                share=job.principal.share,
            ),
            detached=job.detached,
            size=job.bundle.size,
            patience=job.patience,
        )

    def _begun(self, placed: Placed, job: Job, build_secrets: BuildSecrets, place: Place) -> Build:
        try:
            turn = self._turn(placed, job, place)
            return Build(self.replica, placed, job, build_secrets, turn, begin=self._placed)
        except BaseException:
            if placed.claim:
                placed.claim.release()
            raise

    def _turn(self, placed: Placed, job: Job, place: Place) -> Place | TenantPlace:
        """Return *place*, and with it a turn among the builds of a tenant that has limits.

        Raises TenantLimit, Busy, DaemonUnavailable.
        """
        tenant, claim = counted(job.principal.tenant), placed.claim
        if tenant is None or claim is None:
            return place
        turn = TenantPlace(
            place,
            tenant,
            job.build_id,
            self.replica.pools.of(job.principal).all_replicas,
            claim_is_lost=lambda: claim.is_lost,
        )
        turn.require(
            shown_within=self.settings.daemon_patience,
            expected=self.replica.admission.expected,
            patience=job.patience,
        )
        return turn

    def _found(self, job: Job) -> FollowedBuild | None:
        """Look for what *job* has already become, though there is no room for it here; not for long."""
        if not self._looking.acquire(timeout=_LOOK_SECONDS):
            return None
        try:
            finder = self.replica.pools.of(job.principal).finder
            found = finder.look(job.build_id, job.principal.viewer)
        except Unavailable:
            return None
        finally:
            self._looking.release()
        return self._again(job) if found and not found[1].repeatable else None

    def _again(self, job: Job) -> FollowedBuild:
        """Follow what *job* has become; where that is given up, *job* is begun once more."""
        leave = self._followers.admit(job.principal.name, share=job.principal.share)
        try:
            return self._following(
                job.build_id,
                job.caller_gone,
                viewer=job.principal.viewer,
                leave=leave,
                again=lambda: self.build(job),
            )
        except BaseException:
            leave()
            raise

    def follow(
        self,
        build_id: str,
        caller_gone: Callable[[], bool],
        *,
        offset: int = 0,
        viewer: Viewer = ALL,
        share: int = 1,
    ) -> FollowedBuild:
        """Follow a build that any replica runs or ran, its log from line *offset* on.

        A tenant with a larger *share* may follow more. The caller closes it. Raises Busy, NotFound,
        DaemonUnavailable.
        """
        leave = self._followers.admit(viewer.tenant, share=share)
        try:
            return self._following(build_id, caller_gone, viewer=viewer, offset=offset, leave=leave)
        except BaseException:
            leave()
            raise

    def record(self, build_id: str, viewer: Viewer = ALL) -> BuildRecord:
        """Return the record of a build. Raises NotFound, DaemonUnavailable."""
        pool = self.replica.pools.having(build_id, viewer)
        _, record = pool.finder.find(build_id, viewer)
        return record

    def records(
        self, *, limit: int, viewer: Viewer = ALL
    ) -> tuple[tuple[BuildRecord, ...], tuple[str, ...]]:
        """Return the newest builds of all daemons first, and the names of the daemons that did not answer.

        Raises DaemonUnavailable if none answers.
        """
        pools = self.replica.pools.seen_by(viewer)
        if len(pools) == 1:
            return _records(pools[0].daemons, limit, viewer)
        found: list[BuildRecord] = []
        unreachable: set[str] = set()
        answers = 0
        for daemons in (pool.daemons for pool in pools):
            try:
                records, silent = _records(daemons, limit, viewer)
            except Unavailable:
                unreachable.update(each.name for each in daemons.current())
                continue
            answers += 1
            found += records
            unreachable.update(silent)
        if not answers:
            raise none_answers()
        return _newest([found], limit), tuple(sorted(unreachable))

    def cancel(self, build_id: str, viewer: Viewer = ALL) -> BuildRecord:
        """Have a build ended, whichever replica runs it, and return how it stood before.

        Raises NotFound, DaemonUnavailable.
        """
        finder = self.replica.pools.having(build_id, viewer).finder
        daemon = finder.daemon_of(build_id, viewer)
        record = daemon.history.request_cancel(build_id, viewer)
        if record is None:
            raise finder.unknown(build_id)
        return record

    def _following(  # noqa: PLR0913 - the last four by keyword
        self,
        build_id: str,
        caller_gone: Callable[[], bool],
        *,
        viewer: Viewer,
        offset: int = 0,
        leave: Callable[[], None] | None = None,
        again: Callable[[], Ongoing] | None = None,
    ) -> FollowedBuild:
        def require_reader() -> None:
            if self.replica.stopping.is_set():
                raise Interrupted("The builder is shutting down. The build goes on: ask again.")
            if caller_gone():
                raise CallerGone("The caller hung up; the build goes on.")

        pool = self.replica.pools.having(build_id, viewer)
        daemon = pool.finder.daemon_of(build_id, viewer)
        follow = daemon.history.follow(build_id, viewer)
        if follow is None:
            raise pool.finder.unknown(build_id)
        return FollowedBuild(
            follow,
            require_reader,
            offset=offset,
            leave=leave,
            again=again,
            elsewhere=None
            if pool.daemons.is_one
            else _elsewhere(pool.finder, build_id, daemon, viewer),
        )

    def _key_names(self) -> list[str]:
        if self.settings.disable_hmac:
            return [metrics.UNSIGNED]
        try:
            return [key.name for key in self.replica.askers.known_keys()]
        except NotReady:
            return []

    def _opened(self, job: Job) -> BuildSecrets:
        if job.bundle.sealed_secrets is None:
            return BuildSecrets()
        keys = self.replica.askers.sealing_keys(job.principal)
        return BuildSecrets.opened(job.bundle.sealed_secrets, keys)


def _of_all(found: Sequence[bool | None]) -> bool | None:
    """Tell whether all daemons do what was *found* of each; None where that is not known."""
    if False in found:
        return False
    return None if None in found or not found else True


def _version(daemon: Daemon, *, seconds: float) -> str:
    with translated():
        return daemon.client.version(seconds)


def _elsewhere(
    finder: Finder, build_id: str, daemon: Daemon, viewer: Viewer
) -> Callable[[], Follow | None]:
    """Return what leads to the build on another daemon than *daemon*, once it is there."""

    def look() -> Follow | None:
        try:
            found = finder.look(build_id, viewer)
            if found is None or found[0].worker_id == daemon.worker_id:
                return None
            return None if found[1].repeatable else found[0].history.follow(build_id, viewer)
        except Unavailable:
            return None

    return look


def _records(
    pool: Daemons, limit: int, viewer: Viewer
) -> tuple[tuple[BuildRecord, ...], tuple[str, ...]]:
    """Return the newest builds of one *pool*, and the names of its daemons that did not answer."""
    if pool.is_one:
        return pool.all()[0].history.records(limit=limit, viewer=viewer), ()
    asked = [daemon for daemon in pool.all() if not daemon.is_down]
    # Of each its share and some more; where one may have more of the newest, it is asked again.
    share = min(limit, 2 * limit // max(1, len(asked)) + _MORE_LISTED)
    found = _listed(pool, asked, share, viewer)
    newest = _newest(found.values(), limit)
    cut = [
        daemon
        for daemon, records in found.items()
        if len(records) >= share
        and (len(newest) < limit or records[-1].created > newest[-1].created)
    ]
    if share < limit:
        found |= _listed(pool, cut, limit, viewer)
    if not found:
        raise none_answers()
    unreachable = tuple(sorted(each.name for each in pool.current() if each not in found))
    return _newest(found.values(), limit), unreachable


def _listed(
    pool: Daemons, daemons: Sequence[Daemon], limit: int, viewer: Viewer
) -> dict[Daemon, tuple[BuildRecord, ...]]:
    return dict(
        pool.answers(
            daemons,
            lambda each: each.history.records(limit=limit, seconds=QUESTION_SECONDS, viewer=viewer),
        )
    )


def _newest(found: Iterable[Sequence[BuildRecord]], limit: int) -> tuple[BuildRecord, ...]:
    """Merge what the daemons have; of a build that several have, what came last."""
    by_id: dict[str, BuildRecord] = {}
    for record in sorted(chain.from_iterable(found), key=lambda record: record.created):
        by_id[record.ref.build_id] = record
    newest = sorted(by_id.values(), key=lambda record: record.created, reverse=True)
    return tuple(newest[:limit])
