"""Pure. Details of a daemon's error, beside its sentence: a google.rpc.Status, serialized."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from ...pb import rpc_status_pb2 as pb
from ..rpc.grpc_status import Code


def detail(status: bytes, type_url: str) -> bytes:
    """Return the first detail of exactly that type, or nothing."""
    try:
        details = pb.Status.FromString(status).details
    except DecodeError:
        return b""
    return next((each.value for each in details if each.type_url == type_url), b"")


def failed_with(message: str, type_url: str, value: bytes) -> bytes:
    """Make a status of an unknown code, as the daemon gives its own, with one detail."""
    details = [pb.Detail(type_url=type_url, value=value)]
    return pb.Status(code=Code.UNKNOWN, message=message, details=details).SerializeToString()
