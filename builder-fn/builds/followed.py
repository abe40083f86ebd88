"""Follows a build that another request waits for, or nobody, or that has ended: here or in another replica.

I/O: what it iterates comes from the daemon, which has the record.
"""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from ..errors import BuilderError, Busy, TenantLimit, Unavailable
from .tenant_limits.shared_room import SharedRoom

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from ..answers.ongoing import Ongoing
    from ..buildkit import BuildResult, BuildWarning, Step
    from ..history import BuildRecord, Follow


# From the loss of a daemon until its builds have begun elsewhere: their owners notice within the daemon's
# patience, and then ask others.
_BEGUN_AGAIN_SECONDS = 12.0
_LOOK_SECONDS = 1.0
_TICK_SECONDS = 0.25

BEGUN_AGAIN = "The build's buildkitd was lost, and the build begins again on another one."


class Followers:
    """Admits followers of builds, so many at one time: each holds a thread of the server."""

    def __init__(self, most: int) -> None:
        self._room = SharedRoom(most)
        self._lock = threading.Lock()

    def admit(self, tenant: str = "", *, share: int = 1) -> Callable[[], None]:
        """Return what to call when the follower leaves; it may be called twice. Raises Busy."""
        with self._lock:
            if not self._room.has(""):
                raise Busy(
                    "As many as can already follow builds here. Try again later, or have the operator raise "
                    "max_followers."
                )
            if not self._room.has(tenant, share=share):
                raise TenantLimit(
                    "As many of your callers as may already follow builds here: the rest of the room is for "
                    "other tenants. Try again later, or have the operator raise max_followers."
                )
            self._room.take(tenant)
        leaving = ExitStack()
        leaving.callback(self._leave, tenant)
        return leaving.close

    def _leave(self, tenant: str) -> None:
        with self._lock:
            self._room.give_back(tenant)


class FollowedBuild:
    """Reads like a Build; `close` leaves the build to itself."""

    def __init__(  # noqa: PLR0913 - the last four by keyword
        self,
        follow: Follow,
        require_reader: Callable[[], None],
        *,
        offset: int = 0,
        leave: Callable[[], None] | None = None,
        again: Callable[[], Ongoing] | None = None,
        elsewhere: Callable[[], Follow | None] | None = None,
    ) -> None:
        """Follow a build until *require_reader* raises BuilderError, since nobody is left to follow it for.

        *leave* is called when it is closed. *again* begins the build once more if the replica that runs it
        goes away, for a caller that has stayed. *elsewhere* leads to where the build goes on if its daemon is
        lost; None as long as it does not.
        """
        self._follow = follow
        self._elsewhere = None if follow.record.ended else elsewhere
        self._require_reader = require_reader
        self._offset = offset
        self._leave = leave
        self._again = again
        self._successor: Ongoing | None = None
        self.id = follow.record.ref.build_id
        self.image = follow.record.image
        self.result: BuildResult | None = None

    @property
    def record(self) -> BuildRecord:
        """Return the build's record as it was last seen."""
        return self._follow.record

    @property
    def image_ref(self) -> str:
        name = self.record.annotations.get("name", "")
        return f"{name}@{self.result.digest}" if self.result and self.result.digest else ""

    @property
    def created(self) -> float:
        return self._successor.created if self._successor else self.record.created

    @property
    def duration(self) -> float:
        if self._successor:
            return self._successor.duration
        return max(0.0, (self.record.completed or time.time()) - self.record.created)

    @property
    def steps(self) -> Sequence[Step]:
        return (self._successor or self._follow).steps

    @property
    def warnings(self) -> Sequence[BuildWarning]:
        return (self._successor or self._follow).warnings

    def lines(self) -> Iterator[list[str]]:
        try:
            yield from self._lines()
        except BuilderError as exc:
            # A daemon that is lost leaves the record as it was last seen.
            lost = self._elsewhere is not None and isinstance(exc, Unavailable)
            if self._again is None or not (self.record.repeatable or lost):
                raise
            self._successor = self._again()
            yield from self._successor.lines()
            self.result = self._successor.result
        finally:
            self.close()

    def _lines(self) -> Iterator[list[str]]:
        skipped = 0
        while True:
            try:
                for lines in self._follow:
                    self._require()
                    shown = lines[max(0, self._offset - skipped) :]
                    skipped += len(lines)
                    yield shown
                self.result = self._follow.result()
            except Unavailable:
                # To begin it once more finds it, too.
                if self._again is not None or not (yield from self._found_elsewhere()):
                    raise
                yield [f"WARN: {BEGUN_AGAIN}"]
            else:
                return

    def _found_elsewhere(self) -> Generator[list[str], None, bool]:
        """Wait for the owner to begin the build again elsewhere, and tell whether it has."""
        deadline = time.monotonic() + _BEGUN_AGAIN_SECONDS
        while self._elsewhere is not None and time.monotonic() < deadline:
            self._require()
            if follow := self._elsewhere():
                self._follow.close()
                self._follow = follow
                return True
            for _ in range(round(_LOOK_SECONDS / _TICK_SECONDS)):
                yield []
                time.sleep(_TICK_SECONDS)
        return False

    def _require(self) -> None:
        """Raise BuilderError once there is nobody to follow it for; then it is not begun again either."""
        try:
            self._require_reader()
        except BuilderError:
            self._again = self._elsewhere = None
            raise

    def close(self) -> None:
        self._again = self._elsewhere = None  # with the job, and so the request's body
        self._follow.close()
        if self._leave:
            self._leave()
        if self._successor:
            self._successor.close()
