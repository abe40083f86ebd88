from __future__ import annotations

import pytest

from function.context.unfit import cause_of
from function.errors import (
    ArchiveError,
    BuildCancelled,
    BuilderError,
    BuildFailed,
    BuildTimedOut,
    DaemonUnavailable,
)

DEVICE = '"context/d" is a block device.'


@pytest.mark.parametrize(
    "said",
    [
        f"[internal] load build context failed: rpc error: {DEVICE}",
        "[internal] load build context failed: context canceled",
    ],
)
def test_a_build_that_was_refused_an_entry_failed_for_its_archive(said: str) -> None:
    cause = cause_of(BuildFailed(said), [DEVICE, "another"])

    assert isinstance(cause, ArchiveError)
    assert str(cause) == DEVICE


def test_a_build_that_was_refused_nothing_failed_for_what_the_daemon_says() -> None:
    failure = BuildFailed(DEVICE)

    assert cause_of(failure, []) is failure


@pytest.mark.parametrize(
    "failure",
    [BuildCancelled("As asked."), BuildTimedOut("Too long."), DaemonUnavailable("Gone.")],
)
def test_what_ended_a_build_from_here_stands(failure: BuilderError) -> None:
    assert cause_of(failure, [DEVICE]) is failure
