"""Runs one build: the context, the signed tar, its way to the builder, and what becomes of it."""

from __future__ import annotations

import json
import shutil
import sys
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from . import answer
from .command_line.options import Delivery
from .context import archive as payload
from .context import faas_cli
from .context import overlay as context
from .display import summary, terminal
from .display.steps import Steps
from .errors import StreamBrokenError, UsageError
from .following import follow
from .protocol import gateway, question, transport
from .protocol.endpoint import Endpoint
from .secrets import files as secret_file
from .secrets import sealing
from .text import size
from .watching import conclude, watch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .command_line.options import BuildOptions
    from .display.terminal import View

# Where a context may say itself which its Dockerfile is (builder-fn/request/options/build_config.py).
_OPTIONS_FILES: Final = frozenset({"builder-fn.json", "function/builder-fn.json"})


def write_tar(options: BuildOptions, file: Path) -> int:
    """What would be sent. Returns the exit code, as `build` does."""
    with _context(options) as (source, notices):
        for notice in notices:
            print(f"build.py: {notice}", file=sys.stderr)
        body = _sent(options, _tar(options, source))
    if file == Path("-"):
        sys.stdout.buffer.write(body)
        sys.stdout.buffer.flush()
        return 0
    try:
        file.write_bytes(body)
    except OSError as exc:
        raise UsageError(f"{file} cannot be written: {exc.strerror}.") from exc
    print(f"Wrote {file}: {size(len(body))}, {len(source.sources)} entries.")
    return 0


def build(options: BuildOptions, environ: Mapping[str, str]) -> int:
    Endpoint.parse(options.builder.url)
    secret = secret_file.payload_secret(options.builder.secret)
    log = sys.stderr if options.output.json else sys.stdout
    steps = Steps()
    result: answer.Result | None
    with _context(options) as (source, notices):
        tar = _tar(options, source)
        body = _sent(options, tar)
        if options.delivery is Delivery.QUEUED:
            gateway.require_fits(
                len(body), plain=len(tar), limit=options.queue_limit, largest=source.largest()
            )
        view = terminal.view(log, environ, plain=options.output.plain)
        for notice in notices:
            view.say(notice)
        view.say(_announcement(options, source, tar, body))
        request = transport.Request(
            url=options.builder.url,
            body=body,
            secret=secret,
            idle=options.builder.idle,
            retries=options.builder.retries,
        )
        match options.delivery:
            case Delivery.WATCHED:
                result = watch(request, steps, view, answer.result)
            case Delivery.DETACHED:
                result = _detach(options, request, steps, view, environ)
            case Delivery.QUEUED:
                result = _queue(options, request, steps, view, environ)
        if result is None:
            return 0
        dockerfile = source.text_of(result.failed_step.file) if result.failed_step else ""
    return conclude(
        result,
        steps,
        environ,
        pushed=not options.skip_push,
        dockerfile=dockerfile,
        as_json=options.output.json,
    )


def _announcement(options: BuildOptions, source: context.Context, tar: bytes, body: bytes) -> str:
    count = sum(not path.is_dir() for path in source.sources.values())
    files = "1 file" if count == 1 else f"{count} files"
    gzipped = f", gzipped {size(len(body))}" if options.compress else ""
    url = options.builder.url
    return f"Building {options.image}: {files}, {size(len(tar))}{gzipped}, by {url}"


def _detach(
    options: BuildOptions,
    request: transport.Request,
    steps: Steps,
    view: View,
    environ: Mapping[str, str],
) -> answer.Result | None:
    """None if nobody waits here for the build."""
    request = replace(request, query="detach=1", live=False)
    document = watch(request, Steps(), view, lambda document: document)
    build_id = answer.build_id(document)
    if not build_id:
        raise StreamBrokenError(
            "The builder's answer names no build, so what became of it is unknown: build again."
        )
    if not options.follow:
        _tell(options, document, summary.detached(build_id, _style(environ)))
        return None
    view.say(f"The build goes on by itself: {build_id}")
    return follow(options.builder, request.secret, build_id, steps=steps, view=view, just_sent=True)


def _queue(
    options: BuildOptions,
    request: transport.Request,
    steps: Steps,
    view: View,
    environ: Mapping[str, str],
) -> answer.Result | None:
    """None if nobody waits here for the build."""
    to = options.callback_url
    call_id = transport.enqueue(request, callback_url=to)
    build_id = question.id_of_call(call_id, request.body, request.signature)
    if not options.follow:
        document = {"callId": call_id, "buildId": build_id}
        _tell(options, document, summary.queued(call_id, build_id, to, _style(environ)))
        return None
    view.say(f"Queued as call {call_id}; it will be build {build_id}")
    view.busy("waiting for the queue")
    builder = replace(options.builder, url=gateway.function_url(options.builder.url))
    return follow(builder, request.secret, build_id, steps=steps, view=view, just_sent=True)


def _tell(options: BuildOptions, document: Mapping[str, object], lines: list[str]) -> None:
    print(json.dumps(document) if options.output.json else "\n".join(lines))


def _style(environ: Mapping[str, str]) -> terminal.Style:
    return terminal.Style.of(sys.stdout, environ)


@contextmanager
def _context(options: BuildOptions) -> Iterator[tuple[context.Context, tuple[str, ...]]]:
    template = context.find_template(options.language, options.template)
    ours = context.overlay(template, options.handler)
    program = shutil.which("faas-cli")
    by_faas_cli = (
        faas_cli.shrinkwrapped(
            program,
            template=template,
            language=options.language,
            handler=options.handler,
            image=options.image,
        )
        if program is not None and template is not None
        else nullcontext(ours)
    )
    with by_faas_cli as source:
        known = source.sources.keys()
        if options.dockerfile not in known and not _OPTIONS_FILES & known:
            raise UsageError(
                f"There is no {options.dockerfile} in {template or options.handler}:"
                " nothing to build."
            )
        yield source, ours.notices


def _tar(options: BuildOptions, source: context.Context) -> bytes:
    return payload.tar(source, payload.build_config(options.config), _sealed(options))


def _sent(options: BuildOptions, tar: bytes) -> bytes:
    return payload.compress(tar) if options.compress else tar


def _sealed(options: BuildOptions) -> bytes | None:
    if not options.build_secrets:
        return None
    secrets = {
        name: secret_file.content(file, f"The build secret {file}")
        for name, file in options.build_secrets.items()
    }
    if options.builder_public_key is None:
        # A queue answers nothing.
        url = gateway.function_url(options.builder.url)
        document = transport.fetch(url, "publickey", idle=options.builder.idle)
        return sealing.seal(secrets, sealing.public_key(document, url))
    file = options.builder_public_key
    document = secret_file.content(file, f"The key {file}")
    return sealing.seal(secrets, sealing.public_key(document, str(file)))
