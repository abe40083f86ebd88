from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.buildkit.image_manifest import (
    Descriptor,
    Index,
    MalformedManifest,
    Manifest,
    parse,
    platform_of,
)

CONFIG = {"mediaType": "…", "digest": "sha256:c", "size": 1099}
LAYER = {"mediaType": "…", "digest": "sha256:l", "size": 54_243_424}


def entry(digest: str, **platform: str) -> dict[str, Any]:
    return {"digest": digest, "size": 476, "platform": platform}


def document(**fields: Any) -> bytes:
    return json.dumps({"schemaVersion": 2, **fields}).encode()


def test_a_manifest_has_a_config_and_layers() -> None:
    assert parse(document(config=CONFIG, layers=[LAYER])) == Manifest(
        Descriptor("sha256:c", 1099), (Descriptor("sha256:l", 54_243_424),)
    )


def test_an_index_has_a_manifest_for_each_platform() -> None:
    amd64 = entry("sha256:1", os="linux", architecture="amd64")
    arm = entry("sha256:2", os="linux", architecture="arm", variant="v7")

    assert parse(document(manifests=[amd64, arm])) == Index(
        (Descriptor("sha256:1", 476, "linux/amd64"), Descriptor("sha256:2", 476, "linux/arm/v7"))
    )


def test_attestations_are_no_images() -> None:
    attestation = entry("sha256:3", os="unknown", architecture="unknown")

    assert parse(document(manifests=[attestation])) == Index(())


@pytest.mark.parametrize(
    ("config", "platform"),
    [
        ({"os": "linux", "architecture": "amd64", "variant": ""}, "linux/amd64"),
        ({"os": "linux", "architecture": "arm", "variant": "v7"}, "linux/arm/v7"),
        ({}, ""),
    ],
)
def test_a_config_says_the_platform(config: dict[str, str], platform: str) -> None:
    assert platform_of(json.dumps(config).encode()) == platform


@pytest.mark.parametrize(
    "malformed",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(document(config=CONFIG, layers=[LAYER])[:-1], id="cut off"),
        pytest.param(b"[]", id="no object"),
        pytest.param(b"[" * 100_000, id="nested too deep"),
        pytest.param(document(), id="neither index nor manifest"),
        pytest.param(document(config=CONFIG), id="no layers"),
        pytest.param(document(config=CONFIG, layers=[{"digest": "sha256:l"}]), id="no size"),
        pytest.param(document(config={**CONFIG, "size": True}, layers=[]), id="a size of true"),
        pytest.param(document(config={**CONFIG, "size": -1}, layers=[]), id="a size below zero"),
        pytest.param(document(manifests={}), id="no array of manifests"),
        pytest.param(
            document(manifests=[entry("sha256:1") | {"platform": {"os": 1}}]), id="a numbered OS"
        ),
    ],
)
def test_another_document_is_refused(malformed: bytes) -> None:
    with pytest.raises(MalformedManifest):
        parse(malformed)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["manifests", "config", "layers", "digest", "size", "platform", "os", "variant"]
            ),
            inner,
        )
    ),
)


@given(json_values)
def test_any_document_is_read_or_refused(value: Any) -> None:
    for read in (parse, platform_of):
        try:
            read(json.dumps(value).encode())
        except MalformedManifest:
            continue
