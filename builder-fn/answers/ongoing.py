"""Pure. The interface of a build to all that read of one: it runs here, in another replica, or has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..buildkit import BuildResult, BuildWarning, Step


class Ongoing(Protocol):
    """A build that is read of. Iterate `lines` to its end, then there is a `result`."""

    id: str
    image: str
    result: BuildResult | None

    @property
    def image_ref(self) -> str: ...
    @property
    def created(self) -> float:
        """The time at which it was accepted, in seconds since 1970."""

    @property
    def duration(self) -> float: ...
    @property
    def steps(self) -> Sequence[Step]: ...
    @property
    def warnings(self) -> Sequence[BuildWarning]: ...

    def lines(self) -> Iterator[list[str]]:
        """Yield the log as it comes, and an empty list now and then. Raises BuilderError for a failure."""

    def close(self) -> None: ...
