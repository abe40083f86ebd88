"""Mounts a tmpfs. Where daemons, registry and contexts are kept during a run."""

import enum
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import BenchmarkError

# Base images, layers and uploads of a whole run came to 1.9 GiB (measured).
MOUNTED_BYTES = 6 << 30
# And room for what runs on it: the function with bodies of 200 MiB, the daemon, the other programs.
NEEDED_BYTES = MOUNTED_BYTES + (2 << 30)


class State(enum.Enum):
    MEMORY = "memory"  # a tmpfs: no disk takes part in what is measured
    DISK = "disk"  # the file system of the stack's own folder
    GIVEN = "given"  # the daemon runs already, and keeps its state wherever it does


def default(meminfo: str) -> State:
    """Choose memory where there is enough of it; *meminfo* is the text of /proc/meminfo."""
    return State.MEMORY if _available_bytes(meminfo) >= NEEDED_BYTES else State.DISK


@contextmanager
def mounted(state: State, folder: Path) -> Iterator[None]:
    """Keep the empty *folder* in memory until the end of the block, if that is the state."""
    if state is not State.MEMORY:
        yield
        return
    found = folder.stat()
    options = f"size={MOUNTED_BYTES},mode=0755,uid={found.st_uid},gid={found.st_gid}"
    _run(["mount", "-t", "tmpfs", "-o", options, "builder-fn-benchmark", str(folder)])
    try:
        yield
    finally:
        _run(["umount", str(folder)])


def _available_bytes(meminfo: str) -> int:
    # proc_meminfo(5): "MemAvailable:   24000000 kB"
    line = next(line for line in meminfo.splitlines() if line.startswith("MemAvailable:"))
    return int(line.split()[1]) << 10


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"{' '.join(command)}: {done.stderr.strip()}. Try --state disk.")
