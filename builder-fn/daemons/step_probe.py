"""I/O: finds out how a daemon runs steps, which it does not say, by a step that looks.

The step's program is an ELF file of one segment, without a library, in an image of its own.
"""

from __future__ import annotations

import logging
import secrets
import struct
import threading
import time
from typing import TYPE_CHECKING

from ..buildkit import ANONYMOUS, BuildkitError, SolveFailed, SolveSpec, session_services
from ..fsutil import Entry, Kind, Tree
from ..history import unlisted_ref

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..buildkit import Client

# A worker of another id is another daemon, or one that lost its disk; both may run otherwise.
_CHECK_SECONDS = 300.0
# A daemon that is busy may be long about the smallest step; then nothing is known.
_PROBE_SECONDS = 30.0
_ASK_SECONDS = 4.0

_DOCKERFILE = b'FROM scratch\nARG TARGETARCH\nCOPY probe-$TARGETARCH /probe\nRUN ["/probe"]\n'

_MACHINES = {"amd64": 62, "arm64": 183}  # e_machine of the ELF specification
BASE = 0x400000  # where the segment begins in memory
_HEADERS = 64 + 56  # of an ELF file and of its one segment
_READ_EXECUTE, _READ_WRITE_EXECUTE = 5, 7


class StepProbe:
    """Finds out by a step of one daemon; safe for use by many threads.

    The first question begins to find out.
    """

    def __init__(
        self,
        client: Client,
        probe: Callable[[Client], bool | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Run *probe* on a daemon that is new: it may raise BuildkitError, or find nothing out."""
        self._client = client
        self._probe = probe
        self._clock = clock
        self._lock = threading.Lock()
        self._checked_at: float | None = None
        self._worker = ""
        self._found: bool | None = None

    @property
    def found(self) -> bool | None:
        """Return at once what is known by now."""
        with self._lock:
            now = self._clock()
            due = self._checked_at is None or now - self._checked_at >= _CHECK_SECONDS
            if due:
                self._checked_at = now
                threading.Thread(target=self._check, name="step probe", daemon=True).start()
            return self._found

    def _check(self) -> None:
        try:
            worker = self._client.worker(_ASK_SECONDS).id
            if worker == self._worker and self._found is not None:
                return
            found = self._probe(self._client)
        except BuildkitError as exc:
            logging.getLogger("builder-fn").debug("how steps run is not known: %s", exc)
            worker, found = "", None
        with self._lock:
            self._worker, self._found = worker, found
            if found is None:
                self._checked_at = None  # the next question tries again


def exit_code(
    client: Client, programs: Mapping[str, bytes], attrs: Mapping[str, str] | None = None
) -> int | None:
    """Run the one of *programs* that is for the daemon's architecture, with the frontend attributes *attrs*.

    None if it cannot run there. Raises BuildkitError.
    """
    tree = Tree(
        (
            Entry("Dockerfile", Kind.FILE, 0o644, 0, memoryview(_DOCKERFILE)),
            *(
                Entry(f"probe-{name}", Kind.FILE, 0o755, 0, memoryview(program))
                for name, program in sorted(programs.items())
            ),
        )
    )
    services = session_services({"context": tree, "dockerfile": tree}, lambda _host: ANONYMOUS)
    spec = SolveSpec(
        ref=unlisted_ref(),
        frontend_attrs={"no-cache": "", **(attrs or {})},
        internal=True,
    )
    deadline = time.monotonic() + _PROBE_SECONDS
    solve = client.solve(spec, services, shared_key=secrets.token_hex(16))
    try:
        for _ in solve:
            if time.monotonic() > deadline:
                return None
        solve.result()
    except SolveFailed as exc:
        return exc.failed_step.exit_code if exc.failed_step else None
    finally:
        solve.close()
    return 0


def executable(machine: str, code: bytes, *, more_bytes: int = 0) -> bytes:
    """Make a program of *code* for *machine*, which may write to *more_bytes* of memory behind its page."""
    size = _HEADERS + len(code)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\x02\x01\x01",
        2, _MACHINES[machine], 1, BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0,
    )  # fmt: skip
    flags = _READ_WRITE_EXECUTE if more_bytes else _READ_EXECUTE
    memory = 0x1000 + more_bytes if more_bytes else size
    segment = struct.pack("<IIQQQQQQ", 1, flags, 0, BASE, BASE, size, memory, 0x1000)
    return header + segment + code
