"""Pure. Figures as a table for people and as a document for programs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from .figures import Summary
from .scenarios import Footprint, Timed

OURS = "ours"
BUILDCTL = "buildctl"
RIVAL = "rival"
CONTENDERS = (BUILDCTL, OURS, RIVAL)


@dataclass(frozen=True, slots=True)
class Result:
    scenario: Timed | Footprint
    figures: Mapping[str, Summary]  # by contender

    def ratio(self, contender: str) -> float | None:
        """The contender's median to buildctl's; None for what buildctl cannot do, or did not."""
        if contender not in self.figures or BUILDCTL not in self.figures:
            return None
        return self.figures[contender].median / self.figures[BUILDCTL].median

    @property
    def met(self) -> bool | None:
        """Whether ours reached the goal; None without a goal, or without a figure for it."""
        reached = self._reached
        return (
            None if reached is None or self.scenario.goal is None else reached <= self.scenario.goal
        )

    @property
    def _reached(self) -> float | None:
        if isinstance(self.scenario, Timed):
            return self.ratio(OURS)
        return self.figures[OURS].median if OURS in self.figures else None


def table(results: Sequence[Result]) -> str:
    """Markdown whose columns are also aligned in plain text."""
    header = [
        "scenario",
        *(f"{name}" for name in CONTENDERS),
        "ours : buildctl",
        "rival : buildctl",
    ]
    header += ["goal", ""]
    rows = [header, *(_row(result) for result in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    lines = [_line(row, widths) for row in rows]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def document(results: Sequence[Result], conditions: Mapping[str, object]) -> dict[str, object]:
    """Everything measured, run by run, ready for JSON. Times in seconds, memory in MiB."""
    return {
        "conditions": dict(conditions),
        "scenarios": {
            result.scenario.name: {
                "title": result.scenario.title,
                "unit": _unit(result.scenario),
                "figures": {name: asdict(each) for name, each in result.figures.items()},
                "ratio_to_buildctl": {
                    name: result.ratio(name) for name in result.figures if name != BUILDCTL
                },
                "goal": result.scenario.goal,
                "met": result.met,
            }
            for result in results
        },
    }


def _row(result: Result) -> list[str]:
    figures = [_figure(result, name) for name in CONTENDERS]
    ratios = [_ratio(result, name) for name in (OURS, RIVAL)]
    return [result.scenario.title, *figures, *ratios, _goal(result.scenario), _verdict(result.met)]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return "| " + " | ".join(padded) + " |"


def _figure(result: Result, contender: str) -> str:
    """Median, then minimum and maximum."""
    if contender not in result.figures:
        return ""
    summary = result.figures[contender]
    if _unit(result.scenario) == "MiB":
        return f"{summary.median:.1f} ({summary.minimum:.1f} to {summary.maximum:.1f}) MiB"
    shown = [f"{1000 * each:,.0f}" for each in (summary.median, summary.minimum, summary.maximum)]
    return f"{shown[0]} ({shown[1]} to {shown[2]}) ms"


def _ratio(result: Result, contender: str) -> str:
    ratio = result.ratio(contender) if isinstance(result.scenario, Timed) else None
    return "" if ratio is None else f"{ratio:.2f}"


def _goal(scenario: Timed | Footprint) -> str:
    if scenario.goal is None:
        return ""
    if isinstance(scenario, Timed):
        return f"≤ {scenario.goal:.2f}"
    return f"≤ {scenario.goal:g} {scenario.unit}"


def _verdict(met: bool | None) -> str:
    return {None: "", True: "met", False: "missed"}[met]


def _unit(scenario: Timed | Footprint) -> str:
    return "s" if isinstance(scenario, Timed) else scenario.unit
