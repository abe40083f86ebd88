from __future__ import annotations

import tomllib
from pathlib import Path

from function.telemetry.version import VERSION

PYPROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def test_the_builder_is_the_version_that_the_project_says() -> None:
    assert tomllib.loads(PYPROJECT.read_text("utf-8"))["project"]["version"] == VERSION
