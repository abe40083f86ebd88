"""Starts docker-registry. A registry on loopback over plain HTTP, open or with passwords."""

import ctypes
import json
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from . import daemon, ports
from .daemon import Daemon
from .machine import Machine
from .registry_client import RegistryClient

_BCRYPT_ALPHABET = "./" + string.ascii_uppercase + string.ascii_lowercase + string.digits


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    username: str
    password: str


@dataclass(slots=True, kw_only=True)
class Registry:
    """A running registry at host:port. As a context manager it stops at the end of the block."""

    address: str
    daemon: Daemon
    credentials: Credentials | None = None

    def client(self) -> RegistryClient:
        if self.credentials is None:
            return RegistryClient(self.address)
        return RegistryClient(self.address, self.credentials.username, self.credentials.password)

    def stop(self) -> None:
        self.daemon.stop()

    def kill(self) -> None:
        self.daemon.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start(
    machine: Machine,
    *,
    port: int | None = None,
    directory: Path | None = None,
    credentials: Credentials | None = None,
) -> Registry:
    """Starts a registry, on a free port and in a folder that goes with it unless told.

    With credentials every call must carry them (htpasswd, HTTP basic).
    """
    folder = directory or machine.account.scratch(machine.paths, "registry")
    machine.account.own(folder, 0o755)
    address = f"{ports.LOOPBACK}:{port or ports.free()}"
    htpasswd = folder / "htpasswd"
    if credentials:
        htpasswd.write_text(f"{credentials.username}:{bcrypt(credentials.password)}\n")
    settings = folder / "registry.json"
    document = configuration(address, folder / "data", htpasswd if credentials else None)
    # JSON is YAML, which is what the registry reads.
    settings.write_text(json.dumps(document, indent=2))
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
    return Registry(address=address, daemon=started, credentials=credentials)


def configuration(address: str, data: Path, htpasswd: Path | None) -> Mapping[str, object]:
    """What docker-registry 2.8 is told (distribution docs/configuration.md)."""
    document: dict[str, object] = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(data)},
            "delete": {"enabled": True},
        },
        "http": {"addr": address},
    }
    if htpasswd:
        document["auth"] = {"htpasswd": {"realm": "builder-fn", "path": str(htpasswd)}}
    return document


def bcrypt(password: str) -> str:
    """The only hash docker-registry takes, made by Debian's libcrypt.

    Python's own crypt module is gone since 3.13.
    """
    # crypt(5): $2b$, cost 5 of 4 to 31 (these are throw-away passwords), 22 characters of salt;
    # the last one carries only two bits, so it is one of four.
    salt = "".join(secrets.choice(_BCRYPT_ALPHABET) for _ in range(21)) + secrets.choice(".Oeu")
    libcrypt = ctypes.CDLL("libcrypt.so.1")
    libcrypt.crypt.restype = ctypes.c_char_p
    hashed: bytes = libcrypt.crypt(password.encode(), f"$2b$05${salt}".encode())
    return hashed.decode()
