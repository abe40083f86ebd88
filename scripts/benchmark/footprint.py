"""Process I/O. Starts servers to see how soon they answer and how much memory they take."""

from collections.abc import Callable, Mapping, Sequence

from .contenders import Server
from .contexts import ContextSource
from .figures import Figures, Summary
from .scenarios import FOOTPRINTS, IDLE, MIB, PEAK, READY, SETTLED, Footprint
from .services import Service, Started
from .timing import Daemon

Seen = Mapping[Footprint, float]

# A young process tells three properties, one after the other.
_YOUNG_ROUNDS = 10
_PEAK_ROUNDS = 5


class Footprints:
    """Looks at processes that have just become ready."""

    def __init__(self, *, source: ContextSource, daemon: Daemon, secret: bytes) -> None:
        self._source = source
        self._daemon = daemon
        self._secret = secret

    def measure(
        self, wanted: Sequence[str], services: Mapping[str, Service], rounds: int | None
    ) -> dict[Footprint, dict[str, Figures]]:
        """Measure the properties whose names are *wanted*, by contender."""
        found: dict[Footprint, dict[str, Figures]] = {}
        if {READY.name, IDLE.name, SETTLED.name} & {*wanted}:
            found |= _measure(services, self._young, rounds or _YOUNG_ROUNDS)
        if PEAK.name in wanted:
            found |= _measure(services, self._peak, rounds or _PEAK_ROUNDS)
        return {each: found[each] for each in FOOTPRINTS if each.name in wanted}

    def _young(self, started: Started) -> Seen:
        idle = started.resident_bytes()
        self._build(started, large=False)
        return {
            READY: started.seconds_to_ready,
            IDLE: idle / MIB,
            SETTLED: started.resident_bytes() / MIB,
        }

    def _peak(self, started: Started) -> Seen:
        """Return the peak of a process that has built nothing yet, with all that a first build loads."""
        idle = started.resident_bytes()
        started.forget_peak()
        body = self._build(started, large=True)
        return {PEAK: (started.peak_bytes() - idle - body) / MIB}

    def _build(self, started: Started, *, large: bool) -> int:
        """Build once and return the length of the request's body."""
        context = self._source.large_file() if large else self._source.one_change()
        pid = started.daemon.pid
        server = Server(name="the server", url=started.url, secret=self._secret, pid=pid)
        image = f"{self._daemon.registry}/benchmark/footprint:latest"
        build = server.prepare(context, image=image, pushed=not large, streamed=False)
        try:
            build.run()
        finally:
            build.clean_up(large=large)
        if large:
            self._daemon.prune_large()
        return len(build.request.body)


def _measure(
    services: Mapping[str, Service], look: Callable[[Started], Seen], rounds: int
) -> dict[Footprint, dict[str, Figures]]:
    """Measure a new process for every run; a first one, which writes bytecode, is not counted."""
    values: dict[Footprint, dict[str, list[float]]] = {}
    cpu: dict[str, list[float]] = {name: [] for name in services}
    for number in range(-1, rounds):
        for name, service in services.items():
            with service.start() as started:
                seen = look(started)
            if number < 0:
                continue
            cpu[name].append(started.cpu_to_ready)
            for footprint, value in seen.items():
                values.setdefault(footprint, {}).setdefault(name, []).append(value)
    return {
        footprint: {
            name: Figures(
                value=Summary.of(runs),
                cpu=Summary.of(cpu[name]) if footprint is READY else None,
            )
            for name, runs in by_name.items()
        }
        for footprint, by_name in values.items()
    }
