"""Process and socket I/O. Takes a timed scenario through its rounds.

In each round every contender builds something of its own, in turn; all of them meet the same
daemon in the same state, because a large build's leavings are pruned before the next one starts.
"""

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from . import build_log
from .contenders import Build, Contender, Log
from .contexts import LARGE_DESTINATION, ContextSource
from .errors import BenchmarkError
from .figures import Summary, turns
from .scenarios import Timed

WARM_UP_ROUNDS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """What the rounds need to know of the daemon and its registry."""

    buildctl: Path
    address: str
    registry: str

    def prune_large(self) -> None:
        """Removes uploaded contexts and what large scenarios copied; other steps stay cached."""
        destination = LARGE_DESTINATION.strip("/")
        filters = ("type==source.local", f"description~={destination}")
        command = [str(self.buildctl), "--addr", self.address, "prune"]
        for wanted in filters:
            command += ["--filter", wanted]
        pruned = subprocess.run(command, capture_output=True, text=True, check=False)
        if pruned.returncode:
            raise BenchmarkError(f"buildctl could not prune: {pruned.stderr.strip()}")
        # Else one contender's dirty pages are written while the next one's clock runs.
        os.sync()


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """Where the rounds are run."""

    source: ContextSource
    daemon: Daemon

    def measure(
        self, scenario: Timed, contenders: Mapping[str, Contender], rounds: int
    ) -> dict[str, Summary]:
        """Seconds by contender.

        Raises BenchmarkError when a build fails, or did not do the work that is measured.
        """
        seconds: dict[str, list[float]] = {name: [] for name in contenders}
        for number in range(-WARM_UP_ROUNDS, rounds):
            for name in turns(list(contenders), number):
                spent, logs = self._turn(scenario, name, contenders[name])
                if number >= 0:
                    seconds[name].append(spent)
                    for log in logs:
                        _require_the_work(scenario, name, log)
        return {name: Summary.of(runs) for name, runs in seconds.items()}

    def _turn(
        self, scenario: Timed, name: str, contender: Contender
    ) -> tuple[float, Sequence[Log]]:
        builds = [
            contender.prepare(
                scenario.context(self.source),
                image=f"{self.daemon.registry}/benchmark/{name}-{scenario.name}-{place}:latest",
                pushed=scenario.pushed,
            )
            for place in range(scenario.at_once)
        ]
        if scenario.large:
            self.daemon.prune_large()
        try:
            return _run(builds)
        finally:
            for build in builds:
                build.clean_up(large=scenario.large)
            if scenario.large:
                self.daemon.prune_large()


def _run(builds: Sequence[Build]) -> tuple[float, list[Log]]:
    """Runs them at once; seconds from the start of the first to the end of the last."""
    if len(builds) == 1:
        since = time.perf_counter()
        log = builds[0].run()
        return time.perf_counter() - since, [log]
    started = threading.Event()
    since = 0.0

    def start() -> None:
        nonlocal since
        since = time.perf_counter()
        started.set()

    barrier = threading.Barrier(len(builds), action=start)

    def run(build: Build) -> tuple[float, Log]:
        barrier.wait()
        log = build.run()
        return time.perf_counter(), log

    with ThreadPoolExecutor(len(builds)) as pool:
        finished = list(pool.map(run, builds))
    return max(end for end, _ in finished) - since, [log for _, log in finished]


def _require_the_work(scenario: Timed, name: str, log: Log) -> None:
    """A fast build of nothing, or of stale content, must not pass for a fast build."""
    steps = build_log.steps(log)
    if not steps:
        raise BenchmarkError(f"{name}'s log of {scenario.name} names no step: {list(log)[:20]}")
    if wrong := build_log.unexpected(steps, fresh=scenario.fresh):
        did = "took from the cache what is new" if scenario.fresh else "ran what was cached"
        instructions = "; ".join(step.instruction for step in wrong)
        raise BenchmarkError(f"In scenario {scenario.name} {name} {did}: {instructions}")
