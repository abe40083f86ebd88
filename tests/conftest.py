"""Marks what a test needs beside Python: `./scripts/test --fast` runs those that need nothing."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

# Before anything imports gRPC. The processes that tests start are none of its business, and its handlers
# abort them between fork and exec (grpcio 1.8x).
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

# By fixture: `machine`, `mirror` and `shared_daemon` are of the stack of scripts/test, `reference` is
# a Go program. Tests that use none of them and need something say so themselves.
_MARKS = {
    "machine": pytest.mark.daemons,
    "mirror": pytest.mark.daemons,
    "shared_daemon": pytest.mark.daemons,
    "reference": pytest.mark.programs,
}

# A machine that does something else, too, must not fail a test for its slowness.
_UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("unhurried", _UNHURRIED)
settings.register_profile("fast", _UNHURRIED, max_examples=30)
settings.load_profile("unhurried")


@pytest.hookimpl(tryfirst=True)  # before -m leaves any out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for name in getattr(item, "fixturenames", ()):
            if name in _MARKS:
                item.add_marker(_MARKS[name])


@pytest.fixture(autouse=True)
def none_goes_on_after_its_test() -> Iterator[None]:
    """End the threads by which a builder looks after its daemons, and which outlive it for minutes.

    A hundred of them take a processor from the tests that shorten all waits.
    """
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        target = getattr(thread, "_target", None)  # until it has run
        of: Any = getattr(target, "__self__", None)
        if of is None:
            continue
        if thread.name == "daemons":
            of.close()
        elif thread.name == "cancellation":
            of._running.clear()
            of._asked_until = of._idle_since = float("-inf")
