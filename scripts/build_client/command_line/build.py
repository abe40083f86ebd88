"""Pure. Reads the command line of a build.

Where docker build has a word for something, that word is understood: a positional context, -t, -f, -q,
--progress, --secret, --iidfile, --metadata-file.
"""

from __future__ import annotations

import argparse
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..context import NO_TEMPLATE
from ..errors import UsageError
from ..protocol import gateway
from . import values
from .options import BuildOptions, Delivery, Output, Progress
from .parser import add_builder, builder, exit_codes, fill_in, require_builder
from .questions import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# What docker build fetches; a Path has made one "/" of two.
_REMOTE: Final = re.compile(r"(?:https?|git|ssh|oci-layout|docker-image):/|git@")


def parse(argv: Sequence[str], environ: Mapping[str, str]) -> BuildOptions:
    """Read the arguments of a build. Raises UsageError."""
    parser = _parser()
    given = parser.parse_args(argv)
    fill_in(given, environ)
    _require_together(parser, given)
    image, tags = _names(parser, given)
    handler, language = _what(parser, given)
    secrets: dict[str, Path | bytes] = dict(
        values.build_secret(text) for text in given.build_secret
    )
    secrets |= dict(values.secret(text, environ) for text in given.secret)
    dockerfile = posixpath.normpath(given.dockerfile) if given.dockerfile else ""
    return BuildOptions(
        image=image,
        handler=handler,
        language=language,
        template=given.template,
        dockerfile=dockerfile,
        file=given.file,
        skip_push=given.skip_push,
        config=_config(given, environ, image, tags),
        build_secrets=secrets,
        builder_public_key=given.builder_public_key,
        compress=given.compress or given.queued,
        delivery=_delivery(given),
        queue_limit=given.queue_limit,
        callback_url=given.callback_url,
        follow=given.follow,
        tar=given.tar,
        builder=builder(given, _build_url(given)),
        output=Output(
            progress=_progress(given),
            json=given.json,
            digest_file=given.iidfile,
            metadata_file=given.metadata_file,
        ),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="build.py",
        description="Build an OpenFaaS function, or any context with a Dockerfile, and push its image,"
        " by builder-fn.",
        epilog=f"{exit_codes(ok='built', failed='the build failed, or its answer broke off')}"
        f" About builds that go on by themselves: build.py {'|'.join(OPERATIONS)}, each with --help.",
        allow_abbrev=False,
    )
    _add_what(parser.add_argument_group("what to build"))
    where = parser.add_argument_group("by which builder")
    add_builder(where)
    where.add_argument(
        "--builder-public-key",
        type=Path,
        metavar="FILE",
        help="what to seal build secrets for [what URL/publickey answers]",
    )
    where.add_argument("--compress", action="store_true", help="send the tar gzipped")
    _add_waiting(parser.add_argument_group("how long to stay"))
    _add_shown(parser.add_argument_group("what to show"))
    return parser


def _add_what(what: argparse._ArgumentGroup) -> None:
    what.add_argument(
        "context",
        nargs="?",
        type=Path,
        metavar="DIR",
        help="the folder to build, as for docker build",
    )
    what.add_argument("--image", default="", metavar="REGISTRY/NAME:TAG", help="name to push as")
    what.add_argument(
        "--handler", type=Path, metavar="DIR", help="the function's folder, instead of DIR"
    )
    what.add_argument(
        "--lang",
        default="",
        metavar="NAME",
        help='template to lay it over, such as python3-http; "dockerfile", which DIR alone means, for none',
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
        "--secret",
        action="append",
        default=[],
        metavar="id=NAME,src=FILE|env=VAR",
        help="the same, as docker build has it",
    )
    what.add_argument(
        "-t",
        "--tag",
        action="append",
        default=[],
        metavar="NAME",
        help="push as this, too: a tag or a name; without --image the first is the image",
    )
    what.add_argument("--label", action="append", default=[], metavar="K=V", help="may be repeated")
    what.add_argument("--target", default="", metavar="STAGE", help="build up to this stage")
    which = what.add_mutually_exclusive_group()
    which.add_argument(
        "--dockerfile", default="", metavar="PATH", help="in the context [Dockerfile]"
    )
    which.add_argument(
        "-f", "--file", type=Path, metavar="PATH", help="the same, but also from the current folder"
    )
    what.add_argument("--no-cache", action="store_true", help="run every step again")
    what.add_argument("--pull", action="store_true", help="look for newer base images")
    what.add_argument(
        "--timeout", default="", metavar="DURATION", help="such as 10m; the builder's own at most"
    )
    pushing = what.add_mutually_exclusive_group()
    pushing.add_argument("--skip-push", action="store_true", help="build only")
    pushing.add_argument("--push", action="store_true", help="done anyway; taken for docker's sake")


def _add_waiting(waiting: argparse._ArgumentGroup) -> None:
    delivery = waiting.add_mutually_exclusive_group()
    delivery.add_argument(
        "--detach", action="store_true", help="leave: print the build's id, and exit"
    )
    delivery.add_argument(
        "--async",
        action="store_true",
        dest="queued",
        help="leave it in the queue of the gateway that --url leads through; gzipped",
    )
    waiting.add_argument(
        "--callback-url",
        type=values.callback_url,
        default="",
        metavar="URL",
        help="with --async or --detach: where to post the result",
    )
    waiting.add_argument(
        "--follow",
        action="store_true",
        help="with --async or --detach: stay all the same; it would go on without",
    )
    waiting.add_argument(
        "--queue-limit",
        type=values.natural,
        default=gateway.COMMUNITY_LIMIT,
        metavar="BYTES",
        help=f"what the queue takes [{gateway.COMMUNITY_LIMIT}, the Community Edition's]",
    )


def _add_shown(shown: argparse._ArgumentGroup) -> None:
    log = shown.add_mutually_exclusive_group()
    log.add_argument(
        "--progress",
        choices=[each.value for each in Progress],
        help="the log: alive on a terminal (tty), every line (plain), the builder's JSON, a document a"
        " line (rawjson), or none (quiet) [auto]",
    )
    log.add_argument("--plain", action="store_true", help="--progress plain")
    log.add_argument(
        "-q", "--quiet", action="store_true", help="no log; the digest alone on standard output"
    )
    shown.add_argument("--json", action="store_true", help="the result as JSON on standard output")
    shown.add_argument("--iidfile", type=Path, metavar="FILE", help="write the digest to it")
    shown.add_argument(
        "--metadata-file",
        type=Path,
        metavar="FILE",
        help="write digest, names and id to it as JSON",
    )
    shown.add_argument(
        "--tar", type=Path, metavar="FILE", help='write what would be sent and exit; "-" for stdout'
    )


def _require_together(parser: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    if given.tar is None:
        require_builder(parser, given)
    leaves = given.queued or given.detach
    if (given.build_secret or given.secret) and not (given.url or given.builder_public_key):
        parser.error("say what to seal for: --builder-public-key, --url or BUILDER_URL")
    if given.callback_url and not leaves:
        parser.error("--callback-url needs --async or --detach")
    if given.follow and not leaves:
        parser.error("--follow needs --async or --detach; without them it is done anyway")
    for name in ("iidfile", "metadata_file"):
        if getattr(given, name) and leaves and not given.follow:
            option = name.replace("_", "-")
            parser.error(f"--{option} needs the build's end: add --follow, or wait for it")
    if given.iidfile and given.skip_push:
        parser.error("--iidfile needs a push: an image has no digest without one")
    if given.json and given.quiet:
        parser.error("--json and --quiet each want standard output for themselves: use one")


def _names(parser: argparse.ArgumentParser, given: argparse.Namespace) -> tuple[str, Sequence[str]]:
    """Choose the image's own name, and its others."""
    if given.image:
        return given.image, given.tag
    if not given.tag:
        parser.error("say what to push it as: --image REGISTRY/NAME:TAG, or -t")
    return given.tag[0], given.tag[1:]


def _what(parser: argparse.ArgumentParser, given: argparse.Namespace) -> tuple[Path, str]:
    """Choose the folder and the language; a folder as for docker build is one without a template."""
    if given.context is not None and given.handler is not None:
        parser.error(f"say one folder: --handler {given.handler}, or {given.context}")
    folder = given.handler if given.context is None else given.context
    if folder is None:
        parser.error("say which folder to build: --handler DIR with --lang NAME, or DIR alone")
    if str(folder) == "-" or _REMOTE.match(str(folder)):
        parser.error(
            f'"{folder}" is no folder: builder-fn builds what is on this machine; fetch or unpack it first'
        )
    if not given.lang and given.context is None:
        parser.error('say which template it is for: --lang python3-http, or "dockerfile" for none')
    return folder, given.lang or NO_TEMPLATE


def _progress(given: argparse.Namespace) -> Progress:
    if given.quiet:
        return Progress.QUIET
    if given.plain:
        return Progress.PLAIN
    return Progress(given.progress) if given.progress else Progress.AUTO


def _build_url(given: argparse.Namespace) -> str:
    if given.tar is not None:
        return str(given.url)
    if given.queued:
        return gateway.queue_url(given.url)
    if gateway.is_queue(given.url):
        raise UsageError(
            f'"{given.url}" is the address of a queue: say --async, or use --url'
            f" {gateway.function_url(given.url)}."
        )
    return str(given.url)


def _delivery(given: argparse.Namespace) -> Delivery:
    if given.queued:
        return Delivery.QUEUED
    return Delivery.DETACHED if given.detach else Delivery.WATCHED


def _config(
    given: argparse.Namespace, environ: Mapping[str, str], image: str, tags: Sequence[str]
) -> dict[str, object]:
    """Say what concerns the build by the keys of go-sdk's BuildConfig (v0.3.0), and builder-fn's own."""
    return {
        "image": image,
        "buildArgs": dict(values.build_arg(text, environ) for text in given.build_arg),
        "platforms": [
            name for text in given.platform for part in text.split(",") if (name := part.strip())
        ],
        "tags": list(tags),
        "labels": dict(values.label(text) for text in given.label),
        "target": given.target,
        "dockerfile": given.dockerfile,
        "noCache": given.no_cache,
        "pull": given.pull,
        "timeout": given.timeout,
        "skipPush": given.skip_push,
        "detach": given.detach,
        # The builder itself calls back; a queue is told in a header.
        "callbackUrl": given.callback_url if given.detach else "",
    }
