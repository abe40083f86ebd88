"""I/O: finds out whether the daemon keeps its steps within limits of memory and processors.

A rootless daemon can where systemd or the cluster has delegated cgroups of version 2 to it. One that cannot
takes the limits and forgets them, without a word. A step can tell: it takes more memory than it may.
"""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING

from ..buildkit import BuildWarning
from . import step_probe
from .step_probe import BASE, StepProbe

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..buildkit import Client

WARNING = BuildWarning(
    message="buildkitd keeps no step within the memory and processors that the policy allows: its operator "
    "has to delegate cgroups to it."
)

_PAGE = 0x1000
_PAGES = 0x8000  # 128 MiB, of which a step may have a quarter
_LIMIT = str(_PAGES * _PAGE // 4)
_ATTRS = {"memory": _LIMIT, "memswap": _LIMIT}
# What a shell says of a process that was killed, and runc, too: 128 and the number of SIGKILL.
_KILLED = 137

# Each writes a byte into each page, then exits with 0.
_CODE = {
    "amd64": b"\xbf"
    + struct.pack("<I", BASE + _PAGE)
    + b"\xb9"
    + struct.pack("<I", _PAGES)
    + bytes.fromhex("c60701 4881c700100000 ffc9 75f2 31ff b83c000000 0f05"),
    "arm64": struct.pack(
        "<10I",
        0x52820000, 0x72A00800, 0x52900001,
        0x39000001, 0x91400400, 0x71000421, 0x54FFFFA1,
        0x52800000, 0xD2800BA8, 0xD4000001,
    ),
}  # fmt: skip


class StepLimits(StepProbe):
    """The knowledge about one daemon."""

    def __init__(self, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(client, lambda client: probe(client), clock)  # noqa: PLW0108 - the one of the moment

    @property
    def are_kept(self) -> bool | None:
        """Tell whether steps are kept within limits, as far as is known by now, which is returned at once."""
        return self.found


def probe(client: Client) -> bool | None:
    """Run the step that takes too much; None if it cannot run there. Raises BuildkitError."""
    programs = {machine: executable(machine) for machine in _CODE}
    code = step_probe.exit_code(client, programs, _ATTRS)
    return {0: False, _KILLED: True}.get(code) if code is not None else None


def executable(machine: str) -> bytes:
    return step_probe.executable(machine, _CODE[machine], more_bytes=_PAGES * _PAGE)
