"""Pure. Tells from Status when the registry has the image.

The daemon returns from Solve only after it has written its build history, a sixth of a warm build after
the push (measured). What the caller waits for is the image: once every name's manifest has been pushed,
nothing that follows can take that back, and the answer need not wait.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.protobuf.timestamp_pb2 import Timestamp

    from ...pb import control_pb2 as pb

# moby/buildkit v0.32.2 exporter/containerimage/writer.go: of several platforms' manifests the list is last.
_EXPORTED = re.compile(r"exporting manifest (?:list )?(sha256:[0-9a-f]{64})")
# util/push/push.go: one pair of these for each name. The latter completes whether the push went well or not;
# the vertex it belongs to, which completes just after it, says which.
_PUSHING_LAYERS = "pushing layers"
_PUSHED = re.compile(r"pushing manifest for (\S+)@(sha256:[0-9a-f]{64})")


class Pushes:
    """The names an image is to be pushed under, and those it has been."""

    def __init__(self, names: Iterable[str]) -> None:
        """*names* are canonical and tagged, as the daemon writes them."""
        self._names = set(names)
        self._last_ended: dict[str, tuple[int, int]] = {}  # vertex without error to time
        self._ended: dict[str, tuple[str, tuple[int, int]]] = {}  # name to vertex and time
        self._exported = ""
        self.digest = ""  # the image's; foretold once its push begins, certain once it is done
        self.done = False

    def update(self, response: pb.StatusResponse) -> None:
        if not self._names or self.done:
            return
        for vertex in response.vertexes:
            if vertex.HasField("completed") and not vertex.error:
                self._last_ended[vertex.digest] = _time(vertex.completed)
        for status in response.statuses:
            self._update(status)
        self.done = all(self._is_pushed(name) for name in self._names)

    def _update(self, status: pb.VertexStatus) -> None:
        if match := _EXPORTED.fullmatch(status.ID):
            self._exported = match[1]
        elif status.ID == _PUSHING_LAYERS:
            self.digest = self.digest or self._exported
        elif match := _PUSHED.fullmatch(status.ID):
            self.digest = match[2]
            if status.HasField("completed"):
                self._ended[match[1]] = (status.vertex, _time(status.completed))

    def _is_pushed(self, name: str) -> bool:
        if name not in self._ended:
            return False
        vertex, time = self._ended[name]
        return self._last_ended.get(vertex, (0, 0)) >= time


def _time(timestamp: Timestamp) -> tuple[int, int]:
    return timestamp.seconds, timestamp.nanos
