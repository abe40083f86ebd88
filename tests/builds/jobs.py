"""Jobs for a builder whose daemon is in this process, and whose waits are short."""

from __future__ import annotations

from typing import TYPE_CHECKING

from function.buildkit.rpc import liveness
from function.buildkit.solve import solve
from function.builds import build
from function.builds.job import Job, new_id
from function.config import Settings
from function.history import claim, follow, verdict
from function.request.archive import Limits
from function.request.bundle import unpack
from function.telemetry.build_report import Arrival

from ..tar_members import config, directory, file, tar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import pytest

    from ..fake_buildkitd import FakeBuildkitd
    from ..tar_members import Header

IMAGE = "registry.example.com/fn:1"
LIMITS = Limits(entries=100, context_bytes=1 << 20)

_SHORT = (
    (build, "_TICK_SECONDS", 0.01),
    (solve, "_TICK_SECONDS", 0.01),
    (solve, "_STATUS_GRACE_SECONDS", 0.05),
    (liveness, "_QUIET_SECONDS", 0.05),
    (follow, "_TICK_SECONDS", 0.01),
    (follow, "_LOOK_SECONDS", 0.02),
    (claim, "_PAUSE_SECONDS", 0.005),
    (verdict, "_PAUSE_SECONDS", 0.01),
)


def shorten_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, seconds in _SHORT:
        monkeypatch.setattr(module, name, seconds)


def settings(daemon: FakeBuildkitd, secrets: Path, **changes: object) -> Settings:
    chosen = {"buildkit_url": (daemon.url,), "secret_mount_path": secrets, **changes}
    return Settings(**chosen)  # type: ignore[arg-type]


def job(
    *members: Header,
    build_id: str = "",
    options: Mapping[str, object] | None = None,
    caller_gone: Callable[[], bool] = lambda: False,
    body_type: Callable[[bytes], bytes | bytearray] = bytes,
    **fields: object,
) -> Job:
    """Return a request to build a Dockerfile and *members*."""
    body = tar(
        config(IMAGE, **(options or {})),
        directory("context"),
        file("context/Dockerfile", b"FROM scratch\nCOPY . /\n"),
        *members,
    )
    return Job(
        build_id=build_id or new_id(IMAGE),
        bundle=unpack(memoryview(body_type(body)), LIMITS),
        key="payload-secret",
        arrival=Arrival(),
        caller_gone=caller_gone,
        **fields,  # type: ignore[arg-type]
    )
