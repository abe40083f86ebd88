"""Follows a build that goes on by itself: its log to the end, taken up again wherever it breaks off."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from . import answer
from .display.build_list import ask_again
from .errors import ClientError, NotFoundError, StreamBrokenError, UnreachableError
from .protocol import question, transport
from .watching import watch

if TYPE_CHECKING:
    from .command_line import Builder
    from .display import Steps, View

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
    """Show the log to its end, but for what *steps* have been fed already, and return how the build ended.

    One that was *just_sent* may begin any time within the builder's patience. Raises what `watch` raises.
    """
    tries_left = builder.retries
    reached = just_sent
    begins_until = time.monotonic() + builder.idle
    while True:
        began, known = time.monotonic(), (steps.begun_again, steps.lines)
        first = 0 if steps.begun_again else offset
        request = question.request(
            builder, secret, "logs", now=time.time(), live=True, buildId=build_id, offset=first
        )
        try:
            return watch(request, steps, view, answer.result, skip=steps.lines)
        except NotFoundError as exc:
            if not just_sent:
                raise
            if time.monotonic() > begins_until:
                later = ask_again("logs", build_id, builder.given, follow=True)
                raise StreamBrokenError(
                    f"The builder has not heard of the build for {builder.idle:g} seconds: it is still in"
                    f" the queue, or was refused. Ask later with `{later}`, or allow more with"
                    " --idle-timeout."
                ) from exc
        except (StreamBrokenError, UnreachableError) as exc:
            broken_off = isinstance(exc, StreamBrokenError)
            reached = reached or broken_off
            if not reached:
                raise
            came = (steps.begun_again, steps.lines) > known
            if broken_off and (came or time.monotonic() - began > _LASTED):
                tries_left = builder.retries
            if not tries_left:
                raise StreamBrokenError(
                    "The build's log broke off and cannot be taken up again:"
                    f" `{ask_again('status', build_id, builder.given)}` says what has become of the"
                    " build."
                ) from exc
            tries_left -= 1
            view.say("The log broke off; the build goes on, and so does its log:")
        time.sleep(_PAUSE)


def what_became(
    builder: Builder, secret: bytes | None, broken: StreamBrokenError, *, steps: Steps, view: View
) -> answer.Result:
    """Ask once how a build ended whose answer broke off. Raises StreamBrokenError if that is not known."""
    build_id = broken.build_id
    if not build_id:
        raise StreamBrokenError(
            f"{broken} What became of the build is unknown: build again."
        ) from broken
    view.say(f"{broken} The builder is asked what became of build {build_id}.")
    time.sleep(_PAUSE)  # it may take a moment to see that nobody listens
    request = question.request(builder, secret, "result", now=time.time(), buildId=build_id)
    try:
        for document in transport.documents(
            replace(request, retries=0), on_sent=lambda _: None, on_wait=lambda _, __: None
        ):
            if (result := answer.result(document)) is not None:
                for line in answer.log_lines(document)[steps.lines :]:
                    view.line(line, steps.feed(line, time.monotonic()))
                view.document(document)
                view.close()
                return result
            later = ask_again("logs", build_id, builder.given, follow=True)
            raise StreamBrokenError(
                f"{broken} The build goes on: `{later}` waits for its end.", build_id
            )
    except ClientError as exc:
        if isinstance(exc, StreamBrokenError) and exc.build_id:
            raise
    later = ask_again("status", build_id, builder.given)
    raise StreamBrokenError(
        f"{broken} What became of the build is not known yet: `{later}` may tell.", build_id
    ) from broken
