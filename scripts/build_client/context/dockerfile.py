"""Reads folders. Finds the Dockerfile that -f names, which need not be written as a path in the context."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import UsageError
from ..text import shown
from .files import path_text
from .overlay import handler_folder

if TYPE_CHECKING:
    from pathlib import Path


def path_in_context(file: Path, template: Path | None, handler: Path) -> str:
    """Return where *file* is in the context made of *template* and *handler*. Raises UsageError."""
    roots = [(handler, "" if template is None else handler_folder(template).as_posix())]
    roots += [] if template is None else [(template, "")]
    if file.exists():
        # Of the file itself a link is not followed: it has its name in the context.
        real = file.parent.resolve() / file.name
        for root, at in roots:
            if real.is_relative_to(root.resolve()):
                inner = path_text(real.relative_to(root.resolve()).as_posix())
                return f"{at}/{inner}" if at not in {"", "."} else inner
    elif not file.is_absolute() and any((root / file).exists() for root, _ in roots):
        return path_text(file.as_posix())
    else:
        raise UsageError(f"There is no {shown(file)}: check what -f names.")
    raise UsageError(
        f"{shown(file)} is outside of {shown(handler)}: builder-fn builds by a Dockerfile of the context;"
        " put it there."
    )
