"""Pure. Tells how a build ended, in as few lines as say it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ..text import duration, printable
from .steps import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..answer import FailedStep, Result, Warned
    from .steps import Step, Steps
    from .style import Style

_AROUND: Final = 2  # lines of the Dockerfile shown before and after the failing one
_OF_THE_BUILD: Final = "The build "
_TIMED_OUT: Final = "build_timed_out"
# What 128 and a signal's number mean to users that have not sent it (signal(7)).
_KILLED_BY: Final = {
    134: "aborted by the program itself",
    137: "killed, perhaps out of memory",
    139: "a segmentation fault",
    143: "kept to end",
}
# The words of `error` that the fields of `failedStep` and the step's output say again (builder-fn,
# buildkit/failure): where it failed, what the shell said of it, and the heading of the output.
_WHERE = re.compile(r".*? failed(?: \([^()]*\))?(?:: |$)")
_EXIT = re.compile(
    r"(?:buildkitd said: )?process \".*\" did not complete successfully: exit code: \d+"
)
_OUTPUT_BELOW: Final = "The step's last output:"


def success(result: Result, steps: Steps, *, pushed: bool, style: Style) -> list[str]:
    """Say what was built, how long it took, and under which digest it can be had."""
    mark = style.palette.green(style.marks[State.DONE])
    what = "built and pushed" if pushed else "built, not pushed"
    time = "" if result.seconds is None else f" in {duration(result.seconds)}"
    image = style.palette.bold(printable(result.image))
    lines = [f" {mark} {image} {what}{time}{_cached(result, steps)}"]
    if result.digest:
        lines.append(style.palette.dim(f"   {printable(result.digest)}"))
    width = max((len(platform) for platform, _ in result.manifests), default=0)
    for platform, digest in result.manifests:
        shown = f"     {printable(platform):{width}}  {printable(digest)}"
        lines.append(style.palette.dim(shown))
    return [*lines, *_warnings(result, steps, style)]


def failure(result: Result, steps: Steps, *, dockerfile: str, style: Style) -> list[str]:
    """Say what failed, where, why and what to do; *dockerfile* is the text of the file for quoting."""
    lines = _failure(result, steps, dockerfile=dockerfile, style=style)
    return [*lines, *_warnings(result, steps, style)]


def _failure(result: Result, steps: Steps, *, dockerfile: str, style: Style) -> list[str]:
    mark = style.palette.red(style.marks[State.FAILED])
    bar = style.palette.dim("   |")
    cause = [printable(line) for line in result.error.splitlines() if line.strip()]
    step = result.failed_step
    if step is None or not step.name:
        first, *rest = cause or ["the builder does not say why."]
        # "The build failed: …" and "The build took longer …" say so themselves.
        said = first if first.startswith(_OF_THE_BUILD) else f"The build failed: {first}"
        lines = [f" {mark} {said}", *(f"   {line}" for line in rest)]
        return lines + (_stopped(steps, bar) if result.reason == _TIMED_OUT else [])
    lines = [f" {mark} {style.palette.bold(printable(step.name))} failed{_exit(step)}"]
    lines += [*_place(step), *_excerpt(step, dockerfile, style)]
    output = [printable(line) for line in step.output] or _said_by(step, steps)
    lines += [f"{bar} {line}" for line in output]
    return lines + [f"   {line}" for line in _advice(cause, step, output)]


def _cached(result: Result, steps: Steps) -> str:
    """Count as the builder does; by the log, and by the same rule, where it has not."""
    cached, counted = result.cached_steps, result.counted_steps
    if cached is None:
        # BuildKit tells of some steps twice: as an earlier build had them, then as this one has.
        ours = {step.name: step.state for step in steps if step.counted}
        cached, counted = sum(state is State.CACHED for state in ours.values()), len(ours)
    if not cached:
        return ""
    if counted is None or counted < cached:
        return f", {cached} {'step' if cached == 1 else 'steps'} cached"
    return f", {cached} of {counted} steps cached"


def _exit(step: FailedStep) -> str:
    if step.exit_code is None:
        return ""
    meaning = _KILLED_BY.get(step.exit_code)
    return f" with exit code {step.exit_code}" + (f" ({meaning})" if meaning else "")


def _advice(cause: list[str], step: FailedStep, output: Sequence[str]) -> list[str]:
    """Keep of the builder's words those that are not shown already."""
    kept = cause
    if _OUTPUT_BELOW in cause:
        at = cause.index(_OUTPUT_BELOW)
        kept = cause[:at] + [
            line for line in cause[at + 1 :] if line.strip() not in _stripped(output)
        ]
    if kept:
        name = printable(step.name)
        begins = _WHERE.match(kept[0].removeprefix(name))
        if kept[0].startswith(name) and begins:
            kept = [kept[0].removeprefix(name)[begins.end() :], *kept[1:]]
    if step.exit_code is not None:
        kept = [line for line in kept if not _EXIT.fullmatch(line)]
    return [line for line in kept if line]


def _stripped(lines: Sequence[str]) -> set[str]:
    return {line.strip() for line in lines}


def _stopped(steps: Steps, bar: str) -> list[str]:
    """Name the steps that ran when the time was up, with their last output."""
    lines = []
    for step in steps:
        if step.name and not step.internal and step.state in {State.RUNNING, State.CANCELED}:
            lines.append(f"   It was running {step.name}")
            lines += [f"{bar} {line}" for line in step.output]
    return lines


def _warnings(result: Result, steps: Steps, style: Style) -> list[str]:
    """Repeat what the log warned of, as it may have scrolled away long ago."""
    warned = [line for each in result.warnings for line in _warning(each)]
    warned = warned or [f"Warning: {printable(text)}" for text in dict.fromkeys(steps.warnings)]
    if result.warnings_omitted:
        warned.append(f"... and {result.warnings_omitted} more warnings, in the log.")
    return [style.palette.yellow(f"   {line}") for line in warned]


def _warning(warned: Warned) -> list[str]:
    place = f"{warned.file}:{warned.line}" if warned.line is not None else warned.file
    where = f" ({printable(place)})" if place else ""
    more = [printable(line) for line in (*warned.detail.splitlines(), warned.url) if line.strip()]
    return [f"Warning: {printable(warned.message)}{where}", *(f"  {line}" for line in more)]


def _place(step: FailedStep) -> list[str]:
    if not step.file:
        return []
    return [f"   {printable(step.file)}" + ("" if step.line is None else f":{step.line}")]


def _excerpt(step: FailedStep, dockerfile: str, style: Style) -> list[str]:
    source = dockerfile.splitlines()
    if step.line is None or not 1 <= step.line <= len(source):
        return []
    first, last = max(step.line - _AROUND, 1), min(step.line + _AROUND, len(source))
    digits = len(str(last))
    lines = []
    for number in range(first, last + 1):
        text = f"{number:{digits}} | {printable(source[number - 1])}"
        if number == step.line:
            lines.append(f"   {style.palette.red('>')} {text}")
        else:
            lines.append(style.palette.dim(f"     {text}"))
    return lines


def _said_by(failed: FailedStep, steps: Steps) -> list[str]:
    return next((list(step.output) for step in steps if _is(step, failed)), [])


def _is(step: Step, failed: FailedStep) -> bool:
    return step.state is State.FAILED and step.name == printable(failed.name)
