"""Runs scripts/check and pytest. Everything the test-suite needs, set up first."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from stack import console
from stack.errors import StackError
from stack.install import preparation, programs, venv
from stack.machine import BUILDKIT
from stack.paths import Paths
from stack.running import record
from stack.running import whole as running
from stack.running.recorded import Ports

from . import clients, kubernetes_tools, language_images

_VERSION = re.compile(r"v\d+\.\d+\.\d+(-rc\d+)?")
_EXAMPLE = "v0.30.0"


def run(paths: Paths, arguments: Sequence[str]) -> int:
    """Run everything and return the first failure's exit code; the last line is pytest's."""
    with _running(paths, paths, programs.BUILDKIT_VERSION) as environment:
        check = _run_check(paths, environment)
        console.title("Testing")
        return run_pytest(paths, environment, arguments) or check


def run_against(paths: Paths, version: str, arguments: Sequence[str]) -> int:
    """Run the live tests, or those that are named, against another version of BuildKit.

    It has a stack of its own, which is removed afterwards: one version's cache is nothing to another.
    """
    if not _VERSION.fullmatch(version):
        raise StackError(f"{version!r} is no version of BuildKit: write it as {_EXAMPLE}.")
    apart = Paths(state=paths.state / "apart" / version, runtime=paths.runtime / version)
    named = any((paths.repository / each.partition("::")[0]).exists() for each in arguments)
    try:
        with _running(paths, apart, version) as environment:
            console.title(f"Testing against buildkitd {version}")
            return run_pytest(paths, environment, [*arguments, *([] if named else ["tests/live"])])
    finally:
        shutil.rmtree(apart.state, ignore_errors=True)
        shutil.rmtree(apart.runtime, ignore_errors=True)


@contextmanager
def _running(paths: Paths, own: Paths, buildkit: str) -> Iterator[Mapping[str, str]]:
    """Set up what the tests need, with a stack at *own*; yield the environment for them.

    What this has started is stopped at the end of the block.
    """
    console.title("Setting up")
    with record.locked(paths):
        before = running.names(own)
        prepared = preparation.prepare(
            own,
            openfaas=True,
            buildkit=buildkit,
            more_programs=clients.PROGRAMS,
            more_images=language_images.make,
        )
        kubernetes_tools.ensure(paths, paths.logs / "go-kubernetes.log", _working("kubernetes"))
        development = development_venv(paths, log=paths.logs / "pip.log")
        # Any free ports: a test run must not fail because someone's port is taken.
        started = running.ensure(prepared, Ports(), default=Ports())
    try:
        yield {
            **os.environ,
            **started.environment(),
            **caches(paths),
            "PATH": f"{development / 'bin'}:{prepared.machine.programs.folder}:{os.environ['PATH']}",
            BUILDKIT: buildkit,
        }
    finally:
        with record.locked(paths):
            for _ in running.stop(own, running.names(own) - before):
                pass


def development_venv(paths: Paths, *, log: Path) -> Path:
    """Return the venv with the function's packages and the dev group's, made if it is not there."""
    return venv.ensure(paths, "development", venv.development_requirements(paths), log=log)


def run_pytest(paths: Paths, environment: Mapping[str, str], arguments: Sequence[str]) -> int:
    return subprocess.run(
        ["pytest", *arguments],
        cwd=paths.repository,
        env=environment,
        stdin=subprocess.DEVNULL,
        check=False,
    ).returncode


def caches(paths: Paths) -> Mapping[str, str]:
    """Return settings that keep the tools' caches out of the clone, which may not belong to root."""
    cache = paths.cache / "development"
    return {
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_ADDOPTS": f"-o cache_dir={cache / 'pytest'}",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(cache / "hypothesis"),
        "MYPY_CACHE_DIR": str(cache / "mypy"),
        "RUFF_CACHE_DIR": str(cache / "ruff"),
    }


def _working(name: str) -> Callable[[str], None]:
    return lambda text: console.step(name, f"{text} ...")


def _run_check(paths: Paths, environment: Mapping[str, str]) -> int:
    console.title("Checking")
    return subprocess.run(
        [paths.repository / "scripts" / "check"],
        cwd=paths.repository,
        env=environment,
        stdin=subprocess.DEVNULL,
        check=False,
    ).returncode
