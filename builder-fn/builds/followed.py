"""Follows a build that another request waits for, or nobody, or that has ended: here or in another replica.

I/O: what it iterates comes from the daemon, which has the record.
"""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from ..errors import BuilderError, Busy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ..answers.ongoing import Ongoing
    from ..buildkit import BuildResult, BuildWarning, Step
    from ..history import BuildRecord, Follow


class Followers:
    """Admits followers of builds, so many at one time: each holds a thread of the server."""

    def __init__(self, most: int) -> None:
        self._free = threading.BoundedSemaphore(most)

    def admit(self) -> Callable[[], None]:
        """Return what to call when the follower leaves; it may be called twice. Raises Busy."""
        if not self._free.acquire(blocking=False):
            raise Busy(
                "As many as can already follow builds here. Try again later, or have the operator raise "
                "max_followers."
            )
        leaving = ExitStack()
        leaving.callback(self._free.release)
        return leaving.close


class FollowedBuild:
    """Reads like a Build; `close` leaves the build to itself."""

    def __init__(
        self,
        follow: Follow,
        require_reader: Callable[[], None],
        *,
        offset: int = 0,
        leave: Callable[[], None] | None = None,
        again: Callable[[], Ongoing] | None = None,
    ) -> None:
        """Follow a build until *require_reader* raises BuilderError, since nobody is left to follow it for.

        *leave* is called when it is closed. *again* begins the build once more if the replica that runs it
        goes away, for a caller that has stayed.
        """
        self._follow = follow
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
        """As it was last seen."""
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
        skipped = 0
        try:
            for lines in self._follow:
                self._require_reader()
                shown = lines[max(0, self._offset - skipped) :]
                skipped += len(lines)
                yield shown
            self.result = self._follow.result()
        except BuilderError:
            if self._again is None or not self.record.repeatable:
                raise
            self._successor = self._again()
            yield from self._successor.lines()
            self.result = self._successor.result
        finally:
            self.close()

    def close(self) -> None:
        self._again = None  # with the job, and so the request's body
        self._follow.close()
        if self._leave:
            self._leave()
        if self._successor:
            self._successor.close()
