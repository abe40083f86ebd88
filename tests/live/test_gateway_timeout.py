"""A gateway that waits more briefly than the build takes: the build ends, and every replica says so."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from .caller import build
from .commands import command
from .gate import Gate
from .test_building import running
from .waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from stack.daemons.buildkitd import Buildkitd

    from .conftest import StartFunction, StartOpenFaaS

FUNCTION = "/function/builder-fn"


def test_the_build_is_cancelled_and_every_replica_says_so(
    start_openfaas: StartOpenFaaS,
    start_daemon: Callable[..., Buildkitd],
    start_function: StartFunction,
) -> None:
    own = start_openfaas(gateway_settings={"upstream_timeout": "1s"})
    daemon = start_daemon().address
    with start_function(daemon) as called, start_function(daemon) as other, Gate() as gate:
        own.register("builder-fn", [called.url])
        request = running(gate.command)
        request.image = f"unused/{uuid.uuid4().hex}:1"
        answer = build(own.url, request, path=FUNCTION)
        # The gateway's own: of the builder's answer there is none yet.
        assert (answer.status, answer.body) == (502, b"")
        build_id = listed(other.url, request.image)["buildId"]
        wait_until(lambda: ending(other.url, build_id) == ("failed", "caller_gone"))


def ending(url: str, build_id: str) -> tuple[str | None, str | None]:
    """State and reason, as the replica tells them."""
    status = command(url, "status", build_id).document
    return status.get("state"), status.get("reason")


def listed(url: str, image: str) -> dict[str, Any]:
    """Return what the replica knows of the one build of *image*."""
    builds: list[dict[str, Any]] = command(url, "list").document["builds"]
    return next((entry for entry in builds if entry["image"] == image), {})
