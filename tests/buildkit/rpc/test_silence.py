from __future__ import annotations

from types import SimpleNamespace

import pytest

from function.buildkit import DaemonUnavailable
from function.buildkit.rpc import liveness
from function.buildkit.rpc.liveness import Liveness
from function.buildkit.rpc.silence import Silence


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Unanswered:
    def done(self) -> bool:
        return False


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def silence(clock: Clock) -> Silence:
    return Silence(clock)


def lent(silence: Silence, seconds: float = 1.0) -> float:
    with silence.asking(seconds) as found:
        return found


def test_a_daemon_that_owes_no_answer_has_all_the_time(silence: Silence, clock: Clock) -> None:
    clock.now += 100.0

    assert lent(silence) == 1.0


def test_what_is_asked_of_a_silent_daemon_ends_with_the_first_question(
    silence: Silence, clock: Clock
) -> None:
    silence.asked()
    clock.now += 0.5

    with silence.asking(1.0) as second:
        assert second == pytest.approx(0.5)
        clock.now += 0.125
        with pytest.raises(ConnectionError), silence.asking(1.0) as third:
            raise ConnectionError
    assert third == pytest.approx(0.375)


def test_it_is_asked_for_a_moment_though_it_has_been_silent_for_long(
    silence: Silence, clock: Clock
) -> None:
    silence.asked()
    clock.now += 100.0

    with pytest.raises(ConnectionError), silence.asking(1.0) as found:
        raise ConnectionError
    assert found == 0.25
    assert lent(silence, 0.1) == 0.1


def test_any_word_of_it_ends_its_silence(silence: Silence, clock: Clock) -> None:
    silence.asked()
    clock.now += 0.9
    silence.heard()
    clock.now += 0.1

    assert lent(silence) == pytest.approx(0.9)
    assert lent(silence) == 1.0  # since that was answered


def test_a_question_that_was_given_up_is_owed_no_answer(silence: Silence, clock: Clock) -> None:
    question = silence.asked()
    clock.now += 0.9
    silence.no_longer_asked(question)
    silence.no_longer_asked(question)

    assert lent(silence) == 1.0


def test_what_a_build_asks_its_daemon_counts_for_all_others(
    silence: Silence, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "_QUIET_SECONDS", -1.0)
    watched = Liveness(Unanswered, 100.0, silence)
    watched.require()
    clock.now += 0.5

    with pytest.raises(ConnectionError), silence.asking(1.0) as found:
        raise ConnectionError

    assert found == pytest.approx(0.5)
    watched.close()
    assert lent(silence) == 1.0


def test_a_daemon_is_given_up_by_the_time_since_its_last_word(
    silence: Silence, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Count what it may take from there, and not from when it was asked."""
    clock = Clock()
    monkeypatch.setattr(liveness, "time", SimpleNamespace(monotonic=clock))
    watched = Liveness(Unanswered, 4.0, silence)
    clock.now += 1.25
    watched.require()
    clock.now += 2.0
    watched.heard()  # something else that it said
    clock.now += 3.9
    watched.require()
    clock.now += 0.2

    with pytest.raises(DaemonUnavailable, match="for 4 s"):
        watched.require()
