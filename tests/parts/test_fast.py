"""`./scripts/test --fast`, as its users call it, on a small part of the suite."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from stack.paths import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = 65534

# Each starts a Python of its own, which takes its time where much else runs.
pytestmark = pytest.mark.timeout(400)


@pytest.fixture
def home() -> Iterator[Path]:
    """Make a home of somebody who is not root."""
    with tempfile.TemporaryDirectory() as name:
        if os.geteuid() == 0:
            os.chown(name, NOBODY, NOBODY)
        yield Path(name)


def fast(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it with the Python that runs us first in PATH."""
    return subprocess.run(
        [REPOSITORY / "scripts" / "test", "--fast", "-n", "0", *arguments],
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(home)},
        cwd="/",
        user=NOBODY if os.geteuid() == 0 else None,
        capture_output=True,
        text=True,
        check=False,
    )


def test_needs_no_root_and_says_what_it_does(home: Path) -> None:
    finished = fast(home, "tests/test_version.py")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "1 passed" in finished.stdout
    assert "no root, no daemon" in finished.stderr
    assert "100 examples" in finished.stderr


@pytest.mark.parametrize(
    "left_out",
    [
        pytest.param("tests/live/test_openfaas.py", id="daemons"),
        pytest.param("tests/test_kubernetes_manifests.py", id="programs"),
        pytest.param("tests/parts/test_network_namespace.py", id="root"),
    ],
)
def test_leaves_out_what_needs_more(left_out: str, home: Path) -> None:
    finished = fast(home, "--collect-only", left_out, "tests/test_version.py")
    assert "tests/test_version.py" in finished.stdout
    assert left_out not in finished.stdout
