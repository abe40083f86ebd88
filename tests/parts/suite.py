"""Runs scripts/check and pytest. Everything the test-suite needs, set up first."""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from stack import console, kubernetes_tools
from stack.install import preparation, venv
from stack.paths import Paths
from stack.running import record
from stack.running import whole as running

from . import clients, language_images


def run(paths: Paths, arguments: Sequence[str]) -> int:
    """Run everything and return the first failure's exit code; the last line is pytest's."""
    console.title("Setting up")
    with record.locked(paths):
        before = running.names(paths)
        prepared = preparation.prepare(
            paths,
            openfaas=True,
            more_programs=clients.PROGRAMS,
            more_images=language_images.make,
        )
        kubernetes_tools.ensure(paths, paths.logs / "go-kubernetes.log", _working("kubernetes"))
        development = development_venv(paths, log=paths.logs / "pip.log")
        # Any free ports: a test run must not fail because someone's port is taken.
        started = running.ensure(prepared, running.Ports(), default=running.Ports())
    environment = {
        **os.environ,
        **started.environment(),
        **caches(paths),
        "PATH": f"{development / 'bin'}:{prepared.machine.programs.folder}:{os.environ['PATH']}",
    }
    try:
        check = _run_check(paths, environment)
        console.title("Testing")
        pytest = run_pytest(paths, development, environment, arguments)
    finally:
        with record.locked(paths):
            for _ in running.stop(paths, running.names(paths) - before):
                pass
    return pytest or check


def development_venv(paths: Paths, *, log: Path) -> Path:
    """Return the venv with the function's packages and the dev group's, made if it is not there."""
    files = venv.function_requirements(paths)
    more = venv.development_requirements(paths)
    return venv.ensure(paths, "development", files, more, log=log)


def development_location(paths: Paths) -> Path:
    files = venv.function_requirements(paths)
    return venv.location(paths, "development", files, venv.development_requirements(paths))


def run_pytest(
    paths: Paths, development: Path, environment: Mapping[str, str], arguments: Sequence[str]
) -> int:
    return subprocess.run(
        [development / "bin" / "pytest", *arguments],
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
