"""Pure. An image's index, manifest and config, as far as its size and platforms go.

Source of names: opencontainers/image-spec v1.1, whose documents Docker's differ from by media type only.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

# How BuildKit marks what is no image but says something of one (moby/buildkit v0.32.2
# docs/attestations/attestation-storage.md).
_ATTESTATION = "unknown/unknown"


class MalformedManifest(Exception):
    """A document of an image that is not what it should be."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A blob that is referred to; *size* is in bytes, *platform* like "linux/arm/v7" or empty."""

    digest: str
    size: int
    platform: str = ""


@dataclass(frozen=True, slots=True)
class Index:
    """The manifests of an image's platforms, without attestations."""

    manifests: tuple[Descriptor, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """The image of one platform."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


def parse(document: bytes) -> Index | Manifest:
    """Parse an index or a manifest. Raises MalformedManifest."""
    fields = _object(_loaded(document))
    if "manifests" in fields:
        entries = tuple(_descriptor(entry) for entry in _array(fields["manifests"]))
        return Index(tuple(entry for entry in entries if entry.platform != _ATTESTATION))
    # Go writes a list without anything in it as null, of an image that has no files.
    listed = [] if "layers" in fields and fields["layers"] is None else fields.get("layers")
    layers = tuple(_descriptor(layer) for layer in _array(listed))
    return Manifest(_descriptor(fields.get("config")), layers)


def platform_of(config: bytes) -> str:
    """Return the platform that an image's config says it runs on. Raises MalformedManifest."""
    return _platform(_object(_loaded(config)))


def _descriptor(value: Any) -> Descriptor:
    fields = _object(value)
    digest, size = fields.get("digest"), fields.get("size")
    if not isinstance(digest, str) or type(size) is not int or size < 0:
        raise MalformedManifest("a descriptor without digest or size")
    return Descriptor(digest, size, _platform(_object(fields.get("platform", {}))))


def _platform(fields: dict[str, Any]) -> str:
    parts = [fields.get(name) or "" for name in ("os", "architecture", "variant")]
    if not all(isinstance(part, str) for part in parts):
        raise MalformedManifest("a platform that is no text")
    return "/".join(part for part in parts if part)


def _loaded(document: bytes) -> Any:
    try:
        return json.loads(document)
    except (ValueError, RecursionError) as exc:
        raise MalformedManifest("no JSON") from exc


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MalformedManifest("no object where there should be one")
    return value


def _array(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise MalformedManifest("no array where there should be one")
    return value
