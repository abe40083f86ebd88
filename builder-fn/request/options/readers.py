"""Pure. Readers of options: each takes a JSON value and returns what it says, or refuses it by its key.

A value that says nothing, such as an empty string or array, counts as not given: clients send those for
flags that their user left out.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import NoReturn

from ... import go_duration
from ...errors import ConfigError
from ...quoting import json_type, quoted
from ...registry.reference import TAG, Reference

# OS, architecture and variant (github.com/containerd/platforms, platforms.go).
_PLATFORM = re.compile(r"[A-Za-z0-9_-]{1,64}(?:/[A-Za-z0-9_.-]{1,64}){1,2}")
# A stage's name, or its number (moby/buildkit v0.32.2 frontend/dockerfile/instructions/parse.go).
_STAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NONCE = re.compile(r"[A-Za-z0-9._=-]{1,128}")
_FOREVER = 1e15  # seconds; JSON has numbers of any length, and 1e999 is infinite
_MAX_ITEMS = 100  # each is one more platform to build, or one more push, and part of the answer


@dataclass(frozen=True, slots=True)
class Key:
    """The place of a value: *name* in *document*."""

    name: str
    document: str

    def part(self, name: str) -> Key:
        return Key(self.name + name, self.document)

    def __str__(self) -> str:
        return f"{quoted(self.name)[1:-1]} in {self.document}"


# Of a build that is not pushed, and so needs no name.
UNNAMED = Reference(domain="", path="unnamed")


def image(key: Key, value: object) -> Reference:
    text = string(key, value)
    # Go writes an absent text as an empty one.
    return _without_digest(Reference.parse(text)) if text else UNNAMED


def names(key: Key, value: object) -> tuple[str, ...]:
    """Read more names for the image: each a tag alone, or a whole name with a "/" or ":" in it."""
    found = array(key, value)
    for name in found:
        if "/" in name or ":" in name:
            _without_digest(Reference.parse(name))
        elif not TAG.fullmatch(name):
            raise ConfigError(
                f"{quoted(name)} in {key} is neither a tag nor an image name; write one such as "
                '"1.0" or "registry.example.com/team/name:1.0".'
            )
    return found


def strings(key: Key, value: object) -> dict[str, str]:
    if value == []:
        return {}  # PHP has no other way to write an empty map
    if not isinstance(value, dict):
        _refuse(key, value, "an object of strings")
    return {string(key, name): string(key.part(f".{name}"), text) for name, text in value.items()}


def labels(key: Key, value: object) -> dict[str, str]:
    found = strings(key, value)
    if "" in found:
        raise ConfigError(f"{key} has a label without a name; give it one.")
    return found


def array(key: Key, value: object) -> tuple[str, ...]:
    """Read strings without the white space around them, without blank ones, and each once; not very many."""
    if not isinstance(value, list):
        _refuse(key, value, "an array of strings")
    if len(value) > _MAX_ITEMS:
        raise ConfigError(f"{key} has {len(value)} strings; {_MAX_ITEMS} are the most.")
    texts = (string(key.part(f"[{at}]"), text).strip() for at, text in enumerate(value))
    return tuple(dict.fromkeys(filter(None, texts)))


def platforms(key: Key, value: object) -> tuple[str, ...]:
    """Read platforms as faas-cli sends them: split at commas, perhaps padded, and [""] for none."""
    found = array(key, value)
    for text in found:
        if not _PLATFORM.fullmatch(text):
            raise ConfigError(
                f"{quoted(text)} in {key} is no platform; write one such as "
                '"linux/amd64" or "linux/arm/v7".'
            )
    return found


def stage(key: Key, value: object) -> str:
    text = string(key, value).strip()
    if text and not _STAGE.fullmatch(text):
        raise ConfigError(
            f"{key} must be the name of a stage in the Dockerfile, not {quoted(text)}."
        )
    return text


def path(key: Key, value: object) -> str:
    """Read a path below the context, in its plain form."""
    text = string(key, value)
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if text and (text.startswith("/") or text.endswith("/") or ".." in parts or not parts):
        raise ConfigError(
            f"{key} must be the path of a file below context/, without a leading "
            f'"/" and without "..", not {quoted(text)}.'
        )
    return "/".join(parts)


def duration(key: Key, value: object) -> float:
    """Read a duration, in seconds."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        _refuse(key, value, 'a duration such as "10m" or a number of seconds')
    try:
        return go_duration.seconds(value.strip()) if isinstance(value, str) else _positive(value)
    except ValueError as exc:
        raise ConfigError(
            f'{key} must be a duration such as "10m" or "90s", or a number of seconds above 0, '
            f"not {quoted(str(value))}."
        ) from exc


def time(key: Key, value: object) -> float:
    """Read when a request was signed, in seconds since 1970."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _FOREVER:
        raise ConfigError(f"{key} must be the time of signing, in seconds since 1970.")
    return float(value)


def nonce(key: Key, value: object) -> str:
    text = string(key, value)
    if not _NONCE.fullmatch(text):
        raise ConfigError(f'{key} must be 1 to 128 letters, digits, "-", "_", "." and "=".')
    return text


def boolean(key: Key, value: object) -> bool:
    return value if isinstance(value, bool) else _refuse(key, value, "a boolean")


def string(key: Key, value: object) -> str:
    if not isinstance(value, str):
        _refuse(key, value, "a string")
    # JSON can escape what neither protobuf nor an environment can hold.
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise ConfigError(f"{key} has a NUL or half a surrogate pair in it.")
    return value


def _positive(number: float) -> float:
    """Return *number* if it is positive and finite (JSON's 1e999 is not). Raises ValueError."""
    if not 0 < number <= sys.float_info.max:
        raise ValueError(number)
    return float(number)


def _without_digest(reference: Reference) -> Reference:
    if reference.digest:
        raise ConfigError(
            f"The image name {quoted(reference.text)} has a digest, but what will be pushed decides "
            "that; use a tag."
        )
    return reference


def _refuse(key: Key, value: object, wanted: str) -> NoReturn:
    raise ConfigError(f"{key} must be {wanted}, not {json_type(value)}.")
