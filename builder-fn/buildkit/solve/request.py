"""Pure. A build's wishes as the SolveRequest that asks for it.

Names of the exporter's attributes: moby/buildkit v0.32.2 exporter/containerimage/exptypes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...pb import control_pb2 as pb
from .source_policy import policy_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .source_policy import SourceRule


@dataclass(frozen=True, slots=True, kw_only=True)
class SolveSpec:
    """Says what the daemon is to make: *frontend_attrs* for dockerfile.v0; without *names*, no export."""

    ref: str
    frontend_attrs: Mapping[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()  # canonical and tagged, all for one image
    exporter_attrs: Mapping[str, str] = field(default_factory=dict)  # beside the names
    # By name; a build with any takes its graph through the gateway (secret_ids.py).
    secret_ids: Mapping[str, str] = field(default_factory=dict)
    source_policy: Sequence[SourceRule] = ()  # that every source has to pass
    internal: bool = False  # no record of the build stays in the daemon's history


FRONTEND = "dockerfile.v0"


def solve_request(spec: SolveSpec, session_id: str) -> pb.SolveRequest:
    exporters = []
    if spec.names:
        attrs = {"name": ",".join(spec.names), "push": "true", **spec.exporter_attrs}
        exporters = [pb.Exporter(Type="image", Attrs=attrs)]
    return pb.SolveRequest(
        Ref=spec.ref,
        Session=session_id,
        # With none, the daemon waits for the gateway.
        Frontend="" if spec.secret_ids else FRONTEND,
        FrontendAttrs=spec.frontend_attrs,
        Internal=spec.internal,
        SourcePolicy=policy_bytes(spec.source_policy, session_id),
        Exporters=exporters,
    )
