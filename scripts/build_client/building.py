"""Runs one build: the context, the signed tar, its way to the builder, and what becomes of it."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from . import answer
from .command_line import Delivery, Progress
from .concluding import Wanted, conclude, remove_old_files
from .context import archive, dockerfile, find_template, overlay
from .display import Steps, Style, build_list, view
from .errors import StreamBrokenError, UsageError
from .following import follow, what_became
from .protocol import gateway, public_key, transport
from .protocol.build_id import id_of_call
from .protocol.endpoint import Endpoint
from .secrets import files, sealing
from .text import printable, shown, size, to_json
from .watching import watch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .command_line import BuildOptions
    from .context import Context
    from .display import View


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sending:
    """A request on its way, and where it is shown."""

    options: BuildOptions
    request: transport.Request
    steps: Steps
    view: View
    environ: Mapping[str, str]


def write_tar(options: BuildOptions, file: Path) -> int:
    """Write what would be sent to *file*, and return the exit code."""
    options, context = _context(options)
    for notice in context.notices:
        print(f"build.py: {notice}", file=sys.stderr)
    body = _sent(options, _tar(options, context))
    if file == Path("-"):
        sys.stdout.buffer.write(body)
        sys.stdout.buffer.flush()
        return 0
    try:
        file.write_bytes(body)
    except OSError as exc:
        raise UsageError(f"{shown(file)} cannot be written: {exc.strerror}.") from exc
    print(f"Wrote {shown(file)}: {size(len(body))}, {len(context.sources)} entries.")
    return 0


def build(options: BuildOptions, environ: Mapping[str, str]) -> int:
    """Build, show it, and return the exit code."""
    Endpoint.parse(options.builder.url)
    secret = files.payload_secret(options.builder.secret)
    shows = view(
        sys.stderr if options.output.json else sys.stdout, environ, options.output.progress
    )
    remove_old_files(options.output)
    options, context = _context(options)
    body = _tar(options, context)
    plain = len(body)
    body = _sent(options, body)
    if options.delivery is Delivery.QUEUED:
        largest = context.largest()
        gateway.require_fits(len(body), plain=plain, limit=options.queue_limit, largest=largest)
    for notice in context.notices:
        shows.say(notice)
    if not _is_quiet(options):
        shows.say(_announcement(options, context, plain, len(body)))
    request = transport.Request(
        url=options.builder.url,
        body=body,
        secret=secret,
        idle=options.builder.idle,
        retries=options.builder.retries,
        require_signed=options.builder.require_signed,
    )
    steps = Steps()
    result = _deliver(
        _Sending(options=options, request=request, steps=steps, view=shows, environ=environ)
    )
    if result is None:
        return 0
    wanted = Wanted(
        output=options.output,
        pushed=not options.skip_push,
        names=_names(options),
        dockerfile=context.text_of(result.failed_step.file) if result.failed_step else "",
    )
    return conclude(result, steps, environ, wanted)


def _deliver(sending: _Sending) -> answer.Result | None:
    """Send the request; return how the build ended, or None if nobody waits here for it."""
    match sending.options.delivery:
        case Delivery.WATCHED:
            return _watch(sending)
        case Delivery.DETACHED:
            return _detach(sending)
        case Delivery.QUEUED:
            return _queue(sending)


def _watch(sending: _Sending) -> answer.Result:
    request, steps, shows = sending.request, sending.steps, sending.view
    try:
        return watch(request, steps, shows, answer.result)
    except StreamBrokenError as exc:
        builder = sending.options.builder
        return what_became(builder, request.secret, exc, steps=steps, view=shows)


def _detach(sending: _Sending) -> answer.Result | None:
    options = sending.options
    request = replace(sending.request, live=False)
    try:
        document = watch(request, Steps(), sending.view, lambda document: document)
    except StreamBrokenError as exc:
        if not exc.build_id:
            raise StreamBrokenError(
                f"{exc} What became of the build is unknown: build again."
            ) from exc
        later = build_list.ask_again("status", exc.build_id, options.builder.given)
        raise StreamBrokenError(f"{exc} `{later}` says what has become of the build.") from exc
    build_id = answer.build_id(document)
    if not build_id:
        raise StreamBrokenError(
            "The builder's answer names no build, so what became of it is unknown: build again."
        )
    if not options.follow:
        told = build_list.detached(build_id, options.builder.given, _style(sending.environ))
        _tell(options, document, told)
        return None
    sending.view.say(f"The build goes on by itself: {printable(build_id)}")
    return _follow(sending, build_id)


def _queue(sending: _Sending) -> answer.Result | None:
    options, request = sending.options, sending.request
    to = options.callback_url
    call_id = transport.enqueue(request, callback_url=to)
    build_id = id_of_call(options.image, call_id, request.body, request.signature)
    if not options.follow:
        given, style = options.builder.given, _style(sending.environ)
        document = {"callId": call_id, "buildId": build_id}
        _tell(options, document, build_list.queued(call_id, build_id, to, given, style))
        return None
    sending.view.say(f"Queued as call {printable(call_id)}; it will be build {build_id}")
    sending.view.busy("waiting for the queue")
    return _follow(sending, build_id)


def _follow(sending: _Sending, build_id: str) -> answer.Result:
    url = gateway.function_url(sending.options.builder.url)
    builder = replace(sending.options.builder, url=url)
    return follow(
        builder,
        sending.request.secret,
        build_id,
        steps=sending.steps,
        view=sending.view,
        just_sent=True,
    )


def _tell(options: BuildOptions, document: Mapping[str, object], lines: list[str]) -> None:
    """Say which build was left; the id alone where nothing else is wanted."""
    if options.output.json or options.output.progress is Progress.RAWJSON:
        print(to_json(document))
    elif _is_quiet(options):
        print(printable(answer.build_id(document)))
    else:
        print("\n".join(lines))


def _is_quiet(options: BuildOptions) -> bool:
    return options.output.progress is Progress.QUIET


def _style(environ: Mapping[str, str]) -> Style:
    return Style.of(sys.stdout, environ)


def _announcement(options: BuildOptions, context: Context, plain: int, sent: int) -> str:
    count = context.file_count
    files_sent = "1 file" if count == 1 else f"{count} files"
    gzipped = f", gzipped {size(sent)}" if options.compress else ""
    image, url = printable(options.image), printable(options.builder.url)
    return f"Building {image}: {files_sent}, {size(plain)}{gzipped}, by {url}"


def _names(options: BuildOptions) -> tuple[str, ...]:
    """List the names that the image is pushed under, as they were given."""
    tags = options.config.get("tags")
    untagged = options.image
    if ":" in untagged.rpartition("/")[2]:
        untagged = untagged.rpartition(":")[0]
    more = [
        tag if "/" in tag or ":" in tag else f"{untagged}:{tag}"
        for tag in (tags if isinstance(tags, list) else [])
    ]
    return tuple(dict.fromkeys((options.image, *more)))


def _context(options: BuildOptions) -> tuple[BuildOptions, Context]:
    """Find what is sent; the options come back with the Dockerfile's path in it, if one was named."""
    template = find_template(options.language, options.template)
    if options.file is not None:
        path = dockerfile.path_in_context(options.file, template, options.handler)
        config = {**options.config, "dockerfile": path}
        options = replace(options, dockerfile=path, config=config)
    return options, overlay(template, options.handler, options.dockerfile)


def _tar(options: BuildOptions, context: Context) -> bytes:
    # A request says when it was signed and is like no other, so that nobody who captures it can send it again
    # to a builder with `request_max_age`.
    signed = {"time": round(time.time(), 3), "nonce": token_hex(16)}
    config = archive.build_config({**options.config, **signed})
    try:
        return archive.tar(context, config, _sealed(options))
    except MemoryError as exc:
        raise UsageError(
            "The context does not fit into this machine's memory, holes of its files included: "
            f"name in .dockerignore what is not needed; {shown(context.largest())} is the largest file."
        ) from exc


def _sent(options: BuildOptions, body: bytes) -> bytes:
    return archive.compress(body) if options.compress else body


def _sealed(options: BuildOptions) -> bytes | None:
    if not options.build_secrets:
        return None
    secrets = {
        name: given
        if isinstance(given, bytes)
        else files.content(given, f"The build secret {shown(given)}")
        for name, given in options.build_secrets.items()
    }
    if options.builder_public_key is None:
        secret = files.payload_secret(options.builder.secret)
        document, url = public_key.fetch(options.builder, secret)
        return sealing.seal(secrets, sealing.public_key(document, url))
    file = options.builder_public_key
    document = files.content(file, f"The key {shown(file)}")
    return sealing.seal(secrets, sealing.public_key(document, str(file)))
