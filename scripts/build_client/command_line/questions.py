"""Pure. Reads the command lines that ask about builds."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from ..protocol import gateway
from . import values
from .options import Output, Progress, Question
from .parser import add_builder, builder, exit_codes, fill_in, require_builder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OPERATIONS: Final[Mapping[str, str]] = {
    "status": "say how a build is doing; exit with 1 if it came to nothing",
    "logs": "show a build's log",
    "result": "show how a build ended; exit as the build itself would have",
    "cancel": "end a build",
    "list": "list builds, the newest first",
}


def parse(operation: str, argv: Sequence[str], environ: Mapping[str, str]) -> Question:
    """Read the arguments of *operation*."""
    parser = argparse.ArgumentParser(
        prog=f"build.py {operation}",
        description=f"{OPERATIONS[operation].capitalize()}.",
        epilog=exit_codes(ok="answered, and nothing failed", failed="the build failed"),
        allow_abbrev=False,
    )
    if operation == "list":
        parser.add_argument(
            "--limit", type=values.natural, default=20, metavar="N", help="so many at most [20]"
        )
    else:
        parser.add_argument("build_id", metavar="BUILD-ID")
    if operation == "logs":
        parser.add_argument(
            "--follow", action="store_true", help="stay until the build's end, and exit as it does"
        )
        parser.add_argument(
            "--offset",
            type=values.natural,
            default=0,
            metavar="N",
            help="leave out the first N lines",
        )
    add_builder(parser.add_argument_group("by which builder"))
    shown = parser.add_argument_group("what to show")
    shown.add_argument("--json", action="store_true", help="the answer as JSON on standard output")
    if operation == "logs":
        shown.add_argument(
            "--plain", action="store_true", help="every line of the log, also on a terminal"
        )
    given = parser.parse_args(argv)
    fill_in(given, environ)
    require_builder(parser, given)
    plain = getattr(given, "plain", False)
    return Question(
        operation=operation,
        build_id=getattr(given, "build_id", ""),
        follow=getattr(given, "follow", False),
        offset=getattr(given, "offset", 0),
        limit=getattr(given, "limit", 0),
        builder=builder(given, gateway.function_url(given.url)),
        output=Output(progress=Progress.PLAIN if plain else Progress.AUTO, json=given.json),
    )
