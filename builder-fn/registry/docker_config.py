"""Pure. Docker's config.json: for each registry its credentials, or the helper program that has them.

Read as Docker's own tools read it, so that what `docker login` or `faas-cli registry-login` wrote
works unchanged (docker/cli, config/configfile/file.go and config/credentials, as vendored by
moby/buildkit v0.32.2). To run a helper is the business of credential_helper.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from ..buildkit import ANONYMOUS, Credentials
from ..errors import NotReady, SecretsError
from ..quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

# The registry of Docker Hub answers to more names than one: `docker login` writes the index's, images
# have "docker.io", and buildkitd asks for the host it connects to
# (moby/buildkit v0.32.2, session/auth/authprovider/authprovider.go, DockerHubRegistryHost).
_DOCKER_HUB = "docker.io"
_DOCKER_HUB_KEY = "https://index.docker.io/v1/"
_DOCKER_HUB_NAMES = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})

# What a program's name is made from: it must never lead out of the folders that hold programs.
_HELPER = re.compile(r"[A-Za-z0-9._-]+")

_Found = TypeVar("_Found")

# JSON can escape one half of a surrogate pair, of which no encoding makes bytes.
_HALF_PAIR = re.compile(r"[\ud800-\udfff]")


def is_sendable(text: str) -> bool:
    """Return whether the daemon can be told *text*: messages carry UTF-8."""
    return not _HALF_PAIR.search(text)


@dataclass(frozen=True, slots=True)
class _Unusable:
    """An odd entry, kept until its registry is asked for: no other registry's build fails because of it."""

    error: type[NotReady | SecretsError]
    message: str  # quotes nothing secret


@dataclass(frozen=True, slots=True)
class RegistryAuth:
    """Credentials for registries, each by the name that _registry() gives its key."""

    _known: Mapping[str, Credentials | _Unusable] = field(default_factory=dict, repr=False)
    _helpers: Mapping[str, str | _Unusable] = field(default_factory=dict)
    _store: str | _Unusable = ""  # the helper for every registry that _helpers does not name
    # All passwords and tokens that stand in the file, those of odd entries too.
    secrets: frozenset[str] = field(default=frozenset(), repr=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> RegistryAuth:
        """Read the operator's file. Raises NotReady; the message quotes nothing secret."""
        return cls._read(text, NotReady, "The registry credentials (config.json)")

    @classmethod
    def from_caller(cls, text: str | bytes) -> RegistryAuth:
        """Read what came with a request. Raises SecretsError; the message quotes nothing secret.

        Helpers are refused, since they would run programs of the caller's choice here.
        """
        source = "The registry credentials in the build secrets"
        auth: RegistryAuth = cls._read(text, SecretsError, source)
        if auth._store or any(auth._helpers.values()):
            raise SecretsError(
                f'{source} may hold "auths" only: "credsStore" and "credHelpers" are the operator\'s.'
            )
        return cls(auth._known, secrets=auth.secrets)

    @classmethod
    def _read(
        cls, text: str | bytes, error: type[NotReady | SecretsError], source: str
    ) -> RegistryAuth:
        def judged(judge: Callable[[str, Any], _Found], key: str, value: Any) -> _Found | _Unusable:
            try:
                return judge(key, value)
            except _MalformedError as exc:
                return _Unusable(error, f"{source} cannot be used: {exc}")

        try:
            document = _document(text)
            auths = _object(document.get("auths"), '"auths"')
            helpers = _object(document.get("credHelpers"), '"credHelpers"')
        except _MalformedError as exc:
            raise error(f"{source} cannot be used: {exc}") from exc
        known = {_registry(key): judged(_entry, key, auths[key]) for key in _by_precedence(auths)}
        return cls(
            # Docker leaves empty entries behind for what it gave to a helper.
            {registry: found for registry, found in known.items() if found != ANONYMOUS},
            {
                _registry(key): judged(_helper, f'"credHelpers" for {_shown(key)}', helpers[key])
                for key in _by_precedence(helpers)
            },
            judged(_helper, '"credsStore"', document.get("credsStore")),
            frozenset(secret for entry in auths.values() for secret in _secrets_in(entry)),
        )

    @property
    def faults(self) -> tuple[str, ...]:
        """Sentences about the entries that cannot be used, which quote nothing secret."""
        entries = (*self._known.values(), *self._helpers.values(), self._store)
        return tuple(each.message for each in entries if isinstance(each, _Unusable))

    def over(self, other: RegistryAuth) -> RegistryAuth:
        """Return these, and for every registry that these say nothing about, the *other*'s."""
        return RegistryAuth(
            {**other._known, **self._known},
            {**other._helpers, **dict.fromkeys(self._known, ""), **self._helpers},
            self._store or other._store,
            self.secrets | other.secrets,
        )

    def credentials(self, host: str) -> Credentials:
        """Return what the file says about a registry as buildkitd names it, "host" or "host:port".

        Raises what reading the file would raise if that entry is one that cannot be used.
        """
        return _usable(self._known.get(_registry(host), ANONYMOUS))

    def helper(self, host: str) -> str:
        """Return the credential helper in charge of a registry, without "docker-credential-", or "".

        Raises what reading the file would raise if what names it cannot be used.
        """
        return _usable(self._helpers.get(_registry(host), self._store))


class _MalformedError(Exception):
    """Says why a file cannot be used; whose fault that is depends on whose file it is."""


def _usable(found: _Found | _Unusable) -> _Found:
    if isinstance(found, _Unusable):
        raise found.error(found.message)
    return found


def _document(text: str | bytes) -> dict[str, Any]:
    try:
        return _object(json.loads(text), "The file")
    except (ValueError, RecursionError) as exc:
        raise _MalformedError("It is not valid JSON.") from exc


def server(host: str) -> str:
    """Return the name under which credential helpers know the registry that buildkitd calls *host*."""
    registry = _registry(host)
    return _DOCKER_HUB_KEY if registry == _DOCKER_HUB else registry


def _registry(key: str) -> str:
    """Return the host and port that a key means: "https://Host:5000/v2/" means "host:5000"."""
    host = key.rpartition("://")[2].partition("/")[0].rpartition("@")[2].lower()
    return _DOCKER_HUB if host in _DOCKER_HUB_NAMES else host


def _shown(key: str) -> str:
    return quoted(_registry(key))


def _by_precedence(keys: Iterable[str]) -> list[str]:
    """Sort *keys* so that the last one of several for one registry counts.

    Docker's tools look for the plain name of a registry, or for Docker Hub's key, before they
    strip schemes and paths off others.
    """
    return sorted(keys, key=lambda key: (key == _DOCKER_HUB_KEY, "/" not in key))


def _entry(key: str, value: Any) -> Credentials:
    entry = _object(value, f"The entry for {_shown(key)}")
    if token := _text(key, entry, "identitytoken"):
        return Credentials(secret=token)
    if auth := _text(key, entry, "auth"):
        return _basic(key, auth)
    found = Credentials(
        username=_text(key, entry, "username"), secret=_text(key, entry, "password")
    )
    # A bearer token goes by FetchToken, which a client offers that speaks to registries itself.
    if found == ANONYMOUS and _text(key, entry, "registrytoken"):
        raise _MalformedError(
            f'"registrytoken" for {_shown(key)} is not supported; use "auth" or "identitytoken".'
        )
    return found


def _basic(key: str, auth: str) -> Credentials:
    try:
        decoded = base64.b64decode("".join(auth.split()), validate=True).decode()
    except ValueError as exc:
        raise _MalformedError(f'"auth" for {_shown(key)} must be base64.') from exc
    username, colon, password = decoded.partition(":")
    if not (username and colon):
        raise _MalformedError(f'"auth" for {_shown(key)} must be the base64 of "user:password".')
    return Credentials(username=username, secret=password.strip("\0"))


def _secrets_in(entry: Any) -> Iterator[str]:
    """Yield what may be secret in an entry of "auths", whether it can be used or not."""
    try:
        written: list[Any] = [_entry("", entry).secret]
    except _MalformedError:
        written = [entry.get("auth") if isinstance(entry, dict) else entry]
    if isinstance(entry, dict):
        written += [entry.get(name) for name in ("password", "identitytoken", "registrytoken")]
    yield from (text for text in written if isinstance(text, str) and text and is_sendable(text))


def _helper(what: str, value: Any) -> str:
    """Read a helper's name; nothing is one, too: that of none (docker/cli, getConfiguredCredentialStore)."""
    if value is None:
        return ""
    if not isinstance(value, str) or (value and not _HELPER.fullmatch(value)):
        raise _MalformedError(f'{what} must be the name of a helper, such as "ecr-login".')
    return value


def _object(value: Any, what: str) -> dict[str, Any]:
    if value is None:  # Go's encoding/json takes null for nothing
        return {}
    if not isinstance(value, dict):
        raise _MalformedError(f"{what} must be a JSON object.")
    return value


def _text(key: str, entry: dict[str, Any], name: str) -> str:
    value = entry.get(name) or ""
    if not isinstance(value, str):
        raise _MalformedError(f'"{name}" for {_shown(key)} must be a string.')
    if not is_sendable(value):
        raise _MalformedError(f'"{name}" for {_shown(key)} has half a surrogate pair in it.')
    return value
