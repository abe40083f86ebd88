"""Terminal I/O. Shows a call while it lasts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, TypeVar

from . import answer
from .display.steps import BEGUN_AGAIN
from .errors import StreamBrokenError
from .protocol import conversation
from .text import size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .display import Steps, View
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
    """Return what *read* makes of the first document that it makes something of.

    The first *skip* lines of the log have been shown before. Raises StreamBrokenError, with the build's id
    as far as it was told, if there is no such document, and what `conversation.converse` raises.
    """
    total = len(request.body)
    build_id = ""
    try:
        for happening in conversation.converse(request, tick=_FRAME):
            match happening:
                case conversation.Sent(count) if count < total:
                    view.busy(f"sending {size(count)} of {size(total)}")
                case conversation.Sent():
                    view.busy("waiting for the builder")
                case conversation.Waiting(seconds, sentence):
                    view.say(sentence)
                    view.busy(f"trying again after {seconds:.0f}s")
                case conversation.Answered(document):
                    build_id = answer.build_id(document) or build_id
                    skip = _show(document, steps, view, skip)
                    if (found := read(document)) is not None:
                        return found
                case conversation.Tick():
                    pass
            view.tick(steps, time.monotonic())
    except StreamBrokenError as exc:
        exc.build_id = build_id or exc.build_id
        raise
    finally:
        view.close()
    raise StreamBrokenError("The builder's answer ended without a verdict.", build_id)


def _show(document: Mapping[str, object], steps: Steps, view: View, skip: int) -> int:
    """Show what is new in *document*; return how many lines are still to be skipped."""
    lines = answer.log_lines(document)
    if BEGUN_AGAIN in lines[:skip]:  # what follows is another log, of which nothing was shown
        skip = lines.index(BEGUN_AGAIN)
        left = 0
    else:
        left = max(0, skip - len(lines))
    new = lines[skip:]
    if len(new) == len(lines):
        view.document(document)
    elif new:
        view.document({**document, "log": new})
    for line in new:
        view.line(line, steps.feed(line, time.monotonic()))
    return left
