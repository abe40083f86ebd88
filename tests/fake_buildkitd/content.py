"""The content service, read-only (containerd v2 api/services/content/v1)."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import grpc

from function.pb import content_pb2 as pb

from .failure import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator


class ContentStore:
    """Blobs by digest, sent in messages of *piece_bytes*."""

    def __init__(self, *, piece_bytes: int = 100) -> None:
        self.blobs: dict[str, bytes] = {}
        self.reads: list[str] = []
        self._piece_bytes = piece_bytes

    def add(self, blob: bytes) -> str:
        """Return the digest of *blob*, which is in the store from now on."""
        digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
        self.blobs[digest] = blob
        return digest

    def add_document(self, document: Any) -> dict[str, Any]:
        """Return the descriptor of *document*."""
        blob = json.dumps(document).encode()
        return {"digest": self.add(blob), "size": len(blob)}

    def add_image(
        self, *layers: dict[str, Any], architecture: str = "amd64", history: str = ""
    ) -> dict[str, Any]:
        """Return the descriptor of an image of one platform."""
        config = self.add_document(
            {"os": "linux", "architecture": architecture, "history": [history]}
        )
        return self.add_document({"config": config, "layers": layers})

    def read(
        self, request: pb.ReadContentRequest, _call: grpc.ServicerContext
    ) -> Iterator[pb.ReadContentResponse]:
        self.reads.append(request.digest)
        if request.digest not in self.blobs:
            raise Failure(f"content {request.digest}: not found", grpc.StatusCode.NOT_FOUND)
        blob = self.blobs[request.digest][: request.size or None]
        for at in range(0, len(blob), self._piece_bytes):
            yield pb.ReadContentResponse(data=blob[at : at + self._piece_bytes])
