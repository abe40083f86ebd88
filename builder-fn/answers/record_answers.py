"""Pure. Answers about builds as the history has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import documents
from .answer import Answer, json_answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..history import BuildRecord


def state(record: BuildRecord, *, status: int = 200) -> Answer:
    """Answer how one build stands."""
    return json_answer(_state(record), status)


def states(records: Sequence[BuildRecord], unreachable: Sequence[str] = ()) -> Answer:
    """Answer how several builds stand, and which daemons could not be asked."""
    document: dict[str, Any] = {"builds": [_state(record) for record in records]}
    if unreachable:
        document["unreachable"] = list(unreachable)
    return json_answer(document, 200)


def _state(record: BuildRecord) -> dict[str, Any]:
    return documents.state(
        build_id=record.ref.build_id,
        image=record.image,
        state=record.state.value,
        created=record.created,
        completed=record.completed,
        error=record.error,
    )
