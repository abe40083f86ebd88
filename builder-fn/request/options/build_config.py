"""Pure. The options of a build, and how a request's config and its context's options files make one.

The config is go-sdk's BuildConfig as JSON (builder/builder.go), with options of our own. An option is one
field of BuildConfig: it names its key, its reader, and what the Dockerfile frontend is told (names:
moby/buildkit v0.32.2 frontend/dockerui/config.go). Nothing else has to know of it.

Clients that write the config themselves drop most options (faas-cli builder/publish.go). So the same keys may
stand in a file that is committed with the function; the request's own config comes first.
"""

from __future__ import annotations

import difflib
from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from ...buildkit.outcome import BuildWarning
from ...errors import ConfigError
from ...quoting import quoted
from ...registry.reference import EXAMPLE, Reference
from ..archive import DOCKERFILE
from . import readers
from .readers import Key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .documents import Document

# The root of a context is its template's; faas-cli lays the handler's folder below it.
OPTIONS_FILES = ("builder-fn.json", "function/builder-fn.json")

# Each that looks like a secret is looked for in all that the build prints, in every form, as are the sealed
# secrets, of which there may be as many.
_MAX_BUILD_ARGS = 256
# Of all their names and values in UTF-8, in bytes; half of it is the most that Linux gives a program at once.
_MAX_BUILD_ARGS_BYTES = 256 * 1024

# Seconds since 1970 (reproducible-builds.org/specs/source-date-epoch): nothing in the image is newer.
_EPOCH = "SOURCE_DATE_EPOCH"
_REPRODUCIBLE_EPOCH = "0"  # the only time that two checkouts of one commit have in common

_MAX_HINTS = 10  # of one document: each is a line of the log, and looked for in all keys there are
_ALIKE = 0.75  # of difflib's ratio: "buildArg" and "platform" are alike, "frontend" is like nothing


def _option(
    key: str,
    read: Callable[[Key, object], object],
    attrs: Callable[[Any], Mapping[str, str]] | None = None,
    *,
    in_files: bool = True,
) -> dict[str, object]:
    return {"key": key, "read": read, "attrs": attrs, "in_files": in_files}


def _prefixed(prefix: str) -> Callable[[Mapping[str, str]], Mapping[str, str]]:
    return lambda values: {prefix + name: value for name, value in values.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildConfig:
    image: Reference = field(metadata=_option("image", readers.image, in_files=False))
    build_args: Mapping[str, str] = field(
        default_factory=dict,
        metadata=_option("buildArgs", readers.strings, _prefixed("build-arg:")),
    )
    platforms: tuple[str, ...] = field(
        default=(),
        metadata=_option("platforms", readers.platforms, lambda all_: {"platform": ",".join(all_)}),
    )
    skip_push: bool = field(
        default=False, metadata=_option("skipPush", readers.boolean, in_files=False)
    )
    target: str = field(
        default="", metadata=_option("target", readers.stage, lambda name: {"target": name})
    )
    labels: Mapping[str, str] = field(
        default_factory=dict, metadata=_option("labels", readers.labels, _prefixed("label:"))
    )
    tags: tuple[str, ...] = field(default=(), metadata=_option("tags", readers.names))
    dockerfile: str = field(
        default=DOCKERFILE,
        metadata=_option("dockerfile", readers.path, lambda path: {"filename": path}),
    )
    no_cache: bool = field(
        default=False, metadata=_option("noCache", readers.boolean, lambda _: {"no-cache": ""})
    )
    pull: bool = field(
        default=False,
        metadata=_option("pull", readers.boolean, lambda _: {"image-resolve-mode": "pull"}),
    )
    reproducible: bool = field(default=False, metadata=_option("reproducible", readers.boolean))
    timeout: float | None = field(default=None, metadata=_option("timeout", readers.duration))
    detach: bool = field(default=False, metadata=_option("detach", readers.boolean, in_files=False))
    callback_url: str = field(
        default="", metadata=_option("callbackUrl", readers.string, in_files=False)
    )
    time: float | None = field(default=None, metadata=_option("time", readers.time, in_files=False))
    nonce: str = field(default="", metadata=_option("nonce", readers.nonce, in_files=False))
    warnings: tuple[BuildWarning, ...] = ()

    @classmethod
    def parse(cls, request: Document, files: Sequence[Document] = ()) -> BuildConfig:
        """Read the config: the later ones of *files* win, and *request* over all; maps merge key by key.

        Raises ConfigError, naming the key and the document that is at fault.
        """
        chosen: dict[str, Any] = {}
        warnings: list[BuildWarning] = []
        for document in (*files, request):
            values, hints = _read(document, in_file=document is not request)
            warnings += hints
            for name, value in values.items():
                merges = isinstance(value, dict)
                chosen[name] = {**chosen.get(name, {}), **value} if merges else value
        image = chosen.setdefault("image", None) or readers.UNNAMED
        if image is readers.UNNAMED and not chosen.get("skip_push"):
            if chosen["image"] is None:
                raise ConfigError(f'{request.name} has no "image"; it must be there.')
            raise ConfigError(f'The image name is empty; write one such as "{EXAMPLE}".')
        chosen["image"] = image
        if (count := len(chosen.get("build_args", ()))) > _MAX_BUILD_ARGS:
            raise ConfigError(
                f"The build has {count} build arguments; {_MAX_BUILD_ARGS} are the most. Put what does "
                "not change from build to build into the Dockerfile, as ARG NAME=value, or into a file."
            )
        args = chosen.get("build_args", {}).items()
        if (size := sum(len(f"{name}{value}".encode()) for name, value in args)) > (
            _MAX_BUILD_ARGS_BYTES
        ):
            raise ConfigError(
                f"The build arguments have {size} bytes together; {_MAX_BUILD_ARGS_BYTES} are the most. Put "
                "what is large into a file of the context."
            )
        if chosen.get("reproducible"):
            build_args = chosen.get("build_args", {})
            if not build_args.get(_EPOCH):
                chosen["build_args"] = {**build_args, _EPOCH: _REPRODUCIBLE_EPOCH}
        return cls(**chosen, warnings=tuple(warnings))

    @property
    def names(self) -> tuple[str, ...]:
        """Every name the image is to be pushed under, canonical and tagged, its own first."""
        found = [f"{self.image.name}:{self.image.tag or 'latest'}"]
        for text in self.tags:
            if "/" in text or ":" in text:
                more = Reference.parse(text)
                found.append(f"{more.name}:{more.tag or 'latest'}")
            else:
                found.append(f"{self.image.name}:{text}")
        return tuple(dict.fromkeys(found))

    @property
    def source_date_epoch(self) -> str:
        """Return the time that makes equal images of equal sources; empty if that is not asked for."""
        return self.build_args.get(_EPOCH, "")

    @property
    def exporter_attrs(self) -> dict[str, str]:
        """Return what the image exporter is told beside the image's names."""
        # moby/buildkit v0.32.2 exporter/containerimage/exptypes/keys.go. Without it only the image's config
        # has that time, and what a step wrote the time of day.
        return {"rewrite-timestamp": "true"} if self.source_date_epoch else {}

    @property
    def frontend_attrs(self) -> dict[str, str]:
        """The attributes that dockerfile.v0 is given; nothing of options that have their default."""
        found: dict[str, str] = {}
        for option in fields(self):
            attrs = option.metadata.get("attrs")
            value = getattr(self, option.name)
            if attrs and value and value != option.default:
                found |= attrs(value)
        return found


_OPTIONS = {option.metadata["key"]: option for option in fields(BuildConfig) if option.metadata}
# Go's encoding/json, which reads this config elsewhere, takes keys in any case.
_FOLDED = {key.casefold(): key for key in _OPTIONS}


def _read(document: Document, *, in_file: bool) -> tuple[dict[str, Any], list[BuildWarning]]:
    """Return what *document* says, by the fields of BuildConfig, and hints for keys that are nearly known."""
    values: dict[str, Any] = {}
    unknown: list[str] = []
    for written, value in document.values().items():
        key = _FOLDED.get(written.casefold())
        if key is None:
            unknown.append(written)
            continue
        option = _OPTIONS[key]
        if in_file and not option.metadata["in_files"]:
            raise ConfigError(
                f"{key} cannot be set in {document.name}; it belongs to the request, in its config."
            )
        if option.name in values:
            raise ConfigError(
                f"{document.name} has the key {quoted(written)} twice; keep the one that counts."
            )
        # Go writes an absent map or slice as null.
        if value is None:
            continue
        read = option.metadata["read"](Key(key, document.name), value)
        if read not in ("", (), {}) or option.default is MISSING:
            values[option.name] = read
    hints = [hint for written in unknown[:_MAX_HINTS] for hint in _hint(written, document.name)]
    return values, hints


def _hint(written: str, document: str) -> list[BuildWarning]:
    close = difflib.get_close_matches(written.casefold(), _FOLDED, n=1, cutoff=_ALIKE)
    if not close:
        return []
    message = (
        f"{quoted(written)} in {document} means nothing; did you mean {quoted(_FOLDED[close[0]])}?"
    )
    return [BuildWarning(message=message)]
