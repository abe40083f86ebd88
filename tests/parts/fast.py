"""Runs pytest. All tests that need no root, no daemon and no program but Python, as the user that asks."""

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from stack import console
from stack.errors import StackError
from stack.install import venv
from stack.install.completion import is_complete
from stack.paths import Paths

from . import suite

# pyproject.toml says what each means.
_LEFT_OUT = "not daemons and not root and not programs"
# Modules of the dev group and of the function, one each.
_NEEDED = ("pytest", "xdist", "pytest_timeout", "hypothesis", "grpc", "httptools")


def run(paths: Paths, arguments: Sequence[str]) -> int:
    """Run the tests on every processor and return pytest's exit code."""
    since = time.monotonic()
    console.title("Testing what needs no root, no daemon and no program but Python")
    own = Paths(cache=_cache(), repository=paths.repository)
    python = _python(own)
    environment = {**os.environ, **suite.caches(own)}
    code = subprocess.run(
        [
            *(python, "-m", "pytest", "-q", "-n", "auto", "--dist", "worksteal"),
            *("-m", _LEFT_OUT, "--hypothesis-profile", "fast", *arguments),
        ],
        cwd=paths.repository,
        env=environment,
        stdin=subprocess.DEVNULL,
        check=False,
    ).returncode
    console.title(
        f"{time.monotonic() - since:.0f} s. ./scripts/test (as root) runs the rest: scripts/check, "
        "the live tests, and 100 examples of each property instead of 30."
    )
    return code


def _python(paths: Paths) -> Path:
    """Return an interpreter with the tests' packages: the one that runs us, or a venv of the user's."""
    if all(importlib.util.find_spec(name) for name in _NEEDED):
        return Path(sys.executable)
    paths.cache.mkdir(parents=True, exist_ok=True)
    if not is_complete(venv.location(paths, "development", venv.development_requirements(paths))):
        if importlib.util.find_spec("ensurepip") is None:
            raise StackError(
                f"{sys.executable} has neither the tests' packages nor venv: install python3-venv, "
                "or run this in an environment with scripts/requirements/development.txt."
            )
        console.step("packages", f"installing the tests' Python packages into {paths.venvs} ...")
    return suite.development_venv(paths, log=paths.cache / "pip.log") / "bin" / "python"


def _cache() -> Path:
    home = Path.home()
    told = os.environ.get("XDG_CACHE_HOME")
    return (Path(told) if told else home / ".cache") / "builder-fn"
