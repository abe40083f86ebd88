"""Pure. Every way in which a conversation with buildkitd can end badly.

    BuildkitError
    ├── Misconfigured           an address or a TLS file leads to no daemon
    ├── DaemonUnavailable       the daemon refused the connection, died, or fell silent
    ├── DaemonFault             the daemon could not go on, for a trouble of its own
    │   └── DaemonTroubled      it said so itself, before the build's end
    ├── SolveFailed             the daemon ended the build, and says why
    │   └── SourceDenied        the build names what its source policy forbids
    └── CredentialsUnavailable  a lookup of the caller's could not answer the daemon

gRPC's and h2's exceptions are translated where they enter, `from exc`; callers see this tree alone. A message
holds no secret, no daemon path and no stack trace.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .outcome import FailedStep


class BuildkitError(Exception):
    """Root of the tree; the message is one or two sentences for a person."""


class Misconfigured(BuildkitError):
    """Names what leads to no daemon: an *address*, or else the TLS file at *path*."""

    def __init__(self, message: str, *, address: str | None = None, path: str = "") -> None:
        super().__init__(message)
        self.address = address
        self.path = path


class Trouble(enum.Enum):
    """Tells why a daemon cannot be spoken to."""

    TLS = "the TLS handshake failed"
    NO_ADDRESS = "its host has no address"
    NO_CONNECTION = "no connection could be made"
    LOST = "the connection was lost"
    SILENT = "it has not answered in time"


class DaemonUnavailable(BuildkitError):
    def __init__(self, message: str, trouble: Trouble = Trouble.LOST) -> None:
        super().__init__(message)
        self.trouble = trouble


class DaemonFault(BuildkitError):
    """Names a trouble that only the daemon's operator can mend, such as a full disk."""


class DaemonTroubled(DaemonFault):
    """Raised where the daemon says so itself, before the end of the build: another daemon may carry it on."""


class SolveFailed(BuildkitError):
    """Carries the step that failed, if the daemon named one."""

    def __init__(self, message: str, failed_step: FailedStep | None = None) -> None:
        super().__init__(message)
        self.failed_step = failed_step


class SourceDenied(SolveFailed):
    """Names the *source* by the daemon's identifier, such as "docker-image://docker.io/library/debian:12"."""

    def __init__(self, source: str, failed_step: FailedStep | None = None) -> None:
        super().__init__(f"The source {source} is forbidden.", failed_step)
        self.source = source


class CredentialsUnavailable(BuildkitError):
    """Raised by a caller's lookup; the daemon is answered with the message."""
