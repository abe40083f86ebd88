"""Runs the program: from the command line to an exit code.

0: built. 1: the build failed, or its answer broke off. 2: it could not begin. 130: Ctrl-C.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from . import building, command_line, operations
from .command_line import BuildOptions, Delivery, Question
from .errors import ClientError
from .text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_INTERRUPTED: Final = 130  # what a shell reports after Ctrl-C


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Do what *argv* says, and return the exit code."""
    _print_whatever_comes()
    asked: BuildOptions | Question | None = None
    try:
        asked = command_line.parse(argv, environ)
        return _done(asked, environ)
    except ClientError as exc:
        _tell(printable(str(exc)))
        return exc.exit_code
    except KeyboardInterrupt:
        ours = isinstance(asked, BuildOptions) and asked.delivery is Delivery.WATCHED
        then = "the builder stops as well." if ours else "a build that was begun goes on."
        _tell(f"Interrupted; {then}")
        return _INTERRUPTED
    except OSError as exc:
        _give_up_output(exc)
        return 1


def _done(asked: BuildOptions | Question, environ: Mapping[str, str]) -> int:
    if not isinstance(asked, BuildOptions):
        code = operations.ask(asked, environ)
    elif asked.tar is not None:
        code = building.write_tar(asked, asked.tar)
    else:
        code = building.build(asked, environ)
    sys.stdout.flush()  # Python itself would only do so at its end, and fail with a code of its own
    return code


def _print_whatever_comes() -> None:
    """Print as an escape what a stream's encoding lacks: a log may say anything, and a C locale little.

    What was closed before the start is written nowhere.
    """
    # Python has None for such a stream.
    sys.stdout = sys.stdout or _nowhere()
    sys.stderr = sys.stderr or _nowhere()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w")


def _give_up_output(error: OSError) -> None:
    """Say why the log or the result cannot be written; files and connections have errors of their own."""
    _drop(sys.stdout)
    if isinstance(error, BrokenPipeError):
        return  # its reader has gone, and knows
    _tell(f"Its output cannot be written: {error.strerror}. What became of the build is not known.")


def _tell(sentence: str) -> None:
    try:
        print(f"build.py: {sentence}", file=sys.stderr)
    except OSError:
        _drop(sys.stderr)  # the exit code says the rest


def _drop(stream: TextIO) -> None:
    """Let nothing be left to write, not even at Python's own flush."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
