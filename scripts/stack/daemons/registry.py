"""Starts docker-registry. A registry on loopback: open or not, over plain HTTP or TLS."""

import ctypes
import json
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..images.registry_client import RegistryClient
from ..install import ownership
from ..machine import Machine
from . import daemon, ports
from .certificates import Pair
from .daemon import Service

_BCRYPT_ALPHABET = "./" + string.ascii_uppercase + string.ascii_lowercase + string.digits


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    username: str
    password: str


class Tokens(Protocol):
    """A token server, as a registry knows it (distribution docs/spec/auth/token.md)."""

    realm: str
    service: str
    issuer: str
    signer: Pair


@dataclass(slots=True, kw_only=True)
class Registry(Service):
    """A running registry at host:port. As a context manager it stops at the end of the block."""

    address: str
    storage: Path
    credentials: Credentials | None = None

    def client(self) -> RegistryClient:
        if self.credentials is None:
            return RegistryClient(self.address)
        return RegistryClient(self.address, self.credentials.username, self.credentials.password)


def start(  # noqa: PLR0913 - keywords, each with a default
    machine: Machine,
    *,
    port: int | None = None,
    directory: Path | None = None,
    storage: Path | None = None,
    credentials: Credentials | None = None,
    tokens: Tokens | None = None,
    tls: Pair | None = None,
    read_only: bool = False,
) -> Registry:
    """Start a registry, on a free port and in a folder that goes with it unless told.

    With credentials every call must carry them (htpasswd, HTTP basic); with tokens, one of that
    server's. `storage` is that of another registry, which then shows the same images.
    """
    folder = directory or machine.account.scratch(machine.paths, "registry")
    ownership.keep(folder)
    address = f"{ports.LOOPBACK}:{port or ports.free()}"
    auth: Mapping[str, object] | None = None
    if credentials:
        line = f"{credentials.username}:{bcrypt(credentials.password)}\n"
        htpasswd = ownership.write(folder / "htpasswd", line)
        auth = {"htpasswd": {"realm": "builder-fn", "path": str(htpasswd)}}
    if tokens:
        auth = {
            "token": token_settings(tokens, machine.account.copy(tokens.signer.certificate, folder))
        }
    if tls:
        tls = Pair(
            certificate=machine.account.copy(tls.certificate, folder),
            key=machine.account.copy(tls.key, folder),
        )
    storage = storage or machine.account.own(folder / "data")
    document = configuration(address, storage, auth=auth, tls=tls, read_only=read_only)
    # JSON is YAML, which is what the registry reads.
    settings = ownership.write(folder / "registry.json", json.dumps(document, indent=2))
    started = daemon.launch(
        "registry",
        ["docker-registry", "serve", settings],
        account=machine.account,
        environment=machine.account.environment(),
        folder=folder,
        log=folder / "registry.log",
        belongings=() if directory else (folder,),
    )
    host, _, number = address.rpartition(":")
    daemon.wait_until_ready(started, lambda: ports.answers(host, int(number)))
    return Registry(
        address=address,
        daemon=started,
        storage=storage,
        credentials=credentials,
    )


def configuration(
    address: str,
    storage: Path,
    *,
    auth: Mapping[str, object] | None = None,
    tls: Pair | None = None,
    read_only: bool = False,
) -> Mapping[str, object]:
    """Return docker-registry 2.8's settings (distribution docs/configuration.md)."""
    http: dict[str, object] = {"addr": address}
    if tls:
        http["tls"] = {"certificate": str(tls.certificate), "key": str(tls.key)}
    document: dict[str, object] = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(storage)},
            "delete": {"enabled": True},
            "maintenance": {"readonly": {"enabled": read_only}},
        },
        "http": http,
    }
    if auth:
        document["auth"] = auth
    return document


def token_settings(tokens: Tokens, certificate: Path) -> Mapping[str, object]:
    return {
        "realm": tokens.realm,
        "service": tokens.service,
        "issuer": tokens.issuer,
        "rootcertbundle": str(certificate),
    }


def bcrypt(password: str) -> str:
    """Hash a password with bcrypt, the only hash docker-registry takes, by Debian's libcrypt.

    Python's own crypt module is gone since 3.13.
    """
    # crypt(5): $2b$, cost 5 of 4 to 31 (these are throw-away passwords), 22 characters of salt;
    # the last one carries only two bits, so it is one of four.
    salt = "".join(secrets.choice(_BCRYPT_ALPHABET) for _ in range(21)) + secrets.choice(".Oeu")
    libcrypt = ctypes.CDLL("libcrypt.so.1")
    libcrypt.crypt.restype = ctypes.c_char_p
    hashed: bytes = libcrypt.crypt(password.encode(), f"$2b$05${salt}".encode())
    return hashed.decode()
