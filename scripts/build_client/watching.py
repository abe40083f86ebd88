"""Terminal I/O. Shows a build while it lasts, and how it ended."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Final, TypeVar

from . import answer
from .display import summary, terminal
from .errors import StreamBrokenError
from .protocol import conversation
from .text import size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .display.steps import Steps
    from .display.terminal import View
    from .protocol.transport import Request

_T = TypeVar("_T")

_FRAME: Final = 0.1  # seconds between two frames on a terminal


def watch(
    request: Request,
    steps: Steps,
    view: View,
    read: Callable[[Mapping[str, object]], _T | None],
    *,
    skip: int = 0,
) -> _T:
    """What *read* makes of the first document that it makes something of.

    The first *skip* lines of the log have been shown before. Raises StreamBrokenError if there is no
    such document, and what `conversation.converse` raises.
    """
    total = len(request.body)
    try:
        for happening in conversation.converse(request, tick=_FRAME):
            match happening:
                case conversation.Sent(count) if count < total:
                    view.busy(f"sending {size(count)} of {size(total)}")
                case conversation.Sent():
                    view.busy("waiting for the builder")
                case conversation.AskedToWait(seconds, reason):
                    view.say(f"The builder asks to try again in {seconds:.0f}s. {reason}".rstrip())
                    view.busy(f"trying again after {seconds:.0f}s")
                case conversation.Answered(document):
                    lines = answer.log_lines(document)
                    skip, lines = max(0, skip - len(lines)), lines[skip:]
                    for line in lines:
                        view.line(line, steps.feed(line, time.monotonic()))
                    if (found := read(document)) is not None:
                        return found
                case conversation.Tick():
                    pass
            view.tick(steps.running, time.monotonic())
    finally:
        view.close()
    raise StreamBrokenError(
        "The builder's answer ended without a verdict, so what became of the build is unknown:"
        " build again."
    )


def conclude(  # noqa: PLR0913 - keywords
    result: answer.Result,
    steps: Steps,
    environ: Mapping[str, str],
    *,
    pushed: bool,
    as_json: bool,
    dockerfile: str = "",
) -> int:
    """The exit code. *dockerfile* is the text of the file that the failed step names."""
    if as_json:
        print(json.dumps(result.document, ensure_ascii=False))
    if result.succeeded:
        log = sys.stderr if as_json else sys.stdout
        style = terminal.Style.of(log, environ)
        print("\n".join(summary.success(result, steps, pushed=pushed, style=style)), file=log)
        return 0
    style = terminal.Style.of(sys.stderr, environ)
    lines = summary.failure(result, steps, dockerfile=dockerfile, style=style)
    print("\n".join(lines), file=sys.stderr)
    return 1
