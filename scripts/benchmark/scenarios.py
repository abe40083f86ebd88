"""Pure. What is measured, and what the function is meant to reach."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .contexts import Context, ContextSource

SMALL_ROUNDS = 15
LARGE_ROUNDS = 5

MIB = 1 << 20


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
    goal: float  # ratio of medians, ours to buildctl's
    at_once: int = 1
    large: bool = False

    @property
    def rounds(self) -> int:
        return LARGE_ROUNDS if self.large else SMALL_ROUNDS


TIMED: Sequence[Timed] = (
    Timed(
        name="warm",
        title="warm: sample function, all cached, pushed",
        context=ContextSource.unchanged,
        pushed=True,
        fresh=False,
        goal=0.60,
    ),
    Timed(
        name="change",
        title="one file changed, one RUN, pushed",
        context=ContextSource.one_change,
        pushed=True,
        fresh=True,
        goal=0.75,
    ),
    Timed(
        name="small-files",
        title="5,000 new small files, not pushed",
        context=ContextSource.small_files,
        pushed=False,
        fresh=True,
        large=True,
        goal=0.95,
    ),
    Timed(
        name="large-file",
        title="one new 200 MiB file, not pushed",
        context=ContextSource.large_file,
        pushed=False,
        fresh=True,
        large=True,
        goal=0.75,
    ),
    Timed(
        name="concurrent",
        title="8 at once, each with one change, pushed",
        context=ContextSource.one_change,
        pushed=True,
        fresh=True,
        at_once=8,
        goal=0.80,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """A property of the function's process: seconds or bytes, with a limit of its own."""

    name: str
    title: str
    unit: str  # "s" or "MiB"
    goal: float | None  # in the unit
    rounds: int


PEAK = Footprint(
    name="peak",
    title="peak memory over idle and body, 200 MiB body",
    unit="MiB",
    goal=24,
    rounds=LARGE_ROUNDS,
)
READY = Footprint(name="ready", title="start to ready", unit="s", goal=0.5, rounds=SMALL_ROUNDS)
IDLE = Footprint(name="idle", title="idle memory", unit="MiB", goal=60, rounds=SMALL_ROUNDS)
SETTLED = Footprint(
    name="settled",
    title="idle memory after a build",
    unit="MiB",
    goal=None,
    rounds=LARGE_ROUNDS,
)
FOOTPRINTS: Sequence[Footprint] = (PEAK, READY, IDLE, SETTLED)

NAMES: Sequence[str] = (
    *(scenario.name for scenario in TIMED),
    *(footprint.name for footprint in FOOTPRINTS),
)
