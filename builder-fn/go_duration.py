"""Pure. Durations as OpenFaaS writes them: Go's ("30m", "1m30s") or a bare number of seconds."""

from __future__ import annotations

import re

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_ALL = re.compile(rf"(?:{_PART.pattern})+")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """Read a duration in seconds. Raises ValueError for what is no duration, or none longer than nothing."""
    if text.isascii() and text.isdigit():
        total = float(text)
    elif _ALL.fullmatch(text):
        total = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    else:
        raise ValueError(text)
    if not 0 < total < float("inf"):
        raise ValueError(text)
    return total
