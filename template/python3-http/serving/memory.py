"""Tells the C library where to put large buffers, so that a body is in memory once. Process-wide."""

from __future__ import annotations

import ctypes

# glibc malloc.h
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3


def map_large_buffers() -> None:
    """Large buffers are mapped: they grow without a copy, and their memory goes back when they end.

    Left alone, glibc learns from each freed buffer to put the next of that size (up to 32 MiB) on the
    heap, where growing may copy and little is given back: of a second body of 30 MiB there were two
    copies, and 41 MiB stayed in use after it. Does nothing on another C library.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(_M_MMAP_THRESHOLD, 1 << 20)
        # What waitress receives into is freed all the time: not worth a system call each.
        mallopt(_M_TRIM_THRESHOLD, 4 << 20)
