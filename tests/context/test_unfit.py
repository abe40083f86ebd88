from __future__ import annotations

from function.context.unfit import cause_of
from function.errors import ArchiveError, BuildFailed
from function.fsutil.tree import Entry, Kind, Tree

DEVICE = Entry("d", Kind.DEVICE, 0, 0, unfit='"context/d" is a block device.')
CONTEXT = Tree((Entry("a", Kind.FILE, 0, 0), DEVICE))


def test_a_build_that_failed_for_an_unfit_entry_is_refused_for_its_archive() -> None:
    cause = cause_of(BuildFailed(f"the build failed: rpc error: {DEVICE.unfit}"), CONTEXT)

    assert isinstance(cause, ArchiveError)
    assert str(cause) == DEVICE.unfit


def test_other_failures_stand_whatever_is_unfit() -> None:
    failure = BuildFailed("the build failed: a block device")

    assert cause_of(failure, CONTEXT) is failure
    assert cause_of(failure, Tree(())) is failure
