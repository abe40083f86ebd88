"""Pure. Auth: hands the daemon credentials for the registry that it is about to speak to.

Only Credentials is offered. GetTokenAuthority is left unimplemented on purpose: the daemon then fetches
bearer tokens itself (moby/buildkit v0.32.2 session/auth/auth.go).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from ...pb import auth_pb2 as pb
from ..errors import CredentialsUnavailable
from ..rpc.grpc_status import Code, RpcError

if TYPE_CHECKING:
    from collections.abc import Callable

CREDENTIALS = "/moby.filesync.v1.Auth/Credentials"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name and password, or with an empty name an identity token; both empty for nobody's."""

    username: str = ""
    secret: str = field(default="", repr=False)


ANONYMOUS = Credentials()


def credentials(lookup: Callable[[str], Credentials]) -> Callable[[bytes], bytes]:
    """Answer the Credentials method by *lookup*, which is asked with the registry's host at each call.

    It may take seconds and is asked from any thread. Its CredentialsUnavailable is told to the daemon.
    """

    def answer(message: bytes) -> bytes:
        try:
            request = pb.CredentialsRequest.FromString(message)
        except DecodeError as exc:
            raise RpcError(Code.INTERNAL, "malformed CredentialsRequest") from exc
        try:
            found = lookup(request.Host)
        except CredentialsUnavailable as exc:
            raise RpcError(Code.UNAVAILABLE, str(exc)) from exc
        response = pb.CredentialsResponse(Username=found.username, Secret=found.secret)
        return response.SerializeToString()

    return answer
