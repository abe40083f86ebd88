"""Pure. The few numbers that stand for many runs."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    median: float
    minimum: float
    maximum: float
    runs: tuple[float, ...]  # in the order in which they were measured

    @classmethod
    def of(cls, runs: Sequence[float]) -> Self:
        """Sum up *runs*. Raises ValueError when nothing was measured."""
        if not runs:
            raise ValueError("a summary needs at least one run")
        return cls(
            median=statistics.median(runs),
            minimum=min(runs),
            maximum=max(runs),
            runs=tuple(runs),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The figures of one contender for one scenario."""

    value: Summary  # seconds a turn; of a property of a process, in its unit
    cpu: Summary | None = None  # seconds a build, user and system
    faults: Summary | None = None  # page faults a build


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """The least that a turn can take, in seconds."""

    daemon: Summary  # what the daemon worked, as its Status tells
    client: Summary  # as a client that does nothing else saw it


@dataclass(frozen=True, slots=True)
class Span:
    """In Unix seconds."""

    began: float
    ended: float


def covering(spans: Iterable[Span]) -> float:
    """Return the seconds from the first beginning to the last end; *spans* is not empty."""
    found = list(spans)
    return max(each.ended for each in found) - min(each.began for each in found)


def turns(contenders: Sequence[str], round_number: int) -> list[str]:
    """Return the order in one round. Over the rounds everyone goes first, and follows the others, alike.

    Rotated, and every other time around reversed: with rotation alone each would always follow the
    same one, and pay for what that one leaves behind.
    """
    if not contenders:
        return []
    laps, start = divmod(round_number, len(contenders))
    order = [*contenders[start:], *contenders[:start]]
    return order[::-1] if laps % 2 else order
