"""Pure. Auth: hands the daemon credentials for the registry it is about to speak to.

Only Credentials is offered. GetTokenAuthority is left unimplemented on purpose: the daemon then fetches
bearer tokens itself (moby/buildkit v0.32.2 session/auth/auth.go).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from ..errors import BuilderError
from ..pb import auth_pb2 as pb
from .grpc_status import Code, RpcError
from .tunnel import UnaryCall

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..registry_auth import Credentials
    from .tunnel import Call, Headers

CREDENTIALS = "/moby.filesync.v1.Auth/Credentials"


def credentials(lookup: Callable[[str], Credentials]) -> Callable[[Headers], Call]:
    """The Credentials method; *lookup* is asked with the registry's host, anew each time.

    A BuilderError of *lookup*'s is what the daemon is answered.
    """

    def answer(message: bytes) -> bytes:
        try:
            request = pb.CredentialsRequest.FromString(message)
        except DecodeError as exc:
            raise RpcError(Code.INTERNAL, "malformed CredentialsRequest") from exc
        try:
            found = lookup(request.Host)
        except BuilderError as exc:
            raise RpcError(Code.UNAVAILABLE, str(exc)) from exc
        return pb.CredentialsResponse(
            Username=found.username, Secret=found.secret
        ).SerializeToString()

    return lambda _headers: UnaryCall(answer)
