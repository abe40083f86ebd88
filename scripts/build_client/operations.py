"""Asks a builder about builds that go on by themselves, or have ended, and shows what it says."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from . import answer
from .concluding import Wanted, conclude
from .display import Steps, Style, build_list, view
from .errors import RefusedError, StreamBrokenError
from .following import follow
from .protocol import question, transport
from .secrets import files
from .text import to_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .command_line import Question


def ask(asked: Question, environ: Mapping[str, str]) -> int:
    """Ask, show the answer, and return the exit code."""
    secret = files.payload_secret(asked.builder.secret)
    if asked.follow:
        return _follow(asked, secret, environ)
    document = _answer(asked, secret)
    if asked.operation == "result":
        return _conclude(asked, document, environ)
    if asked.output.json:
        print(to_json(document))
    elif asked.operation == "logs":
        _show_log(asked, document, environ)
    elif lines := _lines(asked, document, environ):
        print("\n".join(lines))
    failed = asked.operation == "status" and answer.build_status(document).unsuccessful
    return 1 if failed else 0


def _lines(
    asked: Question, document: Mapping[str, object], environ: Mapping[str, str]
) -> list[str]:
    style = Style.of(sys.stdout, environ)
    status = answer.build_status(document)
    if asked.operation == "list":
        return build_list.statuses(answer.build_statuses(document), style)
    if asked.operation == "cancel" and status.goes_on:
        return ["The build has been asked to end."]
    return build_list.statuses([status], style)


def _show_log(asked: Question, document: Mapping[str, object], environ: Mapping[str, str]) -> None:
    shown = view(sys.stdout, environ, asked.output.progress)
    steps = Steps()
    for line in answer.log_lines(document):
        shown.line(line, steps.feed(line, 0.0))
    shown.close()


def _follow(asked: Question, secret: bytes | None, environ: Mapping[str, str]) -> int:
    log = sys.stderr if asked.output.json else sys.stdout
    shown = view(log, environ, asked.output.progress)
    steps = Steps()
    result = follow(
        asked.builder, secret, asked.build_id, steps=steps, view=shown, offset=asked.offset
    )
    wanted = Wanted(output=asked.output, pushed=bool(result.digest))
    return conclude(result, steps, environ, wanted)


def _answer(asked: Question, secret: bytes | None) -> Mapping[str, object]:
    request = question.request(
        asked.builder,
        secret,
        asked.operation,
        now=time.time(),
        buildId=asked.build_id,
        offset=asked.offset,
        limit=asked.limit,
    )
    for document in transport.documents(request, on_sent=lambda _: None, on_wait=_say_wait):
        return document
    raise StreamBrokenError("The builder answered with nothing: ask again.")


def _conclude(asked: Question, document: Mapping[str, object], environ: Mapping[str, str]) -> int:
    result = answer.result(document)
    if result is None:
        later = build_list.ask_again("logs", asked.build_id, asked.builder.given, follow=True)
        raise RefusedError(
            f"The build has no result yet, since it goes on: `{later}` waits for its end."
        )
    steps = Steps()
    for line in answer.log_lines(document):
        steps.feed(line, 0.0)
    wanted = Wanted(output=asked.output, pushed=bool(result.digest))
    return conclude(result, steps, environ, wanted)


def _say_wait(_seconds: float, sentence: str) -> None:
    print(f"build.py: {sentence}", file=sys.stderr)
