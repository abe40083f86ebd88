"""Pure. Reads what all command lines share: where the builder is, and how long to wait for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..protocol import gateway
from . import values
from .options import Builder

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

_EXIT_CODES: Final = (
    "Exit codes: 0 {ok}; 1 {failed}; 2 it could not begin; 130 interrupted (Ctrl-C)."
)


def exit_codes(*, ok: str, failed: str) -> str:
    """Say what the exit codes mean, for the end of a help text."""
    return _EXIT_CODES.format(ok=ok, failed=failed)


def add_builder(where: argparse._ArgumentGroup) -> None:
    """Add the options that `builder` reads."""
    where.add_argument("--url", metavar="URL", help="[$BUILDER_URL]")
    where.add_argument(
        "--payload-secret",
        type=Path,
        metavar="FILE",
        help="holds the key to sign with [$PAYLOAD_SECRET_FILE]",
    )
    where.add_argument(
        "--require-signed",
        action="store_true",
        help="believe no answer that is not signed with that key, as builder-fn signs its own",
    )
    where.add_argument(
        "--retries",
        type=values.natural,
        default=5,
        metavar="N",
        help="when the builder is busy or starting [5]",
    )
    where.add_argument(
        "--idle-timeout",
        type=values.seconds,
        default=120.0,
        metavar="SECONDS",
        help="give up when nothing comes for so long, not even a heartbeat [120]",
    )


def fill_in(given: argparse.Namespace, environ: Mapping[str, str]) -> None:
    """Remember in *given* what the command line said of the builder, and take the rest from *environ*."""
    arguments: list[str] = []
    if given.url:
        arguments += ["--url", gateway.function_url(given.url)]  # a queue answers no questions
    if given.payload_secret:
        arguments += ["--payload-secret", str(given.payload_secret)]
    if given.require_signed:
        arguments += ["--require-signed"]
    given.said = tuple(arguments)
    given.url = given.url or environ.get("BUILDER_URL", "")
    file = environ.get("PAYLOAD_SECRET_FILE", "")
    given.payload_secret = given.payload_secret or (Path(file) if file else None)


def require_builder(parser: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    """End the program if nothing says where the builder is."""
    if not given.url:
        parser.error("say where the builder is: --url or BUILDER_URL")
    if given.require_signed and given.payload_secret is None:
        parser.error("--require-signed needs the key: --payload-secret or PAYLOAD_SECRET_FILE")


def builder(given: argparse.Namespace, url: str) -> Builder:
    """Make the value; *url* is where requests go, which may be a queue of the one that was given."""
    return Builder(
        url=url,
        secret=given.payload_secret,
        retries=given.retries,
        idle=given.idle_timeout,
        given=given.said,
        require_signed=given.require_signed,
    )
