"""A builder that answers by a script, and a handler to build, for the tests of scripts/build.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .scripted_builder import scripted_builder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .scripted_builder import Builder


@pytest.fixture
def builder() -> Iterator[Builder]:
    with scripted_builder() as serving:
        yield serving


@pytest.fixture
def handler(tmp_path: Path) -> Path:
    folder = tmp_path / "hello"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM x\nRUN y\n")
    return folder
