"""Asks a builder about builds that go on by themselves, or have ended, and shows what it says."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

from . import answer
from .display import summary, terminal
from .display.steps import Steps
from .errors import RefusedError, StreamBrokenError
from .following import follow
from .protocol import question, transport
from .secrets import files as secret_file
from .text import printable
from .watching import conclude

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .command_line.options import Question


def ask(asked: Question, environ: Mapping[str, str]) -> int:
    """The exit code."""
    secret = secret_file.payload_secret(asked.builder.secret)
    if asked.follow:
        return _follow(asked, secret, environ)
    document = _answer(asked, secret)
    if asked.operation == "result":
        return _conclude(asked, document, environ)
    if asked.output.json:
        print(json.dumps(document, ensure_ascii=False))
    style = terminal.Style.of(sys.stdout, environ)
    match asked.operation:
        case "logs":
            shown = [printable(line) for line in answer.log_lines(document)]
        case "list":
            shown = summary.statuses(answer.build_statuses(document), style)
        case "cancel" if answer.build_status(document).goes_on:
            shown = ["The build has been asked to end."]
        case _:
            shown = summary.statuses([answer.build_status(document)], style)
    if shown and not asked.output.json:
        print("\n".join(shown))
    failed = asked.operation == "status" and answer.build_status(document).unsuccessful
    return 1 if failed else 0


def _follow(asked: Question, secret: bytes | None, environ: Mapping[str, str]) -> int:
    log = sys.stderr if asked.output.json else sys.stdout
    view = terminal.view(log, environ, plain=asked.output.plain)
    steps = Steps()
    result = follow(
        asked.builder, secret, asked.build_id, steps=steps, view=view, offset=asked.offset
    )
    return conclude(result, steps, environ, pushed=bool(result.digest), as_json=asked.output.json)


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
        raise RefusedError(
            "The build has no result yet, since it goes on:"
            f" `build.py logs {asked.build_id} --follow` waits for its end."
        )
    steps = Steps()
    for line in answer.log_lines(document):
        steps.feed(line, 0.0)
    return conclude(result, steps, environ, pushed=bool(result.digest), as_json=asked.output.json)


def _say_wait(seconds: float, reason: str) -> None:
    said = f"The builder asks to try again in {seconds:.0f}s. {reason}".rstrip()
    print(f"build.py: {said}", file=sys.stderr)
