"""Pure. Decides how an attempt at a build stands, by one table of what is on record of it.

    the build's own   its claim     a verdict   state       error
    ---------------   -----------   ---------   ---------   ----------------------------------------
    succeeded         any           any         succeeded
    running           open          any         running     (a verdict is left before the build ends)
    any other         any other     yes         failed      the verdict's
    left              any           no          failed      owner gone
    running, failed   broken        no          failed      owner gone
    running           any other     no          running
    failed            any other     no          failed      the daemon's, or the journal's
    none              open          no          queued
    none              broken        no          failed      owner gone
    none              none, ended   no          (nothing is to be told: the build never began)

The first row that fits counts. A build is *left* if all that the daemon knows of its end is that its caller
left. A claim is *broken* if its holder died. With "owner gone" the build was cancelled if a request to cancel
it is on record, else interrupted. tests/history/test_standing.py walks every row.
"""

from __future__ import annotations

import enum


class State(enum.StrEnum):
    """A build's state, as callers are told it."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Own(enum.Enum):
    """The state of the build's own record."""

    NONE = enum.auto()
    RUNNING = enum.auto()
    SUCCEEDED = enum.auto()
    LEFT = enum.auto()
    FAILED = enum.auto()


class Claimed(enum.Enum):
    """The state of the claim beside it."""

    NONE = enum.auto()
    OPEN = enum.auto()
    ENDED = enum.auto()
    BROKEN = enum.auto()


class Blame(enum.Enum):
    """The place at which the error of a failed build is to be read."""

    NOBODY = enum.auto()
    VERDICT = enum.auto()
    OWNER_GONE = enum.auto()
    DAEMON = enum.auto()


def standing(  # noqa: PLR0911 - a row of the table each
    own: Own, claimed: Claimed, *, verdict: bool
) -> tuple[State, Blame] | None:
    """Return the table's state and error; None if nothing is to be told."""
    match own, claimed, verdict:
        case Own.SUCCEEDED, _, _:
            return State.SUCCEEDED, Blame.NOBODY
        case Own.RUNNING, Claimed.OPEN, _:
            return State.RUNNING, Blame.NOBODY
        case _, _, True:
            return State.FAILED, Blame.VERDICT
        case Own.LEFT, _, _:
            return State.FAILED, Blame.OWNER_GONE
        case ((Own.RUNNING | Own.FAILED), Claimed.BROKEN, _):
            return State.FAILED, Blame.OWNER_GONE
        case Own.RUNNING, _, _:
            return State.RUNNING, Blame.NOBODY
        case Own.FAILED, _, _:
            return State.FAILED, Blame.DAEMON
        case Own.NONE, Claimed.OPEN, _:
            return State.QUEUED, Blame.NOBODY
        case Own.NONE, Claimed.BROKEN, _:
            return State.FAILED, Blame.OWNER_GONE
    return None
