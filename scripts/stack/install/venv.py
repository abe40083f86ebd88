"""Runs venv and pip. Virtual environments, remade only when what they hold was changed.

Every package is pinned with its hashes (scripts/generate-requirements), and pip takes no other.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import StackError
from ..paths import Paths
from . import fingerprint, logged
from .completion import is_complete, mark_complete


def function_requirements(paths: Paths) -> list[Path]:
    """Return what the function's image installs: the template's requirements and the function's own."""
    template = paths.repository / "template" / "python3-http" / "requirements.txt"
    return [template, paths.repository / "builder-fn" / "requirements.txt"]


def development_requirements(paths: Paths) -> list[Path]:
    """Return the same with the dev group of pyproject.toml."""
    return [paths.repository / "scripts" / "requirements" / "development.txt"]


def go_requirements(paths: Paths) -> list[Path]:
    return [paths.repository / "scripts" / "requirements" / "go.txt"]


def location(paths: Paths, name: str, files: Sequence[Path]) -> Path:
    interpreter = f"{sys.version_info.major}.{sys.version_info.minor}"
    return paths.venvs / f"{name}-{fingerprint.of_files(files, interpreter)}"


def ensure(paths: Paths, name: str, files: Sequence[Path], *, log: Path) -> Path:
    """Return the venv that holds these requirement files' packages, made if it is not there."""
    venv = location(paths, name, files)
    if is_complete(venv):
        return venv
    venv.parent.mkdir(parents=True, exist_ok=True)
    _run([sys.executable, "-m", "venv", "--clear", str(venv)], log)
    requirements = [part for file in files for part in ("--requirement", str(file))]
    pip = [str(venv / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    _run([*pip, "install", "--require-hashes", *requirements], log)
    mark_complete(venv)
    return venv


def _run(command: list[str], log: Path) -> None:
    if logged.status(command, log):
        raise StackError(
            f"Python packages could not be installed: {log} says why; check this machine's pip "
            "settings and network, then try again."
        )
