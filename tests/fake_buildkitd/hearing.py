"""Has a daemon build, and keeps all that Status and Solve say, as they say it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from function.buildkit.rpc.control import SOLVE, STATUS, solve_message
from function.buildkit.session.session import Session
from function.buildkit.solve.request import solve_request
from function.pb import control_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from function.buildkit.rpc.http2.call import Call as RpcCall
    from function.buildkit.rpc.http2.connections import Connections
    from function.buildkit.session.grpc_server import Call, Headers
    from function.buildkit.solve.request import SolveSpec

_TICK_SECONDS = 0.25


@dataclass(frozen=True)
class Heard:
    statuses: Sequence[pb.StatusResponse]
    solve: RpcCall  # which has ended


def heard(
    connections: Connections, spec: SolveSpec, services: Mapping[str, Callable[[Headers], Call]]
) -> Heard:
    """Return what the daemon says of a build to its end."""
    with closing(connections.take()) as connection:
        with connection.lock:
            session = Session(connection, services, shared_key=spec.ref)
            solve = connection.begin(SOLVE, solve_message(solve_request(spec, session.id)))
            status = connection.begin(STATUS, pb.StatusRequest(Ref=spec.ref).SerializeToString())
            connection.flush()
        while not (solve.ended and status.ended):
            connection.wait(_TICK_SECONDS)
        messages = connection.take(status)
    return Heard([pb.StatusResponse.FromString(message) for message in messages], solve)
