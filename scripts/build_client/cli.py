"""The program: from the command line to an exit code.

0: built. 1: the build failed, or its answer broke off. 2: it could not begin. 130: Ctrl-C.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from . import building, operations
from .command_line import options as arguments
from .command_line.options import BuildOptions, Delivery
from .errors import ClientError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_INTERRUPTED: Final = 130  # what a shell reports after Ctrl-C


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    asked: arguments.BuildOptions | arguments.Question | None = None
    try:
        asked = arguments.parse(argv, environ)
        if not isinstance(asked, BuildOptions):
            return operations.ask(asked, environ)
        if asked.tar is not None:
            return building.write_tar(asked, asked.tar)
        return building.build(asked, environ)
    except ClientError as exc:
        print(f"build.py: {exc}", file=sys.stderr)
        return exc.exit_code
    except KeyboardInterrupt:
        ours = isinstance(asked, BuildOptions) and asked.delivery is Delivery.WATCHED
        then = "the builder stops as well." if ours else "a build that was begun goes on."
        print(f"build.py: Interrupted; {then}", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # Who read our output has gone. Nothing is left to tell, not even at Python's own flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
