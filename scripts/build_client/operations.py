"""Asks a builder about builds that go on by themselves, or have ended, and shows what it says.

A question is a small JSON document, signed as a tar is (builder-fn/command.py). It says when it was
signed, so each try has one of its own.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

from . import answer, secret_file, summary, terminal, transport
from .errors import RefusedError, StreamBrokenError
from .progress import Steps
from .text import printable
from .watching import conclude, watch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .arguments import Question


def ask(question: Question, environ: Mapping[str, str]) -> int:
    """The exit code."""
    secret = secret_file.payload_secret(question.builder.secret)
    if question.follow:
        return _follow(question, secret, environ)
    document = _answer(question, secret)
    if question.operation == "result":
        return _conclude(question, document, environ)
    if question.output.json:
        print(json.dumps(document, ensure_ascii=False))
    style = terminal.Style.of(sys.stdout, environ)
    match question.operation:
        case "logs":
            shown = [printable(line) for line in answer.log_lines(document)]
        case "list":
            shown = summary.statuses(answer.build_statuses(document), style)
        case _:
            shown = summary.statuses([answer.build_status(document)], style)
    if shown and not question.output.json:
        print("\n".join(shown))
    failed = question.operation == "status" and answer.build_status(document).unsuccessful
    return 1 if failed else 0


def _follow(question: Question, secret: bytes | None, environ: Mapping[str, str]) -> int:
    """The log as it comes, taken up again where it broke off."""
    log = sys.stderr if question.output.json else sys.stdout
    view = terminal.view(log, environ, plain=question.output.plain)
    steps = Steps()
    request = _request(question, secret, offset=question.offset)
    result = watch(request, steps, view, answer.result)
    return conclude(
        result, steps, environ, pushed=bool(result.digest), as_json=question.output.json
    )


def _answer(question: Question, secret: bytes | None) -> Mapping[str, object]:
    request = _request(question, secret, offset=question.offset)
    answered = transport.documents(request, on_sent=lambda _: None, on_wait=_say_wait)
    for document in answered:
        return document
    raise StreamBrokenError("The builder answered with nothing: ask again.")


def _conclude(
    question: Question, document: Mapping[str, object], environ: Mapping[str, str]
) -> int:
    result = answer.result(document)
    if result is None:
        raise RefusedError(
            "The build has no result yet, since it goes on:"
            f" build.py logs {printable(question.build_id)} --follow waits for its end."
        )
    steps = Steps()
    for line in answer.log_lines(document):
        steps.feed(line, 0.0)
    return conclude(
        result, steps, environ, pushed=bool(result.digest), as_json=question.output.json
    )


def _request(question: Question, secret: bytes | None, *, offset: int) -> transport.Request:
    said = {
        "op": question.operation,
        "time": time.time(),
        "buildId": question.build_id,
        "offset": offset,
        "limit": question.limit,
    }
    return transport.Request(
        url=question.builder.url,
        body=json.dumps({name: value for name, value in said.items() if value}).encode(),
        secret=secret,
        idle=question.builder.idle,
        retries=question.builder.retries,
        operation=question.operation,
        content_type="application/json",
        live=question.follow,
    )


def _say_wait(seconds: float, reason: str) -> None:
    said = f"The builder asks to try again in {seconds:.0f}s. {reason}".rstrip()
    print(f"build.py: {said}", file=sys.stderr)
