"""Looks at the disk. The prepared machine: what every daemon of the stack is started with.

Tests that start their own daemons begin here, with `prepared()`.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from .errors import StackError
from .install import account, programs, venv
from .install.account import Account
from .install.completion import is_complete
from .install.programs import Programs
from .paths import Paths

# Set by `scripts/test --buildkit` for the tests that it runs: a version like "v0.30.0".
BUILDKIT = "BUILDER_FN_TESTED_BUILDKIT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    paths: Paths
    account: Account
    programs: Programs
    venv: Path  # the function's Python and its packages
    process_sandbox: bool = True  # whether steps of builds can have a process table of their own


def prepared(paths: Paths | None = None) -> Machine:
    """Find what `scripts/up` or `scripts/test` has installed; install nothing."""
    paths = paths or Paths()
    found = account.find()
    built = programs.find(paths, os.environ.get(BUILDKIT, programs.BUILDKIT_VERSION))
    function = venv.location(paths, "function", venv.function_requirements(paths))
    if found is None or not built.complete or not is_complete(function):
        raise StackError("This machine is not prepared for this clone: run ./scripts/up first.")
    return Machine(
        paths=paths,
        account=found,
        programs=built,
        venv=function,
        process_sandbox=account.allows_process_sandbox(found),
    )
