"""Runs apt and dpkg. Debian packages of the stack, and the mirror this machine takes them from."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from ..errors import StackError
from . import logged

# What must be on PATH, and the package that brings it.
PROGRAMS: Mapping[str, str] = {
    "runc": "runc",
    "rootlesskit": "rootlesskit",
    "newuidmap": "uidmap",
    "slirp4netns": "slirp4netns",
    "docker-registry": "docker-registry",
    "debootstrap": "debootstrap",
    "openssl": "openssl",
    "update-ca-certificates": "ca-certificates",
    "unshare": "util-linux",
    "mount": "mount",
    "curl": "curl",
}

_DEB822_URI = re.compile(r"^URIs:\s*(\S+)", re.MULTILINE | re.IGNORECASE)
_ONE_LINE_URI = re.compile(r"^deb\s+(?:\[[^]]*\]\s+)?(\S+)", re.MULTILINE)


def missing(wanted: Mapping[str, str]) -> list[str]:
    """Return the packages whose program, or whose file if it is named by a path, is not there."""
    return [package for needed, package in wanted.items() if not _is_there(needed)]


def install(packages: list[str], log: Path) -> None:
    """Install without questions. No service of a package is started: the stack starts its own."""
    apt = ["apt-get", "-qq", "-o", "Dpkg::Use-Pty=0", "-o", "DPkg::Lock::Timeout=120"]
    quiet = ["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1"]
    _run([*quiet, *apt, "update"], log)
    _run([*quiet, *apt, "install", "--no-install-recommends", "-y", *packages], log)


def mirror(sources: Path = Path("/etc/apt")) -> str:
    """Return the archive named first in this machine's own apt sources."""
    for file in sorted(sources.glob("sources.list.d/*.sources")):
        for uri in _DEB822_URI.findall(file.read_text()):
            if _is_debian_archive(uri):
                return str(uri)
    for file in [sources / "sources.list", *sorted(sources.glob("sources.list.d/*.list"))]:
        for uri in _ONE_LINE_URI.findall(file.read_text() if file.exists() else ""):
            if _is_debian_archive(uri):
                return str(uri)
    raise StackError(
        "No Debian archive is named in /etc/apt: add one to /etc/apt/sources.list.d, since base "
        "images are made from its packages."
    )


def _is_there(needed: str) -> bool:
    return Path(needed).exists() if "/" in needed else shutil.which(needed) is not None


def _is_debian_archive(uri: str) -> bool:
    # By convention every mirror of the main archive ends so; security and backports do not.
    return uri.rstrip("/").endswith("/debian")


def _run(command: list[str], log: Path) -> None:
    if status := logged.status(command, log):
        raise StackError(
            f"apt-get failed with status {status}: {log} says why; check this "
            "machine's apt sources and network, then try again."
        )
