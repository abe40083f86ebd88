"""The command line of scripts/test: options of its own first, and all others are pytest's."""

import os
import sys
from collections.abc import Sequence

from stack import console
from stack.errors import StackError
from stack.install import mount_root
from stack.paths import Paths

from . import suite


def main(arguments: Sequence[str]) -> int:
    os.umask(0o022)  # the account must be able to read what we install
    try:
        mount_root.leave_chroot()
        return suite.run(Paths(), arguments)
    except StackError as exc:
        console.error(str(exc))
        return 1
    except KeyboardInterrupt:
        console.error("interrupted; ./scripts/down stops what runs.")
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
