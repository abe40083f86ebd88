"""Process I/O. Starts servers to see how soon they answer and how much memory they take."""

from collections.abc import Callable, Mapping

from .contenders import Server
from .contexts import ContextSource
from .figures import Summary
from .scenarios import MIB
from .services import Service, Started
from .timing import Daemon


def measure(
    services: Mapping[str, Service],
    *,
    probe: Callable[[Started], float],
    rounds: int,
) -> dict[str, Summary]:
    """A new process for every run; a first one, which writes bytecode, is not counted."""
    figures: dict[str, list[float]] = {name: [] for name in services}
    for number in range(-1, rounds):
        for name, service in services.items():
            with service.start() as started:
                value = probe(started)
            if number >= 0:
                figures[name].append(value)
    return {name: Summary.of(runs) for name, runs in figures.items()}


class Probes:
    """What is looked at in a process that has just become ready."""

    def __init__(self, *, source: ContextSource, daemon: Daemon, secret: bytes) -> None:
        self._source = source
        self._daemon = daemon
        self._secret = secret

    def ready(self, started: Started) -> float:
        return started.seconds_to_ready

    def idle(self, started: Started) -> float:
        return started.resident_bytes() / MIB

    def settled(self, started: Started) -> float:
        self._build(started, large=False)
        return started.resident_bytes() / MIB

    def peak(self, started: Started) -> float:
        """Over a process that has built nothing yet: everything a first build loads counts too."""
        idle = started.resident_bytes()
        started.forget_peak()
        body = self._build(started, large=True)
        return (started.peak_bytes() - idle - body) / MIB

    def _build(self, started: Started, *, large: bool) -> int:
        """Returns the length of the request's body."""
        context = self._source.large_file() if large else self._source.one_change()
        server = Server(name="the server", url=started.url, secret=self._secret)
        image = f"{self._daemon.registry}/benchmark/footprint:latest"
        build = server.prepare(context, image=image, pushed=not large)
        try:
            build.run()
        finally:
            build.clean_up(large=large)
        if large:
            self._daemon.prune_large()
        return len(build.request.body)
