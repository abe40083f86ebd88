"""Runs faas-cli. The same context as `context.overlay` makes, written by the real program.

faas-cli works in ./build and ./template of the folder it runs in, so it gets one of its own.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..text import printable
from .overlay import Context, folder_as_context

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def shrinkwrapped(
    program: str, *, template: Path, language: str, handler: Path, image: str
) -> Iterator[Context]:
    """The context lives until the block ends."""
    with tempfile.TemporaryDirectory(prefix="builder-fn-shrinkwrap-") as folder:
        shutil.copytree(template, Path(folder, "template", language))
        command = [program, "build", "--shrinkwrap", "--name", "context", "--lang", language]
        command += ["--image", image, "--handler", str(handler.resolve())]
        ended = subprocess.run(
            command, cwd=folder, capture_output=True, check=False, stdin=subprocess.DEVNULL
        )
        if ended.returncode != 0:
            said = (ended.stderr or ended.stdout).decode(errors="replace").strip().splitlines()
            cause = printable(said[-1]) if said else f"exit code {ended.returncode}"
            raise UsageError(f"faas-cli could not shrink-wrap {handler}: {cause}")
        yield folder_as_context(Path(folder, "build", "context"))
