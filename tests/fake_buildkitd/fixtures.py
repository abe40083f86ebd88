"""Fixtures for tests that speak to a daemon: their folders' conftest.py has them by importing them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NoReturn

import pytest

from function.history.cancellation import CancelListener

from .daemon import FakeBuildkitd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from function.buildkit.rpc.control import Control


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBuildkitd]:
    listeners = _listeners(monkeypatch)
    fake = FakeBuildkitd()
    fake.start()
    yield fake
    for listener in listeners:
        listener._control = _nowhere
    fake.stop()


def _listeners(monkeypatch: pytest.MonkeyPatch) -> list[CancelListener]:
    """Collect those that are made from now on: they listen for as long as there is a process."""
    made: list[CancelListener] = []
    init = CancelListener.__init__

    def noted(self: CancelListener, control: Callable[[], Control]) -> None:
        init(self, control)
        made.append(self)

    monkeypatch.setattr(CancelListener, "__init__", noted)
    return made


def _nowhere() -> NoReturn:
    """Have the thread that asks for the way to a daemon wait, and not try again and again."""
    threading.Event().wait()
    raise AssertionError


@pytest.fixture
def control(daemon: FakeBuildkitd) -> Iterator[Control]:
    with daemon.control() as control:
        yield control
