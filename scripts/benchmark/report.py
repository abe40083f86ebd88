"""Pure. Figures as a table for people and as a document for programs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from .figures import Figures, Floor, Summary
from .scenarios import BUILDCTL, CONTENDERS, OURS, RIVAL, TENANT, Footprint, Timed

_COLUMNS = (
    "scenario",
    *CONTENDERS,
    "ours : buildctl",
    "rival : buildctl",
    "floor : buildctl",  # by Status, and by a bare client
    f"CPU a build ({', '.join(CONTENDERS)})",
    f"page faults a build ({', '.join(CONTENDERS)})",
    "goal",
    "",
)


@dataclass(frozen=True, slots=True)
class Result:
    scenario: Timed | Footprint
    figures: Mapping[str, Figures]  # by contender
    floor: Floor | None = None

    def ratio(self, contender: str, to: str = BUILDCTL) -> float | None:
        """Return the contender's median to another's; None where one of them did not take part."""
        if contender not in self.figures or to not in self.figures:
            return None
        return self.figures[contender].value.median / self.figures[to].value.median

    @property
    def floors(self) -> tuple[float, float] | None:
        """The daemon's own share and a bare client's, to buildctl's median."""
        if self.floor is None or BUILDCTL not in self.figures:
            return None
        whole = self.figures[BUILDCTL].value.median
        return self.floor.daemon.median / whole, self.floor.client.median / whole

    @property
    def added(self) -> float | None:
        """Return the seconds from our median to that of a tenant's builds."""
        if OURS not in self.figures or TENANT not in self.figures:
            return None
        return self.figures[TENANT].value.median - self.figures[OURS].value.median

    def core(self, contender: str) -> float | None:
        """Return the share of one core that the contender's process took."""
        figures = self.figures.get(contender)
        if figures is None or figures.cpu is None:
            return None
        return figures.cpu.median / figures.value.median

    @property
    def met(self) -> Mapping[str, bool]:
        """The goals, each with True if ours reached it; none without a figure for it."""
        return {
            subject: reached <= limit
            for subject, limit, reached in self._goals()
            if limit is not None and reached is not None
        }

    def _goals(self) -> Iterator[tuple[str, float | None, float | None]]:
        goals, ours = self.scenario.goals, self.figures.get(OURS)
        yield "ratio", goals.ratio, self.ratio(OURS)
        yield "to the rival", goals.to_rival, self.ratio(OURS, RIVAL)
        yield "added", goals.added, self.added
        yield "CPU", goals.cpu, _median(ours.cpu if ours else None)
        yield "share of a core", goals.core, self.core(OURS)
        yield "page faults", goals.faults, _median(ours.faults if ours else None)
        yield "value", goals.value, _median(ours.value if ours else None)


def table(results: Sequence[Result]) -> str:
    """Return a Markdown table whose columns are also aligned in plain text."""
    rows = [_COLUMNS, *(_row(result) for result in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    lines = [_line(row, widths) for row in rows]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def document(results: Sequence[Result], conditions: Mapping[str, object]) -> dict[str, object]:
    """Return everything measured, run by run, ready for JSON. Times in seconds, memory in MiB."""
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
                "ratio_to_rival": result.ratio(OURS, RIVAL),
                "floor": asdict(result.floor) if result.floor else None,
                "goals": asdict(result.scenario.goals),
                "met": dict(result.met),
            }
            for result in results
        },
    }


def _row(result: Result) -> Sequence[str]:
    return (
        result.scenario.title,
        *(_figure(result, name) + _added(result, name) for name in CONTENDERS),
        *(_ratio(result, name) for name in (OURS, RIVAL)),
        _floor(result),
        _each(result, _core if _is_about_a_core(result) else _cpu),
        _each(result, _faults),
        _goal(result.scenario),
        _verdict(result.met),
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return "| " + " | ".join(padded) + " |"


def _figure(result: Result, contender: str) -> str:
    """Return the median, then minimum and maximum if there are any others."""
    if contender not in result.figures:
        return ""
    value = result.figures[contender].value
    scenario = result.scenario
    if _unit(scenario) == "MiB":
        return _spread(value, lambda each: f"{each:.1f}", "MiB")
    if isinstance(scenario, Timed) and scenario.builds > 1:
        return _spread(value, lambda each: f"{scenario.builds_of_a_turn / each:.1f}", "builds/s")
    return _spread(value, lambda each: f"{1000 * each:,.0f}", "ms")


def _added(result: Result, contender: str) -> str:
    if result.added is None or contender != OURS:
        return ""
    return f"; {1000 * result.added:+.1f} ms for a tenant"


def _spread(value: Summary, shown: Callable[[float], str], unit: str) -> str:
    if len(value.runs) == 1:
        return f"{shown(value.median)} {unit}"
    return f"{shown(value.median)} ({shown(value.minimum)} to {shown(value.maximum)}) {unit}"


def _ratio(result: Result, contender: str) -> str:
    ratio = result.ratio(contender) if isinstance(result.scenario, Timed) else None
    return "" if ratio is None else f"{ratio:.2f}"


def _floor(result: Result) -> str:
    scenario = result.scenario
    if result.floor and isinstance(scenario, Timed) and scenario.builds > 1:
        return f"{scenario.builds_of_a_turn / result.floor.client.median:.1f} builds/s"
    return " / ".join(f"{each:.2f}" for each in result.floors or ())


def _each(result: Result, shown: Callable[[Result, str], str]) -> str:
    """Return a cell of all contenders' figures."""
    cells = [shown(result, name) for name in CONTENDERS]
    return " / ".join(cell or "-" for cell in cells) if any(cells) else ""


def _is_about_a_core(result: Result) -> bool:
    return result.scenario.goals.core is not None


def _core(result: Result, contender: str) -> str:
    share = result.core(contender)
    return "" if share is None else f"{share:.1%} of a core"


def _cpu(result: Result, contender: str) -> str:
    figures = result.figures.get(contender)
    return f"{1000 * figures.cpu.median:,.0f} ms" if figures and figures.cpu else ""


def _faults(result: Result, contender: str) -> str:
    figures = result.figures.get(contender)
    return f"{figures.faults.median:,.0f}" if figures and figures.faults else ""


def _goal(scenario: Timed | Footprint) -> str:
    goals = scenario.goals
    limits = {
        "≤ {:.2f}": goals.ratio,
        "≤ {:.2f} of the rival": goals.to_rival,
        "≤ {:.0f} ms more": goals.added and 1000 * goals.added,
        "CPU ≤ {:.0f} ms": goals.cpu and 1000 * goals.cpu,
        "≤ {:.0%} of a core": goals.core,
        "≤ {:,} faults": goals.faults,
        f"≤ {{:g}} {_unit(scenario)}": goals.value,
    }
    return ", ".join(text.format(limit) for text, limit in limits.items() if limit is not None)


def _verdict(met: Mapping[str, bool]) -> str:
    if missed := [subject for subject, reached in met.items() if not reached]:
        return "missed" if len(met) == 1 else f"missed: {', '.join(missed)}"
    return "met" if met else ""


def _unit(scenario: Timed | Footprint) -> str:
    return "s" if isinstance(scenario, Timed) else scenario.unit


def _median(summary: Summary | None) -> float | None:
    return None if summary is None else summary.median
