"""Has the daemon in the process, by the fixtures `daemon` and `control`."""

from ..fake_buildkitd.fixtures import control, daemon

__all__ = ["control", "daemon"]
