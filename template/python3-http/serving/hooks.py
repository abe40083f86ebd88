"""Finds the optional callables of a handler module: see index.py for what each is for."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType


def hook(handler: ModuleType, name: str, *, takes: int = 0) -> Callable[..., Any] | None:
    """None also when the handler uses *name* for something that takes other arguments than ours."""
    found = getattr(handler, name, None)
    if not callable(found):
        return None
    try:
        inspect.signature(found).bind(*range(takes))
    except (TypeError, ValueError):
        return None
    return cast("Callable[..., Any]", found)
