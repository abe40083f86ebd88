"""Pure. The few numbers that stand for many runs."""

import statistics
from collections.abc import Sequence
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
        """Raises ValueError when nothing was measured."""
        if not runs:
            raise ValueError("a summary needs at least one run")
        return cls(
            median=statistics.median(runs),
            minimum=min(runs),
            maximum=max(runs),
            runs=tuple(runs),
        )


def turns(contenders: Sequence[str], round_number: int) -> list[str]:
    """The order in one round. Over the rounds everyone goes first, and follows the others, alike.

    Rotated, and every other time around reversed: with rotation alone each would always follow the
    same one, and pay for what that one leaves behind.
    """
    if not contenders:
        return []
    laps, start = divmod(round_number, len(contenders))
    order = [*contenders[start:], *contenders[:start]]
    return order[::-1] if laps % 2 else order
