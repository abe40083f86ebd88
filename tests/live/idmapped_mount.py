"""Makes mounts, and becomes another program. Folders as a pod with users of its own sees them.

A container runtime gives such a pod its volumes with ids mapped (mount_setattr(2), MOUNT_ATTR_IDMAP): what
belongs to user 1000 on the disk belongs to user 1000 of the pod, by any id on the node. Run as a
program in a mount namespace of its own: FIRST_ID COUNT FOLDER… -- COMMAND….
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

# x86-64 and arm64 agree on these (include/uapi/asm-generic/unistd.h, include/uapi/linux/mount.h).
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_OPEN_TREE_CLONE = 1
_AT_FDCWD, _AT_EMPTY_PATH = -100, 0x1000
_MOUNT_ATTR_IDMAP = 0x00100000
_MOVE_MOUNT_F_EMPTY_PATH = 0x04

_libc = ctypes.CDLL(None, use_errno=True)


def mount(folders: list[str], first: int, count: int) -> None:
    """Mount each folder over itself, its ids 0… mapped to those of the node from `first` on."""
    # A namespace lives as long as somebody is in it, or has it open.
    holder = subprocess.Popen(
        ["unshare", "--user", "sh", "-c", "echo made; read nothing"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout
    holder.stdout.readline()
    try:
        for table in ("uid_map", "gid_map"):
            Path(f"/proc/{holder.pid}/{table}").write_text(f"0 {first} {count}\n")
        namespace = os.open(f"/proc/{holder.pid}/ns/user", os.O_RDONLY)
        for folder in folders:
            _mount(folder.encode(), namespace)
        os.close(namespace)
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()


def _mount(folder: bytes, namespace: int) -> None:
    tree = _call(_OPEN_TREE, _AT_FDCWD, folder, _OPEN_TREE_CLONE)
    # struct mount_attr: attr_set, attr_clr, propagation, userns_fd
    attributes = struct.pack("<QQQQ", _MOUNT_ATTR_IDMAP, 0, 0, namespace)
    _call(_MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH, attributes, len(attributes))
    _call(_MOVE_MOUNT, tree, b"", _AT_FDCWD, folder, _MOVE_MOUNT_F_EMPTY_PATH)
    os.close(tree)


def _call(number: int, *arguments: object) -> int:
    result = int(_libc.syscall(number, *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), f"system call {number}")
    return result


if __name__ == "__main__":
    _, first_id, number, *rest = sys.argv
    end = rest.index("--")
    mount(rest[:end], int(first_id), int(number))
    os.execvp(rest[end + 1], rest[end + 1 :])  # noqa: S606
