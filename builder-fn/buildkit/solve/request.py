"""Pure. A build's wishes as the SolveRequest that asks for it.

Names of the exporter's attributes: moby/buildkit v0.32.2 exporter/containerimage/exptypes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...pb import control_pb2 as pb
from .source_policy import policy_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .source_policy import SourceRule


@dataclass(frozen=True, slots=True, kw_only=True)
class SolveSpec:
    """Says what the daemon is to make: *frontend_attrs* for dockerfile.v0; without *names*, no export.

    One that *joins* makes an index of images that are pushed already: see Solve.join.
    """

    ref: str
    frontend_attrs: Mapping[str, str] = field(default_factory=dict)
    # Canonical and tagged, all for one image; but without a tag if it is to be pushed by its digest alone.
    names: tuple[str, ...] = ()
    exporter_attrs: Mapping[str, str] = field(default_factory=dict)  # beside the names
    # By name; a build with any takes its graph through the gateway (secret_ids.py).
    secret_ids: Mapping[str, str] = field(default_factory=dict)
    source_policy: Sequence[SourceRule] = ()  # that every source has to pass
    internal: bool = False  # no record of the build stays in the daemon's history
    joins: bool = False
    inline_cache: bool = False  # the image's config tells what its layers were built from
    cache_from: tuple[str, ...] = ()  # names of images that have such a config


FRONTEND = "dockerfile.v0"


_CACHE_IMPORTS = "cache-imports"  # moby/buildkit v0.32.2 frontend/dockerui/config.go


def solve_request(spec: SolveSpec, session_id: str) -> pb.SolveRequest:
    exporters = []
    if spec.names:
        attrs = {"name": ",".join(spec.names), "push": "true", **spec.exporter_attrs}
        exporters = [pb.Exporter(Type="image", Attrs=attrs)]
    # An image that is pushed nowhere has no config that anybody could read.
    inline = [pb.CacheOptionsEntry(Type="inline")] if spec.inline_cache and spec.names else []
    return pb.SolveRequest(
        Ref=spec.ref,
        Session=session_id,
        # With none, the daemon waits for the gateway.
        Frontend="" if spec.secret_ids or spec.joins else FRONTEND,
        FrontendAttrs=frontend_attrs(spec),
        Cache=pb.CacheOptions(Exports=inline),
        Internal=spec.internal,
        SourcePolicy=policy_bytes(spec.source_policy, session_id),
        Exporters=exporters,
    )


def frontend_attrs(spec: SolveSpec) -> Mapping[str, str]:
    """Return the attributes with what the frontend, and not the daemon, is told of caches."""
    if not spec.cache_from:
        return spec.frontend_attrs
    imports = [{"Type": "registry", "Attrs": {"ref": name}} for name in spec.cache_from]
    return {**spec.frontend_attrs, _CACHE_IMPORTS: json.dumps(imports)}
