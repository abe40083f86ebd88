"""Marks what a test needs beside Python: `./scripts/test --fast` runs those that need nothing."""

from __future__ import annotations

import os

# Before anything imports gRPC. The processes that tests start are none of its business, and its handlers
# abort them between fork and exec (grpcio 1.8x).
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

import pytest
from hypothesis import HealthCheck, settings

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
