"""Disk and process I/O. Root file systems from Debian packages, and layers from root file systems.

What the resulting images are called and how they start is base_images's part.
"""

import gzip
import hashlib
import io
import os
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

from ..errors import StackError
from . import oci

# Level 6 shrinks these layers by another 4 % and takes twice as long.
COMPRESSION_LEVEL = 3

RESOLVER = Path("/etc/resolv.conf")

# What a container is given by its runtime, and what only apt and debootstrap need again.
NOT_IN_AN_IMAGE = (
    "/dev/*",
    "/proc/*",
    "/sys/*",
    "/run/*",
    "/tmp/*",  # noqa: S108 - a pattern
    "/debootstrap",
    "/etc/resolv.conf",
    "/var/cache/apt/*",
    "/var/cache/debconf/*-old",
    "/var/lib/apt/lists/*",
    "/var/log/*.log",
    "/var/log/apt/*",
)


class _Writable(Protocol):
    def write(self, data: Any, /) -> int: ...


def debootstrap(suite: str, mirror: str, root: Path, log: IO[bytes]) -> None:
    """Install the smallest Debian of this suite, plus CA certificates, into an empty folder."""
    command = ["debootstrap", "--variant=minbase", "--include=ca-certificates", suite]
    _run([*command, str(root), mirror], log)


def unpack(layers: Iterable[oci.Layer], root: Path, log: IO[bytes]) -> None:
    """Make a root that packages can be installed in from layers of a smaller image."""
    for each in layers:
        options = ["--numeric-owner", "--same-permissions", "--gzip"]
        _run(
            ["tar", "--extract", *options, "--file", str(each.path), "--directory", str(root)], log
        )
    shutil.copyfile(RESOLVER, root / "etc" / "resolv.conf")
    # The only device that apt and the scripts of packages ask for.
    null = root / "dev" / "null"
    os.mknod(null, stat.S_IFCHR, os.makedev(1, 3))
    null.chmod(0o666)


def install(
    root: Path, packages: Iterable[str], log: IO[bytes], without: Iterable[str] = ()
) -> None:
    """Install packages with the root's own apt, without starting any service.

    `without` are patterns of files that are left out (dpkg(1), --path-exclude).
    """
    with _mounted_proc(root):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
        apt = ["chroot", str(root), "apt-get", "-qq", "-o", "Dpkg::Use-Pty=0"]
        _run([*apt, "update"], log, environment)
        # An unfinished root is thrown away, so nothing is gained by syncing each file to disk.
        options = ["--force-unsafe-io", *(f"--path-exclude={pattern}" for pattern in without)]
        dpkg = [part for option in options for part in ("-o", f"Dpkg::Options::={option}")]
        install = ["install", "--no-install-recommends", *dpkg]
        _run([*apt, *install, *packages], log, environment)


def layer(root: Path, into: Path, newer_than: int | None = None) -> oci.Layer:
    """Pack the root, or only what changed after a `change_marker`, in sorted order.

    Deletions are not recorded: installing packages deletes nothing that a lower layer holds.
    """

    def wanted(path: Path) -> bool:
        return newer_than is None or path.lstat().st_ctime_ns > newer_than

    uncompressed, compressed = hashlib.sha256(), hashlib.sha256()
    with into.open("wb") as file:
        packed = _Observed(file, compressed.update)
        with gzip.GzipFile("", "wb", COMPRESSION_LEVEL, packed, mtime=0) as gzipped:
            plain = _Observed(gzipped, uncompressed.update)
            with tarfile.open(fileobj=plain, mode="w|", format=tarfile.PAX_FORMAT) as tar:
                for path in filter(wanted, _walk(root)):
                    _add(tar, path, root)
    return oci.Layer(
        path=into,
        digest="sha256:" + compressed.hexdigest(),
        diff_id="sha256:" + uncompressed.hexdigest(),
        size=into.stat().st_size,
    )


def single_file_layer(source: Path, name: str, into: Path) -> oci.Layer:
    """Make a layer that holds one executable file."""
    with _folder_beside(into) as folder:
        target = folder / name
        shutil.copyfile(source, target)
        target.chmod(0o755)
        os.utime(target, (0, 0))
        return layer(folder, into)


def change_marker(root: Path) -> int:
    """Return a time, by the file system's own clock, that everything written later is newer than."""
    marker = root / "tmp" / "change-marker"
    marker.touch()
    return marker.lstat().st_ctime_ns


class _Observed(io.RawIOBase):
    """A writable stream that shows what passes to an observer."""

    def __init__(self, target: _Writable, observe: Callable[[bytes], None]) -> None:
        super().__init__()
        self._target = target
        self._observe = observe

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._observe(data)
        self._target.write(data)
        return len(data)


def _walk(root: Path) -> Iterator[Path]:
    def kept(path: Path) -> bool:
        inside = Path("/", path.relative_to(root))
        return not any(inside.match(pattern) for pattern in NOT_IN_AN_IMAGE)

    for folder, folders, files in os.walk(root):
        here = Path(folder)
        folders[:] = sorted(name for name in folders if kept(here / name))
        for name in sorted([*folders, *files]):
            if kept(here / name):
                yield here / name


def _add(tar: tarfile.TarFile, path: Path, root: Path) -> None:
    if stat.S_ISSOCK(path.lstat().st_mode):
        return
    member = tar.gettarinfo(path, str(path.relative_to(root)))
    member.uname = member.gname = ""
    if member.isreg():
        with path.open("rb") as content:
            tar.addfile(member, content)
    else:
        tar.addfile(member)


@contextmanager
def _mounted_proc(root: Path) -> Iterator[None]:
    # Package scripts (python3's among them) read /proc.
    target = root / "proc"
    subprocess.run(["mount", "-t", "proc", "proc", target], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", target], check=True)


@contextmanager
def _folder_beside(path: Path) -> Iterator[Path]:
    folder = path.with_name(path.name + ".content")
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _run(command: Sequence[str], log: IO[bytes], environment: dict[str, str] | None = None) -> None:
    finished = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, check=False
    )
    if finished.returncode:
        raise StackError(
            f"{command[0]} failed with status {finished.returncode}; the last lines of {log.name} say why."
        )
