"""The command line. What was asked for, in which order it happens, and the exit code.

0: built. 1: the build failed, or its answer broke off. 2: it could not begin. 130: Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from . import (
    answer,
    context,
    conversation,
    faas_cli,
    payload,
    sealing,
    summary,
    terminal,
    transport,
)
from .errors import ClientError, StreamBrokenError, UsageError
from .progress import Steps
from .text import size
from .transport import Endpoint, Request

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import TextIO

_FRAME: Final = 0.1  # seconds between two frames on a terminal
# Where a context may say itself which its Dockerfile is (builder-fn/options/build_config.py).
_OPTIONS_FILES: Final = frozenset({"builder-fn.json", "function/builder-fn.json"})
_INTERRUPTED: Final = 130  # what a shell reports after Ctrl-C


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The command line, checked. *config* is what concerns the build, by the keys of BuildConfig."""

    image: str
    handler: Path
    language: str
    template: Path | None
    dockerfile: str
    skip_push: bool
    config: Mapping[str, object]
    build_secrets: Mapping[str, Path]
    builder_public_key: Path | None
    compress: bool
    url: str
    secret: Path | None
    tar: Path | None
    retries: int
    idle: float
    plain: bool
    json: bool


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    try:
        options = _parse(argv, environ)
        return _tar(options, options.tar) if options.tar is not None else _build(options, environ)
    except ClientError as exc:
        print(f"build.py: {exc}", file=sys.stderr)
        return exc.exit_code
    except KeyboardInterrupt:
        print("build.py: Interrupted; the builder stops as well.", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # Who read our output has gone. Nothing is left to tell, not even at Python's own flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _tar(options: Options, file: Path) -> int:
    with _context(options) as (source, notices):
        for notice in notices:
            print(f"build.py: {notice}", file=sys.stderr)
        body = _body(options, source)
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


def _build(options: Options, environ: Mapping[str, str]) -> int:
    Endpoint.parse(options.url)
    signed = None if options.secret is None else _secret(options.secret)
    log = sys.stderr if options.json else sys.stdout
    style = terminal.Style.of(log, environ)
    with _context(options) as (source, notices):
        body = _body(options, source)
        view = _view(options, log, style, environ)
        for notice in notices:
            view.say(notice)
        count = sum(not path.is_dir() for path in source.sources.values())
        files = "1 file" if count == 1 else f"{count} files"
        view.say(f"Building {options.image}: {files}, {size(len(body))}, by {options.url}")
        request = Request(
            url=options.url,
            body=body,
            signature=None if signed is None else payload.signature(body, signed),
            idle=options.idle,
            retries=options.retries,
        )
        steps = Steps()
        result = _follow(request, steps, view)
        dockerfile = result.failed_step.file if result.failed_step else ""
        quoted = source.text_of(dockerfile) if dockerfile else ""
    if options.json:
        print(json.dumps(result.document, ensure_ascii=False))
    if result.succeeded:
        lines = summary.success(result, steps, pushed=not options.skip_push, style=style)
        print("\n".join(lines), file=log)
        return 0
    style = terminal.Style.of(sys.stderr, environ)
    lines = summary.failure(result, steps, dockerfile=quoted, style=style)
    print("\n".join(lines), file=sys.stderr)
    return 1


def _follow(request: Request, steps: Steps, view: terminal.View) -> answer.Result:
    """Shows the build until its verdict; raises StreamBrokenError if none comes."""
    total = len(request.body)
    try:
        for happening in conversation.converse(request, tick=_FRAME):
            match happening:
                case conversation.Sent(count) if count < total:
                    view.busy(f"sending {size(count)} of {size(total)}")
                case conversation.Sent():
                    view.busy("waiting for the builder")
                case conversation.AskedToWait(seconds, reason):
                    view.say(f"The builder asks to try again in {seconds:.0f}s. {reason}".rstrip())
                    view.busy(f"trying again after {seconds:.0f}s")
                case conversation.Answered(document):
                    for line in answer.log_lines(document):
                        view.line(line, steps.feed(line, time.monotonic()))
                    if (result := answer.result(document)) is not None:
                        return result
                case conversation.Tick():
                    pass
            view.tick(steps.running, time.monotonic())
    finally:
        view.close()
    raise StreamBrokenError(
        "The builder's answer ended without a verdict, so what became of the build is unknown:"
        " build again."
    )


@contextmanager
def _context(options: Options) -> Iterator[tuple[context.Context, tuple[str, ...]]]:
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


def _body(options: Options, source: context.Context) -> bytes:
    config = payload.build_config(options.config)
    body = payload.tar(source, config, _sealed(options))
    return payload.compress(body) if options.compress else body


def _sealed(options: Options) -> bytes | None:
    if not options.build_secrets:
        return None
    secrets = {
        name: _content(file, f"The build secret {file}")
        for name, file in options.build_secrets.items()
    }
    if options.builder_public_key is None:
        document = transport.fetch(options.url, "publickey", idle=options.idle)
        key = sealing.public_key(document, options.url)
    else:
        document = _content(options.builder_public_key, f"The key {options.builder_public_key}")
        key = sealing.public_key(document, str(options.builder_public_key))
    return sealing.seal(secrets, key)


def _secret(path: Path) -> bytes:
    secret = _content(path, f"The payload secret {path}").strip()
    if not secret:
        raise UsageError(f"The payload secret {path} is empty.")
    return secret


def _content(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise UsageError(f"{what} cannot be read: {exc.strerror}.") from exc


def _view(
    options: Options, log: TextIO, style: terminal.Style, environ: Mapping[str, str]
) -> terminal.View:
    if options.plain or not terminal.is_terminal(log, environ):
        return terminal.PlainView(log)
    return terminal.LiveView(log, style)


def _parse(argv: Sequence[str], environ: Mapping[str, str]) -> Options:
    parser = argparse.ArgumentParser(
        prog="build.py",
        description="Build an OpenFaaS function and push its image, by builder-fn.",
        epilog="Exit codes: 0 built, 1 the build failed, 2 it could not begin.",
        allow_abbrev=False,
    )
    what = parser.add_argument_group("what to build")
    what.add_argument("--image", required=True, metavar="REGISTRY/NAME:TAG", help="name to push as")
    what.add_argument(
        "--handler", required=True, type=Path, metavar="DIR", help="the function's folder"
    )
    what.add_argument(
        "--lang",
        required=True,
        metavar="NAME",
        help='template to lay it over, such as python3-http; "dockerfile" for none',
    )
    what.add_argument(
        "--template", type=Path, metavar="DIR", help="the template's folder [./template/NAME]"
    )
    what.add_argument(
        "--build-arg", action="append", default=[], metavar="K=V", help="may be repeated"
    )
    what.add_argument(
        "--platform", action="append", default=[], metavar="OS/ARCH", help="may be repeated, or a,b"
    )
    what.add_argument(
        "--build-secret",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="seal the file for RUN --mount=type=secret,id=NAME; may be repeated; needs PyNaCl",
    )
    what.add_argument(
        "--tag",
        action="append",
        default=[],
        metavar="NAME",
        help="push as this, too: a tag or a name",
    )
    what.add_argument("--label", action="append", default=[], metavar="K=V", help="may be repeated")
    what.add_argument("--target", default="", metavar="STAGE", help="build up to this stage")
    what.add_argument(
        "--dockerfile", default="", metavar="PATH", help="in the context [Dockerfile]"
    )
    what.add_argument("--no-cache", action="store_true", help="run every step again")
    what.add_argument("--pull", action="store_true", help="look for newer base images")
    what.add_argument(
        "--timeout", default="", metavar="DURATION", help="such as 10m; the builder's own at most"
    )
    what.add_argument("--skip-push", action="store_true", help="build only")
    where = parser.add_argument_group("by which builder")
    where.add_argument(
        "--url", default=environ.get("BUILDER_URL", ""), metavar="URL", help="[$BUILDER_URL]"
    )
    where.add_argument(
        "--payload-secret",
        type=Path,
        default=environ.get("PAYLOAD_SECRET_FILE") or None,
        metavar="FILE",
        help="holds the key to sign with [$PAYLOAD_SECRET_FILE]",
    )
    where.add_argument(
        "--builder-public-key",
        type=Path,
        metavar="FILE",
        help="what to seal build secrets for [what URL/publickey answers]",
    )
    where.add_argument("--compress", action="store_true", help="send the tar gzipped")
    where.add_argument(
        "--retries", type=_natural, default=5, metavar="N", help="when the builder is busy [5]"
    )
    where.add_argument(
        "--idle-timeout",
        type=_positive,
        default=120.0,
        metavar="SECONDS",
        help="give up when nothing comes for so long, not even a heartbeat [120]",
    )
    shown = parser.add_argument_group("what to show")
    shown.add_argument(
        "--plain", action="store_true", help="every line of the log, also on a terminal"
    )
    shown.add_argument("--json", action="store_true", help="the result as JSON on standard output")
    shown.add_argument(
        "--tar", type=Path, metavar="FILE", help='write what would be sent and exit; "-" for stdout'
    )
    given = parser.parse_args(argv)
    if not given.url and given.tar is None:
        parser.error("say where the builder is: --url or BUILDER_URL")
    if given.build_secret and not (given.url or given.builder_public_key):
        parser.error("say what to seal for: --builder-public-key, --url or BUILDER_URL")
    return Options(
        image=given.image,
        handler=given.handler,
        language=given.lang,
        template=given.template,
        dockerfile=str(PurePosixPath(given.dockerfile or "Dockerfile")),
        skip_push=given.skip_push,
        config=_config(given, environ),
        build_secrets=dict(_build_secret(text) for text in given.build_secret),
        builder_public_key=given.builder_public_key,
        compress=given.compress,
        url=given.url,
        secret=given.payload_secret,
        tar=given.tar,
        retries=given.retries,
        idle=given.idle_timeout,
        plain=given.plain,
        json=given.json,
    )


def _config(given: argparse.Namespace, environ: Mapping[str, str]) -> dict[str, object]:
    """builder-fn/options/build_config.py has the same keys."""
    return {
        "image": given.image,
        "buildArgs": dict(_build_arg(text, environ) for text in given.build_arg),
        "platforms": [
            name for text in given.platform for part in text.split(",") if (name := part.strip())
        ],
        "tags": given.tag,
        "labels": dict(_label(text) for text in given.label),
        "target": given.target,
        "dockerfile": given.dockerfile,
        "noCache": given.no_cache,
        "pull": given.pull,
        "timeout": given.timeout,
        "skipPush": given.skip_push,
    }


def _label(text: str) -> tuple[str, str]:
    """K=V, or K alone for a label without a value, as docker build has it."""
    name, _, value = text.partition("=")
    if not name:
        raise UsageError(f'--label takes NAME=VALUE, not "{text}".')
    return name, value


def _build_secret(text: str) -> tuple[str, Path]:
    name, _, file = text.partition("=")
    if not (name.isprintable() and name and file):
        raise UsageError(f"--build-secret takes NAME=FILE, not {text!a}.")
    return name, Path(file)


def _build_arg(text: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """K=V, or K alone for the environment's value, as docker build has it."""
    name, equals, value = text.partition("=")
    if not name:
        raise UsageError(f'--build-arg takes NAME=VALUE, not "{text}".')
    if not equals and name not in environ:
        raise UsageError(f"--build-arg {name} has no value, and the environment has no {name}.")
    return name, value if equals else environ[name]


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError("takes a whole number")
    return int(text)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError("takes a number above 0")
    return value
