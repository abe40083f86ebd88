"""The places where daemons keep their files during a run."""

import os
from pathlib import Path

import pytest
from benchmark import state
from benchmark.errors import BenchmarkError
from benchmark.state import State

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")


@pytest.mark.parametrize(
    ("kilobytes", "chosen"),
    [
        pytest.param(state.NEEDED_BYTES >> 10, State.MEMORY, id="enough"),
        pytest.param((state.NEEDED_BYTES >> 10) - 1, State.DISK, id="a little too few"),
    ],
)
def test_memory_is_used_where_there_is_enough(kilobytes: int, chosen: State) -> None:
    meminfo = f"MemTotal: 99999999 kB\nMemFree: 1 kB\nMemAvailable:  {kilobytes} kB\n"
    assert state.default(meminfo) is chosen


@needs_root
def test_a_folder_in_memory_is_empty_again_afterwards(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    os.chown(tmp_path, 1234, 1234)
    with state.mounted(State.MEMORY, tmp_path):
        assert tmp_path.is_mount()
        assert (tmp_path.stat().st_uid, tmp_path.stat().st_mode & 0o777) == (1234, 0o755)
        (tmp_path / "file").write_text("x")
    assert not tmp_path.is_mount()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kept", [State.DISK, State.GIVEN])
def test_nothing_is_mounted_for_any_other_state(kept: State, tmp_path: Path) -> None:
    with state.mounted(kept, tmp_path):
        assert not tmp_path.is_mount()


@needs_root
def test_a_mount_that_fails_says_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(BenchmarkError, match="Try --state disk"), state.mounted(State.MEMORY, file):
        pass
