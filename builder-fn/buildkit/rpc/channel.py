"""I/O: opens a gRPC channel to one daemon, as a build needs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import grpc
import grpc.experimental

from ..errors import Misconfigured

if TYPE_CHECKING:
    from pathlib import Path

# gRPC's own default receive limit is 4 MiB; buildkitd sends and accepts 16 MiB
# (containerd defaults.DefaultMaxRecvMsgSize, vendored by moby/buildkit v0.32.2).
MAX_GRPC_MESSAGE_BYTES = 16 << 20

_OPTIONS = (
    # A stream's messages go to the thread that reads them, and not through another one.
    (grpc.experimental.ChannelOptions.SingleThreadedUnaryStream, 1),
    ("grpc.max_receive_message_length", MAX_GRPC_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_GRPC_MESSAGE_BYTES),
    # A failed Solve's trailers hold the whole Dockerfile, in base64 twice over; gRPC takes 8 KiB (soft) and
    # 16 KiB by itself, and puts a reset stream in the place of the daemon's answer beyond that.
    ("grpc.max_metadata_size", MAX_GRPC_MESSAGE_BYTES),
    ("grpc.absolute_max_metadata_size", MAX_GRPC_MESSAGE_BYTES),
    # grpcio shares connections by target; a build must keep to the connection of its session.
    ("grpc.use_local_subchannel_pool", 1),
    # A daemon that was restarted is found again at once, not after gRPC's two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # A proxy in the environment is for the function's callers, never for the daemon.
    ("grpc.enable_http_proxy", 0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonTLS:
    """Paths of PEM files: the daemon's CA, and our certificate with its key."""

    ca: Path
    cert: Path
    key: Path
    server_name: str = ""  # when the certificate names another host than the URL


def open_channel(target: str, tls: DaemonTLS | None) -> grpc.Channel:
    """Open a channel that connects with its first call. Raises Misconfigured."""
    if tls is None:
        return grpc.insecure_channel(target, options=_OPTIONS)
    name = tls.server_name
    options = (*_OPTIONS, ("grpc.ssl_target_name_override", name)) if name else _OPTIONS
    return grpc.secure_channel(target, _credentials(tls), options=options)


def target(url: str) -> str:
    """Return *url* as gRPC names it. Raises Misconfigured."""
    malformed = f'A daemon\'s address is "tcp://host:port" or "unix:///path", not {url!r}.'
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise Misconfigured(malformed, address=url) from exc
    if parts.scheme == "unix" and not parts.netloc and parts.path.startswith("/"):
        return f"unix:{parts.path}"
    if parts.scheme == "tcp" and parts.hostname and port and parts.path in ("", "/"):
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        return f"dns:///{host}:{port}"
    raise Misconfigured(malformed, address=url)


def _credentials(tls: DaemonTLS) -> grpc.ChannelCredentials:
    try:
        return grpc.ssl_channel_credentials(
            root_certificates=tls.ca.read_bytes(),
            private_key=tls.key.read_bytes(),
            certificate_chain=tls.cert.read_bytes(),
        )
    except OSError as exc:
        path = str(exc.filename)
        raise Misconfigured(f"{path} cannot be read; TLS needs it.", path=path) from exc
