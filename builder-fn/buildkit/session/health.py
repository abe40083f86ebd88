"""Pure. Health: the daemon asks every 5 s whether the session is alive, and drops it after two silences.

moby/buildkit v0.32.2 session/grpc.go, monitorHealth; grpc/grpc doc/health-checking.md.
"""

from __future__ import annotations

CHECK = "/grpc.health.v1.Health/Check"

_SERVING = b"\x08\x01"  # HealthCheckResponse{status: SERVING}


def check(_request: bytes) -> bytes:
    """Answer the Check method: a session that can run it is serving."""
    return _SERVING
