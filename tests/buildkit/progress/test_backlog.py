from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from queue import Empty
from typing import TYPE_CHECKING

import pytest

from function.buildkit.progress.backlog import Backlog

if TYPE_CHECKING:
    from collections.abc import Iterator

SOON = 30.0


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as pool:
        yield pool


def test_what_is_put_is_taken_in_its_order() -> None:
    backlog = Backlog[int](10)
    for number in range(5):
        backlog.put(number, 1)

    assert [backlog.get(0) for _ in range(5)] == [*range(5)]
    with pytest.raises(Empty):
        backlog.get(0.01)


def test_one_that_waits_gets_what_comes(threads: ThreadPoolExecutor) -> None:
    backlog = Backlog[str]()
    waiting = threads.submit(backlog.get, SOON)

    backlog.put("a", 1)

    assert waiting.result(SOON) == "a"


def test_whoever_puts_waits_until_there_is_room(threads: ThreadPoolExecutor) -> None:
    backlog = Backlog[str](10)
    backlog.put("small", 4)
    backlog.put("larger than there is room for", 40)

    waiting = threads.submit(backlog.put, "next", 1)

    backlog.get(0)
    assert not waiting.done()
    backlog.get(0)
    waiting.result(SOON)
    assert backlog.get(SOON) == "next"


def test_once_it_is_closed_nobody_waits_and_no_more_is_kept(threads: ThreadPoolExecutor) -> None:
    backlog = Backlog[str](1)
    backlog.put("kept", 1)
    begun = threading.Barrier(3)

    def put() -> None:
        begun.wait(SOON)
        backlog.put("late", 1)

    waiting = [threads.submit(put) for _ in range(2)]
    begun.wait(SOON)
    backlog.close()

    for each in waiting:
        each.result(SOON)
    assert backlog.get(0) == "kept"
    with pytest.raises(Empty):
        backlog.get(0)
