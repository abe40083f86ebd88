"""Pure. Steps in a build's plain log: which ran, and which came from the cache."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import dropwhile

# "#7 [build 2/3] COPY . ." names vertex 7, perhaps again later; "#7 CACHED" ends it.
_NAMED = re.compile(r"#(\d+) \[(?:[^\]]* )?\d+/\d+\] (.+)")
_CACHED = re.compile(r"#(\d+) CACHED")
# "#7 3.412 line 3412: ..." is what a step printed, behind when it did.
_PRINTED = re.compile(r"#\d+ [0-9.]+ line (\d+):")


@dataclass(frozen=True, slots=True)
class Step:
    instruction: str
    cached: bool


def steps(lines: Iterable[str]) -> Sequence[Step]:
    """Return the Dockerfile's steps in the log's order, without FROM, which has nothing to run."""
    instructions: dict[str, str] = {}
    cached = set()
    for line in lines:
        if named := _NAMED.fullmatch(line):
            instructions.setdefault(named[1], named[2])
        elif found := _CACHED.fullmatch(line):
            cached.add(found[1])
    return [
        Step(instruction, number in cached)
        for number, instruction in instructions.items()
        if not instruction.startswith("FROM ")
    ]


def unexpected(steps: Sequence[Step], *, fresh: bool) -> Sequence[Step]:
    """Return the steps that were cached though the content is new, or the other way round.

    New content is first seen by the first COPY: everything from there on must run.
    """
    if not fresh:
        return [step for step in steps if not step.cached]
    affected = dropwhile(lambda step: not step.instruction.startswith("COPY "), steps)
    return [step for step in affected if step.cached]


def missing(lines: Iterable[str], count: int) -> Sequence[int]:
    """Return those of the numbers from 1 to *count* that no step has printed a line of."""
    printed = {int(found[1]) for line in lines if (found := _PRINTED.match(line))}
    return [number for number in range(1, count + 1) if number not in printed]
