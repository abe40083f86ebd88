"""Pure. What a build wants as the SolveRequest that asks for it.

Names of the exporter's attributes: moby/buildkit v0.32.2 exporter/containerimage/exptypes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...history.attempt import build_attrs
from ...pb import control_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class SolveSpec:
    """What the daemon is to make: *frontend_attrs* for dockerfile.v0; no *names*, no export."""

    ref: str
    frontend_attrs: Mapping[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()  # canonical and tagged, all for one image
    push: bool = True
    exporter_attrs: Mapping[str, str] = field(default_factory=dict)  # beside name and push
    # By name; a build with any takes its graph through the gateway (stamps.py).
    secret_stamps: Mapping[str, str] = field(default_factory=dict)
    internal: bool = False  # no record of the build stays in the daemon's history
    annotations: Mapping[str, str] = field(default_factory=dict)  # what the record says of it


FRONTEND = "dockerfile.v0"


def solve_request(spec: SolveSpec, session_id: str) -> pb.SolveRequest:
    exporters = []
    if spec.names:
        push = "true" if spec.push else "false"
        attrs = {**spec.exporter_attrs, "name": ",".join(spec.names), "push": push}
        exporters = [pb.Exporter(Type="image", Attrs=attrs)]
    annotations = build_attrs(spec.annotations)
    return pb.SolveRequest(
        Ref=spec.ref,
        Session=session_id,
        # With none, the daemon waits for the gateway.
        Frontend="" if spec.secret_stamps else FRONTEND,
        FrontendAttrs={**spec.frontend_attrs, **annotations},
        Internal=spec.internal,
        Exporters=exporters,
    )
