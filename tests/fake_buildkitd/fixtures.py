"""Fixtures for tests that speak to a daemon: their folders' conftest.py has them by importing them."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from function.history.cancellation import CancelListener

from .daemon import FakeBuildkitd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from function.buildkit.rpc.control import Control

    StartDaemon = Callable[..., FakeBuildkitd]


@pytest.fixture
def start_daemon(monkeypatch: pytest.MonkeyPatch) -> Iterator[StartDaemon]:
    """Start daemons; they are stopped with the test."""
    listeners = _listeners(monkeypatch)
    with ExitStack() as stopping:

        def start(**options: object) -> FakeBuildkitd:
            fake = FakeBuildkitd(**options)  # type: ignore[arg-type]
            fake.start()
            stopping.callback(fake.stop)
            return fake

        yield start
        for listener in listeners:
            listener._running.clear()
            listener._idle_since = float("-inf")  # so that its thread ends, and does not try again


@pytest.fixture
def daemon(start_daemon: StartDaemon) -> FakeBuildkitd:
    return start_daemon()


def _listeners(monkeypatch: pytest.MonkeyPatch) -> list[CancelListener]:
    """Collect those that are made from now on: they listen on for a while without a build."""
    made: list[CancelListener] = []
    init = CancelListener.__init__

    def noted(self: CancelListener, control: Callable[[], Control], **options: object) -> None:
        init(self, control, **options)  # type: ignore[arg-type]
        made.append(self)

    monkeypatch.setattr(CancelListener, "__init__", noted)
    return made


@pytest.fixture
def control(daemon: FakeBuildkitd) -> Iterator[Control]:
    with daemon.control() as control:
        yield control
