"""Pure. Recognises the daemon's own troubles among the messages of a failed Solve.

Its author is not to blame for a build that the daemon could not carry on: its disk is full, say. Such words
count only where the daemon itself says them: a step that printed them has failed by its own exit code, and a
registry's troubles are told with its name (registry.py).
"""

from __future__ import annotations

import re

from ..text.display_strings import EXIT_CODE

# Linux' words for errno (strerror), as Go prints them, and containerd's and bbolt's for what they lost.
_TROUBLES = (
    (re.compile(r"no space left on device"), "buildkitd's disk is full"),
    (re.compile(r"disk quota exceeded"), "buildkitd has used up its disk quota"),
    (re.compile(r"read-only file system"), "buildkitd cannot write: its disk is read-only"),
    (re.compile(r"cannot allocate memory|out of memory"), "buildkitd has run out of memory"),
    (re.compile(r"too many open files"), "buildkitd has too many files open"),
    (
        re.compile(r"failed to create temp dir"),
        "buildkitd has no folder for what it needs for a while",
    ),
    (re.compile(r"input/output error"), "buildkitd's disk has an I/O error"),
    (
        re.compile(
            r"(?:parent )?snapshot \S+ (?:does not exist|not found)|missing (?:parent )?snapshot"
        ),
        "buildkitd has lost a snapshot of its cache",
    ),
    (
        re.compile(r"lease \"?\S+\"?:? not found|failed to (?:create|get) lease"),
        "buildkitd has lost a lease on its cache",
    ),
    (
        re.compile(r"database not open|invalid database|timeout.*\.db"),
        "buildkitd's database is broken",
    ),
)


def trouble(message: str) -> str:
    """Return the trouble that *message*, the daemon's own, tells of; nothing if it tells of none."""
    if EXIT_CODE.search(message):  # it quotes the step's command, which may say anything
        return ""
    return next((said for pattern, said in _TROUBLES if pattern.search(message)), "")
