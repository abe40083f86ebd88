"""Pure. OCI image documents: descriptors, image configs and manifests.

Moving them over the network is registry_client's part, making layers is rootfs's.
Mirrors opencontainers/image-spec v1.1: descriptor.md, config.md, manifest.md, image-index.md.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"

INDEXES = frozenset({INDEX, DOCKER_INDEX})

# The stack runs on one machine and builds its base images for that machine only.
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A gzip-compressed layer on disk. `diff_id` is the digest of the uncompressed tar."""

    path: Path
    digest: str
    diff_id: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """The part of an image config that says how a container starts."""

    entrypoint: Sequence[str] = ()
    cmd: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    working_dir: str = "/"
    user: str = ""


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def config_document(layers: Sequence[Layer], process: Process, architecture: str) -> bytes:
    return _json(
        {
            "architecture": architecture,
            "os": "linux",
            "config": {
                "Env": [f"{name}={value}" for name, value in process.env.items()],
                "Entrypoint": list(process.entrypoint),
                "Cmd": list(process.cmd),
                "WorkingDir": process.working_dir,
                "User": process.user,
            },
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        }
    )


def manifest_document(layers: Sequence[Layer], config: bytes) -> bytes:
    return _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": digest_of(config), "size": len(config)},
            "layers": [
                {"mediaType": LAYER, "digest": layer.digest, "size": layer.size} for layer in layers
            ],
        }
    )


def process_of(config: bytes) -> Process:
    declared = json.loads(config).get("config", {})
    return Process(
        entrypoint=tuple(declared.get("Entrypoint") or ()),
        cmd=tuple(declared.get("Cmd") or ()),
        env=dict(entry.split("=", 1) for entry in declared.get("Env") or ()),
        working_dir=declared.get("WorkingDir") or "/",
        user=declared.get("User", ""),
    )


def manifest_for(index: bytes, architecture: str) -> str:
    """Return the digest of the index's linux image for this architecture.

    BuildKit lists attestations beside images, with the platform unknown/unknown.

    Raises:
        LookupError: the index holds no such image.
    """
    for entry in json.loads(index)["manifests"]:
        platform = entry.get("platform", {})
        if (platform.get("os"), platform.get("architecture")) == ("linux", architecture):
            return str(entry["digest"])
    raise LookupError(architecture)


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()
