from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Copy what generate-stubs reads and writes, to be spoilt."""
    shutil.copytree(ROOT / "scripts" / "protos", tmp_path / "scripts" / "protos")
    shutil.copy(ROOT / "scripts" / "generate-stubs", tmp_path / "scripts")
    shutil.copytree(
        ROOT / "builder-fn" / "pb",
        tmp_path / "builder-fn" / "pb",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    return tmp_path


def generate_stubs(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, root / "scripts" / "generate-stubs", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_committed_stubs_are_what_the_protos_generate() -> None:
    checked = generate_stubs(ROOT, "--check")

    assert (checked.returncode, checked.stderr) == (0, "")


def test_check_names_a_stub_that_was_edited(copy: Path) -> None:
    with (copy / "builder-fn" / "pb" / "auth_pb2.py").open("a") as stub:
        stub.write("# by hand\n")

    checked = generate_stubs(copy, "--check")

    assert checked.returncode == 1
    assert "auth_pb2.py" in checked.stderr
    assert "run scripts/generate-stubs" in checked.stderr


def test_check_names_a_stub_whose_proto_is_gone(copy: Path) -> None:
    (copy / "scripts" / "protos" / "rpc_status.proto").unlink()

    checked = generate_stubs(copy, "--check")

    assert checked.returncode == 1
    assert "rpc_status_pb2.py, rpc_status_pb2.pyi" in checked.stderr


def test_generating_mends_what_check_finds(copy: Path) -> None:
    (copy / "builder-fn" / "pb" / "control_pb2.py").unlink()
    (copy / "builder-fn" / "pb" / "left_over_pb2.py").touch()

    generate_stubs(copy)

    assert generate_stubs(copy, "--check").returncode == 0
