"""I/O: takes builds in, finds those that any replica runs, and asks the daemon for all others."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from .. import secret_files
from ..build_secrets.opened import BuildSecrets
from ..daemon_errors import translated
from ..errors import Busy, CallerGone, Interrupted, NotFound, NotReady, RecordsOff, Unavailable
from ..telemetry import metrics
from .admission import Account
from .build import Build
from .followed import FollowedBuild, Followers
from .replica import Replica

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..answers.ongoing import Ongoing
    from ..config import Settings
    from ..history import BuildRecord
    from ..request.bundle import Bundle
    from .admission import Place
    from .job import Job

# For calls that find no room: so many look at one time for a build that they may be redelivered for, and wait
# so long for their turn. A crowd of a hundred is refused within a second.
_MOST_LOOKS = 4
_LOOK_SECONDS = 0.5


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
        """True if no detached build runs, and no callback is to be delivered."""
        # In this order: what ends in the background leaves a callback behind.
        return self.replica.background.idle and self.replica.deliveries.idle

    def scraped(self) -> bytes:
        """Return the metrics as Prometheus reads them, with all keys that requests may be signed with."""
        for name in self._key_names():
            self.replica.metrics.expect_key(name)
        return self.replica.metrics.text()

    @translated()
    def daemon_version(self) -> str:
        """Raises DaemonUnavailable, NotReady."""
        return self.replica.client.version()

    @property
    def process_sandbox(self) -> bool | None:
        """Whether steps of different builds are kept apart on the daemon, as far as is known by now."""
        return self.replica.process_sandbox.is_there

    def build(self, job: Job) -> Build | FollowedBuild:
        """Line up for a build, or follow the one that this job has already become, in any replica.

        The caller closes it. Raises Busy, NotReady, SecretsError, DaemonUnavailable, RecordsOff.
        """
        # A malformed file is better said before the build.
        secret_files.registry_auth(self.settings)
        build_secrets = self._opened(job.bundle)
        try:
            # Before the daemon is asked, so that a crowd is refused at once and costs it nothing.
            place = self._place(job)
        except Busy:
            if job.claimed and (found := self._found(job)):
                return found
            raise
        try:
            if not job.claimed:
                return Build(self.replica, job, build_secrets, place)
            return self._claimed(job, build_secrets, place)
        except BaseException:
            place.leave()
            raise

    def _place(self, job: Job) -> Place:
        return self.replica.admission.request(
            Account(job.key, job.bundle.config.image.name),
            detached=job.detached,
            size=job.bundle.size,
            patience=job.patience,
        )

    def _claimed(
        self, job: Job, build_secrets: BuildSecrets, place: Place
    ) -> Build | FollowedBuild:
        history = self.replica.history
        claim = history.claim(job.build_id, job.annotations)
        if claim is None:
            place.leave()
            return self._again(job)
        try:
            if job.detached:  # its id is answered before it has begun
                history.wait_until_on_record(claim)
            return Build(self.replica, job, build_secrets, place, claim)
        except BaseException:
            claim.release()
            raise

    def _found(self, job: Job) -> FollowedBuild | None:
        """Look for what *job* has already become, though there is no room for it here; not for long."""
        if not self._looking.acquire(timeout=_LOOK_SECONDS):
            return None
        try:
            found = self.replica.history.record(job.build_id)
        except Unavailable:
            return None
        finally:
            self._looking.release()
        return self._again(job) if found and not found.repeatable else None

    def _again(self, job: Job) -> FollowedBuild:
        """Follow what *job* has become; where that is given up, *job* is begun once more."""
        leave = self._followers.admit()
        try:
            return self._following(
                job.build_id, job.caller_gone, leave=leave, again=lambda: self.build(job)
            )
        except BaseException:
            leave()
            raise

    def follow(
        self, build_id: str, caller_gone: Callable[[], bool], *, offset: int = 0
    ) -> FollowedBuild:
        """Follow a build that any replica runs or ran, its log from line *offset* on.

        The caller closes it. Raises Busy, NotFound, DaemonUnavailable.
        """
        leave = self._followers.admit()
        try:
            return self._following(build_id, caller_gone, offset=offset, leave=leave)
        except BaseException:
            leave()
            raise

    def record(self, build_id: str) -> BuildRecord:
        """Raises NotFound, DaemonUnavailable."""
        return self._known(self.replica.history.record(build_id), build_id)

    def records(self, *, limit: int) -> tuple[BuildRecord, ...]:
        """Return the newest builds first. Raises DaemonUnavailable."""
        return self.replica.history.records(limit=limit)

    def cancel(self, build_id: str) -> BuildRecord:
        """Have a build ended, whichever replica runs it, and return how it stood before.

        Raises NotFound, DaemonUnavailable.
        """
        return self._known(self.replica.history.request_cancel(build_id), build_id)

    def _following(
        self,
        build_id: str,
        caller_gone: Callable[[], bool],
        *,
        offset: int = 0,
        leave: Callable[[], None] | None = None,
        again: Callable[[], Ongoing] | None = None,
    ) -> FollowedBuild:
        def require_reader() -> None:
            if self.replica.stopping.is_set():
                raise Interrupted("The builder is shutting down. The build goes on: ask again.")
            if caller_gone():
                raise CallerGone("The caller hung up; the build goes on.")

        follow = self.replica.history.follow(build_id)
        if follow is None:
            raise self._unknown(build_id)
        return FollowedBuild(follow, require_reader, offset=offset, leave=leave, again=again)

    def _key_names(self) -> list[str]:
        if self.settings.disable_hmac:
            return [metrics.UNSIGNED]
        try:
            return [key.name for key in secret_files.payload_keys(self.settings)]
        except NotReady:
            return []

    def _opened(self, bundle: Bundle) -> BuildSecrets:
        if bundle.sealed_secrets is None:
            return BuildSecrets()
        return BuildSecrets.opened(bundle.sealed_secrets, secret_files.sealing_keys(self.settings))

    def _known(self, record: BuildRecord | None, build_id: str) -> BuildRecord:
        if record is None:
            raise self._unknown(build_id)
        return record

    def _unknown(self, build_id: str) -> NotFound | RecordsOff:
        if not self.replica.history.keeps_records():
            return RecordsOff()
        return NotFound(
            f'There is no build "{build_id}": its record may be older than buildkitd keeps them, or it has '
            "never been begun."
        )
