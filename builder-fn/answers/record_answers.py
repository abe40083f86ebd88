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


def states(records: Sequence[BuildRecord]) -> Answer:
    """Answer how several builds stand."""
    return json_answer({"builds": [_state(record) for record in records]}, 200)


def _state(record: BuildRecord) -> dict[str, Any]:
    return documents.state(
        build_id=record.ref.build_id,
        image=record.image,
        state=record.state.value,
        created=record.created,
        completed=record.completed,
        error=record.error,
    )
