from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

import pytest

from function.buildkit import DaemonUnavailable
from function.errors import BuildTimedOut
from function.history import search as searching
from function.history import verdict
from function.history.annotations import verdict_attrs
from function.history.refs import Part
from function.history.search import Search
from function.history.verdict import leave_verdict
from function.pb import control_pb2 as pb

from .records import ANNOTATIONS, ID, REF, TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..fake_buildkitd import FakeBuildkitd

PATIENCE = 10.0
ATTRS = verdict_attrs(ANNOTATIONS, BuildTimedOut("Too long."), TOKEN)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict, "_PAUSE_SECONDS", 0.01)


@pytest.fixture(autouse=True)
def before() -> Iterator[set[threading.Thread]]:
    """Yield the threads of other tests; of this one's none is left."""
    made = set(threading.enumerate())
    yield made
    assert join(made) == []


def join(before: set[threading.Thread]) -> list[threading.Thread]:
    """Wait for those that leave a verdict later; what is returned goes on."""
    started = [each for each in threading.enumerate() if each not in before]
    leaving = [each for each in started if each.name == "verdict"]
    for thread in leaving:
        thread.join(PATIENCE)
    return [each for each in leaving if each.is_alive()]


class Way:
    def __init__(self, daemon: FakeBuildkitd) -> None:
        self._daemon = daemon
        self.tried = threading.Semaphore(0)

    @contextmanager
    def __call__(self) -> Iterator[Search]:
        self.tried.release()
        with self._daemon.control() as control:
            yield Search(control, patience=1.0)


def left(daemon: FakeBuildkitd) -> str:
    with daemon.control() as control:
        found = Search(control, patience=PATIENCE).record(ID)
    return str(found.error) if found else ""


def test_a_verdict_is_left_at_once(daemon: FakeBuildkitd) -> None:
    leave_verdict(Way(daemon), REF, ATTRS)

    assert left(daemon) == "Too long."


def test_a_verdict_waits_for_the_daemon_to_be_back(daemon: FakeBuildkitd) -> None:
    way = Way(daemon)
    daemon.die()
    leave_verdict(way, REF, ATTRS)
    for _ in range(3):
        assert way.tried.acquire(timeout=PATIENCE)

    daemon.start()

    daemon.wait_until(lambda: daemon.history.completed(REF.of(Part.VERDICT)))
    assert left(daemon) == "Too long."


def test_a_verdict_whose_ref_was_taken_for_nothing_is_left_when_that_is_free(
    start_daemon: Callable[..., FakeBuildkitd], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "_APPEARS_SECONDS", 0.05)
    daemon = start_daemon(ref_taken_seconds=1.0)
    name = REF.of(Part.VERDICT)
    with daemon.control() as control:
        control.solve(pb.SolveRequest(Ref=name, Definition=b"", Internal=True))

    leave_verdict(Way(daemon), REF, ATTRS)

    daemon.wait_until(lambda: daemon.history.completed(name))
    assert left(daemon) == "Too long."


def test_a_verdict_that_nobody_takes_is_given_up_and_said_so(
    before: set[threading.Thread],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(verdict, "_MOST_SECONDS", 0.05)

    def gone() -> NoReturn:
        raise DaemonUnavailable("Gone.")

    leave_verdict(gone, REF, ATTRS)
    assert join(before) == []

    [said] = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert said.getMessage() == (f"build {ID} ended, and there was no daemon to remember why")
