"""Changes this process's mount namespace. Turns a chroot's folder into a real root.

The kernel makes no user namespace for a process in a chroot (user_namespaces(7), EPERM), so a
rootless buildkitd could not start there. A mount namespace of our own, whose root is the same
folder, has the same files and no such limit; whatever we start inherits it.
"""

import ctypes
import os
from pathlib import Path

from ..errors import StackError

# include/uapi/linux/sched.h and mount.h
_CLONE_NEWNS = 0x00020000
_MS_BIND = 4096
_MS_REC = 16384
_MS_PRIVATE = 1 << 18
_MNT_DETACH = 2
_DIFFERENT = 3  # exit code of the child that compares roots
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}

_libc = ctypes.CDLL(None, use_errno=True)


def leave_chroot() -> bool:
    """Leave the chroot that this process is in, and return whether it was in one."""
    if not Path("/proc/self/ns/mnt").exists():
        raise StackError("/proc is not mounted: run `mount -t proc proc /proc` first.")
    if not _is_chroot():
        return False
    here = str(Path.cwd())
    folder = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    try:
        _check(_libc.unshare(_CLONE_NEWNS))
        _enter_namespace_root()
        os.fchdir(folder)
        root = str(Path.cwd()).encode()
    finally:
        os.close(folder)
    _mount(None, b"/", _MS_REC | _MS_PRIVATE)
    _mount(root, root, _MS_BIND | _MS_REC)
    os.chdir(root)
    _check(_libc.syscall(_SYS_PIVOT_ROOT[os.uname().machine], b".", b"."))
    _check(_libc.umount2(b".", _MNT_DETACH))
    os.chdir("/")
    os.chdir(here)
    return True


def _is_chroot() -> bool:
    # Nothing in /proc says so. Comparing our root with the namespace's means moving there, from
    # where there is no way back: a child goes and tells.
    child = os.fork()
    if child == 0:
        os._exit(_compare_with_namespace_root())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == _DIFFERENT


def _compare_with_namespace_root() -> int:
    ours = Path("/").stat()
    try:
        _enter_namespace_root()
    except OSError:
        return 0  # without the privilege to look, there is none to change it either
    theirs = Path("/").stat()
    return 0 if os.path.samestat(ours, theirs) else _DIFFERENT


def _enter_namespace_root() -> None:
    # setns(2): joining a mount namespace, even one's own, sets the root to the namespace's root.
    namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    try:
        _check(_libc.setns(namespace, _CLONE_NEWNS))
    finally:
        os.close(namespace)


def _mount(source: bytes | None, target: bytes, flags: int) -> None:
    _check(_libc.mount(source, target, None, ctypes.c_ulong(flags), None))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
