"""Pure. The command lines, checked: what to build, or what to ask about a build."""

from __future__ import annotations

import argparse
import enum
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from ..errors import UsageError
from ..protocol import gateway

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_EXIT_CODES: Final = "Exit codes: 0 {ok}, 1 {failed}, 2 it could not begin."


class Delivery(enum.Enum):
    """How the request gets to the builder, and who waits for the build."""

    WATCHED = enum.auto()
    DETACHED = enum.auto()
    QUEUED = enum.auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """Which one, and how to talk to it. *idle* is how many seconds it may say nothing."""

    url: str
    secret: Path | None
    retries: int
    idle: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    plain: bool
    json: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """*config* is what concerns the build, by the keys of BuildConfig."""

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
    delivery: Delivery
    queue_limit: int
    callback_url: str
    follow: bool
    tar: Path | None
    builder: Builder
    output: Output


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked about builds. *build_id* is empty where all are meant."""

    operation: str
    build_id: str
    follow: bool
    offset: int
    limit: int
    builder: Builder
    output: Output


_OPERATIONS: Final[Mapping[str, str]] = {
    "status": "say how a build is doing; exit with 1 if it came to nothing",
    "logs": "show a build's log",
    "result": "show how a build ended; exit as the build itself would have",
    "cancel": "end a build",
    "list": "list builds, the newest first",
}


def parse(argv: Sequence[str], environ: Mapping[str, str]) -> BuildOptions | Question:
    """Raises UsageError; ends the program for --help and for what argparse itself refuses."""
    if argv and argv[0] in _OPERATIONS:
        return _question(argv[0], argv[1:], environ)
    return _build(argv, environ)


def _question(operation: str, argv: Sequence[str], environ: Mapping[str, str]) -> Question:
    parser = argparse.ArgumentParser(
        prog=f"build.py {operation}",
        description=f"{_OPERATIONS[operation].capitalize()}.",
        epilog=_EXIT_CODES.format(ok="answered, and nothing failed", failed="the build failed"),
        allow_abbrev=False,
    )
    if operation == "list":
        parser.add_argument(
            "--limit", type=_natural, default=20, metavar="N", help="so many at most [20]"
        )
    else:
        parser.add_argument("build_id", metavar="BUILD-ID")
    if operation == "logs":
        parser.add_argument(
            "--follow", action="store_true", help="stay until the build's end, and exit as it does"
        )
        parser.add_argument(
            "--offset", type=_natural, default=0, metavar="N", help="leave out the first N lines"
        )
    _add_builder(parser.add_argument_group("by which builder"), environ)
    shown = parser.add_argument_group("what to show")
    shown.add_argument("--json", action="store_true", help="the answer as JSON on standard output")
    if operation == "logs":
        shown.add_argument(
            "--plain", action="store_true", help="every line of the log, also on a terminal"
        )
    given = parser.parse_args(argv)
    _require_builder(parser, given)
    return Question(
        operation=operation,
        build_id=getattr(given, "build_id", ""),
        follow=getattr(given, "follow", False),
        offset=getattr(given, "offset", 0),
        limit=getattr(given, "limit", 0),
        builder=_builder(given, gateway.function_url(given.url)),
        output=Output(plain=getattr(given, "plain", False), json=given.json),
    )


def _build(argv: Sequence[str], environ: Mapping[str, str]) -> BuildOptions:
    parser = argparse.ArgumentParser(
        prog="build.py",
        description="Build an OpenFaaS function and push its image, by builder-fn.",
        epilog=f"{_EXIT_CODES.format(ok='built', failed='the build failed')}"
        f" About builds that go on by themselves: build.py {'|'.join(_OPERATIONS)}, each with --help.",
        allow_abbrev=False,
    )
    _add_what(parser.add_argument_group("what to build"))
    where = parser.add_argument_group("by which builder")
    _add_builder(where, environ)
    where.add_argument(
        "--builder-public-key",
        type=Path,
        metavar="FILE",
        help="what to seal build secrets for [what URL/publickey answers]",
    )
    where.add_argument("--compress", action="store_true", help="send the tar gzipped")
    _add_waiting(parser.add_argument_group("who waits for it"))
    shown = parser.add_argument_group("what to show")
    shown.add_argument(
        "--plain", action="store_true", help="every line of the log, also on a terminal"
    )
    shown.add_argument("--json", action="store_true", help="the result as JSON on standard output")
    shown.add_argument(
        "--tar", type=Path, metavar="FILE", help='write what would be sent and exit; "-" for stdout'
    )
    given = parser.parse_args(argv)
    if given.tar is None:
        _require_builder(parser, given)
    if given.build_secret and not (given.url or given.builder_public_key):
        parser.error("say what to seal for: --builder-public-key, --url or BUILDER_URL")
    if given.callback_url and not (given.queued or given.detach):
        parser.error("--callback-url needs --async or --detach")
    if given.follow and not (given.queued or given.detach):
        parser.error("--follow needs --async or --detach; without them it is done anyway")
    return BuildOptions(
        image=given.image,
        handler=given.handler,
        language=given.lang,
        template=given.template,
        dockerfile=str(PurePosixPath(given.dockerfile or "Dockerfile")),
        skip_push=given.skip_push,
        config=_config(given, environ),
        build_secrets=dict(_build_secret(text) for text in given.build_secret),
        builder_public_key=given.builder_public_key,
        compress=given.compress or given.queued,
        delivery=_delivery(given),
        queue_limit=given.queue_limit,
        callback_url=given.callback_url,
        follow=given.follow,
        tar=given.tar,
        builder=_builder(given, _build_url(given)),
        output=Output(plain=given.plain, json=given.json),
    )


def _add_what(what: argparse._ArgumentGroup) -> None:
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


def _add_builder(where: argparse._ArgumentGroup, environ: Mapping[str, str]) -> None:
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
        "--retries", type=_natural, default=5, metavar="N", help="when the builder is busy [5]"
    )
    where.add_argument(
        "--idle-timeout",
        type=_positive,
        default=120.0,
        metavar="SECONDS",
        help="give up when nothing comes for so long, not even a heartbeat [120]",
    )


def _add_waiting(waiting: argparse._ArgumentGroup) -> None:
    who = waiting.add_mutually_exclusive_group()
    who.add_argument(
        "--detach", action="store_true", help="nobody: print the build's id, and leave"
    )
    who.add_argument(
        "--async",
        action="store_true",
        dest="queued",
        help="nobody: leave it in the queue of the gateway that --url leads through; gzipped",
    )
    waiting.add_argument(
        "--callback-url",
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
        type=_natural,
        default=gateway.COMMUNITY_LIMIT,
        metavar="BYTES",
        help=f"what the queue takes [{gateway.COMMUNITY_LIMIT}, the Community Edition's]",
    )


def _require_builder(parser: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    if not given.url:
        parser.error("say where the builder is: --url or BUILDER_URL")


def _builder(given: argparse.Namespace, url: str) -> Builder:
    return Builder(
        url=url,
        secret=given.payload_secret,
        retries=given.retries,
        idle=given.idle_timeout,
    )


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


def _config(given: argparse.Namespace, environ: Mapping[str, str]) -> dict[str, object]:
    """builder-fn/request/options/build_config.py has the same keys."""
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
        # The builder itself calls back; a queue is told in a header.
        "callbackUrl": given.callback_url if given.detach else "",
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
