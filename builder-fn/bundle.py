"""Pure. What a request asks for: its config, read and checked, and the context to build.

The config is go-sdk's BuildConfig as JSON (builder/builder.go). An option is one field of BuildConfig
that names its key and its reader; keys that no field names are tolerated.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, NoReturn

from .archive import CONFIG, DOCKERFILE, index, rooted_at
from .compression import decompressed
from .errors import ConfigError
from .quoting import quoted
from .reference import Reference

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .archive import Limits
    from .tree import Tree

# OS, architecture and variant (github.com/containerd/platforms, platforms.go).
_PLATFORM = re.compile(r"[A-Za-z0-9_-]+(?:/[A-Za-z0-9_.-]+){1,2}")

_JSON_TYPES: dict[type, str] = {
    dict: "an object",
    list: "an array",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "a boolean",
    type(None): "null",
}


def _image(key: str, value: object) -> Reference:
    image = Reference.parse(_string(key, value))
    if image.digest:
        raise ConfigError(
            f"The image name {quoted(image.text)} has a digest, but what will be pushed decides that; "
            "use a tag."
        )
    return image


def _strings(key: str, value: object) -> dict[str, str]:
    if value == []:
        return {}  # PHP has no other way to write an empty map
    if not isinstance(value, dict):
        _refuse(key, value, "an object of strings")
    return {_string(key, name): _string(f"{key}.{name}", text) for name, text in value.items()}


def _platforms(key: str, value: object) -> tuple[str, ...]:
    """faas-cli splits its flag at commas: without one it sends [""], and entries may be padded."""
    if not isinstance(value, list):
        _refuse(key, value, "an array of strings")
    texts = [_string(f"{key}[{at}]", text).strip() for at, text in enumerate(value)]
    for text in filter(None, texts):
        if not _PLATFORM.fullmatch(text):
            raise ConfigError(
                f"{quoted(text)} in {key} of {CONFIG} is no platform; write one such as "
                '"linux/amd64" or "linux/arm/v7".'
            )
    return tuple(dict.fromkeys(filter(None, texts)))


def _boolean(key: str, value: object) -> bool:
    return value if isinstance(value, bool) else _refuse(key, value, "a boolean")


def _string(key: str, value: object) -> str:
    if not isinstance(value, str):
        _refuse(key, value, "a string")
    # JSON can escape what neither protobuf nor an environment can hold.
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise ConfigError(f"{_shown(key)} in {CONFIG} has a NUL or half a surrogate pair in it.")
    return value


def _refuse(key: str, value: object, wanted: str) -> NoReturn:
    found = _JSON_TYPES[type(value)]
    raise ConfigError(f"{_shown(key)} in {CONFIG} must be {wanted}, not {found}.")


def _shown(key: str) -> str:
    return quoted(key)[1:-1]


def _option(key: str, read: Callable[[str, object], object]) -> dict[str, object]:
    return {"key": key, "read": read}


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildConfig:
    image: Reference = field(metadata=_option("image", _image))
    build_args: Mapping[str, str] = field(
        default_factory=dict, metadata=_option("buildArgs", _strings)
    )
    platforms: tuple[str, ...] = field(default=(), metadata=_option("platforms", _platforms))
    skip_push: bool = field(default=False, metadata=_option("skipPush", _boolean))

    @classmethod
    def parse(cls, document: bytes | memoryview) -> BuildConfig:
        """Raises ConfigError, naming the key that is at fault."""
        values = _json_object(bytes(document))
        options = {}
        for option in fields(cls):
            key, read = option.metadata["key"], option.metadata["read"]
            # Go writes an absent map or slice as null.
            if values.get(key) is not None:
                options[option.name] = read(key, values[key])
            elif option.default is MISSING and option.default_factory is MISSING:
                raise ConfigError(f'{CONFIG} has no "{key}"; it must be there.')
        return cls(**options)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A build request whose every part was judged; *sealed_secrets* are still sealed."""

    config: BuildConfig
    context: Tree
    sealed_secrets: memoryview | None


def unpack(body: memoryview, limits: Limits) -> Bundle:
    """Raises ArchiveError, ConfigError and BodyTooLarge. The context's data are views into the tar."""
    archive = index(decompressed(body, limits.context_bytes), limits)
    return Bundle(
        config=BuildConfig.parse(archive.config),
        context=rooted_at(archive.context, DOCKERFILE),
        sealed_secrets=archive.sealed_secrets,
    )


def _json_object(document: bytes) -> dict[str, object]:
    try:
        text = document.decode("utf-8-sig")
        value = json.loads(text, object_pairs_hook=_without_twins, parse_constant=_not_a_constant)
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{CONFIG} is not UTF-8: byte {exc.start} is wrong.") from exc
    except json.JSONDecodeError as exc:
        raise ConfigError(
            f"{CONFIG} is not valid JSON: {exc.msg} at line {exc.lineno}, column {exc.colno}."
        ) from exc
    except (ValueError, RecursionError) as exc:
        # Numbers of thousands of digits, and arrays as deep.
        raise ConfigError(f"{CONFIG} is not JSON that any build would need.") from exc
    if not isinstance(value, dict):
        raise ConfigError(f"{CONFIG} must be a JSON object, not {_JSON_TYPES[type(value)]}.")
    return value


def _without_twins(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        [(twin, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise ConfigError(f"{CONFIG} has the key {quoted(twin)} twice; keep the one that counts.")
    return found


def _not_a_constant(word: str) -> NoReturn:
    raise ConfigError(f"{CONFIG} is not valid JSON: {word} is no JSON number.")
