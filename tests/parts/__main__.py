"""The command line of scripts/test: options of its own, and all others are pytest's."""

import argparse
import os
import sys
from collections.abc import Sequence

from stack import console
from stack.errors import StackError
from stack.install import mount_root
from stack.paths import Paths

from . import fast, suite


def main(arguments: Sequence[str]) -> int:
    os.umask(0o022)  # the account must be able to read what we install
    options, others = _parser().parse_known_args(arguments)
    try:
        if options.fast:
            return fast.run(Paths(), others)
        mount_root.leave_chroot()
        if options.buildkit:
            return suite.run_against(Paths(), options.buildkit, others)
        return suite.run(Paths(), others)
    except StackError as exc:
        console.error(str(exc))
        return 1
    except KeyboardInterrupt:
        console.error("interrupted; ./scripts/down stops what runs.")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./scripts/test",
        description="Sets everything up and runs every check and test. All other options and "
        "arguments are pytest's.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--fast",
        action="store_true",
        help="run only what needs no root, no daemon and no program but Python, on all processors",
    )
    parser.add_argument(
        "--buildkit",
        metavar="VERSION",
        help="run the live tests, or those that are named, against this version of BuildKit",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
