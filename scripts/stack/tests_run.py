"""Runs scripts/check and pytest. Everything the test-suite needs, set up first."""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from . import console, kubernetes_tools, preparation, record, running, venv
from .paths import Paths


def run(paths: Paths, arguments: Sequence[str]) -> int:
    """Returns the first failure's exit code, having run everything; the last line is pytest's."""
    console.title("Setting up")
    with record.locked(paths):
        before = running.names(paths)
        prepared = preparation.prepare(paths, openfaas=True, languages=True, clients=True)
        kubernetes_tools.ensure(paths, paths.logs / "go-kubernetes.log", _working("kubernetes"))
        development = _development_venv(paths)
        # Any free ports: a test run must not fail because someone's port is taken.
        started = running.ensure(prepared, running.Ports(), default=running.Ports())
    environment = {
        **os.environ,
        **started.environment(),
        **_caches(paths),
        "PATH": f"{development / 'bin'}:{prepared.machine.programs.folder}:{os.environ['PATH']}",
    }
    try:
        check = _run_check(paths, environment)
        console.title("Testing")
        pytest = subprocess.run(
            [development / "bin" / "pytest", *arguments],
            cwd=paths.repository,
            env=environment,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    finally:
        with record.locked(paths):
            for _ in running.stop(paths, running.names(paths) - before):
                pass
    return pytest.returncode or check


def _working(name: str) -> Callable[[str], None]:
    return lambda text: console.step(name, f"{text} ...")


def _development_venv(paths: Paths) -> Path:
    files = venv.function_requirements(paths)
    more = venv.development_requirements(paths)
    return venv.ensure(paths, "development", files, more, log=paths.logs / "pip.log")


def _run_check(paths: Paths, environment: Mapping[str, str]) -> int:
    check = paths.repository / "scripts" / "check"
    if not check.exists():
        return 0
    console.title("Checking")
    return subprocess.run(
        [check], cwd=paths.repository, env=environment, stdin=subprocess.DEVNULL, check=False
    ).returncode


def _caches(paths: Paths) -> Mapping[str, str]:
    """Keeps the tools' caches out of the clone, which may not belong to root."""
    cache = paths.cache / "development"
    return {
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_ADDOPTS": f"-o cache_dir={cache / 'pytest'}",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(cache / "hypothesis"),
        "MYPY_CACHE_DIR": str(cache / "mypy"),
        "RUFF_CACHE_DIR": str(cache / "ruff"),
    }
