"""Pure. The refs of a build's records in the daemon's history.

A build is told of by up to four records: its own, under the bare ref; a claim, for as long as somebody
answers for it; a request to cancel it; and a verdict. A build that was abandoned and is run again under
its id is another attempt, since the daemon keeps a ref from being used again (for 10 s, and longer if a step
goes on).
"""

from __future__ import annotations

import enum
import re
import secrets
from dataclasses import dataclass

_ID = r"[0-9a-f]{32}"
_LATER_ATTEMPT = r"\.[0-9]{1,9}"


class Part(enum.StrEnum):
    """A part of a build's records, which stands before the ref of the build itself."""

    BUILD = ""
    CLAIM = "claim-"
    CANCEL = "cancel-"
    VERDICT = "verdict-"


USUAL_ATTEMPTS = 4
_UNLISTED_BYTES = 24


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """One attempt at a build, as the daemon is to know it."""

    build_id: str
    attempt: int = 1

    def __str__(self) -> str:
        return self.build_id if self.attempt == 1 else f"{self.build_id}.{self.attempt}"

    def of(self, part: Part) -> str:
        return f"{part}{self}"

    def next(self) -> Ref:
        return Ref(self.build_id, self.attempt + 1)


_REF = re.compile(
    rf"(?P<part>{'|'.join(filter(None, Part))}|)(?P<id>{_ID})(?P<attempt>{_LATER_ATTEMPT})?"
)


def parsed(text: str) -> tuple[Part, Ref] | None:
    """Parse a ref; return None for one that our records do not have."""
    match = _REF.fullmatch(text)
    if not match:
        return None
    return Part(match["part"]), Ref(match["id"], int((match["attempt"] or ".1")[1:]))


def unlisted_ref() -> str:
    """Make a ref that no other has, and no list of builds shows, since it is longer than a build's id."""
    return secrets.token_hex(_UNLISTED_BYTES)


def is_build_id(text: str) -> bool:
    return re.fullmatch(_ID, text) is not None


def filters_of(build_id: str) -> list[str]:
    """Return ListenBuildHistory's filters for all records of a build, if it took no more than
    USUAL_ATTEMPTS.

    Equality is what the daemon searches its history for in the shortest time. The request's own `Ref` takes
    none, but what was once asked for by it, nobody can delete any more (moby/buildkit v0.32.2
    solver/llbsolver/history/buildhistory.go, Listen leaves it in `refs`).
    """
    tried = (Ref(build_id, attempt) for attempt in range(1, USUAL_ATTEMPTS + 1))
    return [f"ref=={ref.of(part)}" for ref in tried for part in Part]


def filters_of_all_attempts(build_id: str) -> list[str]:
    # A comma would end the filter.
    return [rf"ref~=^([a-z]+-)?{build_id}(\.[0-9]+)?$"]


def filters_of_recent(seconds: float) -> list[str]:
    """Return the filters for builds that began within the last *seconds*, and their claims.

    They are for BuildKit's clock.
    """
    # No other part begins with so many letters that an id may have.
    return [rf"ref~=^({Part.CLAIM})?[0-9a-f][0-9a-f][0-9a-f],startedAt>{seconds:.0f}s"]


def filters_of_all(part: Part) -> list[str]:
    return [f"ref~=^{part}"]
