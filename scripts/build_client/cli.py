"""Runs the program: from the command line to an exit code.

0: built. 1: the build failed, or its answer broke off. 2: it could not begin. 130: Ctrl-C.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, Final

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
        if not isinstance(asked, BuildOptions):
            return operations.ask(asked, environ)
        if asked.tar is not None:
            return building.write_tar(asked, asked.tar)
        return building.build(asked, environ)
    except ClientError as exc:
        print(f"build.py: {printable(str(exc))}", file=sys.stderr)
        return exc.exit_code
    except KeyboardInterrupt:
        ours = isinstance(asked, BuildOptions) and asked.delivery is Delivery.WATCHED
        then = "the builder stops as well." if ours else "a build that was begun goes on."
        print(f"build.py: Interrupted; {then}", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone. Nothing is left to tell, not even at Python's own flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _print_whatever_comes() -> None:
    """Print as an escape what a stream's encoding lacks: a log may say anything, and a C locale little."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
