"""Runs built images. Pulls an image from a local registry and starts it with rootless runc.

It is run as buildkitd runs a build step: in rootlesskit's user namespace, with the host's network
and process table, so that it needs no privileges and works wherever builds do.
"""

import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from . import base_images, daemon, oci, ports, registry_client
from .daemon import Daemon
from .errors import StackError
from .machine import Machine
from .registry_client import RegistryClient

# Runs in the user namespace, where files can have the owners that the layers say. A layer's
# whiteouts (image-spec v1.1 layer.md) remove what lies below before its own files come.
_UNPACK_AND_RUN = """
set -eu
cd "$1"
mkdir rootfs
for layer in layers/*; do
  tar --list --file "$layer" | { grep -E '(^|/)[.]wh[.]' || true; } | while read -r whiteout; do
    folder=$(dirname "rootfs/$whiteout") name=$(basename "$whiteout")
    case $name in
      .wh..wh..opq) find "$folder" -mindepth 1 -delete ;;
      *) rm -rf "$folder/${name#.wh.}" ;;
    esac
  done
  tar --extract --file "$layer" --directory rootfs --numeric-owner --same-permissions \
    --exclude '.wh.*'
done
mkdir -p rootfs/proc rootfs/dev rootfs/sys rootfs/tmp rootfs/etc
touch rootfs/etc/resolv.conf rootfs/etc/hosts
exec runc --root runc run "$2"
"""

# runtime-spec v1.1 config-linux.md, "Default Filesystems"; /proc is the host's, as processes are.
_MOUNTS: Sequence[Mapping[str, object]] = (
    {"destination": "/proc", "type": "bind", "source": "/proc", "options": ["rbind"]},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
    {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["mode=1777"]},  # noqa: S108
    {
        "destination": "/etc/resolv.conf",
        "type": "bind",
        "source": "/etc/resolv.conf",
        "options": ["bind", "ro"],
    },
    {
        "destination": "/etc/hosts",
        "type": "bind",
        "source": "/etc/hosts",
        "options": ["bind", "ro"],
    },
)


@dataclass(slots=True, kw_only=True)
class Container:
    """A running container. As a context manager it stops at the end of the block.

    `digest` is what the registry had under the reference. The container's output is in `log`.
    """

    digest: str
    daemon: Daemon

    @property
    def log(self) -> Path:
        return self.daemon.log

    def stop(self) -> None:
        self.daemon.stop()

    def kill(self) -> None:
        self.daemon.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def run(
    machine: Machine,
    registry: RegistryClient,
    image: str,
    *,
    environment: Mapping[str, str],
    ready: Callable[[], bool],
) -> Container:
    """Pulls `repository:tag` (or `repository@digest`) and returns once `ready()` says so.

    The container has the host's network: give it a free port through its environment.
    """
    folder = machine.account.scratch(machine.paths, "container")
    pulled, layers = _pull(registry, image, machine.account.own(folder / "layers", 0o755))
    process = oci.process_of(pulled.config)
    spec = specification(process, environment, _user(process.user, layers))
    (folder / "config.json").write_text(json.dumps(spec))
    started = daemon.launch(
        f"container of {image}",
        [
            *("rootlesskit", "--net=host", "--copy-up=/etc", "--state-dir", folder / "rootlesskit"),
            *("sh", "-c", _UNPACK_AND_RUN, "sh", folder, folder.name),
        ],
        account=machine.account,
        environment=machine.account.environment(
            PATH=machine.programs.search_path, XDG_RUNTIME_DIR=str(folder)
        ),
        folder=folder,
        log=folder / "container.log",
        belongings=(folder,),
    )
    daemon.wait_until_ready(started, ready)
    return Container(digest=pulled.digest, daemon=started)


def listening(port: int) -> Callable[[], bool]:
    """For containers that are ready when they listen on this port."""
    return lambda: ports.answers(ports.LOOPBACK, port)


def specification(
    process: oci.Process, environment: Mapping[str, str], user: tuple[int, int]
) -> Mapping[str, object]:
    """config.json of the runtime bundle (runtime-spec v1.1 config.md)."""
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
        "root": {"path": "rootfs"},
        "mounts": list(_MOUNTS),
        "linux": {"namespaces": [{"type": "mount"}]},
    }


def user_ids(user: str, passwd: str) -> tuple[int, int]:
    """Numeric ids for an image's USER, from the image's /etc/passwd when it is a name.

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


def _pull(
    registry: RegistryClient, image: str, into: Path
) -> tuple[registry_client.Image, list[Path]]:
    repository, separator, reference = image.partition("@")
    if not separator:
        repository, _, reference = image.partition(":")
    pulled = registry.image(repository, reference or "latest", base_images.architecture())
    files = []
    for number, digest in enumerate(pulled.layers):
        file = into / f"{number:03}.tar"
        with registry.blob(repository, digest) as blob:
            registry_client.save(blob, file)
        files.append(file)
    return pulled, files


def _user(user: str, layers: Sequence[Path]) -> tuple[int, int]:
    passwd = "" if not user or user[0].isdigit() else _passwd(layers)
    try:
        return user_ids(user, passwd)
    except LookupError as exc:
        raise StackError(f"The image wants to run as {user}, whom its passwd lacks.") from exc


def _passwd(layers: Sequence[Path]) -> str:
    """The topmost layer's /etc/passwd."""
    for layer in reversed(layers):
        with tarfile.open(layer) as tar:
            if "etc/passwd" in tar.getnames():
                file = tar.extractfile("etc/passwd")
                return file.read().decode() if file else ""
    return ""
