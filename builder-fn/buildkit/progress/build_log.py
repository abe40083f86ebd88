"""Pure. A build's log, as it is made of what Status says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from .chronology import chronological
from .printer import Printer
from .pushes import Pushes
from .split_responses import SplitResponses
from .steps import Steps

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...pb import control_pb2 as pb
    from ..outcome import BuildWarning, Step


class BuildLog(Protocol):
    """Takes a build's StatusResponses in order."""

    def update(self, response: pb.StatusResponse) -> list[str]:
        """Return the log lines that *response* adds."""

    def finish(self) -> list[str]:
        """Return the lines still held back when there is no more to come."""

    @property
    def steps(self) -> tuple[Step, ...]: ...

    @property
    def warnings(self) -> tuple[BuildWarning, ...]: ...


class DaemonLog:
    """The log of a build that the daemon recorded itself."""

    def __init__(self, names: Iterable[str]) -> None:
        """Watch for pushes under *names*."""
        self.printer = Printer()
        self.pushes = Pushes(names)
        self._split = SplitResponses()
        self._steps = Steps()

    def update(self, response: pb.StatusResponse) -> list[str]:
        return self._lines(self._split.arrived(response))

    def finish(self) -> list[str]:
        return [*self._lines(self._split.finish()), *self.printer.finish()]

    def _lines(self, responses: Iterable[pb.StatusResponse]) -> list[str]:
        lines: list[str] = []
        for response in responses:
            self.pushes.update(response)
            for piece in chronological(response):
                self._steps.update(piece)
                lines += self.printer.update(piece)
        return lines

    @property
    def steps(self) -> tuple[Step, ...]:
        return self._steps.started()

    @property
    def warnings(self) -> tuple[BuildWarning, ...]:
        return self.printer.warnings
