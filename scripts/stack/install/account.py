"""Changes /etc through the Debian tools. The unprivileged account that runs every daemon.

A rootless buildkitd needs subordinate ids (subuid(5)) to give files in images their owners, and
the kernel's leave to make user namespaces.
"""

import os
import pwd
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from ..errors import StackError
from ..paths import Paths
from . import ownership

NAME = "builder-fn"
# One id for each of the 16-bit ids that images use.
SUBORDINATE_IDS = 65536
FIRST_SUBORDINATE_ID = 100_000  # SUB_UID_MIN of login.defs(5)

# Switches that forbid user namespaces, with the value that allows them.
SWITCHES: Mapping[str, str] = {
    "kernel.unprivileged_userns_clone": "1",
    "kernel.apparmor_restrict_unprivileged_userns": "0",
    "user.max_user_namespaces": "15000",
}
# Where programs are, how text is read, which authorities this machine trusts, and how it reaches the network.
_INHERITED = (
    *("PATH", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
)
_FORBIDDING = {
    "kernel.unprivileged_userns_clone": "0",
    "kernel.apparmor_restrict_unprivileged_userns": "1",
    "user.max_user_namespaces": "0",
}


class Identity(TypedDict, total=False):
    """Keywords of subprocess.Popen."""

    user: int
    group: int
    extra_groups: Sequence[int]


@dataclass(frozen=True, slots=True)
class Account:
    uid: int
    gid: int
    home: Path

    @property
    def identity(self) -> Identity:
        """The identity by which a process is started as the account. Only root may change identities."""
        if os.geteuid() == self.uid != 0:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def environment(self, **more: str) -> dict[str, str]:
        """Return a daemon's environment: the account's own, how this machine reaches others, and more.

        Nothing else of the shell's: what is meant for its user is none of a daemon's business.
        """
        own = {"HOME": str(self.home), "USER": NAME, "LOGNAME": NAME}
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        return {**inherited, **own, **more}

    def own(self, folder: Path, mode: int = 0o700) -> Path:
        """Make the folder and give it to the account; its parents are root's."""
        return ownership.give(folder, self.uid, self.gid, mode)

    def copy(self, source: Path, folder: Path) -> Path:
        """Copy a file that the account cannot read into a folder of root's, for the account to read."""
        content = source.read_bytes()
        return ownership.write(
            folder / source.name, content, mode=0o400, uid=self.uid, gid=self.gid
        )

    def scratch(self, paths: Paths, purpose: str) -> Path:
        """Make a new folder of root's for what lives no longer than a test; the caller removes it."""
        ownership.keep(paths.scratch)
        return ownership.keep(Path(tempfile.mkdtemp(prefix=f"{purpose}-", dir=paths.scratch)))


def find() -> Account | None:
    try:
        entry = pwd.getpwnam(NAME)
    except KeyError:
        return None
    return Account(entry.pw_uid, entry.pw_gid, Path(entry.pw_dir))


def ensure(paths: Paths) -> Account:
    """Create what is missing: the account, its home, its subordinate ids."""
    if find() is None:
        shell = "/usr/sbin/nologin"
        home = ["--home-dir", str(paths.state), "--no-create-home", "--shell", shell]
        subprocess.run(["useradd", "--system", "--user-group", *home, NAME], check=True)
    account = find()
    if account is None:
        raise StackError(f"useradd made no account {NAME}: look at /etc/passwd.")
    for table, option in (("/etc/subuid", "--add-subuids"), ("/etc/subgid", "--add-subgids")):
        text = Path(table).read_text() if Path(table).exists() else ""
        if not has_range(text, NAME):
            first = first_free_id(text)
            last = first + SUBORDINATE_IDS - 1
            subprocess.run(["usermod", option, f"{first}-{last}", NAME], check=True)
    return account


def require_user_namespaces(account: Account) -> None:
    """Raise a sentence with the switch to turn when the account may make no user namespace."""
    tried = subprocess.run(
        ["unshare", "--user", "true"],
        **account.identity,
        cwd="/",
        capture_output=True,
        check=False,
    )
    if tried.returncode:
        raise StackError(
            "A rootless buildkitd needs user namespaces and this machine forbids them: "
            f"{advice(_read_switches())}."
        )


def allows_process_sandbox(account: Account) -> bool:
    """Return whether steps of a build can have a process table of their own.

    Each mounts a /proc, which the kernel forbids in a user namespace where it is not whole outside: in most
    containers, which hide parts of it (mount_too_revealing() in the kernel's fs/namespace.c).
    """
    return (
        subprocess.run(
            ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "true"],
            **account.identity,
            cwd="/",
            capture_output=True,
            check=False,
        ).returncode
        == 0
    )


def advice(switches: Mapping[str, str]) -> str:
    """Return what to do, from the values the kernel's switches have."""
    for name, value in switches.items():
        if value == _FORBIDDING[name]:
            return f"run `sysctl -w {name}={SWITCHES[name]}` as root"
    return (
        "no switch of the kernel explains it, so this is probably a container; run it in a "
        "virtual machine, or start the container with --privileged"
    )


def has_range(table: str, name: str) -> bool:
    return any(owner == name and count >= SUBORDINATE_IDS for owner, _, count in _ranges(table))


def first_free_id(table: str) -> int:
    """Return the lowest id above every range that subuid(5) or subgid(5) gives away."""
    ends = (first + count for _, first, count in _ranges(table))
    return max([FIRST_SUBORDINATE_ID, *ends])


def _ranges(table: str) -> Iterator[tuple[str, int, int]]:
    for line in table.splitlines():
        fields = line.split(":")
        if len(fields) == 3 and fields[1].isdigit() and fields[2].isdigit():
            yield fields[0], int(fields[1]), int(fields[2])


def _read_switches() -> Mapping[str, str]:
    found = {}
    for name in SWITCHES:
        file = Path("/proc/sys") / name.replace(".", "/")
        if file.exists():
            found[name] = file.read_text().strip()
    return found
