"""I/O: finds out whether steps of different builds are kept apart on the daemon, by a step that looks.

Without a process sandbox (buildkitd's --oci-worker-no-process-sandbox) all steps share the daemon's process
space, and one can read another's secrets under /proc. The daemon does not say how it runs; a step can tell:
in a sandbox its own process is the first there is.
"""

from __future__ import annotations

import logging
import secrets
import struct
import threading
import time
from typing import TYPE_CHECKING

from ..buildkit import (
    ANONYMOUS,
    BuildkitError,
    BuildWarning,
    SolveFailed,
    SolveSpec,
    session_services,
)
from ..fsutil import Entry, Kind, Tree

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..buildkit import Client

# A worker of another id is another daemon, or one that lost its disk; both may run otherwise.
_CHECK_SECONDS = 300.0
# A daemon that is busy may be long about the smallest step; then nothing is known.
_PROBE_SECONDS = 30.0
_ASK_SECONDS = 4.0
_REF_BYTES = 24

WARNING = BuildWarning(
    message="buildkitd runs steps without a process sandbox: steps of other builds can read the secrets that "
    "a step of this build mounts. Have its operator run buildkitd with a process sandbox."
)

_DOCKERFILE = b'FROM scratch\nARG TARGETARCH\nCOPY probe-$TARGETARCH /probe\nRUN ["/probe"]\n'

# Exits with 0 if its own process id is 1, else with 1: getpid, compare, exit.
_AMD64 = bytes.fromhex("b827000000 0f05 31ff 83f801 400f95c7 b83c000000 0f05")
_ARM64 = struct.pack("<6I", 0xD2801588, 0xD4000001, 0xF100041F, 0x1A9F07E0, 0xD2800BA8, 0xD4000001)
_MACHINES = {"amd64": (62, _AMD64), "arm64": (183, _ARM64)}  # e_machine of the ELF specification
_BASE = 0x400000
_HEADERS = 64 + 56  # of an ELF file and of its one segment


class ProcessSandbox:
    """The knowledge about one daemon; safe for use by many threads. The first question begins to find out."""

    def __init__(self, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()
        self._checked_at: float | None = None
        self._worker = ""
        self._found: bool | None = None

    @property
    def is_there(self) -> bool | None:
        """Tell whether steps have a process sandbox, as far as is known by now, which is returned at once."""
        with self._lock:
            now = self._clock()
            due = self._checked_at is None or now - self._checked_at >= _CHECK_SECONDS
            if due:
                self._checked_at = now
                threading.Thread(target=self._check, name="process sandbox", daemon=True).start()
            return self._found

    def _check(self) -> None:
        try:
            worker = self._client.worker(_ASK_SECONDS).id
            if worker == self._worker and self._found is not None:
                return
            found = probe(self._client)
        except BuildkitError as exc:
            logging.getLogger("builder-fn").debug("the process sandbox is not known: %s", exc)
            worker, found = "", None
        with self._lock:
            self._worker, self._found = worker, found
            if found is None:
                self._checked_at = None  # the next question tries again


def probe(client: Client) -> bool | None:
    """Run the step that looks; None if it cannot run there. Raises BuildkitError."""
    tree = Tree(
        (
            Entry("Dockerfile", Kind.FILE, 0o644, 0, memoryview(_DOCKERFILE)),
            *(
                Entry(f"probe-{name}", Kind.FILE, 0o755, 0, memoryview(executable(name)))
                for name in sorted(_MACHINES)
            ),
        )
    )
    services = session_services({"context": tree, "dockerfile": tree}, lambda _host: ANONYMOUS)
    spec = SolveSpec(
        ref=secrets.token_hex(_REF_BYTES), frontend_attrs={"no-cache": ""}, internal=True
    )
    deadline = time.monotonic() + _PROBE_SECONDS
    solve = client.solve(spec, services, shared_key=secrets.token_hex(16))
    try:
        for _ in solve:
            if time.monotonic() > deadline:
                return None
        solve.result()
    except SolveFailed as exc:
        step = exc.failed_step
        return False if step and step.exit_code == 1 else None
    finally:
        solve.close()
    return True


def executable(machine: str) -> bytes:
    """Make the probe for *machine*: an ELF file of one segment, without a library."""
    number, code = _MACHINES[machine]
    size = _HEADERS + len(code)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\x02\x01\x01",
        2, number, 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0,
    )  # fmt: skip
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return header + segment + code
