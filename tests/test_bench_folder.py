"""Contexts on the disk."""

import os
from pathlib import Path

from benchmark import folder
from benchmark.contexts import File


def file(path: str, content: bytes = b"x", modified: int = 1_000) -> File:
    return File(path=path, content=content, modified=modified)


def test_writes_content_mode_and_times_of_files_and_folders(tmp_path: Path) -> None:
    executable = File(path="a/b/run", content=b"#!", modified=2_000, mode=0o755)
    folder.write((file("Dockerfile"), executable), tmp_path)
    written = tmp_path / "a" / "b" / "run"
    assert written.read_bytes() == b"#!"
    assert (written.stat().st_mtime, written.stat().st_mode & 0o777) == (2_000, 0o755)
    assert (tmp_path / "a" / "b").stat().st_mtime == 1_000


def test_leaves_untouched_what_did_not_change(tmp_path: Path) -> None:
    folder.write((file("same", b"old"), file("changed", b"old")), tmp_path)
    (tmp_path / "same").write_bytes(b"own")
    os.utime(tmp_path / "same", (1_000, 1_000))
    folder.write((file("same", b"old"), file("changed", b"new", modified=1_001)), tmp_path)
    assert (tmp_path / "same").read_bytes() == b"own"
    assert (tmp_path / "changed").read_bytes() == b"new"


def test_reads_what_it_wrote_without_bytecode(tmp_path: Path) -> None:
    folder.write((file("a/module.py"), file("b", b"y")), tmp_path)
    folder.write((file("a/__pycache__/module.pyc"),), tmp_path)
    assert list(folder.read(tmp_path)) == [("a/module.py", b"x"), ("b", b"y")]
