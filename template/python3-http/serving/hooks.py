"""Finds what a handler module may have beside handle(): see index.py for what each is for."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType


def hook(handler: ModuleType, name: str, *, takes: int = 0) -> Callable[..., Any] | None:
    """Return the hook; None also when *name* takes other arguments and so is something else."""
    found = getattr(handler, name, None)
    if not callable(found):
        return None
    try:
        inspect.signature(found).bind(*range(takes))
    except (TypeError, ValueError):
        return None
    return cast("Callable[..., Any]", found)


def paths(handler: ModuleType, name: str) -> frozenset[str]:
    """Return the paths under *name*; none when the handler uses it for something else."""
    found = getattr(handler, name, ())
    if not isinstance(found, tuple | list | set | frozenset):
        return frozenset()
    return frozenset(path for path in found if isinstance(path, str))
