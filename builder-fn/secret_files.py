"""I/O: the files that OpenFaaS mounts for us, read again each time: a rotated secret needs no restart.

Keys come in families: the file NAME, and files NAME-* beside it, which count as well. So a key is
rotated without a request that fails: add the new one, change the callers, remove the old one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .build_secrets.envelope import SealingKey
from .errors import NotReady
from .registry.docker_config import RegistryAuth
from .request.signature import Key

if TYPE_CHECKING:
    from pathlib import Path

    from .config import Settings

PAYLOAD_SECRET = "payload-secret"  # noqa: S105 - the name of a file
BUILD_SECRETS_KEY = "build-secrets-key"
REGISTRY_CONFIG = "config.json"
METRICS_TOKEN = "metrics-token"  # noqa: S105 - the name of a file

_PUBLIC_HALF = ".pub"

# Files are read until two looks in a row agree. Somebody who exchanges them for ever is not waited for.
_MOST_LOOKS = 10


def payload_keys(settings: Settings, *, needed: bool = True) -> list[Key]:
    """Return the payload secrets as keys. Raises NotReady if one is *needed* and there is none."""
    keys = [Key(name, secret) for name, secret in _family(settings, PAYLOAD_SECRET).items()]
    if needed and not keys:
        raise NotReady(
            f"The builder has no payload secret: create the OpenFaaS secret {PAYLOAD_SECRET} and "
            "give it to the function, or set disable_hmac to true."
        )
    return keys


def sealing_keys(settings: Settings) -> list[SealingKey]:
    """Return the keys that build secrets may be sealed for, the one to hand out first; often there is none.

    Raises NotReady for one that is malformed.
    """
    return [
        SealingKey.from_file(name, content)
        for name, content in _family(settings, BUILD_SECRETS_KEY).items()
    ]


def metrics_token(settings: Settings) -> bytes:
    """Return the token that a scraper must show where there are tenants; nothing if there is none."""
    try:
        return (settings.secret_mount_path / METRICS_TOKEN).read_bytes().strip()
    except FileNotFoundError:
        return b""
    except OSError as exc:
        raise NotReady(f"The secret {METRICS_TOKEN} cannot be read by the function.") from exc


def registry_auth(settings: Settings) -> RegistryAuth:
    """Return the credentials for registries; none if no file is mounted. Raises NotReady."""
    path = settings.secret_mount_path / REGISTRY_CONFIG
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return RegistryAuth()
    except OSError as exc:
        raise NotReady(f"The registry credentials ({REGISTRY_CONFIG}) cannot be read.") from exc
    return RegistryAuth.from_json(text)


def _family(settings: Settings, first: str) -> dict[str, bytes]:
    """Return *first* and the files named after it, sorted by name; all as they were at one moment."""
    found = _read(settings.secret_mount_path, first)
    for _ in range(_MOST_LOOKS):
        before, found = found, _read(settings.secret_mount_path, first)
        if found == before:
            break
    return found


def _read(folder: Path, first: str) -> dict[str, bytes]:
    """Read the files one after another.

    Kubernetes mounts each key of a secret as a symlink, beside `..data` and folders of its own. It exchanges
    all files at once, but not for a reader that has read half of them.
    """
    found = {}
    for path in sorted(_listed(folder), key=lambda path: path.name):
        named = path.name == first or path.name.startswith(f"{first}-")
        if not named or path.suffix == _PUBLIC_HALF:
            continue
        try:
            if path.is_file():
                found[path.name] = path.read_bytes()
        except FileNotFoundError:
            continue
        except OSError as exc:
            raise NotReady(f"The secret {path.name} cannot be read by the function.") from exc
    return found


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as exc:
        raise NotReady(
            "The function's secrets cannot be read: check how they are mounted."
        ) from exc
