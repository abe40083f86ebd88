from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .reference import Reference

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def reference() -> Iterator[Reference]:
    with Reference() as running:
        yield running
