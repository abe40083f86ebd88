from __future__ import annotations

import threading

import pytest

from function.builds.background import Background

SECONDS = 10.0


def test_is_idle_until_something_starts_and_after_it_has_ended() -> None:
    background = Background()
    release, ended = threading.Event(), threading.Event()

    def work() -> None:
        release.wait(SECONDS)
        ended.set()

    seen = [background.idle]
    background.start(work, name="build")
    seen.append(background.idle)
    release.set()
    assert ended.wait(SECONDS)
    for thread in threading.enumerate():
        if thread.name == "build":
            thread.join(SECONDS)
    assert [*seen, background.idle] == [True, False, True]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_fails_has_ended_too() -> None:
    background = Background()

    def work() -> None:
        raise RuntimeError

    background.start(work, name="fails")
    for thread in threading.enumerate():
        if thread.name == "fails":
            thread.join(SECONDS)
    assert background.idle
