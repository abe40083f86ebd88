"""I/O: a build's conversation in which images that were pushed already become one index.

Each is a source of its own, so the daemon finds its layers in the registry and moves none of them: it writes
the manifests anew, from the configs that we return with them, and they are the same bytes (measured with
v0.32.2; not promised). The names of what is returned are moby/buildkit v0.32.2's, exporter/containerimage/
exptypes.
"""

from __future__ import annotations

import hashlib
import json
import queue
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc

from ...pb import gateway_pb2 as pb
from ...pb import ops_pb2
from .conversation import Conversation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .request import SolveSpec

_PLATFORMS = "refs.platforms"
_CONFIG = "containerimage.config"


@dataclass(frozen=True, slots=True, kw_only=True)
class PushedImage:
    """An image that a registry has: *name* is canonical, *platform* like "linux/arm/v7".

    *digest* may be that of an index, of which *platform* is to be taken.
    """

    name: str
    digest: str
    platform: str

    @property
    def reference(self) -> str:
        return f"{self.name}@{self.digest}"


class IndexGateway(Conversation):
    """Speaks for a build that joins images; says nothing until they are there."""

    def __init__(
        self, channel: grpc.Channel, spec: SolveSpec, *, failed: Callable[[], None]
    ) -> None:
        """Call *failed* if there will be no result, for which the Solve on *channel* would wait."""
        self._images: queue.SimpleQueue[Sequence[PushedImage]] = queue.SimpleQueue()
        super().__init__(channel, spec.ref, failed=failed)

    def join(self, images: Sequence[PushedImage]) -> None:
        """Have *images* joined, in their order."""
        self._images.put(images)

    def cancel(self) -> None:
        super().cancel()
        self._images.put(())

    def _result(self) -> pb.Result:
        images = self._images.get()
        if not images:
            raise grpc.FutureCancelledError
        # One after the other: by the second, the daemon knows its way to the registry.
        result = pb.Result(metadata={_PLATFORMS: _platforms(images)})
        for image in images:
            request = pb.ResolveImageConfigRequest(
                Ref=image.reference,
                Platform=_platform(image.platform).SerializeToString(),
                LogName=f"[{image.platform} internal] load config of {image.reference}",
            )
            resolved = self._call(self._bridge.resolve_image_config, request)
            result.metadata[f"{_CONFIG}/{image.platform}"] = resolved.Config
            solved = self._solved(pb.SolveRequest(Definition=source_of(image)))
            result.refs.refs[image.platform].id = solved.ref.id
        return result


def source_of(image: PushedImage) -> bytes:
    """Return a pb.Definition that comes to *image*."""
    source = ops_pb2.Op(
        source=ops_pb2.SourceOp(identifier=f"docker-image://{image.reference}"),
        platform=_platform(image.platform),
    ).SerializeToString()
    result = ops_pb2.Op(inputs=[ops_pb2.Input(digest=_digest(source))]).SerializeToString()
    # The daemon takes no definition without metadata, which may be empty.
    metadata = {_digest(op): b"" for op in (source, result)}
    return ops_pb2.Definition(ops=[source, result], metadata=metadata).SerializeToString()


def _platforms(images: Sequence[PushedImage]) -> bytes:
    entries = []
    for image in images:
        platform = _platform(image.platform)
        fields = {"architecture": platform.Architecture, "os": platform.OS}
        if platform.Variant:
            fields["variant"] = platform.Variant
        entries.append({"ID": image.platform, "Platform": fields})
    return json.dumps({"Platforms": entries}).encode()


def _platform(text: str) -> ops_pb2.Platform:
    os, architecture, *variant = text.split("/", 2)
    return ops_pb2.Platform(OS=os, Architecture=architecture, Variant="".join(variant))


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()
