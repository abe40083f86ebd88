"""Pure. Says why the daemon cannot be spoken to, in the sentence that its callers need."""

from __future__ import annotations

import grpc

from ..errors import DaemonUnavailable, Trouble
from ..text.plain_text import clean_message

# Of grpcio 1.8x: a certificate or its host that we refuse, and one of ours that the daemon refuses, which
# comes as the first message after the handshake ("Unwrap failed (TSI_DATA_CORRUPTED)").
_TLS_WORDS = ("handshake", "ssl", "tsi_", "certificate", "verification check")


def daemon_unavailable(error: grpc.RpcError) -> DaemonUnavailable:
    """Return the error for a connection that failed or was lost, told apart by gRPC's own words."""
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return daemon_silent()
    details = error.details() or ""
    # Before the general case, since gRPC begins all of them with "failed to connect".
    if any(word in details.lower() for word in _TLS_WORDS):
        return tls_failed()
    if "DNS" in details or "resol" in details:
        return host_without_address()
    if "connect" in details.lower() and ("refused" in details or "failed to connect" in details):
        return no_connection()
    return DaemonUnavailable(
        f"The connection to buildkitd was lost ({clean_message(details) or 'no reason given'}). "
        "Try again."
    )


def daemon_silent() -> DaemonUnavailable:
    """Return the error for no answer in time, on a connection that may be dead without knowing it."""
    return DaemonUnavailable("buildkitd has not answered in time. Try again later.", Trouble.SILENT)


def tls_failed() -> DaemonUnavailable:
    return DaemonUnavailable(
        "buildkitd cannot be reached: the TLS handshake failed. Check the CA, the certificate and its "
        "key, and the server's name.",
        Trouble.TLS,
    )


def host_without_address() -> DaemonUnavailable:
    return DaemonUnavailable(
        "buildkitd cannot be reached: its host has no address.", Trouble.NO_ADDRESS
    )


def no_connection() -> DaemonUnavailable:
    return DaemonUnavailable(
        "buildkitd cannot be reached: no connection could be made. Check its address and that it runs.",
        Trouble.NO_CONNECTION,
    )
