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
from dataclasses import dataclass, field
from pathlib import Path

from . import build_log
from .contenders import Build, Built, Contender, Log
from .contexts import LARGE_DESTINATION, ContextSource
from .errors import BenchmarkError
from .figures import Figures, Summary, covering, turns
from .scenarios import Timed
from .state import State
from .usage import Usage

# A server goes on with a build after its answer: it ends the session, and the daemon writes its
# history. What that takes is the build's, too.
_SETTLING_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """The daemon and its registry, as far as the rounds need to know them."""

    buildctl: Path
    address: str
    registry: str
    state: State

    def prune_large(self) -> None:
        """Remove uploaded contexts and what large scenarios copied; other steps stay cached."""
        destination = LARGE_DESTINATION.strip("/")
        filters = ("type==source.local", f"description~={destination}")
        command = [str(self.buildctl), "--addr", self.address, "prune"]
        for wanted in filters:
            command += ["--filter", wanted]
        pruned = subprocess.run(command, capture_output=True, text=True, check=False)
        if pruned.returncode:
            raise BenchmarkError(f"buildctl could not prune: {pruned.stderr.strip()}")
        if self.state is not State.MEMORY:
            # Else one contender's dirty pages are written while the next one's clock runs.
            os.sync()


@dataclass(slots=True)
class Measured:
    """One contender's turns of one scenario."""

    seconds: list[float] = field(default_factory=list)
    usages: list[Usage] = field(default_factory=list)  # a build
    daemon: list[float] = field(default_factory=list)  # seconds, of a bare client's turns alone
    client: list[float] = field(default_factory=list)

    def add(self, turn: "_Turn", builds: int) -> None:
        self.seconds.append(turn.seconds)
        if turn.usage:
            self.usages.append(
                Usage(cpu=turn.usage.cpu / builds, faults=round(turn.usage.faults / builds))
            )
        if spans := [built.daemon for built in turn.built if built.daemon]:
            self.daemon.append(covering(spans))
        if spans := [built.client for built in turn.built if built.client]:
            self.client.append(covering(spans))

    def figures(self) -> Figures:
        return Figures(
            value=Summary.of(self.seconds),
            cpu=Summary.of([each.cpu for each in self.usages]) if self.usages else None,
            faults=Summary.of([each.faults for each in self.usages]) if self.usages else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """A course on which the rounds are run."""

    source: ContextSource
    daemon: Daemon

    def measure(
        self, scenario: Timed, contenders: Mapping[str, Contender], rounds: int
    ) -> dict[str, Measured]:
        """Measure each contender.

        Raises BenchmarkError when a build fails, or did not do the work that is measured.
        """
        measured = {name: Measured() for name in contenders}
        for number in range(-scenario.warm_up_rounds, rounds):
            for name in turns(list(contenders), number):
                turn = self._turn(scenario, name, contenders[name])
                if number >= 0:
                    measured[name].add(turn, scenario.builds_of_a_turn)
                    for built in turn.built:
                        _require_the_work(scenario, name, built.log)
        return measured

    def _turn(self, scenario: Timed, name: str, contender: Contender) -> "_Turn":
        builds = [
            [
                contender.prepare(
                    scenario.context(self.source),
                    image=f"{self.daemon.registry}/benchmark/{name}-{scenario.name}-{place}:latest",
                    pushed=scenario.pushed,
                    streamed=scenario.lines > 0,
                )
                for _ in range(scenario.builds)
            ]
            for place in range(scenario.callers)
        ]
        if scenario.large:
            self.daemon.prune_large()
        try:
            before = contender.usage()
            seconds, built = _run(builds)
            time.sleep(_SETTLING_SECONDS)
            after = contender.usage()
        finally:
            for build in (build for each in builds for build in each):
                build.clean_up(large=scenario.large)
            if scenario.large:
                self.daemon.prune_large()
        spent = after.since(before) if before and after else None
        return _Turn(seconds, built, spent)


@dataclass(frozen=True, slots=True)
class _Turn:
    seconds: float
    built: Sequence[Built]
    usage: Usage | None


def _run(callers: Sequence[Sequence[Build]]) -> tuple[float, list[Built]]:
    """Run each caller's builds one after the other, and all callers at once.

    Seconds from the start of the first build to the end of the last.
    """
    if len(callers) == 1:
        since = time.perf_counter()
        built = [build.run() for build in callers[0]]
        return time.perf_counter() - since, built
    since = 0.0

    def start() -> None:
        nonlocal since
        since = time.perf_counter()

    barrier = threading.Barrier(len(callers), action=start)

    def run(builds: Sequence[Build]) -> tuple[float, list[Built]]:
        barrier.wait()
        built = [build.run() for build in builds]
        return time.perf_counter(), built

    with ThreadPoolExecutor(len(callers)) as pool:
        finished = list(pool.map(run, callers))
    return (
        max(end for end, _ in finished) - since,
        [built for _, each in finished for built in each],
    )


def _require_the_work(scenario: Timed, name: str, log: Log) -> None:
    """Refuse a build of nothing, of stale content or of half a log, which must not pass for a fast one."""
    steps = build_log.steps(log)
    if not steps:
        raise BenchmarkError(f"{name}'s log of {scenario.name} names no step: {list(log)[:20]}")
    if wrong := build_log.unexpected(steps, fresh=scenario.fresh):
        did = "took from the cache what is new" if scenario.fresh else "ran what was cached"
        instructions = "; ".join(step.instruction for step in wrong)
        raise BenchmarkError(f"In scenario {scenario.name} {name} {did}: {instructions}")
    if scenario.lines and (missing := build_log.missing(log, scenario.lines)):
        raise BenchmarkError(
            f"In scenario {scenario.name} {name}'s log lacks {len(missing)} of {scenario.lines} "
            f"lines, {missing[0]} the first of them."
        )
