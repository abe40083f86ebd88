"""Pure. Scenarios to measure, and the goals that the function is meant to reach."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .contexts import LOGGED_LINES_PER_SECOND, LOGGED_SECONDS, Context, ContextSource

SMALL_ROUNDS = 15
LARGE_ROUNDS = 5
WARM_UP_ROUNDS = 2

MIB = 1 << 20

OURS = "ours"
BUILDCTL = "buildctl"
RIVAL = "rival"
CONTENDERS = (BUILDCTL, OURS, RIVAL)
# No builder, and in no column of its own: the least that a build can take.
BARE = "bare"
# Ours as well, asked by a tenant that has limits; in no column of its own either.
TENANT = "tenant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Goals:
    """The most that ours may take; None where there is no goal."""

    ratio: float | None = None  # of medians, ours to buildctl's
    to_rival: float | None = None  # of medians, ours to the rival's
    added: float | None = None  # seconds, from our median to that of a tenant's builds
    cpu: float | None = None  # seconds a build, of the function's process
    core: float | None = None  # that process's share of one core while the build runs
    faults: int | None = None  # page faults a build
    value: float | None = None  # of a property of the process, in its own unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """Seconds from the first byte of the request to the last byte of the answer.

    For buildctl, of the whole process.
    """

    name: str
    title: str
    context: Callable[[ContextSource], Context]
    pushed: bool
    fresh: bool  # each build has something new; otherwise every step must come from the cache
    goals: Goals
    rounds: int = SMALL_ROUNDS
    warm_up_rounds: int = WARM_UP_ROUNDS
    callers: int = 1  # they build at the same time
    builds: int = 1  # of each caller, one after the other
    large: bool = False  # pruned before and after each turn
    lines: int = 0  # that a step prints, all of which must be in the log; asked for as a stream
    of_tenant: bool = False  # ours alone, without tenants and asked by one

    @property
    def builds_of_a_turn(self) -> int:
        return self.callers * self.builds

    @property
    def contenders(self) -> Sequence[str]:
        """The contenders that can take part."""
        if self.of_tenant:
            return (OURS, TENANT)
        if self.builds > 1:  # buildctl's folder holds one context at a time
            return (OURS, RIVAL, BARE)
        if self.lines:  # the step takes its time for every contender
            return CONTENDERS
        return (*CONTENDERS, BARE)


TIMED: Sequence[Timed] = (
    Timed(
        name="warm",
        title="warm: sample function, all cached, pushed",
        context=ContextSource.unchanged,
        pushed=True,
        fresh=False,
        goals=Goals(ratio=0.60, cpu=0.015),
    ),
    Timed(
        name="tenant",
        title="the same, without tenants and of one with limits",
        context=ContextSource.unchanged,
        pushed=True,
        fresh=False,
        goals=Goals(added=0.003),
        rounds=40,  # of so little the median takes more of them
        of_tenant=True,
    ),
    Timed(
        name="change",
        title="one file changed, one RUN, pushed",
        context=ContextSource.one_change,
        pushed=True,
        fresh=True,
        goals=Goals(ratio=0.80, to_rival=0.90, cpu=0.020),
    ),
    Timed(
        name="small-files",
        title="5,000 new small files, not pushed",
        context=ContextSource.small_files,
        pushed=False,
        fresh=True,
        goals=Goals(ratio=0.85, cpu=0.090),
        rounds=LARGE_ROUNDS,
        warm_up_rounds=1,
        large=True,
    ),
    Timed(
        name="large-file",
        title="one new 200 MiB file, not pushed",
        context=ContextSource.large_file,
        pushed=False,
        fresh=True,
        goals=Goals(ratio=0.85, cpu=0.7, faults=5_000),
        rounds=LARGE_ROUNDS,
        warm_up_rounds=1,
        large=True,
    ),
    Timed(
        name="concurrent",
        title="8 at once, each with one change, pushed",
        context=ContextSource.one_change,
        pushed=True,
        fresh=True,
        goals=Goals(ratio=0.75),
        rounds=8,
        warm_up_rounds=1,
        callers=8,
    ),
    Timed(
        name="throughput",
        title="16 callers, each 20 builds of one change, pushed",
        context=ContextSource.one_change,
        pushed=True,
        fresh=True,
        goals=Goals(to_rival=1 / 1.2),
        rounds=1,
        warm_up_rounds=0,
        callers=16,
        builds=20,
    ),
    Timed(
        name="log",
        title="1,000 lines of log a second for 10 s, streamed",
        context=ContextSource.talkative,
        pushed=False,
        fresh=True,
        goals=Goals(core=0.10),
        rounds=1,
        warm_up_rounds=0,
        lines=LOGGED_LINES_PER_SECOND * LOGGED_SECONDS,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """A property of the function's process: seconds or bytes, with a limit of its own."""

    name: str
    title: str
    unit: str  # "s" or "MiB"
    goals: Goals = Goals()


PEAK = Footprint(
    name="peak",
    title="peak memory over idle and body, 200 MiB body",
    unit="MiB",
    goals=Goals(value=7.3),
)
READY = Footprint(name="ready", title="start to ready", unit="s", goals=Goals(value=0.35))
IDLE = Footprint(name="idle", title="idle memory", unit="MiB", goals=Goals(value=58))
SETTLED = Footprint(name="settled", title="idle memory after a build", unit="MiB")

FOOTPRINTS: Sequence[Footprint] = (READY, IDLE, SETTLED, PEAK)

NAMES: Sequence[str] = (
    *(scenario.name for scenario in TIMED),
    *(footprint.name for footprint in FOOTPRINTS),
    "daemons",  # several_daemons.py
)
