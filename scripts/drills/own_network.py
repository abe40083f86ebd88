"""Changes this thread's network namespace. of-watchdog shows its metrics at one fixed port, 8081.

Where another function runs behind one, such as that of the local stack, a second of-watchdog dies of it. In a
network of its own the port is free, and nothing else on the machine is in the way.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# include/uapi/linux/sched.h, sockios.h and if.h
_CLONE_NEWNET = 0x40000000
_SIOCSIFFLAGS = 0x8914
_UP_AND_RUNNING = 0x1 | 0x40

_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def entered() -> Iterator[bool]:
    """Give this thread, and all that it starts, a network with nothing but loopback.

    Yield whether that is allowed, which takes root; if not, all stays as it is.
    """
    with Path("/proc/thread-self/ns/net").open("rb") as before:
        if _libc.unshare(_CLONE_NEWNET):
            yield False
            return
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
                flags = struct.pack("16sh14x", b"lo", _UP_AND_RUNNING)
                fcntl.ioctl(any_socket, _SIOCSIFFLAGS, flags)
            yield True
        finally:
            if _libc.setns(before.fileno(), _CLONE_NEWNET):
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number))
