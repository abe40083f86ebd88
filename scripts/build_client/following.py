"""Follows a build that goes on by itself: its log to the end, taken up again wherever it breaks off."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from . import answer, question
from .errors import NotFoundError, StreamBrokenError, UnreachableError
from .watching import watch

if TYPE_CHECKING:
    from .arguments import Builder
    from .progress import Steps
    from .terminal import View

_PAUSE: Final = 1.0  # seconds between two tries
_LASTED: Final = 10.0  # seconds after which an answer that breaks off was none the less one


def follow(  # noqa: PLR0913 - keywords
    builder: Builder,
    secret: bytes | None,
    build_id: str,
    *,
    steps: Steps,
    view: View,
    offset: int = 0,
    queued: bool = False,
) -> answer.Result:
    """Whatever *steps* have been fed is not shown again.

    A *queued* build may begin any time within the builder's patience. Raises what `watch` raises.
    """
    tries_left = builder.retries
    begins_until = time.monotonic() + (builder.idle if queued else 0.0)
    while True:
        began, known = time.monotonic(), steps.lines
        request = question.request(
            builder, secret, "logs", now=time.time(), live=True, buildId=build_id, offset=offset
        )
        try:
            return watch(request, steps, view, answer.result, skip=known)
        except NotFoundError as exc:
            if not queued:
                raise
            if time.monotonic() > begins_until:
                raise StreamBrokenError(
                    f"The queue has not brought the request to the builder for {builder.idle:g} seconds,"
                    " or it was refused there: ask later with"
                    f" `build.py logs {build_id} --follow`, or allow more with --idle-timeout."
                ) from exc
        except (StreamBrokenError, UnreachableError) as exc:
            if steps.lines > known or time.monotonic() - began > _LASTED:
                tries_left = builder.retries
            if not tries_left or (not steps.lines and isinstance(exc, UnreachableError)):
                raise StreamBrokenError(
                    f"{exc} The build goes on: `build.py status {build_id}` says how."
                ) from exc
            tries_left -= 1
            view.say("The log broke off; the build goes on, and so does its log:")
        time.sleep(_PAUSE)
