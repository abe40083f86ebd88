from __future__ import annotations

import platform
import resource
import subprocess
from typing import TYPE_CHECKING, cast

import pytest

from function.buildkit.rpc.worker import Worker
from function.daemons import step_limits, step_probe
from function.daemons.step_limits import StepLimits, executable

from ..live.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from function.buildkit import Client

HERE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "")


@pytest.mark.skipif(not HERE, reason="the probe knows no such machine")
def test_the_probe_takes_its_memory_and_ends_well(tmp_path: Path) -> None:
    program = tmp_path / "probe"
    program.write_bytes(executable(HERE))
    program.chmod(0o755)

    assert subprocess.run([program], check=False).returncode == 0

    # In KiB, of the largest child so far; the kernel counts by the batch.
    taken = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert taken > 100 << 10


@pytest.mark.parametrize(("exit_code", "kept"), [(137, True), (0, False), (1, None), (None, None)])
def test_a_step_that_is_killed_tells_that_limits_are_kept(
    monkeypatch: pytest.MonkeyPatch, exit_code: int | None, kept: bool | None
) -> None:
    asked = []

    def run(_client: object, programs: object, attrs: object) -> int | None:
        asked.append((programs, attrs))
        return exit_code

    monkeypatch.setattr(step_probe, "exit_code", run)

    assert step_limits.probe(cast("Client", None)) is kept
    [(programs, attrs)] = asked
    assert attrs == {"memory": str(32 << 20), "memswap": str(32 << 20)}
    assert set(cast("dict[str, bytes]", programs)) == {"amd64", "arm64"}


class Daemon:
    def worker(self, _seconds: float) -> Worker:
        return Worker(id="one")


def test_what_the_step_found_is_known_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_limits, "probe", lambda _client: False)
    limits = StepLimits(cast("Client", Daemon()))

    wait_until(lambda: limits.are_kept is False)
