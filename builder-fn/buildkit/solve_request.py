"""Pure. What a build wants as the SolveRequest that asks for it.

Names of the exporter's attributes: moby/buildkit v0.32.2 exporter/containerimage/exptypes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..pb import control_pb2 as pb

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


def solve_request(spec: SolveSpec, session_id: str) -> pb.SolveRequest:
    exporters = []
    if spec.names:
        push = "true" if spec.push else "false"
        attrs = {**spec.exporter_attrs, "name": ",".join(spec.names), "push": push}
        exporters = [pb.Exporter(Type="image", Attrs=attrs)]
    return pb.SolveRequest(
        Ref=spec.ref,
        Session=session_id,
        Frontend="dockerfile.v0",
        FrontendAttrs=dict(spec.frontend_attrs),
        Exporters=exporters,
    )
