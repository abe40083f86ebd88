"""Pure. Docker's config.json, as credentials for one registry at a time.

Read as Docker's own tools read it, so that what `docker login` or `faas-cli registry-login` wrote
works unchanged (docker/cli, config/configfile/file.go and config/credentials/file_store.go, as vendored
by moby/buildkit v0.32.2). This is about `auths`, the credentials that stand in the file itself.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .errors import NotReady

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# The registry of Docker Hub answers to more names than one: `docker login` writes the index's, images
# have "docker.io", and buildkitd asks for the host it connects to
# (moby/buildkit v0.32.2, session/auth/authprovider/authprovider.go, DockerHubRegistryHost).
_DOCKER_HUB = "docker.io"
_DOCKER_HUB_KEY = "https://index.docker.io/v1/"
_DOCKER_HUB_NAMES = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})


@dataclass(frozen=True, slots=True)
class Credentials:
    """As moby.filesync.v1.CredentialsResponse has them: with an empty *username*, *secret* is a
    refresh token rather than a password.
    """

    username: str = ""
    secret: str = field(default="", repr=False)


ANONYMOUS = Credentials()


@dataclass(frozen=True, slots=True)
class RegistryAuth:
    """What is known about registries, each by the name that _registry() gives its key."""

    _known: Mapping[str, Credentials] = field(default_factory=dict, repr=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> RegistryAuth:
        """Raises NotReady, since the file is the operator's; the message quotes nothing secret."""
        try:
            document = json.loads(text)
        except ValueError as exc:
            raise NotReady("The registry credentials (config.json) are not valid JSON.") from exc
        entries = _object(_object(document, "The file").get("auths"), '"auths"')
        return cls({_registry(key): _entry(key, entries[key]) for key in _by_precedence(entries)})

    def credentials(self, host: str) -> Credentials:
        """For a registry as buildkitd names it, "host" or "host:port"; ANONYMOUS when not known."""
        return self._known.get(_registry(host), ANONYMOUS)


def _registry(key: str) -> str:
    """The host and port that a key is about: "https://Host:5000/v2/" is about "host:5000"."""
    host = key.rpartition("://")[2].partition("/")[0].rpartition("@")[2].lower()
    return _DOCKER_HUB if host in _DOCKER_HUB_NAMES else host


def _by_precedence(keys: Iterable[str]) -> list[str]:
    """Where several keys are about one registry, the last one counts: Docker's tools look for the
    plain name of a registry, or for Docker Hub's key, before they strip schemes and paths off others.
    """
    return sorted(keys, key=lambda key: (key == _DOCKER_HUB_KEY, "/" not in key))


def _entry(key: str, value: Any) -> Credentials:
    entry = _object(value, f"The entry for {_registry(key)}")
    if token := _text(key, entry, "identitytoken"):
        return Credentials(secret=token)
    if auth := _text(key, entry, "auth"):
        return _basic(key, auth)
    return Credentials(username=_text(key, entry, "username"), secret=_text(key, entry, "password"))


def _basic(key: str, auth: str) -> Credentials:
    try:
        decoded = base64.b64decode("".join(auth.split()), validate=True).decode()
    except ValueError as exc:
        raise _malformed(f'"auth" for {_registry(key)} must be base64.') from exc
    username, colon, password = decoded.partition(":")
    if not (username and colon):
        raise _malformed(f'"auth" for {_registry(key)} must be the base64 of "user:password".')
    return Credentials(username=username, secret=password.strip("\0"))


def _object(value: Any, what: str) -> dict[str, Any]:
    if value is None:  # Go's encoding/json takes null for nothing
        return {}
    if not isinstance(value, dict):
        raise _malformed(f"{what} must be a JSON object.")
    return value


def _text(key: str, entry: dict[str, Any], name: str) -> str:
    value = entry.get(name) or ""
    if not isinstance(value, str):
        raise _malformed(f'"{name}" for {_registry(key)} must be a string.')
    return value


def _malformed(fault: str) -> NotReady:
    return NotReady(f"The registry credentials (config.json) cannot be used: {fault}")
