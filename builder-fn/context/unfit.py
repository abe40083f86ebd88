"""Pure. Finds out whether a build failed for something in its context that cannot be sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ArchiveError

if TYPE_CHECKING:
    from ..errors import BuilderError
    from ..fsutil.tree import Tree


def cause_of(failure: BuilderError, context: Tree) -> BuilderError:
    """Return *failure*, or what is wrong with the entry that the daemon then asked for in vain."""
    message = str(failure)
    for entry in context.entries:
        if entry.unfit and entry.unfit in message:
            return ArchiveError(entry.unfit)
    return failure
