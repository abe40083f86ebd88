"""OCI documents: what we write, and what we read of BuildKit's."""

import json
from pathlib import Path

import pytest
from stack.images import oci

LAYER = oci.Layer(path=Path("layer"), digest="sha256:c", diff_id="sha256:d", size=7)


def test_the_manifest_names_the_config_by_its_digest_and_size() -> None:
    config = oci.config_document([LAYER], oci.Process(), "amd64")

    manifest = json.loads(oci.manifest_document([LAYER], config))

    assert manifest["config"]["digest"] == oci.digest_of(config)
    assert manifest["config"]["size"] == len(config)


def test_layers_are_compressed_in_the_manifest_and_plain_in_the_config() -> None:
    config = oci.config_document([LAYER], oci.Process(), "amd64")
    manifest = json.loads(oci.manifest_document([LAYER], config))

    assert manifest["layers"] == [{"mediaType": oci.LAYER, "digest": "sha256:c", "size": 7}]
    assert json.loads(config)["rootfs"]["diff_ids"] == ["sha256:d"]


def test_reads_back_how_a_container_starts() -> None:
    process = oci.Process(
        entrypoint=("/fwatchdog",),
        cmd=("a", "b"),
        env={"PATH": "/bin", "EMPTY": "", "EQUALS": "a=b"},
        working_dir="/home/app",
        user="app",
    )

    assert oci.process_of(oci.config_document([], process, "amd64")) == process


def test_an_image_that_says_nothing_starts_in_the_root_folder_as_root() -> None:
    assert oci.process_of(b'{"config":{"Cmd":null}}') == oci.Process(working_dir="/", user="")


def test_chooses_the_image_and_not_its_attestation() -> None:
    index = {
        "manifests": [
            {"digest": "sha256:1", "platform": {"os": "unknown", "architecture": "unknown"}},
            {"digest": "sha256:2", "platform": {"os": "linux", "architecture": "arm64"}},
            {"digest": "sha256:3", "platform": {"os": "linux", "architecture": "amd64"}},
        ]
    }

    assert oci.manifest_for(json.dumps(index).encode(), "amd64") == "sha256:3"


def test_an_index_without_this_architecture_is_an_error() -> None:
    with pytest.raises(LookupError):
        oci.manifest_for(b'{"manifests":[]}', "amd64")
