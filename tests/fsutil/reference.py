"""Asks tonistiigi/fsutil itself, through the program in tests/fsutil_oracle."""

from __future__ import annotations

import base64
import json
import subprocess
from typing import IO, TYPE_CHECKING, Self

from stack.install import fingerprint, golang
from stack.paths import Paths

from function.fsutil.tree import decoded, encoded

from .packets import Stat

if TYPE_CHECKING:
    from pathlib import Path

    from function.fsutil import Patterns
    from function.fsutil.tree import Entry, Tree


class Refused(Exception):
    """fsutil reports an error instead of a walk."""


def program() -> Path:
    """Build the program once for its sources, outside the clone."""
    paths = Paths()
    module = paths.repository / "tests" / "fsutil_oracle"
    sources = [module / name for name in ("go.mod", "go.sum", "main.go")]
    folder = paths.cache / "fsutil_oracle" / fingerprint.of_files(sources)
    built = folder / "fsutil_oracle"
    if not built.exists():
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / "go.log"
        go = golang.toolchain(paths, module / "go.mod", log)
        golang.build(go, module, ["."], into=folder, log=log)
    return built


class Reference:
    """A running program, to be asked as often as one likes."""

    def __init__(self) -> None:
        self._process = subprocess.Popen([program()], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()
        assert self._process.returncode == 0

    def walk(self, tree: Tree, patterns: Patterns) -> list[Stat]:
        """Return what buildctl would state of *tree* if it lay on its disk. Raises Refused."""
        question = {
            "entries": [_as_json(entry) for entry in tree.entries],
            # A header that is not there is nil to the daemon's client, not an empty list.
            "include": [*map(_base64, patterns.include)] or None,
            "exclude": [*map(_base64, patterns.exclude)] or None,
            "followPaths": [*map(_base64, patterns.follow_paths)] or None,
        }
        stdin, stdout = _piped(self._process.stdin), _piped(self._process.stdout)
        stdin.write(json.dumps(question).encode() + b"\n")
        stdin.flush()
        answer = json.loads(stdout.readline())
        if "error" in answer:
            raise Refused(answer["error"])
        return [Stat.parsed(base64.b64decode(each["packet"])) for each in answer["stats"]]


def _piped(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


def _as_json(entry: Entry) -> dict[str, object]:
    return {
        "path": _base64(entry.path),
        "kind": entry.kind.value,
        "mode": entry.mode,
        "mtime": entry.mtime,
        "size": len(entry.data),
        "linkname": _base64(entry.linkname),
        "inode": entry.inode,
        "xattrs": [
            {"name": _base64(decoded(name)), "value": base64.b64encode(value).decode()}
            for name, value in entry.xattrs
        ],
    }


def _base64(text: str) -> str:
    return base64.b64encode(encoded(text)).decode()
