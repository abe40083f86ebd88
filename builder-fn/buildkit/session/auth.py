"""Pure. Auth: hands the daemon credentials for the registry it is about to speak to.

Only Credentials is offered. GetTokenAuthority is left unimplemented on purpose: the daemon then fetches
bearer tokens itself (moby/buildkit v0.32.2 session/auth/auth.go).
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from ...errors import BuilderError
from ...pb import auth_pb2 as pb
from ...registry.docker_config import Credentials
from ..rpc.grpc_status import Code, RpcError
from .grpc_server import UnaryCall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .grpc_server import Call, Headers

CREDENTIALS = "/moby.filesync.v1.Auth/Credentials"


def credentials(
    lookup: Callable[[str], Credentials | Callable[[], Credentials]],
) -> Callable[[Headers], Call]:
    """The Credentials method; *lookup* is asked with the registry's host, anew each time.

    What it cannot say at once, it returns a function for, which may take seconds and runs in any thread. A
    BuilderError of either is what the daemon is answered.
    """

    def answer(message: bytes) -> bytes | Callable[[], bytes]:
        try:
            request = pb.CredentialsRequest.FromString(message)
        except DecodeError as exc:
            raise RpcError(Code.INTERNAL, "malformed CredentialsRequest") from exc
        with _said_to_the_daemon():
            found = lookup(request.Host)
        if isinstance(found, Credentials):
            return _response(found)
        return lambda: _looked_up(found)

    return lambda _headers: UnaryCall(answer)


def _looked_up(find: Callable[[], Credentials]) -> bytes:
    with _said_to_the_daemon():
        found = find()
    return _response(found)


def _response(found: Credentials) -> bytes:
    return pb.CredentialsResponse(Username=found.username, Secret=found.secret).SerializeToString()


@contextmanager
def _said_to_the_daemon() -> Iterator[None]:
    try:
        yield
    except BuilderError as exc:
        raise RpcError(Code.UNAVAILABLE, str(exc)) from exc
