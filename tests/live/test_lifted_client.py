"""The BuildKit client copied alone to an empty place, where the program of its README builds and pushes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .test_answers import manifest

PACKAGE = Path(__file__).resolve().parents[2] / "builder-fn"
DOCKERFILE = "FROM scratch\nCOPY . /\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for folder in ("buildkit", "fsutil", "pb"):
        shutil.copytree(PACKAGE / folder, tmp_path / "lifted" / folder)
    readme = (PACKAGE / "buildkit" / "README.md").read_text()
    program = re.search(r"^```python\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
    assert program
    (tmp_path / "build_and_push.py").write_text(program[1])
    context = tmp_path / "context"
    (context / "folder").mkdir(parents=True)
    (context / "Dockerfile").write_text(DOCKERFILE)
    (context / "folder" / "a").write_text("a\n")
    (context / "link").symlink_to("folder/a")
    return tmp_path


def test_the_client_alone_builds_a_folder_and_pushes_it(
    place: Path, shared_daemon: str, mirror: str
) -> None:
    image = f"{mirror}/lifted:1"

    finished = subprocess.run(
        [sys.executable, "build_and_push.py", shared_daemon, "context", image],
        cwd=place,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert finished.returncode == 0, finished.stderr
    digest = finished.stdout.splitlines()[-1]
    assert json.loads(manifest(f"{mirror}/lifted@{digest}"))["layers"]


def test_the_program_is_as_short_as_promised(place: Path) -> None:
    lines = (place / "build_and_push.py").read_text().splitlines()

    assert len([line for line in lines if line]) <= 20
