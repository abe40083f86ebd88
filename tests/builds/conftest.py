"""Has daemons in the process, by the fixtures `daemon`, `start_daemon` and `control`."""

from ..fake_buildkitd.fixtures import control, daemon, start_daemon

__all__ = ["control", "daemon", "start_daemon"]
