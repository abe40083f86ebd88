"""Pure. How a build ended, in as few lines as say it."""

from __future__ import annotations

from time import localtime, strftime
from typing import TYPE_CHECKING, Final

from ..text import duration, printable
from .steps import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..answer import BuildStatus, FailedStep, Result
    from .steps import Step, Steps
    from .terminal import Style

_AROUND: Final = 2  # lines of the Dockerfile shown before and after the failing one


def success(result: Result, steps: Steps, *, pushed: bool, style: Style) -> list[str]:
    mark = style.palette.green(style.marks[State.DONE])
    what = "built and pushed" if pushed else "built, not pushed"
    time = "" if result.seconds is None else f" in {duration(result.seconds)}"
    # BuildKit tells of some steps twice: as an earlier build had them, then as this one has.
    ours = {step.name: step.state for step in steps if not step.internal}
    cached = sum(state is State.CACHED for state in ours.values())
    share = f", {cached} of {len(ours)} steps cached" if cached else ""
    lines = [f" {mark} {style.palette.bold(printable(result.image))} {what}{time}{share}"]
    if result.digest:
        lines.append(style.palette.dim(f"   {printable(result.digest)}"))
    return lines


def failure(result: Result, steps: Steps, *, dockerfile: str, style: Style) -> list[str]:
    """*dockerfile* is the text of the file that the failed step names, for quoting."""
    mark = style.palette.red(style.marks[State.FAILED])
    step = result.failed_step
    cause = [printable(line) for line in result.error.splitlines() if line.strip()]
    if step is None or not step.name:
        return [
            f" {mark} The build failed: {cause[0] if cause else 'the builder does not say why.'}"
        ] + [f"   {line}" for line in cause[1:]]
    exit_code = "" if step.exit_code is None else f" with exit code {step.exit_code}"
    lines = [f" {mark} {style.palette.bold(printable(step.name))} failed{exit_code}", *_place(step)]
    lines += _excerpt(step, dockerfile, style)
    # `error` repeats step, line and output for readers without fields: needed only without output.
    output = [printable(line) for line in step.output] or _said_by(step, steps)
    return lines + [style.palette.dim("   |") + f" {line}" for line in output or cause]


def detached(build_id: str, style: Style) -> list[str]:
    mark = style.palette.green(style.marks[State.DONE])
    bold = style.palette.bold(printable(build_id))
    return [f" {mark} The build goes on by itself: {bold}", *_ways_on(build_id)]


def queued(call_id: str, build_id: str, callback_url: str, style: Style) -> list[str]:
    mark = style.palette.green(style.marks[State.DONE])
    call_id = style.palette.bold(printable(call_id))
    lines = [f" {mark} Queued as call {call_id}"]
    if callback_url:
        lines.append(f"   The result will be posted to {callback_url}")
    return [*lines, "   Once the queue has delivered it:", *_ways_on(build_id)]


def _ways_on(build_id: str) -> list[str]:
    asked = (f"logs {build_id} --follow", f"result {build_id}", f"cancel {build_id}")
    return [f"   build.py {printable(each)}" for each in asked]


def statuses(builds: Sequence[BuildStatus], style: Style) -> list[str]:
    """A line a build, then why it failed."""
    lines = []
    for build in builds:
        created = "" if build.created is None else strftime("%F %T", localtime(build.created))
        seconds = "" if build.seconds is None else duration(build.seconds)
        cause = printable(build.error.partition("\n")[0])
        lines.append(
            f"{printable(build.build_id):32}  {_state(build, style)}  {created:19}  {seconds:>6}"
            f"  {printable(build.image)}".rstrip()
        )
        lines += [style.palette.dim(f"   {cause}")] if cause else []
    return lines


def _state(build: BuildStatus, style: Style) -> str:
    state = f"{printable(build.state):11}"
    if build.unsuccessful:
        return style.palette.red(state)
    return style.palette.green(state) if build.state == "success" else style.palette.yellow(state)


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
