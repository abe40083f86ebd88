"""Pure. Translates the BuildKit client's errors into the function's, in this one place.

The client knows nothing of our settings; the sentences here say which of them to check.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from . import buildkit
from .buildkit import Trouble
from .errors import (
    BuilderError,
    BuildFailed,
    DaemonFault,
    DaemonTroubled,
    DaemonUnavailable,
    NotReady,
    PolicyRefused,
)
from .quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

_REMEDIES = {
    Trouble.TLS: "the TLS handshake failed. Check the certificates in buildkit_tls_ca, "
    "buildkit_tls_cert and buildkit_tls_key, and buildkit_server_name.",
    Trouble.NO_ADDRESS: "the host in buildkit_url has no address.",
    Trouble.NO_CONNECTION: "no connection could be made. Check buildkit_url and that the daemon runs.",
}


@contextmanager
def translated() -> Iterator[None]:
    """Raise BuilderError for what the client raises in the block; also a decorator."""
    try:
        yield
    except buildkit.BuildkitError as exc:
        raise translation(exc) from exc


def translation(error: buildkit.BuildkitError) -> BuilderError:  # noqa: PLR0911 - one a class
    """Return the function's error for the client's *error*."""
    match error:
        case buildkit.SourceDenied():
            return PolicyRefused(str(error), error.failed_step, source=error.source)
        case buildkit.SolveFailed():
            return BuildFailed(str(error), error.failed_step)
        case buildkit.DaemonTroubled():
            return DaemonTroubled(str(error))
        case buildkit.DaemonFault():
            return DaemonFault(str(error))
        case buildkit.Misconfigured(address=str(address)):
            return NotReady(
                f'buildkit_url must be "tcp://host:port" or "unix:///path", not {quoted(address)}.'
            )
        case buildkit.Misconfigured(path=path):
            return NotReady(f"{path} cannot be read; TLS to buildkitd needs it.")
        case buildkit.DaemonUnavailable(trouble=trouble) if trouble in _REMEDIES:
            return DaemonUnavailable(f"buildkitd cannot be reached: {_REMEDIES[trouble]}")
        case buildkit.DaemonUnavailable():
            return DaemonUnavailable(str(error))
    return BuilderError(str(error))
