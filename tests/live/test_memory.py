"""What a build leaves in memory once it has ended: nothing of the request, without a garbage collection."""

from __future__ import annotations

import gc
import io
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from function.builds.builder import Builder
from function.builds.job import Job, new_id
from function.config import Settings
from function.errors import BuilderError
from function.request.archive import Limits
from function.request.bundle import unpack
from function.telemetry.build_report import Arrival

from .caller import Request
from .waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from function.answers.ongoing import Ongoing


@contextmanager
def no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class Body(io.BytesIO):
    """Bytes that can be asked after."""


def job(dockerfile: str, *, claimed: bool) -> tuple[Job, weakref.ref[Body]]:
    body = Body(Request({"Dockerfile": dockerfile, "a": "a"}, config={"skipPush": True}).tar())
    made = Job(
        build_id=new_id(),
        bundle=unpack(body.getbuffer(), Limits()),
        key="payload-secret",
        arrival=Arrival(),
        caller_gone=lambda: False,
        claimed=claimed,
    )
    return made, weakref.ref(body)


@pytest.fixture
def builder_here(shared_daemon: str) -> Builder:
    return Builder(Settings(buildkit_url=shared_daemon))


@pytest.mark.parametrize("claimed", [True, False])
@pytest.mark.parametrize(
    "dockerfile",
    ["FROM scratch\nCOPY . /\n", "FROM scratch\nCOPY missing /\n", "FRM scratch\n"],
    ids=["succeeds", "fails", "cannot be parsed"],
)
def test_a_build_that_has_ended_lets_go_of_the_body(
    builder_here: Builder, dockerfile: str, *, claimed: bool
) -> None:
    with no_collection():
        ordered, body = job(dockerfile, claimed=claimed)
        build = builder_here.build(ordered)
        del ordered
        assert body() is not None
        assert outcome_of(build)
        del build
        # Its session ends a moment after it.
        wait_until(lambda: body() is None)


def outcome_of(build: Ongoing) -> str:
    try:
        for _ in build.lines():
            pass
    except BuilderError as exc:
        return str(exc)
    return "success"
