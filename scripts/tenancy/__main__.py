"""Finds a Python that has the function's packages: the function's own parser judges all that is written."""

import importlib.util
import os
import sys
from pathlib import Path

from stack import console
from stack.errors import StackError
from stack.install import venv
from stack.install.completion import is_complete
from stack.paths import REPOSITORY, Paths

# One module of each package that the function imports.
_NEEDED = (
    "ahocorasick",
    "google.protobuf",
    "grpc",
    "h2",
    "nacl",
    "numpy",
    "prometheus_client",
    "yaml",
)


def main(arguments: list[str]) -> int:
    try:
        python = _python()
    except StackError as exc:
        console.error(str(exc))
        return 2
    if python != Path(sys.executable):
        os.execv(python, [str(python), "-B", "-m", "tenancy", *arguments])  # noqa: S606
    _load_function()
    from .command import run  # noqa: PLC0415 - it imports the function

    return run(arguments)


def _python() -> Path:
    """Return an interpreter with the function's packages: the one that runs us, or a venv of the user's."""
    if all(map(_has, _NEEDED)):
        return Path(sys.executable)
    told = os.environ.get("XDG_CACHE_HOME")
    cache = (Path(told) if told else Path.home() / ".cache") / "builder-fn"
    paths = Paths(cache=cache)
    requirements = [paths.repository / "builder-fn" / "requirements.txt"]
    if not is_complete(venv.location(paths, "tenancy", requirements)):
        if importlib.util.find_spec("ensurepip") is None:
            raise StackError(
                f"{sys.executable} has neither the function's packages nor venv: install python3-venv, or "
                "run this in an environment with builder-fn/requirements.txt."
            )
        console.step("packages", f"installing the function's Python packages into {cache} ...")
        cache.mkdir(parents=True, exist_ok=True)
    made = venv.ensure(paths, "tenancy", requirements, log=cache / "pip.log")
    return made / "bin" / "python"


def _has(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # of a package around it
        return False


def _load_function() -> None:
    """Make the function importable by the name that the template gives it."""
    folder = REPOSITORY / "builder-fn"
    spec = importlib.util.spec_from_file_location(
        "function", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec  # noqa: S101 - there is a loader for Python
    assert spec.loader  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    sys.modules["function"] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
