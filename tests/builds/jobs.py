"""Jobs for a builder whose daemon is in this process, and whose waits are short."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from function.buildkit.rpc import liveness
from function.buildkit.solve import solve
from function.builds import build
from function.builds.job import Job, new_id
from function.config import Settings
from function.history import cancellation, claim, follow, verdict
from function.request.archive import Limits
from function.request.bundle import unpack
from function.request.signature import Key
from function.telemetry.build_report import Arrival
from function.tenants import Principal

from ..fake_buildkitd import scripts
from ..tar_members import config, directory, file, tar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import pytest

    from function.answers.ongoing import Ongoing

    from ..fake_buildkitd import Build as FakeBuild
    from ..fake_buildkitd import FakeBuildkitd
    from ..tar_members import Header

STEP = "[1/1] RUN make"  # of Running
PRINCIPAL = Principal(key=Key("payload-secret", b"s3cret"))
IMAGE = "registry.example.com/fn:1"
LIMITS = Limits(entries=100, context_bytes=1 << 20)

_SHORT = (
    (build, "_TICK_SECONDS", 0.01),
    (solve, "_TICK_SECONDS", 0.01),
    (solve, "_STATUS_GRACE_SECONDS", 0.05),
    (liveness, "_QUIET_SECONDS", 0.05),
    (follow, "_TICK_SECONDS", 0.01),
    (follow, "_LOOK_SECONDS", 0.02),
    (cancellation, "_YOUNG_SECONDS", 0.0),
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
    image: str = IMAGE,
    build_id: str = "",
    options: Mapping[str, object] | None = None,
    caller_gone: Callable[[], bool] = lambda: False,
    body_type: Callable[[bytes], bytes | bytearray] = bytes,
    **fields: object,
) -> Job:
    """Return a request to build a Dockerfile and *members*."""
    body = tar(
        config(image, **(options or {})),
        directory("context"),
        file("context/Dockerfile", b"FROM scratch\nCOPY . /\n"),
        *members,
    )
    return Job(
        build_id=build_id or new_id(image),
        bundle=unpack(memoryview(body_type(body)), LIMITS),
        principal=PRINCIPAL,
        arrival=Arrival(),
        caller_gone=caller_gone,
        **fields,  # type: ignore[arg-type]
    )


class Running:
    """A script whose step prints something and runs until it may end.

    It ends with its caller, unless it is *unkillable*.
    """

    def __init__(self, prints: bytes = b"", *, unkillable: bool = False) -> None:
        self.begun = threading.Event()
        self.may_end = threading.Event()
        self._prints = prints
        self._unkillable = unkillable

    def __call__(self, build: FakeBuild) -> dict[str, str]:
        with build.step(STEP):
            if self._prints:
                build.prints(STEP, self._prints)
            self.begun.set()
            build.wait_for(self.may_end, unkillable=self._unkillable)
        return dict(scripts.export(build))


def run(build: Ongoing) -> list[str]:
    return [line for lines in build.lines() for line in lines]


def begun(build: Ongoing, running: Running) -> Iterator[list[str]]:
    """Read until the daemon has begun; what is given is the rest."""
    lines = iter(build.lines())
    while not running.begun.is_set():
        next(lines)
    return lines
