"""Pure. Secrets: hands the daemon a secret of this build for the step that mounts it.

moby/buildkit v0.32.2 session/secrets/secrets.go: NOT_FOUND is how a client says that it has none by that
name, which the daemon forgives where the step calls its secret optional.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from ...pb import secrets_pb2 as pb
from ..rpc.grpc_status import Code, RpcError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

GET_SECRET = "/moby.buildkit.secrets.v1.Secrets/GetSecret"  # noqa: S105 - a method


def get_secret(secrets: Mapping[str, bytes]) -> Callable[[bytes], bytes]:
    """Answer the GetSecret method from values by id."""

    def answer(message: bytes) -> bytes:
        try:
            request = pb.GetSecretRequest.FromString(message)
        except DecodeError as exc:
            raise RpcError(Code.INTERNAL, "malformed GetSecretRequest") from exc
        if request.ID not in secrets:
            raise RpcError(Code.NOT_FOUND, "the build was given no secret of that name")
        return pb.GetSecretResponse(data=secrets[request.ID]).SerializeToString()

    return answer
