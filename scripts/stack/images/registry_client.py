"""Network I/O. The few calls of the registry API that the stack needs: push an image, read one.

Follows opencontainers/distribution-spec v1.1 over plain HTTP, for registries on this machine.
"""

import base64
import http.client
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ..errors import StackError
from . import oci

CONNECT_TIMEOUT_SECONDS = 60
CHUNK_BYTES = 1 << 20

_ACCEPT = f"{oci.MANIFEST}, {oci.INDEX}, {oci.DOCKER_MANIFEST}, {oci.DOCKER_INDEX}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image as a registry has it: the digest asked for, its config and its layers."""

    digest: str
    config: bytes
    layers: Sequence[str]


@dataclass(frozen=True, slots=True)
class RegistryClient:
    """One registry at host:port. Every call opens its own connection."""

    address: str
    username: str = ""
    password: str = ""

    def push(
        self,
        repository: str,
        tags: Sequence[str],
        *,
        layers: Sequence[oci.Layer],
        process: oci.Process,
        architecture: str,
    ) -> str:
        """Upload what the registry lacks, point every tag at it and return the digest."""
        for layer in layers:
            if not self._has_blob(repository, layer.digest):
                with layer.path.open("rb") as file:
                    self._upload(repository, layer.digest, file, layer.size)
        config = oci.config_document(layers, process, architecture)
        if not self._has_blob(repository, oci.digest_of(config)):
            self._upload(repository, oci.digest_of(config), config, len(config))
        manifest = oci.manifest_document(layers, config)
        for tag in tags:
            self._put_manifest(repository, tag, manifest)
        return oci.digest_of(manifest)

    def image(self, repository: str, reference: str, architecture: str) -> Image:
        """Read an image by tag or digest, choosing from an index by architecture."""
        media_type, digest, document = self._manifest(repository, reference)
        if media_type in oci.INDEXES:
            chosen = oci.manifest_for(document, architecture)
            _, _, document = self._manifest(repository, chosen)
        manifest = json.loads(document)
        with self.blob(repository, manifest["config"]["digest"]) as config:
            return Image(
                digest=digest,
                config=config.read(),
                layers=[layer["digest"] for layer in manifest["layers"]],
            )

    @contextmanager
    def blob(self, repository: str, digest: str) -> Iterator[IO[bytes]]:
        """Yield a stream of the blob's bytes, open for the length of the block."""
        with self._exchange("GET", f"/v2/{repository}/blobs/{digest}") as response:
            _expect(response, 200, f"read {digest} of {repository}")
            yield response

    def _manifest(self, repository: str, reference: str) -> tuple[str, str, bytes]:
        path = f"/v2/{repository}/manifests/{reference}"
        with self._exchange("GET", path, headers={"Accept": _ACCEPT}) as response:
            _expect(response, 200, f"read {repository}:{reference}")
            document = response.read()
            return response.headers.get_content_type(), oci.digest_of(document), document

    def _has_blob(self, repository: str, digest: str) -> bool:
        with self._exchange("HEAD", f"/v2/{repository}/blobs/{digest}") as response:
            return response.status == 200

    def _upload(self, repository: str, digest: str, content: bytes | IO[bytes], size: int) -> None:
        with self._exchange("POST", f"/v2/{repository}/blobs/uploads/") as response:
            _expect(response, 202, f"start an upload to {repository}")
            location = response.headers["Location"].removeprefix(f"http://{self.address}")
        location += ("&" if "?" in location else "?") + f"digest={digest}"
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        with self._exchange("PUT", location, content, headers) as response:
            _expect(response, 201, f"upload {digest} to {repository}")

    def _put_manifest(self, repository: str, tag: str, manifest: bytes) -> None:
        path = f"/v2/{repository}/manifests/{tag}"
        with self._exchange("PUT", path, manifest, {"Content-Type": oci.MANIFEST}) as response:
            _expect(response, 201, f"tag {repository}:{tag}")

    @contextmanager
    def _exchange(
        self,
        method: str,
        path: str,
        body: bytes | IO[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection(self.address, timeout=CONNECT_TIMEOUT_SECONDS)
        connection.blocksize = CHUNK_BYTES
        try:
            connection.request(method, path, body, {**self._authorization(), **(headers or {})})
            yield connection.getresponse()
        except OSError as exc:
            raise StackError(f"The registry at {self.address} does not answer: {exc}.") from exc
        finally:
            connection.close()

    def _authorization(self) -> Mapping[str, str]:
        if not self.username:
            return {}
        credentials = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        return {"Authorization": f"Basic {credentials}"}


def _expect(response: http.client.HTTPResponse, status: int, purpose: str) -> None:
    if response.status != status:
        reason = response.read(500).decode(errors="replace").strip()
        raise StackError(
            f"The registry refused to {purpose} with status {response.status}: {reason}"
        )


def save(stream: IO[bytes], path: Path) -> None:
    with path.open("wb") as file:
        while chunk := stream.read(CHUNK_BYTES):
            file.write(chunk)
