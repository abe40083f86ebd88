"""Runs go and npm. The clients that must be built or installed: once for their sources, outside the clone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stack.errors import StackError
from stack.install import fingerprint, golang, venv
from stack.paths import Paths

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).parent

GO_SDK = "github.com/openfaas/go-sdk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Go:
    """Programs that link go-sdk."""

    calls: Path
    example: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    node: Path
    folder: Path  # build.js beside the packages it asks for


def go_sdk_version() -> str:
    """Return the version that go.mod pins."""
    words = (HERE / "go" / "go.mod").read_text().split()
    return words[words.index(GO_SDK) + 1]


def node_package_version(name: str) -> str:
    """Return the version that the lock file pins."""
    lock = json.loads((HERE / "node" / "package-lock.json").read_text())
    return str(lock["packages"][f"node_modules/{name}"]["version"])


def go() -> Go:
    paths, module = Paths(), HERE / "go"
    sources = [module / "go.mod", module / "go.sum", *sorted(module.glob("*/main.go"))]
    folder = _folder(paths, "go", sources)
    built = Go(calls=folder / "calls", example=folder / "example")
    if not (built.calls.exists() and built.example.exists()):
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / "go.log"
        command = golang.toolchain(paths, module / "go.mod", log)
        golang.build(command, module, ["./..."], into=folder, log=log)
    return built


def node() -> Node:
    paths, module = Paths(), HERE / "node"
    sources = [module / name for name in ("package.json", "package-lock.json", "build.js")]
    command = _node(paths)
    folder = _folder(paths, "node", sources)
    complete = folder / "complete"
    if not complete.exists():
        folder.mkdir(parents=True, exist_ok=True)
        for source in sources:
            shutil.copy(source, folder)
        _npm_ci(command, folder)
        complete.touch()
    return Node(node=command, folder=folder)


def _node(paths: Paths) -> Path:
    """Return the node command, with npm beside it."""
    found = shutil.which("node")
    if found and shutil.which("npm"):
        return Path(found)
    pinned = [HERE / "node" / "requirements.txt"]
    return venv.ensure(paths, "node", pinned, log=paths.logs / "pip.log") / "bin" / "node"


def _npm_ci(node: Path, folder: Path) -> None:
    log = folder / "npm.log"
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--cache", str(folder / "cache")]
    with log.open("wb") as output:
        finished = subprocess.run(
            ["npm", "ci", *options],
            cwd=folder,
            env={**os.environ, "PATH": f"{node.parent}:{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
        )
    if finished.returncode:
        raise StackError(
            f"npm could not install axios and tar: {log} says why; check this machine's npm "
            "settings and network, then try again."
        )
    shutil.rmtree(folder / "cache", ignore_errors=True)


def _folder(paths: Paths, name: str, sources: Sequence[Path]) -> Path:
    return paths.cache / "conformance" / f"{name}-{fingerprint.of_files(sources)}"
