"""Reads from a content store that is served over gRPC, as buildkitd serves its own."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from function.buildkit.image import content
from function.buildkit.image.content import ImageReading, KnownImages, read_image
from function.buildkit.outcome import BuildResult

from ...fake_buildkitd import FakeBuildkitd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from function.buildkit.rpc.control import Control

    from ...fake_buildkitd.content import ContentStore

    Read = Callable[..., BuildResult]


@pytest.fixture
def store(daemon: FakeBuildkitd) -> ContentStore:
    return daemon.content


@pytest.fixture(params=["channel", "connection"])
def read(request: pytest.FixtureRequest, daemon: FakeBuildkitd) -> Iterator[Read]:
    """Read about an image in either of the two ways."""
    connection = daemon.connections().take()

    def on_connection(digest: str, known: KnownImages | None = None) -> BuildResult:
        return ImageReading(connection, digest, known or KnownImages()).result()

    def on_channel(digest: str, known: KnownImages | None = None) -> BuildResult:
        return read_image(daemon.channel(), digest, known)

    yield on_channel if request.param == "channel" else on_connection
    connection.close()


def image(
    store: ContentStore, *layers: dict[str, Any], architecture: str = "amd64"
) -> dict[str, Any]:
    return store.add_image(*layers, architecture=architecture, history="x" * 250)


def layer(name: str, size: int) -> dict[str, Any]:
    return {"digest": f"sha256:{name}", "size": size}


def size_of(store: ContentStore, *layer_sizes: int) -> int:
    return sum(map(len, store.blobs.values())) + sum(layer_sizes)


def test_an_image_is_as_large_as_its_manifest_config_and_layers(
    store: ContentStore, read: Read
) -> None:
    digest = image(store, layer("1", 1000), layer("2", 20))["digest"]

    assert read(digest) == BuildResult(
        digest=digest, size=size_of(store, 1000, 20), platforms=("linux/amd64",)
    )


def test_an_image_of_several_platforms_is_all_of_them(store: ContentStore, read: Read) -> None:
    entries = [
        {
            **image(store, layer(architecture, 1000), architecture=architecture),
            "platform": {"os": "linux", "architecture": architecture},
        }
        for architecture in ("amd64", "arm64")
    ]
    digest = store.add_document({"manifests": entries})["digest"]

    assert read(digest) == BuildResult(
        digest=digest,
        size=size_of(store, 2000),
        platforms=("linux/amd64", "linux/arm64"),
        manifests=tuple(entry["digest"] for entry in entries),
    )


def test_what_is_in_an_image_twice_is_counted_once(store: ContentStore, read: Read) -> None:
    shared, entries = layer("shared", 1000), []
    for architecture in ("amd64", "arm64"):
        own = image(store, shared, shared, architecture=architecture)
        entries.append({**own, "platform": {"os": "linux", "architecture": architecture}})
    digest = store.add_document({"manifests": entries})["digest"]

    assert read(digest).size == size_of(store, 1000)


def test_attestations_are_neither_read_nor_counted(store: ContentStore, read: Read) -> None:
    platform = {"os": "linux", "architecture": "amd64"}
    entry = {**image(store), "platform": platform}
    attestation = {**layer("none", 5000), "platform": {"os": "unknown", "architecture": "unknown"}}
    digest = store.add_document({"manifests": [entry, attestation]})["digest"]

    assert read(digest).size == size_of(store)


def test_an_index_without_platforms_says_none(store: ContentStore, read: Read) -> None:
    digest = store.add_document({"manifests": [image(store)]})["digest"]

    assert read(digest).platforms == ()


def test_a_manifest_that_is_not_there_leaves_the_digest(
    read: Read, caplog: pytest.LogCaptureFixture
) -> None:
    assert read("sha256:gone") == BuildResult(digest="sha256:gone")
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "sha256:gone" in caplog.text


def test_a_layer_that_is_no_descriptor_leaves_the_digest(
    store: ContentStore, read: Read, caplog: pytest.LogCaptureFixture
) -> None:
    digest = image(store, {"digest": "sha256:1"})["digest"]

    assert read(digest) == BuildResult(digest=digest)
    assert len(caplog.records) == 1


def test_a_daemon_without_a_content_store_leaves_the_digest() -> None:
    without = FakeBuildkitd(lacks={"Read"})
    without.start()
    with without.control() as control:
        described = read_image(control.channel, "sha256:d")
    without.stop()

    assert described == BuildResult(digest="sha256:d")


def test_a_channel_that_was_left_leaves_the_digest(control: Control) -> None:
    control.channel.close()

    assert read_image(control.channel, "sha256:d") == BuildResult(digest="sha256:d")


def test_a_connection_that_was_left_leaves_the_digest(daemon: FakeBuildkitd) -> None:
    connection = daemon.connections().take()
    connection.close()

    reading = ImageReading(connection, "sha256:d", KnownImages())

    assert reading.result() == BuildResult(digest="sha256:d")


def test_a_daemon_that_falls_silent_does_not_hold_up_the_answer(
    daemon: FakeBuildkitd,
    store: ContentStore,
    read: Read,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(content, "_MAX_SECONDS", 0.05)
    daemon.fall_silent()
    digest = image(store)["digest"]

    assert read(digest) == BuildResult(digest=digest)


def test_a_document_of_any_length_is_not_read_to_its_end(
    store: ContentStore, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "_MAX_BYTES", 1000)
    digest = image(store, *(layer(str(number), 1) for number in range(100)))["digest"]

    assert read(digest) == BuildResult(digest=digest)


def test_an_index_that_refers_to_itself_comes_to_an_end(store: ContentStore, read: Read) -> None:
    entry = {"digest": "sha256:loop", "size": 1}
    store.blobs["sha256:loop"] = json.dumps({"manifests": [entry, entry]}).encode()

    assert read("sha256:loop") == BuildResult(digest="sha256:loop")
    assert len(store.reads) == 64


def test_an_image_that_is_known_is_not_read_again(store: ContentStore, read: Read) -> None:
    digest, known = image(store, layer("1", 1000))["digest"], KnownImages()
    first = read(digest, known)
    reads = len(store.reads)
    assert read(digest, known) == first
    assert len(store.reads) == reads


def test_an_image_that_could_not_be_read_is_read_again(store: ContentStore, read: Read) -> None:
    digest, known = image(store, layer("1", 1000))["digest"], KnownImages()
    blob = store.blobs.pop(digest)
    assert read(digest, known) == BuildResult(digest=digest)
    store.blobs[digest] = blob
    assert read(digest, known).size == size_of(store, 1000)


def test_what_was_known_first_is_forgotten_first() -> None:
    known = KnownImages()
    for number in range(1_001):
        known.add(BuildResult(digest=f"sha256:{number}"))
    assert known.get("sha256:0") is None
    assert known.get("sha256:1") == BuildResult(digest="sha256:1")
