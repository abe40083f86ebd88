"""Builds found by their ids, on daemons in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from function.daemons import pool
from function.daemons.finding import Finder
from function.daemons.pool import Daemons
from function.daemons.rendezvous import in_order
from function.errors import DaemonUnavailable, Interrupted, NotFound, RecordsOff
from function.history import State
from function.history.memory import Memory
from function.history.refs import Part, Ref

from ..history.records import CLAIMED, record, verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..fake_buildkitd import FakeBuildkitd

KEY = "0123abcd"
ID = KEY + "e" * 24
WORKERS = ["worker-1", "worker-2", "worker-3"]
LISTEN = "ListenBuildHistory"


@pytest.fixture
def fakes(
    start_daemon: Callable[..., FakeBuildkitd], monkeypatch: pytest.MonkeyPatch
) -> list[FakeBuildkitd]:
    """Start three, in the order in which builds of KEY prefer them."""
    monkeypatch.setattr(pool, "_REFRESH_SECONDS", 3600.0)
    return [start_daemon(worker_id=each, hostname=each) for each in in_order(KEY, WORKERS)]


def daemons_at(*fakes: FakeBuildkitd) -> Daemons:
    return Daemons([fake.url for fake in fakes], tls=None, patience=2.0, builds=8)


@pytest.fixture
def finder(fakes: list[FakeBuildkitd]) -> Finder:
    daemons = daemons_at(*fakes)
    daemons.refresh()
    return Finder(daemons)


def put(
    fake: FakeBuildkitd, build_id: str = ID, *, state: str = "succeeded", at: int = 100
) -> None:
    ref = Ref(build_id)
    match state:
        case "succeeded":
            fake.history.add(record(ref=ref, created=at, ended=True))
        case "running":
            fake.history.add(record(ref=ref, created=at))
            fake.history.add(record(Part.CLAIM, ref=ref, created=at, attrs=CLAIMED))
        case "queued":
            fake.history.add(record(Part.CLAIM, ref=ref, created=at, attrs=CLAIMED))
        case "interrupted":
            left = verdict(Interrupted("Gone."))
            left.Ref = ref.of(Part.VERDICT)
            left.CreatedAt.seconds, left.CompletedAt.seconds = at, at + 1
            fake.history.add(left)


def asked(fakes: list[FakeBuildkitd]) -> list[int]:
    """Count each one's questions; what is listened for, or read up on beside them, is none."""
    return [
        sum(each.EarlyExit and each.Limit <= 1 for each in fake.history.requests) for fake in fakes
    ]


@pytest.mark.parametrize("state", ["succeeded", "running", "queued"])
def test_the_first_of_the_order_is_asked_and_no_other(
    fakes: list[FakeBuildkitd], finder: Finder, state: str
) -> None:
    put(fakes[0], state=state)

    daemon, found = finder.find(ID)

    assert daemon.worker_id == fakes[0].worker_id
    assert found.state == state
    assert asked(fakes)[1:] == [0, 0]


def test_all_others_are_asked_where_the_first_has_nothing(
    fakes: list[FakeBuildkitd], finder: Finder
) -> None:
    put(fakes[2])

    assert finder.find(ID)[0].worker_id == fakes[2].worker_id


def test_an_id_without_a_key_is_found(fakes: list[FakeBuildkitd], finder: Finder) -> None:
    """Make ids as builders before this one did."""
    for number in range(8):
        build_id = f"{number:032x}"
        put(fakes[number % 3], build_id)
        assert finder.find(build_id)[0].worker_id == fakes[number % 3].worker_id


def test_what_was_found_is_asked_first_the_next_time(
    fakes: list[FakeBuildkitd], finder: Finder
) -> None:
    put(fakes[2])
    finder.find(ID)
    before = asked(fakes)

    finder.find(ID)

    assert [now - then for now, then in zip(asked(fakes), before, strict=True)][:2] == [0, 0]


def test_an_end_that_may_be_repeated_is_looked_up_elsewhere(
    fakes: list[FakeBuildkitd], finder: Finder
) -> None:
    put(fakes[0], state="interrupted", at=200)
    put(fakes[1], state="succeeded", at=100)

    daemon, found = finder.find(ID)

    assert (daemon.worker_id, found.state) == (fakes[1].worker_id, State.SUCCEEDED)


def test_a_build_that_goes_on_comes_before_one_that_ended(
    fakes: list[FakeBuildkitd], finder: Finder
) -> None:
    put(fakes[0], state="interrupted", at=300)
    put(fakes[1], state="succeeded", at=200)
    put(fakes[2], state="queued", at=100)

    assert finder.find(ID)[1].state is State.QUEUED


def test_of_ends_that_may_be_repeated_the_newest_is_told(
    fakes: list[FakeBuildkitd], finder: Finder
) -> None:
    put(fakes[0], state="interrupted", at=100)
    put(fakes[1], state="interrupted", at=200)

    assert finder.find(ID)[0].worker_id == fakes[1].worker_id


def test_there_is_no_build_only_if_every_daemon_says_so(
    fakes: list[FakeBuildkitd], finder: Finder
) -> None:
    put(fakes[1], "f" * 32)
    with pytest.raises(NotFound, match=ID):
        finder.find(ID)

    fakes[2].die()

    for _ in range(2):  # when it is found out, and when it is known
        with pytest.raises(DaemonUnavailable, match="not all answer") as raised:
            finder.find(ID)
        assert raised.value.retry_after


def test_a_name_that_was_never_resolved_may_hide_a_daemon(fakes: list[FakeBuildkitd]) -> None:
    put(fakes[1], "f" * 32)
    urls = [fakes[0].url, fakes[1].url, "tcp://hidden.invalid:1"]
    finder = Finder(Daemons(urls, tls=None, patience=2.0, builds=8))

    with pytest.raises(DaemonUnavailable, match="not all answer"):
        finder.find(ID)


def test_one_that_was_never_heard_of_may_have_it(fakes: list[FakeBuildkitd]) -> None:
    fakes[0].die()
    put(fakes[1], "f" * 32)
    finder = Finder(daemons_at(*fakes))

    with pytest.raises(DaemonUnavailable, match="not all answer"):
        finder.find(ID)


def test_without_any_daemon_nothing_is_known(fakes: list[FakeBuildkitd], finder: Finder) -> None:
    for fake in fakes:
        fake.die()

    for _ in range(2):
        with pytest.raises(DaemonUnavailable, match="No buildkitd answers"):
            finder.find(ID)


def test_without_any_record_at_all_records_are_off(finder: Finder) -> None:
    with pytest.raises(RecordsOff):
        finder.find(ID)


def test_one_daemon_is_asked_what_it_always_was(
    fakes: list[FakeBuildkitd], monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is read beside the first question spares the next one some, if it has been read by then.
    monkeypatch.setattr(Memory, "_read", lambda _: None)
    only = fakes[0]
    put(only, "f" * 32)
    finder = Finder(daemons_at(only))

    finder.daemon_of(ID)
    assert asked([only]) == [0]
    assert finder.look(ID) is None
    assert asked([only]) == [2]  # what is active, and all
    with pytest.raises(NotFound):
        finder.find(ID)
    assert asked([only]) == [5]  # and whether there are records
    only.die()
    with pytest.raises(DaemonUnavailable):
        finder.find(ID)
    with pytest.raises(DaemonUnavailable):
        raise finder.unknown(ID)
    assert only.reached("ListWorkers") == 0


def test_so_many_places_are_remembered(
    fakes: list[FakeBuildkitd], finder: Finder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("function.daemons.finding._MOST_REMEMBERED", 2)
    (daemon,) = [each for each in finder._daemons.all() if each.worker_id == fakes[0].worker_id]
    for number in range(5):
        finder.remember(f"{number:032x}", daemon)

    assert list(finder._places) == [f"{number:032x}" for number in (3, 4)]
