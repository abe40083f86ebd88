from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.buildkit.image.manifest import (
    Descriptor,
    Index,
    MalformedManifest,
    Manifest,
    parse,
    platform_of,
)

# As buildkitd 0.32.2 writes them, with media types and annotations left out.
MANIFEST = {
    "schemaVersion": 2,
    "config": {"digest": "sha256:c", "size": 1005},
    "layers": [{"digest": "sha256:1", "size": 54243424}, {"digest": "sha256:2", "size": 32}],
}
INDEX = {
    "schemaVersion": 2,
    "manifests": [
        {
            "digest": "sha256:a",
            "size": 600,
            "platform": {"architecture": "amd64", "os": "linux"},
        },
        {
            "digest": "sha256:b",
            "size": 601,
            "platform": {"architecture": "arm", "os": "linux", "variant": "v7"},
        },
        {
            "digest": "sha256:p",
            "size": 602,
            "platform": {"architecture": "unknown", "os": "unknown"},
        },
    ],
}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda values: (
        st.lists(values, max_size=3)
        | st.dictionaries(
            st.sampled_from(["manifests", "layers", "config", "digest", "size", "platform", "os"]),
            values,
            max_size=4,
        )
    ),
)


def document(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_a_manifest_has_a_config_and_layers() -> None:
    assert parse(document(MANIFEST)) == Manifest(
        config=Descriptor("sha256:c", 1005),
        layers=(Descriptor("sha256:1", 54243424), Descriptor("sha256:2", 32)),
    )


def test_a_manifest_of_an_image_without_files_has_no_layers() -> None:
    assert parse(document({**MANIFEST, "layers": None})) == Manifest(
        config=Descriptor("sha256:c", 1005), layers=()
    )


def test_an_index_has_a_manifest_for_each_platform_and_no_attestations() -> None:
    assert parse(document(INDEX)) == Index(
        (
            Descriptor("sha256:a", 600, "linux/amd64"),
            Descriptor("sha256:b", 601, "linux/arm/v7"),
        )
    )


@pytest.mark.parametrize(
    ("config", "platform"),
    [
        ({"os": "linux", "architecture": "amd64", "rootfs": {}}, "linux/amd64"),
        ({"os": "linux", "architecture": "arm", "variant": "v6"}, "linux/arm/v6"),
        ({"os": "linux", "architecture": "amd64", "variant": ""}, "linux/amd64"),
        ({"os": "linux", "architecture": "amd64", "variant": None}, "linux/amd64"),
        ({}, ""),
    ],
)
def test_a_config_says_its_platform(config: dict[str, Any], platform: str) -> None:
    assert platform_of(document(config)) == platform


@pytest.mark.parametrize(
    "malformed",
    [
        b"",
        b"not JSON",
        document(MANIFEST)[:-1],
        b"\xff",
        b"[" * 100_000,
        b"[]",
        b"null",
        b"{}",
        document({**MANIFEST, "config": None}),
        document({**MANIFEST, "layers": {}}),
        document({**MANIFEST, "layers": [{"digest": "sha256:1"}]}),
        document({**MANIFEST, "layers": [{"digest": "sha256:1", "size": -1}]}),
        document({**MANIFEST, "layers": [{"digest": "sha256:1", "size": True}]}),
        document({**MANIFEST, "layers": [{"digest": "sha256:1", "size": "1"}]}),
        document({"manifests": [{"digest": "sha256:a", "size": 1, "platform": []}]}),
        document({"manifests": [{"digest": "sha256:a", "size": 1, "platform": {"os": 1}}]}),
    ],
)
def test_what_is_no_manifest_is_refused(malformed: bytes) -> None:
    with pytest.raises(MalformedManifest):
        parse(malformed)


@given(json_values)
def test_any_document_is_understood_or_refused(value: Any) -> None:
    for read in (parse, platform_of):
        with suppress(MalformedManifest):
            read(document(value))
