"""Follows a build that goes on by itself: its log to the end, taken up again wherever it breaks off."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from . import answer
from .errors import NotFoundError, StreamBrokenError, UnreachableError
from .protocol import question
from .watching import watch

if TYPE_CHECKING:
    from .command_line.options import Builder
    from .display.steps import Steps
    from .display.terminal import View

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
    just_sent: bool = False,
) -> answer.Result:
    """Whatever *steps* have been fed is not shown again.

    One that was *just_sent* may begin any time within the builder's patience. Raises what `watch` raises.
    """
    tries_left = builder.retries
    reached = just_sent
    begins_until = time.monotonic() + builder.idle
    while True:
        began, known = time.monotonic(), steps.lines
        request = question.request(
            builder, secret, "logs", now=time.time(), live=True, buildId=build_id, offset=offset
        )
        try:
            return watch(request, steps, view, answer.result, skip=known)
        except NotFoundError as exc:
            if not just_sent:
                raise
            if time.monotonic() > begins_until:
                raise StreamBrokenError(
                    f"The builder has not heard of the build for {builder.idle:g} seconds: it is still in"
                    f" the queue, or was refused. Ask later with `build.py logs {build_id} --follow`, or"
                    " allow more with --idle-timeout."
                ) from exc
        except (StreamBrokenError, UnreachableError) as exc:
            broken_off = isinstance(exc, StreamBrokenError)
            reached = reached or broken_off
            if not reached:
                raise
            if broken_off and (steps.lines > known or time.monotonic() - began > _LASTED):
                tries_left = builder.retries
            if not tries_left:
                raise StreamBrokenError(
                    "The build's log broke off and cannot be taken up again:"
                    f" `build.py status {build_id}` says what has become of the build."
                ) from exc
            tries_left -= 1
            view.say("The log broke off; the build goes on, and so does its log:")
        time.sleep(_PAUSE)
