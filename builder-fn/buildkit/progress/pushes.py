"""Pure. Tells from Status when the registry has the image.

The daemon returns from Solve only after it has written its build history, a sixth of a warm build after
the push (measured). What the caller waits for is the image: once every name's manifest has been pushed,
nothing that follows can take that back, and the answer need not wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..text.display_strings import EXPORTED_MANIFEST, PUSHED, PUSHING_LAYERS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.protobuf.timestamp_pb2 import Timestamp

    from ...pb import control_pb2 as pb


class Pushes:
    """The names an image is to be pushed under, and those it has been."""

    def __init__(self, names: Iterable[str]) -> None:
        """Watch for pushes under *names*, which are canonical and tagged, as the daemon writes them."""
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
        if match := EXPORTED_MANIFEST.fullmatch(status.ID):
            self._exported = match["digest"]
        elif PUSHING_LAYERS.fullmatch(status.ID):
            self.digest = self.digest or self._exported
        elif match := PUSHED.fullmatch(status.ID):
            self.digest = match["digest"]
            # The vertex it belongs to, which completes just after it, says whether the push went well.
            if status.HasField("completed"):
                self._ended[match["name"]] = (status.vertex, _time(status.completed))

    def _is_pushed(self, name: str) -> bool:
        if name not in self._ended:
            return False
        vertex, time = self._ended[name]
        return self._last_ended.get(vertex, (0, 0)) >= time


def _time(timestamp: Timestamp) -> tuple[int, int]:
    return timestamp.seconds, timestamp.nanos
