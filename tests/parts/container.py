"""Runs built images. Pulls an image from a local registry and starts it with rootless runc.

It is run as buildkitd runs a build step: in rootlesskit's user namespace and with the host's
process table, so that it needs no privileges and works wherever builds do. It has a network of its
own, so that it listens where the image says, whatever else runs here.
"""

import http.client
import json
import socket
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from stack.daemons import daemon, ports
from stack.daemons.daemon import STOP_SECONDS, Daemon
from stack.errors import StackError
from stack.images import base_images, oci, registry_client
from stack.images.registry_client import RegistryClient
from stack.install import ownership
from stack.machine import Machine

from . import network_namespace

# Where images of functions listen: of-watchdog, and the template behind it.
WATCHDOG_PORT = 8080
FUNCTION_PORT = 5000

# Where OpenFaaS puts a function's secrets, a file each.
SECRETS_FOLDER = "/var/openfaas/secrets"

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"  # the folder's content below goes, the folder itself comes with the layer

# Runs in the user namespace, where files can have the owners that the layers say. What a layer
# removes (whiteouts, image-spec v1.1 layer.md) goes before its own files come.
_UNPACK_AND_RUN = """#!/bin/sh
set -eu
cd "$2"
mkdir rootfs
for layer in "$1"/layers/*.tar; do
  (cd rootfs && xargs -0 -r rm -rf --) < "$layer.removed"
  tar --extract --file "$layer" --directory rootfs --numeric-owner --same-permissions \
    --exclude '.wh.*'
done
mkdir -p rootfs/proc rootfs/dev rootfs/sys rootfs/tmp rootfs/etc
echo '127.0.0.1 localhost' > rootfs/etc/hosts
cp "$1/config.json" .
exec runc --root runc run "$(basename "$1")"
"""

# runtime-spec v1.1 config-linux.md, "Default Filesystems"; /proc is the host's, as processes are.
_MOUNTS: Sequence[Mapping[str, object]] = (
    {"destination": "/proc", "type": "bind", "source": "/proc", "options": ["rbind"]},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
    {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["mode=1777"]},  # noqa: S108
    {
        "destination": "/tmp",  # noqa: S108
        "type": "tmpfs",
        "source": "tmpfs",
        "options": ["nosuid", "nodev", "mode=1777"],
    },
)


@dataclass(slots=True, kw_only=True)
class Container:
    """A running container. As a context manager it is killed at the end of the block.

    `digest` is what the registry had under the reference. The container's output is in `log`.
    """

    digest: str
    daemon: Daemon

    @property
    def log(self) -> Path:
        return self.daemon.log

    def connect(self, port: int = WATCHDOG_PORT) -> http.client.HTTPConnection:
        """Connect in the container's own network; the caller closes the connection."""
        connection = http.client.HTTPConnection(ports.LOOPBACK, port)
        connection.sock = network_namespace.connect(self._network(), port)
        return connection

    def listen(self, port: int) -> socket.socket:
        """Listen on the container's own loopback; the caller closes the listener."""
        return network_namespace.listen(self._network(), port)

    def call(
        self, body: bytes, path: str = "/", headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Invoke the function; return the status and the body of its answer."""
        connection = self.connect()
        try:
            connection.request("POST", path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def _network(self) -> Path:
        namespace = network_namespace.of(self.daemon.members())
        if namespace is None:
            raise StackError("The container has ended: its log says why.")
        return namespace

    def stop(self, grace: float = STOP_SECONDS) -> None:
        self.daemon.stop(grace)

    def kill(self) -> None:
        self.daemon.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.daemon.stop(grace=0)


def run(
    machine: Machine,
    registry: RegistryClient,
    image: str,
    *,
    environment: Mapping[str, str] | None = None,
    secrets: Path | None = None,
    read_only: bool = False,
    listens: Sequence[int] = (WATCHDOG_PORT, FUNCTION_PORT),
) -> Container:
    """Pull `repository:tag` (or `repository@digest`) and return once it listens.

    The ports are in the container's own network, reached by `connect`. The files of `secrets` are
    in SECRETS_FOLDER; with `read_only` nothing but /tmp can be written to.
    """
    folder = machine.account.scratch(machine.paths, "container")
    bundle = machine.account.own(folder / "bundle", 0o755)
    pulled, passwd = _pull(registry, image, ownership.keep(folder / "layers"))
    process = oci.process_of(pulled.config)
    user = _user(process.user, passwd)
    spec = specification(process, environment or {}, user, secrets=secrets, read_only=read_only)
    ownership.write(folder / "config.json", json.dumps(spec))
    script = ownership.write(folder / "unpack-and-run", _UNPACK_AND_RUN)
    started = daemon.launch(
        f"container of {image}",
        [
            *("rootlesskit", "--net=host", "--copy-up=/etc", "--state-dir", bundle / "rootlesskit"),
            *("sh", script, folder, bundle),
        ],
        account=machine.account,
        environment=machine.account.environment(
            PATH=machine.programs.search_path, XDG_RUNTIME_DIR=str(bundle)
        ),
        folder=folder,
        log=folder / "container.log",
        belongings=(folder,),
    )
    daemon.wait_until_ready(started, lambda: _listens(started, listens))
    return Container(digest=pulled.digest, daemon=started)


def specification(
    process: oci.Process,
    environment: Mapping[str, str],
    user: tuple[int, int],
    *,
    secrets: Path | None = None,
    read_only: bool = False,
) -> Mapping[str, object]:
    """Return config.json of the runtime bundle (runtime-spec v1.1 config.md)."""
    variables = {**process.env, **environment}
    uid, gid = user
    return {
        "ociVersion": "1.0.2",
        "process": {
            "args": [*process.entrypoint, *process.cmd],
            "env": [f"{name}={value}" for name, value in variables.items()],
            "cwd": process.working_dir,
            "user": {"uid": uid, "gid": gid},
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": read_only},
        "mounts": [*_MOUNTS, *([_secrets_mount(secrets)] if secrets else [])],
        "linux": {"namespaces": [{"type": "mount"}, {"type": "network"}]},
    }


def _secrets_mount(folder: Path) -> Mapping[str, object]:
    return {
        "destination": SECRETS_FOLDER,
        "type": "bind",
        "source": str(folder),
        "options": ["bind", "ro"],
    }


def user_ids(user: str, passwd: str) -> tuple[int, int]:
    """Return numeric ids for an image's USER, from the image's /etc/passwd when it is a name.

    Raises:
        LookupError: the name is not in passwd.
    """
    name, _, group = user.partition(":")
    if name.isdigit() or not name:
        return int(name or 0), int(group or 0)
    for line in passwd.splitlines():
        fields = line.split(":")
        if fields[0] == name:
            return int(fields[2]), int(fields[3])
    raise LookupError(name)


def _listens(started: Daemon, numbers: Sequence[int]) -> bool:
    namespace = network_namespace.of(started.members())
    if namespace is None:
        return False
    try:
        for number in numbers:
            network_namespace.connect(namespace, number).close()
    except OSError:
        return False
    return True


def removed_by(layer: tarfile.TarFile) -> list[str]:
    """Return the paths below this layer that its whiteouts take away (image-spec v1.1 layer.md)."""
    removed = []
    for name in layer.getnames():
        folder, _, base = name.rpartition("/")
        if base == _OPAQUE:
            removed.append(folder)
        elif base.startswith(_WHITEOUT):
            removed.append(f"{folder}/{base.removeprefix(_WHITEOUT)}".lstrip("/"))
    return removed


def _pull(registry: RegistryClient, image: str, into: Path) -> tuple[registry_client.Image, str]:
    """Fill the folder with layers in order, each with what it removes; return /etc/passwd too."""
    repository, separator, reference = image.partition("@")
    if not separator:
        repository, _, reference = image.partition(":")
    pulled = registry.image(repository, reference or "latest", base_images.architecture())
    passwd = ""
    for number, digest in enumerate(pulled.layers):
        file = into / f"{number:03}.tar"
        with registry.blob(repository, digest) as blob:
            registry_client.save(blob, file)
        with tarfile.open(file) as layer:
            into.joinpath(f"{file.name}.removed").write_text("\0".join(removed_by(layer)))
            if "etc/passwd" in layer.getnames() and (member := layer.extractfile("etc/passwd")):
                passwd = member.read().decode()
    return pulled, passwd


def _user(user: str, passwd: str) -> tuple[int, int]:
    try:
        return user_ids(user, passwd)
    except LookupError as exc:
        raise StackError(
            f"The image wants to run as {user}, a user that its passwd lacks."
        ) from exc
