"""The pool of tests/live/test_pool.py, and the figures that a drill prints."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from ..test_pool import daemons, pool, registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["daemons", "pool", "registry"]


@pytest.fixture(scope="session")
def figure() -> Iterator[Callable[[str, str], None]]:
    """Take figures by what they tell, and print them at the end as a Markdown table."""
    rows: list[tuple[str, str]] = []
    yield lambda name, value: rows.append((name, value))
    table = [("", "measured"), ("---", "---"), *rows]
    sys.stdout.write("\n\n" + "".join(f"| {name} | {value} |\n" for name, value in table))
