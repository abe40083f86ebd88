"""Pure. Why the daemon cannot be spoken to, as the sentence its callers need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import DaemonUnavailable
from .failure import clean_message

if TYPE_CHECKING:
    import grpc

# Of grpcio 1.8x: a certificate or its host that we refuse, and one of ours that the daemon refuses, which
# comes as the first message after the handshake ("Unwrap failed (TSI_DATA_CORRUPTED)").
_TLS_WORDS = ("handshake", "ssl", "tsi_", "certificate", "verification check")


def daemon_unavailable(error: grpc.RpcError) -> DaemonUnavailable:
    """A connection that could not be made or was lost, told apart by gRPC's own words for it."""
    details = error.details() or ""
    # Before the general case, since gRPC begins all of them with "failed to connect".
    if any(word in details.lower() for word in _TLS_WORDS):
        return DaemonUnavailable(
            "buildkitd cannot be reached: the TLS handshake failed. Check the certificates in "
            "buildkit_tls_ca, buildkit_tls_cert and buildkit_tls_key, and buildkit_server_name."
        )
    if "DNS" in details or "resol" in details:
        return DaemonUnavailable(
            "buildkitd cannot be reached: the host in buildkit_url has no address."
        )
    if "connect" in details.lower() and ("refused" in details or "failed to connect" in details):
        return DaemonUnavailable(
            "buildkitd cannot be reached: no connection could be made. Check buildkit_url and that "
            "the daemon runs."
        )
    return DaemonUnavailable(
        f"The connection to buildkitd was lost ({clean_message(details) or 'no reason given'}). "
        "Try again."
    )
