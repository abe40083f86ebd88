"""Pure. Reads the command lines: what to build, or what to ask about a build.

options    what was asked for, as values
build      the line of a build, with the habits of docker build's users
questions  the lines of status, logs, result, cancel and list
parser     what all lines share: where the builder is, exit codes
values     single arguments: NAME=VALUE, id=,src=, numbers
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import build, questions
from .options import Builder, BuildOptions, Delivery, Output, Progress, Question

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "BuildOptions",
    "Builder",
    "Delivery",
    "Output",
    "Progress",
    "Question",
    "parse",
]


def parse(argv: Sequence[str], environ: Mapping[str, str]) -> BuildOptions | Question:
    """Read a command line.

    Raises UsageError; ends the program for --help and for what argparse itself refuses.
    """
    if argv and argv[0] in questions.OPERATIONS:
        return questions.parse(argv[0], argv[1:], environ)
    return build.parse(argv, environ)
