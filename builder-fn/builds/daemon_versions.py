"""Pure. Says what a version of buildkitd lacks, or that nobody has tried it."""

from __future__ import annotations

import re

# The suite runs on the version of scripts/tools/go.mod; it was run by hand on these.
OLDEST, NEWEST = (0, 22), (0, 34)

_TOO_OLD = (
    "buildkitd {} is older than v{}: of failed and cancelled builds with secrets it loses the reason and the "
    "failed step. Update it."
)
_TOO_NEW = "buildkitd {} is newer than v{}, the newest that this builder was tried with."

_VERSION = re.compile(r"v?(\d+)\.(\d+)\b")


def remarks(version: str) -> tuple[str, ...]:
    """Return sentences for the operator; none for a version that was tried, or has no number."""
    found = _VERSION.match(version)
    if not found or version.startswith("v0.0.0"):  # of a build without a release
        return ()
    number = int(found[1]), int(found[2])
    if number < OLDEST:
        return (_TOO_OLD.format(version, ".".join(map(str, OLDEST))),)
    if number > NEWEST:
        return (_TOO_NEW.format(version, ".".join(map(str, NEWEST))),)
    return ()
