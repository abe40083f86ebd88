"""A build that another request waits for, or nobody, or that has ended: in this replica or another.

I/O: what it iterates comes from the daemon, which has the record.
"""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

from ..errors import BuilderError, Busy, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ..buildkit import BuildRecord, Follow
    from ..buildkit.outcome import BuildResult, BuildWarning, Step


class Ongoing(Protocol):
    """A build, to whoever reads of it. Iterate `lines` to its end, then there is a `result`."""

    id: str
    image: str
    result: BuildResult | None

    @property
    def image_ref(self) -> str: ...
    @property
    def duration(self) -> float: ...
    @property
    def steps(self) -> Sequence[Step]: ...
    @property
    def warnings(self) -> Sequence[BuildWarning]: ...

    def lines(self) -> Iterator[list[str]]:
        """The log as it comes, and an empty list now and then. Raises BuilderError for a failure."""

    def close(self) -> None: ...


class Followers:
    """Who may follow builds at one time: each holds a thread of the server."""

    def __init__(self, most: int) -> None:
        self._free = threading.BoundedSemaphore(most)

    def admit(self) -> Callable[[], None]:
        """What to call when he leaves; it may be called twice. Raises Busy."""
        if not self._free.acquire(blocking=False):
            raise Busy("As many as can already follow builds here. Try again later.")
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
        """*require_reader* raises BuilderError once there is nobody to follow it for.

        *leave* is called when it is closed. *again* orders the build anew if whoever runs it goes away, for a
        caller who has stayed.
        """
        self._follow = follow
        self._require_reader = require_reader
        self._offset = offset
        self._leave = leave
        self._again = again
        self._successor: Ongoing | None = None
        self.id = follow.record.ref.build_id
        self.image = image_of(follow.record)
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
        self._again = None  # with the order, and so the request's body
        self._follow.close()
        if self._leave:
            self._leave()
        if self._successor:
            self._successor.close()


def image_of(record: BuildRecord) -> str:
    return record.annotations.get("image", "")


def unknown(build_id: str) -> NotFound:
    return NotFound(
        f'There is no build "{build_id}": its record may be older than buildkitd keeps them, or it has '
        "never been begun."
    )
