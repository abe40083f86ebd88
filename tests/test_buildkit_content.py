from __future__ import annotations

import hashlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from function.buildkit import content
from function.buildkit.content import ImageContent
from function.outcome import BuildResult
from function.pb import content_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHUNK = 32 << 10  # what containerd sends at once


class Store(grpc.GenericRpcHandler):  # type: ignore[type-arg] # generic in the stubs only
    """A content store that sends a blob in pieces, and no more of it than is asked for."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.read: list[str] = []
        self.hangs = False
        self.left = threading.Event()

    def add(self, document: Any) -> dict[str, Any]:
        """The descriptor of *document*, which is in the store from now on."""
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.blobs[digest] = data
        return {"digest": digest, "size": len(data)}

    def image(self, architecture: str, *layers: dict[str, Any]) -> dict[str, Any]:
        config = self.add({"os": "linux", "architecture": architecture})
        return self.add({"config": config, "layers": layers})

    def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        if call.method != "/containerd.services.content.v1.Content/Read":
            return None
        return grpc.unary_stream_rpc_method_handler(self._read)

    def _read(self, data: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        request = pb.ReadContentRequest.FromString(data)
        self.read.append(request.digest)
        if self.hangs:
            context.add_callback(self.left.set)
            self.left.wait(30)
        if request.digest not in self.blobs:
            context.abort(grpc.StatusCode.NOT_FOUND, "content not found")
        blob = self.blobs[request.digest][: request.size or None]
        for at in range(0, len(blob), CHUNK):
            yield pb.ReadContentResponse(data=blob[at : at + CHUNK]).SerializeToString()


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def channel(store: Store, tmp_path: Path) -> Iterator[grpc.Channel]:
    with serving(store, f"unix:{tmp_path}/store.sock") as opened:
        yield opened


@contextmanager
def serving(store: Store, address: str) -> Iterator[grpc.Channel]:
    with ThreadPoolExecutor(max_workers=2) as threads:
        server = grpc.server(threads, handlers=[store])
        server.add_insecure_port(address)
        server.start()
        with grpc.insecure_channel(address) as opened:
            yield opened
        server.stop(None).wait()


def layer(name: str, size: int) -> dict[str, Any]:
    """Of which no more than this is ever read."""
    return {"digest": f"sha256:{name}", "size": size}


def test_an_image_is_as_large_as_its_manifest_its_config_and_its_layers(
    store: Store, channel: grpc.Channel
) -> None:
    image = store.image("amd64", layer("a", 1_000), layer("b", 20_000))

    result = ImageContent(channel, image["digest"]).result()

    documents = sum(len(blob) for blob in store.blobs.values())
    assert result == BuildResult(
        digest=image["digest"], size=documents + 21_000, platforms=("linux/amd64",)
    )


def test_an_index_is_as_large_as_all_its_images_and_itself(
    store: Store, channel: grpc.Channel
) -> None:
    images = [
        store.image(architecture, layer(architecture, 1_000)) for architecture in ("amd64", "arm64")
    ]
    platforms = [{"os": "linux", "architecture": name} for name in ("amd64", "arm64")]
    index = store.add(
        {"manifests": [image | {"platform": on} for image, on in zip(images, platforms)]}  # noqa: B905 - both have two
    )

    result = ImageContent(channel, index["digest"]).result()

    assert result.size == sum(len(blob) for blob in store.blobs.values()) + 2_000
    assert result.platforms == ("linux/amd64", "linux/arm64")


def test_what_images_share_is_counted_once(store: Store, channel: grpc.Channel) -> None:
    shared = layer("shared", 1_000)
    images = [store.image("amd64", shared, shared), store.image("arm64", shared)]
    index = store.add({"manifests": images})

    result = ImageContent(channel, index["digest"]).result()

    assert result.size == sum(len(blob) for blob in store.blobs.values()) + 1_000


def test_a_manifest_that_comes_in_pieces_is_read_whole(store: Store, channel: grpc.Channel) -> None:
    layers = [layer(str(number), 1) for number in range(3_000)]
    image = store.image("amd64", *layers)
    assert image["size"] > 2 * CHUNK

    result = ImageContent(channel, image["digest"]).result()

    assert result.size == sum(len(blob) for blob in store.blobs.values()) + 3_000


@pytest.mark.parametrize(
    "document", [b"no JSON", {"config": layer("missing", 1), "layers": []}, b" " * (9 << 20)]
)
def test_an_image_that_cannot_be_read_about_has_its_digest(
    store: Store, channel: grpc.Channel, caplog: pytest.LogCaptureFixture, document: Any
) -> None:
    digest = store.add(document)["digest"]

    assert ImageContent(channel, digest).result() == BuildResult(digest=digest)
    [record] = caplog.records
    assert digest in record.getMessage()


def test_an_image_that_is_not_in_the_store_has_its_digest(channel: grpc.Channel) -> None:
    assert ImageContent(channel, "sha256:no").result() == BuildResult(digest="sha256:no")


def test_a_connection_that_was_left_is_no_error(channel: grpc.Channel) -> None:
    channel.close()

    assert ImageContent(channel, "sha256:a").result() == BuildResult(digest="sha256:a")


def test_no_more_is_read_than_an_image_has(store: Store, channel: grpc.Channel) -> None:
    index = store.add({"manifests": [store.image(str(number)) for number in range(200)]})

    assert ImageContent(channel, index["digest"]).result().size == 0
    assert len(store.read) < 100


def test_a_store_that_does_not_answer_is_left(
    store: Store, channel: grpc.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "_MAX_SECONDS", 0.1)
    store.hangs = True
    image = store.image("amd64")

    assert ImageContent(channel, image["digest"]).result().size == 0
    assert store.left.wait(30)
