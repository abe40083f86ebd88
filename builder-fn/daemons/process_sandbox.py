"""I/O: finds out whether steps of different builds are kept apart on the daemon, by a step that looks.

Without a process sandbox (buildkitd's --oci-worker-no-process-sandbox) all steps share the daemon's process
space, and one can read another's secrets under /proc. The daemon does not say how it runs; a step can tell:
in a sandbox its own process is the first there is.
"""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING

from ..buildkit import BuildWarning
from . import step_probe
from .step_probe import StepProbe

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..buildkit import Client

WARNING = BuildWarning(
    message="buildkitd runs steps without a process sandbox: steps of other builds can read the secrets that "
    "a step of this build mounts. Have its operator run buildkitd with a process sandbox."
)

# Each exits with 0 if its own process id is 1, else with 1: getpid, compare, exit.
_CODE = {
    "amd64": bytes.fromhex("b827000000 0f05 31ff 83f801 400f95c7 b83c000000 0f05"),
    "arm64": struct.pack(
        "<6I", 0xD2801588, 0xD4000001, 0xF100041F, 0x1A9F07E0, 0xD2800BA8, 0xD4000001
    ),
}


class ProcessSandbox(StepProbe):
    """The knowledge about one daemon."""

    def __init__(self, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(client, lambda client: probe(client), clock)  # noqa: PLW0108 - the one of the moment

    @property
    def is_there(self) -> bool | None:
        """Tell whether steps have a process sandbox, as far as is known by now, which is returned at once."""
        return self.found


def probe(client: Client) -> bool | None:
    """Run the step that looks; None if it cannot run there. Raises BuildkitError."""
    code = step_probe.exit_code(client, {machine: executable(machine) for machine in _CODE})
    return {0: True, 1: False}.get(code) if code is not None else None


def executable(machine: str) -> bytes:
    return step_probe.executable(machine, _CODE[machine])
