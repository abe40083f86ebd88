"""Pure. Shows builds that are told of from afar, and how to ask about them."""

from __future__ import annotations

import shlex
from time import localtime, strftime
from typing import TYPE_CHECKING

from ..text import duration, printable
from .steps import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..answer import BuildStatus
    from .style import Style


def ask_again(operation: str, build_id: str, given: Sequence[str], *, follow: bool = False) -> str:
    """Write the command that asks about a build; *given* says where, as it was on our own command line."""
    words = ["build.py", operation, build_id, *(["--follow"] if follow else []), *given]
    return printable(shlex.join(words))


def ways_on(build_id: str, given: Sequence[str]) -> list[str]:
    """Write a line for each thing there is to ask about a build that goes on."""
    asked = (("logs", True), ("result", False), ("cancel", False))
    return [f"   {ask_again(name, build_id, given, follow=follow)}" for name, follow in asked]


def detached(build_id: str, given: Sequence[str], style: Style) -> list[str]:
    """Say that a build was left to the builder."""
    mark = style.palette.green(style.marks[State.DONE])
    bold = style.palette.bold(printable(build_id))
    return [f" {mark} The build goes on by itself: {bold}", *ways_on(build_id, given)]


def queued(
    call_id: str, build_id: str, callback_url: str, given: Sequence[str], style: Style
) -> list[str]:
    """Say that a call was left in the queue, and which build it will be."""
    mark = style.palette.green(style.marks[State.DONE])
    call_id = style.palette.bold(printable(call_id))
    lines = [f" {mark} Queued as call {call_id}"]
    if callback_url:
        lines.append(f"   The result will be posted to {printable(callback_url)}")
    return [*lines, "   Once the queue has delivered it:", *ways_on(build_id, given)]


def statuses(builds: Sequence[BuildStatus], style: Style) -> list[str]:
    """Write a line a build, then why it failed."""
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
