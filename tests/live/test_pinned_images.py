"""scripts/generate-digests, with a real registry that wants tokens and an image for several platforms."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING

from stack.images import oci
from stack.paths import REPOSITORY

from ..parts.token_server import Account, TokenServer
from .caller import Request, assert_built, build

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stack.daemons.registry import Registry

    from .conftest import StartFunction

DOCKERFILE = (
    "ARG V=1\nFROM docker.io/team/base:${V} AS base\nFROM scratch\nCOPY --from=base /a /b\n"
)


def push_index(registry: Registry, manifest: str) -> str:
    """Tag team/base:1 as an image for one platform more than *manifest*; return its digest."""
    size = len(registry.client()._manifest("team/base", manifest)[2])
    entry = {"mediaType": oci.MANIFEST, "digest": manifest, "size": size}
    platforms = [{"os": "linux", "architecture": each} for each in ("amd64", "arm64")]
    index = {
        "schemaVersion": 2,
        "mediaType": oci.INDEX,
        "manifests": [{**entry, "platform": each} for each in platforms],
    }
    body = json.dumps(index).encode()
    put = urllib.request.Request(
        f"http://{registry.address}/v2/team/base/manifests/1",
        data=body,
        headers={"Content-Type": oci.INDEX},
        method="PUT",
    )
    urllib.request.urlopen(put, timeout=30).close()  # noqa: S310 - on this machine
    return oci.digest_of(body)


def test_a_dockerfile_is_pinned_to_the_index_of_its_base_and_built(
    start_function: StartFunction,
    start_registry: Callable[..., Registry],
    shared_daemon: str,
    tmp_path: Path,
) -> None:
    public = start_registry()
    file = tmp_path / "Dockerfile"
    with TokenServer(tmp_path, []) as tokens, start_function(shared_daemon) as function:
        tokens.anyone = Account(username="", password="", pull=("team/",), push=())
        private = start_registry(tokens=tokens, storage=public.storage)
        base = Request(
            {"Dockerfile": "FROM scratch\nCOPY a /\n", "a": "a"}, f"{public.address}/team/base:1"
        )
        assert_built(built := build(function.url, base))
        digest = push_index(public, str(built.document["digest"]))
        file.write_text(DOCKERFILE)

        command = [
            sys.executable,
            "-B",
            str(REPOSITORY / "scripts" / "generate-digests"),
            str(file),
        ]
        mirror = f"--mirror=docker.io=http://{private.address}"
        subprocess.run([*command, mirror], check=True, timeout=120)

        text = file.read_text()
        assert f"FROM docker.io/team/base:1@{digest} AS docker.io-team-base-1\n" in text
        assert [each.scopes for each in tokens.asked] == [("repository:team/base:pull",)]
        # The stage's names are BuildKit's to judge; it has the image under the registry's own name.
        files = {"Dockerfile": text.replace("FROM docker.io/team", f"FROM {private.address}/team")}
        image = f"{public.address}/team/app:1"
        assert_built(build(function.url, Request(files, image)))
        other = build(function.url, Request(files, image, {"buildArgs": {"V": "2"}}))
    assert (other.status, other.document["reason"]) == (422, "build_failed")
    assert "docker.io-team-base-2" in str(other.document["error"])
