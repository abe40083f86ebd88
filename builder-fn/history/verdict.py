"""I/O: leaves word of why a build's owner ended it, where any replica can read it.

The daemon knows no more than that the caller left. If it was the daemon that went, and the build with it,
the verdict is all that remains of the build; so it is left as soon as there is a daemon again.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from ..buildkit import BuildkitError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from .refs import Ref
    from .search import Search

_MOST_SECONDS = 120.0
_PAUSE_SECONDS = 1.0

_log = logging.getLogger(__name__)


def leave_verdict(
    history: Callable[[], AbstractContextManager[Search]], ref: Ref, attrs: Mapping[str, str]
) -> bool:
    """Leave a verdict; return True when it is left, and False when that will have to wait.

    *history* is that of the daemon now.
    """

    def leave() -> bool:
        try:
            with history() as current:
                current.leave_verdict(ref, attrs)
        except BuildkitError:
            return False
        return True

    if leave():
        return True
    threading.Thread(target=_leave_later, args=(leave, ref), name="verdict", daemon=True).start()
    return False


def _leave_later(leave: Callable[[], bool], ref: Ref) -> None:
    deadline = time.monotonic() + _MOST_SECONDS
    while time.monotonic() < deadline:
        time.sleep(_PAUSE_SECONDS)
        if leave():
            return
    _log.warning("build %s ended, and there was no daemon to remember why", ref)
