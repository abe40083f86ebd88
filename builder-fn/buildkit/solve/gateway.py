"""I/O: a build's conversation in which the frontend's secrets get their keyed ids.

The frontend proper makes the graph, the secrets in it get their ids, and what comes of that is returned;
nothing of the first graph is ever run, since the daemon runs only what is returned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...pb import gateway_pb2 as pb
from .conversation import Conversation
from .llb import with_secret_ids
from .request import FRONTEND, frontend_attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import grpc

    from .request import SolveSpec


class Gateway(Conversation):
    """Speaks for a build that has secrets."""

    def __init__(
        self, channel: grpc.Channel, spec: SolveSpec, *, failed: Callable[[], None]
    ) -> None:
        """Call *failed* if there will be no result, for which the Solve on *channel* would wait."""
        self._spec = spec
        super().__init__(channel, spec.ref, failed=failed)

    def _result(self) -> pb.Result:
        request = pb.SolveRequest(Frontend=FRONTEND, FrontendOpt=frontend_attrs(self._spec))
        result = self._solved(request)
        for ref in _refs(result):
            definition = ref.definition
            ref.ClearField("definition")  # the daemon knows what it is by its id
            keyed = with_secret_ids(definition, self._spec.secret_ids)
            if keyed is not definition:
                ref.id = self._solved(pb.SolveRequest(Definition=keyed)).ref.id
        return result


def _refs(result: pb.Result) -> Iterator[pb.Ref]:
    """Yield all that *result* refers to; an image of several platforms has one each."""
    if result.HasField("ref"):
        yield result.ref
    yield from result.refs.refs.values()
    for attestations in result.attestations.values():
        for attestation in attestations.attestation:
            if attestation.HasField("ref"):
                yield attestation.ref
