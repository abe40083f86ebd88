"""I/O: sees a detached build to its end, and leaves its result to be delivered."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ..answers import documents
from ..answers.answer import json_answer, unexpected
from ..answers.build_answers import MAX_CALLBACK_BYTES, whole
from ..telemetry import log_lines
from .deliveries import Delivery

if TYPE_CHECKING:
    from ..answers.ongoing import Ongoing
    from ..tenants import Principal
    from .deliveries import Deliveries
    from .target import Target

_log = logging.getLogger("builder-fn")


def finish(build: Ongoing, to: Target | None, principal: Principal, deliveries: Deliveries) -> None:
    """Run the *build* of *principal* to its end, and have the answer delivered if it is to go somewhere."""
    try:
        answer = whole(build, failed_status=200, most=MAX_CALLBACK_BYTES)
    except Exception:
        _log.exception("unexpected error", extra=log_lines.with_fields({"buildId": build.id}))
        error = unexpected()
        document = documents.failed(error, build_id=build.id, image=build.image)
        answer = json_answer(document, error.status, error)
    if to is None:
        return
    answer = answer.signed(principal.key)
    # What waits for a receiver is the answer alone: neither the build nor the request's body.
    deliveries.add(
        Delivery(
            build_id=build.id,
            to=to,
            body=answer.body,
            headers={**answer.headers, "Content-Type": answer.content_type},
            status=answer.status,
            tenant=principal.name,
        )
    )
