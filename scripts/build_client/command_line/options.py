"""Pure. Holds what was asked for on a command line."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Delivery(enum.Enum):
    """The way of the request to the builder: the build is waited for, left to the builder, or queued."""

    WATCHED = enum.auto()
    DETACHED = enum.auto()
    QUEUED = enum.auto()


class Progress(enum.Enum):
    """The kind of log that is shown."""

    AUTO = "auto"
    PLAIN = "plain"
    TTY = "tty"
    RAWJSON = "rawjson"
    QUIET = "quiet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """A builder, and how to talk to it. *idle* is how many seconds it may say nothing.

    *given* is what our own command line said of it, for other command lines to say as well. With
    *require_signed* an answer that it has not signed is not believed.
    """

    url: str
    secret: Path | None
    retries: int
    idle: float
    given: tuple[str, ...] = ()
    require_signed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    progress: Progress = Progress.AUTO
    json: bool = False
    digest_file: Path | None = None
    metadata_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """A build that was asked for. *config* is what concerns it, by the keys of BuildConfig.

    *dockerfile* is a path in the context, or empty; *file* one that may be in the current folder instead.
    Of *build_secrets* each is a file, or the value itself.
    """

    image: str
    handler: Path
    language: str
    template: Path | None
    dockerfile: str
    file: Path | None
    skip_push: bool
    config: Mapping[str, object]
    build_secrets: Mapping[str, Path | bytes] = field(repr=False)
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
    """A question about builds. *build_id* is empty where all are meant."""

    operation: str
    build_id: str
    follow: bool
    offset: int
    limit: int
    builder: Builder
    output: Output
