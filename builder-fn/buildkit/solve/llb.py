"""Pure. The frontend's build graph, with other ids for the secrets that its steps use.

An op names its inputs by the digests of their bytes, so that a change runs through to all that depends on
it (moby/buildkit v0.32.2 client/llb/marshal.go). What a definition keeps beside the ops goes by the same
digests: a step's name and options, and where in the Dockerfile it is written.

The daemon marshals every op again before it takes the digest that its progress and errors speak of
(solver/llbsolver/vertex.go, recomputeDigests), and looks a step's line up by that. So our bytes have to be
those that it would make, or an error loses its line: fields by number, but the member of a oneof last.
"""

from __future__ import annotations

import hashlib
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from ...pb import ops_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class MalformedDefinition(Exception):
    """A frontend's graph that no daemon could solve, either."""


def with_secret_ids(definition: bytes, ids: Mapping[str, str]) -> bytes:
    """Return *definition*, a pb.Definition, with its secret *ids* replaced by those that they map to.

    The same object if no step uses any of them. Raises MalformedDefinition.
    """
    try:
        graph = pb.Definition.FromString(definition)
        ops = {_digest(data): pb.Op.FromString(data) for data in graph.ops}
    except DecodeError as exc:
        raise MalformedDefinition("The build's graph cannot be read.") from exc
    changed = _changed(ops, ids)
    if not changed:
        return definition
    graph.ops[:] = [changed.get(_digest(data), data) for data in graph.ops]
    for by_digest in (graph.metadata, graph.Source.locations):
        for old in changed.keys() & by_digest.keys():
            by_digest[_digest(changed[old])] = by_digest.pop(old)
    return graph.SerializeToString()


def _changed(ops: Mapping[str, pb.Op], ids: Mapping[str, str]) -> Mapping[str, bytes]:
    """Return the new bytes of the *ops* that change with the *ids*, by the old digests."""
    changed: dict[str, bytes] = {}
    digests: dict[str, str] = {}  # old to new
    for digest in _inputs_first(ops):
        op = ops[digest]
        changes = _rename_secrets(op, ids), _rename_inputs(op, digests)
        if any(changes):
            changed[digest] = _marshalled(op)
            digests[digest] = _digest(changed[digest])
    return changed


def _inputs_first(ops: Mapping[str, pb.Op]) -> Iterable[str]:
    """Yield the digests of *ops*, each after its inputs.

    A cycle cannot be: its digests would have to be known before its bytes.
    """
    inputs = {digest: [each.digest for each in op.inputs] for digest, op in ops.items()}
    return (digest for digest in TopologicalSorter(inputs).static_order() if digest in ops)


def _rename_secrets(op: pb.Op, ids: Mapping[str, str]) -> bool:
    secrets: list[pb.SecretOpt | pb.SecretEnv] = [*op.exec.secretenv]
    secrets += [mount.secretOpt for mount in op.exec.mounts if mount.HasField("secretOpt")]
    used = [secret for secret in secrets if secret.ID in ids]
    for secret in used:
        secret.ID = ids[secret.ID]
    return bool(used)


def _rename_inputs(op: pb.Op, digests: Mapping[str, str]) -> bool:
    changed = [each for each in op.inputs if each.digest in digests]
    for each in changed:
        each.digest = digests[each.digest]
    return bool(changed)


def _marshalled(op: pb.Op) -> bytes:
    """Marshal *op* deterministically as Go does; Python would order the oneof's member by number, too."""
    others = pb.Op()
    others.CopyFrom(op)
    others.ClearField("exec")
    member = pb.Op(exec=op.exec) if op.HasField("exec") else pb.Op()
    return others.SerializeToString() + member.SerializeToString()


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()
