"""I/O: what OpenFaaS mounts for us. Read anew each time, so that a rotated secret needs no restart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import NotReady
from .registry_auth import RegistryAuth
from .signature import Key

if TYPE_CHECKING:
    from .config import Settings

PAYLOAD_SECRET = "payload-secret"  # noqa: S105 - the name of a file
REGISTRY_CONFIG = "config.json"


def payload_keys(settings: Settings) -> list[Key]:
    """The keys that a request may be signed with. Raises NotReady if there is none."""
    path = settings.secret_mount_path / PAYLOAD_SECRET
    try:
        return [Key(name=PAYLOAD_SECRET, secret=path.read_bytes())]
    except OSError as exc:
        raise NotReady(
            f"The builder has no payload secret: create the OpenFaaS secret {PAYLOAD_SECRET} and "
            "give it to the function, or set disable_hmac to true."
        ) from exc


def registry_auth(settings: Settings) -> RegistryAuth:
    """The credentials for registries; none if no file is mounted. Raises NotReady if it is malformed."""
    path = settings.secret_mount_path / REGISTRY_CONFIG
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return RegistryAuth()
    except OSError as exc:
        raise NotReady(f"The registry credentials ({REGISTRY_CONFIG}) cannot be read.") from exc
    return RegistryAuth.from_json(text)
