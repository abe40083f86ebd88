from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from function.buildkit import DaemonUnavailable
from function.buildkit.outcome import BuildResult
from function.errors import BuildFailed, Busy, Interrupted
from function.history.journal import Journal, JournalLog
from function.history.refs import Ref
from function.history.search import Search
from function.history.standing import State

from .records import ANNOTATIONS, ID, REF

if TYPE_CHECKING:
    from function.buildkit.rpc.control import Control
    from function.history.attempt import BuildRecord

    from ..fake_buildkitd import FakeBuildkitd

PATIENCE = 10.0
SHORT = 0.05
WARN = "LLBBridge.Warn"


def journal(control: Control, *, patience: float = PATIENCE) -> Journal:
    return Journal(control, REF, ANNOTATIONS, patience=patience)


def recorded(control: Control) -> BuildRecord:
    found = Search(control, patience=PATIENCE).record(ID)
    assert found
    return found


def written(daemon: FakeBuildkitd) -> list[str]:
    log = daemon.history.log(str(REF))
    assert log
    return JournalLog().update(log)


def test_a_journal_is_the_build_on_record(daemon: FakeBuildkitd, control: Control) -> None:
    made = journal(control)
    assert recorded(control).state is State.RUNNING
    assert recorded(control).annotations == ANNOTATIONS

    made.write(["a", "b"])
    made.write([])
    made.write(["c"])
    made.succeed(BuildResult(digest="sha256:1"), (), ())

    found = recorded(control)
    assert (found.state, found.result) == (State.SUCCEEDED, BuildResult(digest="sha256:1"))
    assert written(daemon) == ["a", "b", "c"]


def test_a_journal_ends_as_the_build_did(control: Control) -> None:
    made = journal(control)

    made.fail(BuildFailed("It failed."), (), ())

    error = recorded(control).error
    assert isinstance(error, BuildFailed)
    assert str(error) == "It failed."


def test_of_two_journals_of_a_build_the_second_is_refused(control: Control) -> None:
    first = journal(control)

    with pytest.raises(Busy, match="going on already"):
        journal(control)

    first.succeed(BuildResult(), (), ())


def test_a_journal_dies_with_its_writer(daemon: FakeBuildkitd, control: Control) -> None:
    with daemon.control() as writers:
        made = journal(writers)
        made.write(["a"])
        made.write(["b"])  # when the one before has arrived

    daemon.wait_until(lambda: daemon.history.completed(str(REF)))
    assert isinstance(recorded(control).error, Interrupted)
    assert written(daemon)[0] == "a"


def test_an_entry_that_the_daemon_does_not_take_is_missing_and_said_to_be(
    daemon: FakeBuildkitd, control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    made = journal(control, patience=SHORT)
    daemon.hold(WARN)
    made.write(["lost"])
    daemon.wait_until(lambda: daemon.left(WARN))
    daemon.let_go(WARN)

    made.write(["kept"])
    made.succeed(BuildResult(), (), ())

    assert written(daemon) == ["kept"]
    [said] = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert said.getMessage().startswith(f"the journal of build {ID} lost an entry: ")


def test_a_daemon_that_takes_no_entry_for_a_while_holds_up_nobody(
    daemon: FakeBuildkitd, control: Control
) -> None:
    """Let a build go on that others' daemons are busy with, or begin again on another."""
    made = journal(control, patience=3 * PATIENCE)
    daemon.hold(WARN)

    def write() -> None:
        for number in range(20):
            made.write([str(number)])

    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit(write)
        try:
            writing.result(PATIENCE)
        finally:
            daemon.let_go(WARN)
    made.succeed(BuildResult(), (), ())

    assert written(daemon) == [str(number) for number in range(20)]


def test_a_journal_on_a_daemon_that_died_ends_all_the_same(
    daemon: FakeBuildkitd, control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    made = journal(control)
    made.write(["a"])
    daemon.die()

    made.write(["b"])
    made.succeed(BuildResult(), (), ())

    assert "lost an entry" in caplog.text


def test_on_a_silent_daemon_no_journal_is_opened(daemon: FakeBuildkitd, control: Control) -> None:
    daemon.fall_silent()

    with pytest.raises(DaemonUnavailable, match="has not answered in time"):
        journal(control, patience=SHORT)


def test_another_attempt_has_a_journal_of_its_own(control: Control) -> None:
    first = journal(control)
    second = Journal(control, Ref(ID, 2), ANNOTATIONS, patience=PATIENCE)

    second.succeed(BuildResult(digest="sha256:2"), (), ())

    assert recorded(control).result == BuildResult(digest="sha256:2")
    first.succeed(BuildResult(), (), ())
