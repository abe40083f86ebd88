from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from function.buildkit import Misconfigured
from function.history import cancellation
from function.history.cancellation import CancelListener
from function.history.refs import Part, Ref
from function.history.search import Search
from function.pb import control_pb2 as pb

from .records import ID, REF, record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from function.buildkit.rpc.control import Control

    from ..fake_buildkitd import FakeBuildkitd

PATIENCE = 10.0
OTHER = Ref("b2" * 16)
LISTEN = "ListenBuildHistory"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancellation, "_YOUNG_SECONDS", 0.0)
    monkeypatch.setattr(cancellation, "_RENEWAL_SECONDS", 0.05)
    monkeypatch.setattr(cancellation, "_STREAM_SECONDS", 0.1)
    monkeypatch.setattr(cancellation, "_MIN_PAUSE_SECONDS", 0.005)
    monkeypatch.setattr(cancellation, "_MAX_PAUSE_SECONDS", 0.01)


class Way:
    """Leads to the daemon, unless it is closed."""

    def __init__(self, control: Control) -> None:
        self.open = True
        self._control = control

    def __call__(self) -> Control:
        if not self.open:
            raise Misconfigured("There is no daemon.")
        return self._control


@pytest.fixture
def way(control: Control) -> Way:
    return Way(control)


@pytest.fixture
def listener(
    daemon: FakeBuildkitd, way: Way, monkeypatch: pytest.MonkeyPatch
) -> Iterator[CancelListener]:
    made = CancelListener(way)
    yield made
    monkeypatch.setattr(cancellation, "_LINGER_SECONDS", 0.0)
    for ref in [*made._running]:
        made.remove(ref)
    daemon.wait_until(lambda: not made._listening)


class Cancel:
    def __init__(self) -> None:
        self.called = threading.Event()
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1
        self.called.set()


def searches(daemon: FakeBuildkitd) -> list[bool]:
    """Return, stream by stream, whether it read the history."""
    return [not each.ActiveOnly for each in daemon.history.requests]


def request(control: Control, ref: Ref = REF) -> None:
    Search(control, patience=PATIENCE).request_cancel(ref)


def test_a_build_is_cancelled_when_that_is_asked_for(
    daemon: FakeBuildkitd, control: Control, listener: CancelListener
) -> None:
    cancel, others = Cancel(), Cancel()
    listener.add(REF, cancel)
    listener.add(OTHER, others)
    daemon.wait_at(LISTEN)

    request(control)

    assert cancel.called.wait(PATIENCE)
    assert others.calls == 0


def test_a_build_that_is_soon_over_is_not_listened_for(
    daemon: FakeBuildkitd, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancellation, "_YOUNG_SECONDS", 0.05)
    now = 0.0
    listener = CancelListener(way, clock=lambda: now)
    listener.add(REF, Cancel())
    listener.remove(REF)

    daemon.wait_until(lambda: not listener._listening)

    assert daemon.reached(LISTEN) == 0


def test_what_was_asked_for_while_a_build_was_not_listened_for_is_found(
    daemon: FakeBuildkitd, control: Control, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancellation, "_YOUNG_SECONDS", 0.05)
    monkeypatch.setattr(cancellation, "_LINGER_SECONDS", 0.0)
    now = 0.0
    listener = CancelListener(way, clock=lambda: now)
    cancel = Cancel()
    listener.add(REF, cancel)
    request(control)
    assert daemon.reached(LISTEN) == 0

    now = 1.0

    assert cancel.called.wait(PATIENCE)
    daemon.wait_until(lambda: not listener._listening)


def test_a_build_is_cancelled_once(
    daemon: FakeBuildkitd, control: Control, listener: CancelListener
) -> None:
    cancel = Cancel()
    listener.add(REF, cancel)
    request(control)
    assert cancel.called.wait(PATIENCE)

    seen = daemon.reached(LISTEN)
    daemon.wait_at(LISTEN, times=seen + 3)  # each tells it once more

    assert cancel.calls == 1


def test_a_request_from_before_the_build_began_is_met_at_once(
    daemon: FakeBuildkitd, control: Control, listener: CancelListener
) -> None:
    listener.add(OTHER, Cancel())
    request(control)
    seen = daemon.reached(LISTEN)
    daemon.wait_at(LISTEN, times=seen + 2)
    cancel = Cancel()

    listener.add(REF, cancel)

    assert cancel.called.wait(PATIENCE)


def test_a_request_from_before_anybody_listened_is_met(
    control: Control, listener: CancelListener
) -> None:
    request(control)
    cancel = Cancel()

    listener.add(REF, cancel)

    assert cancel.called.wait(PATIENCE)


def test_a_build_that_has_ended_is_not_cancelled(
    daemon: FakeBuildkitd, control: Control, listener: CancelListener
) -> None:
    cancel = Cancel()
    listener.add(REF, cancel)
    listener.remove(REF)
    listener.remove(REF)

    request(control)

    seen = daemon.reached(LISTEN)
    daemon.wait_at(LISTEN, times=seen + 2)
    assert cancel.calls == 0


def test_records_of_another_kind_cancel_nothing(
    daemon: FakeBuildkitd, listener: CancelListener
) -> None:
    cancel = Cancel()
    listener.add(REF, cancel)

    for part in (Part.BUILD, Part.CLAIM, Part.VERDICT):
        daemon.history.add(record(part, ended=True))
    daemon.history.add(record(Part.CANCEL, ref=Ref(ID, 2), ended=True))
    somebodys = record(ended=True)
    somebodys.Ref = "cancel-something-else"
    daemon.history.add(somebodys)

    seen = daemon.reached(LISTEN)
    daemon.wait_at(LISTEN, times=seen + 2)
    assert cancel.calls == 0


def test_a_daemon_that_died_is_listened_to_when_it_is_back(
    daemon: FakeBuildkitd, listener: CancelListener
) -> None:
    cancel = Cancel()
    listener.add(REF, cancel)
    daemon.wait_at(LISTEN)
    daemon.die()
    daemon.start()

    with daemon.control() as another:
        request(another)

    assert cancel.called.wait(PATIENCE)


def test_a_stream_that_brings_nothing_any_more_is_given_up(
    daemon: FakeBuildkitd, control: Control, listener: CancelListener
) -> None:
    """Go silent, as when the daemon's host has vanished."""
    cancel = Cancel()
    daemon.hold(LISTEN)
    listener.add(REF, cancel)
    daemon.wait_until(lambda: daemon.left(LISTEN))

    daemon.let_go(LISTEN)
    request(control)

    assert cancel.called.wait(PATIENCE)


def test_without_a_way_to_the_daemon_one_is_looked_for(
    control: Control, way: Way, listener: CancelListener
) -> None:
    cancel = Cancel()
    way.open = False
    listener.add(REF, cancel)
    request(control)
    assert not cancel.called.wait(0.05)

    way.open = True

    assert cancel.called.wait(PATIENCE)


def test_of_what_was_asked_for_the_latest_is_remembered(
    daemon: FakeBuildkitd,
    control: Control,
    listener: CancelListener,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cancellation, "_MOST_REMEMBERED", 2)
    listener.add(OTHER, Cancel())
    refs = [Ref(f"{number:032x}") for number in range(3)]
    for ref in refs:
        request(control, ref)

    daemon.wait_until(lambda: list(listener._heard) == refs[1:])


def test_only_the_first_stream_searches_the_history(
    daemon: FakeBuildkitd, listener: CancelListener
) -> None:
    daemon.history.add(record(Part.CLAIM))

    listener.add(REF, Cancel())

    # One that a busy machine has not opened before the next is made up for by another search.
    daemon.wait_until(lambda: searches(daemon)[-3:] == [False] * 3)
    assert searches(daemon)[0]


def test_streams_without_news_search_no_more_either(
    daemon: FakeBuildkitd, listener: CancelListener
) -> None:
    listener.add(REF, Cancel())

    # One that a busy machine has not opened before the next is made up for by another search.
    daemon.wait_until(lambda: searches(daemon)[-3:] == [False] * 3)
    assert searches(daemon)[0]


def test_a_stream_that_never_opened_is_made_up_for_by_a_search(
    daemon: FakeBuildkitd, listener: CancelListener
) -> None:
    daemon.hold(LISTEN)
    listener.add(REF, Cancel())
    daemon.wait_until(lambda: daemon.left(LISTEN))
    assert listener.unbroken_since is None

    daemon.let_go(LISTEN)

    daemon.wait_until(lambda: listener.unbroken_since is not None)
    assert daemon.history.requests[0].ActiveOnly is False


def test_a_stream_that_opened_after_the_last_one_ended_is_made_up_for_by_a_search(
    daemon: FakeBuildkitd,
    listener: CancelListener,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listener.add(REF, Cancel())
    daemon.wait_until(lambda: listener.unbroken_since is not None)
    # From here on each opens too late.
    monkeypatch.setattr(cancellation, "_STREAM_SECONDS", cancellation._RENEWAL_SECONDS)
    seen = len(searches(daemon))

    daemon.wait_until(lambda: searches(daemon)[seen:].count(True) >= 2)

    assert listener.unbroken_since is None


def test_all_that_is_heard_is_passed_on(
    daemon: FakeBuildkitd, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancellation, "_RENEWAL_SECONDS", 2.0)
    monkeypatch.setattr(cancellation, "_STREAM_SECONDS", 4.0)
    heard: list[tuple[int, str]] = []
    made = CancelListener(way, hear=lambda event: heard.append((event.type, event.record.Ref)))
    made.listen()
    daemon.wait_until(lambda: made.unbroken_since is not None)

    daemon.history.add(record(ended=True))
    daemon.history.delete(ID)

    daemon.wait_until(lambda: {(pb.COMPLETE, ID), (pb.DELETED, ID)} <= set(heard))
    monkeypatch.setattr(cancellation, "_LINGER_ASKED_SECONDS", 0.0)
    made.listen()
    daemon.wait_until(lambda: made.unbroken_since is None)


def test_the_next_stream_is_open_before_the_last_ends(
    daemon: FakeBuildkitd,
    control: Control,
    listener: CancelListener,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Hear a request between the two, which no stream of what is active tells of later."""
    monkeypatch.setattr(cancellation, "_RENEWAL_SECONDS", 0.3)
    monkeypatch.setattr(cancellation, "_STREAM_SECONDS", 0.6)
    daemon.history.add(record(Part.CLAIM))
    listener.add(OTHER, Cancel())
    daemon.wait_until(lambda: len(daemon.history.requests) >= 2)

    for number in range(60):
        ref, cancel = Ref(f"{number:032x}"), Cancel()
        listener.add(ref, cancel)
        request(control, ref)
        # No stream searches for what was missed, since all of them opened in time.
        assert cancel.called.wait(PATIENCE), number


def test_without_builds_it_stops_listening_and_with_the_next_begins_again(
    daemon: FakeBuildkitd,
    control: Control,
    listener: CancelListener,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cancellation, "_LINGER_SECONDS", 0.0)
    listener.add(OTHER, Cancel())
    daemon.wait_at(LISTEN)
    listener.remove(OTHER)
    daemon.wait_until(lambda: not listener._listening)
    request(control)
    cancel = Cancel()

    listener.add(REF, cancel)

    assert cancel.called.wait(PATIENCE)
