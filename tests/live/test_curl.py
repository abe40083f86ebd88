"""The commands of OpenFaaS' documentation, run by a shell: GNU tar, openssl and curl."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from .caller import NDJSON

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stack.machine import Machine

    from .conftest import StartFunction

SECONDS = 60

# From the documentation of the Function Builder API, but for where the secret and the builder are.
DOCUMENTED = """
tar cvf req.tar --exclude=req.tar  .

PAYLOAD=$(cat payload-secret)

HMAC=$(cat req.tar | openssl dgst -sha256 -hmac $PAYLOAD | sed -e 's/^.* //')

curl -H "X-Build-Signature: sha256=$HMAC" -s $BUILDER_URL/build -X POST --data-binary @req.tar
"""

SIGN = """
tar c --exclude=req.tar --exclude=payload-secret . > req.tar
HMAC=$(openssl dgst -sha256 -hmac "$(cat payload-secret)" req.tar | sed -e 's/^.* //')
"""
CURL = 'curl -v -sS -H "X-Build-Signature: sha256=$HMAC" "$BUILDER_URL/build" -X POST '

PAYLOAD_SECRET = "bXkgcGF5bG9hZCBzZWNyZXQgZm9yIGN1cmw="  # as `openssl rand -base64 24` makes them


@pytest.fixture(scope="module")
def url(start_function: StartFunction, shared_daemon: str, machine: Machine) -> Iterator[str]:
    """A function whose secret needs no quotes, since the documentation has none."""
    secrets = machine.account.scratch(machine.paths, "secrets")
    (secrets / "payload-secret").write_text(PAYLOAD_SECRET + "\n")
    with start_function(shared_daemon, secret_mount_path=str(secrets)) as function:
        yield function.url
    shutil.rmtree(secrets)


@pytest.fixture
def folder(tmp_path: Path, mirror: str) -> Path:
    config = {"image": f"{mirror}/live/curl:1", "buildArgs": {}}
    (tmp_path / "com.openfaas.docker.config").write_text(json.dumps(config))
    (tmp_path / "payload-secret").write_text(PAYLOAD_SECRET + "\n")
    (tmp_path / "context" / "function").mkdir(parents=True)
    (tmp_path / "context" / "Dockerfile").write_text("FROM scratch\nCOPY . /home/app\n")
    (tmp_path / "context" / ".dockerignore").write_text("*/node_modules\n")
    (tmp_path / "context" / "function" / "handler.js").write_text("module.exports = {}\n")
    return tmp_path


def run(script: str, folder: Path, url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", script],
        cwd=folder,
        env={**os.environ, "BUILDER_URL": url},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )


def test_the_documented_commands_build(folder: Path, url: str, mirror: str) -> None:
    document = json.loads(run(DOCUMENTED, folder, url).stdout.splitlines()[-1])
    assert document["status"] == "success"
    assert document["imageName"] == f"{mirror}/live/curl:1"
    assert document["logs"]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param("--data-binary @req.tar", id="form-urlencoded"),
        pytest.param("-H 'Content-Type: application/octet-stream' -T req.tar", id="a file"),
        pytest.param("-H 'Transfer-Encoding: chunked' --data-binary @req.tar", id="chunked"),
        pytest.param("-T - < req.tar", id="chunked from a pipe"),
        pytest.param("-H 'Expect: 100-continue' --data-binary @req.tar", id="100-continue"),
        pytest.param("--http1.0 --data-binary @req.tar", id="HTTP 1.0"),
    ],
)
def test_every_way_of_curl_to_send_a_body_builds(folder: Path, url: str, options: str) -> None:
    done = run(SIGN + CURL + options, folder, url)
    assert json.loads(done.stdout)["status"] == "success"
    if "chunked" in options:
        assert "> Transfer-Encoding: chunked" in done.stderr
    if "100-continue" in options:
        assert "< HTTP/1.1 100 Continue" in done.stderr


def test_curl_reads_the_stream(folder: Path, url: str) -> None:
    done = run(SIGN + CURL + f"-N -H 'Accept: {NDJSON}' --data-binary @req.tar", folder, url)
    *progress, final = map(json.loads, done.stdout.splitlines())
    assert {line["status"] for line in progress} == {"in_progress"}
    assert final["status"] == "success"


def test_a_compressed_archive_builds(folder: Path, url: str) -> None:
    sign = SIGN.replace("tar c ", "tar cz ")
    done = run(sign + CURL + "--data-binary @req.tar", folder, url)
    assert json.loads(done.stdout)["status"] == "success"


def test_a_wrong_secret_is_said(folder: Path, url: str) -> None:
    (folder / "payload-secret").write_text("another")
    done = run(SIGN + CURL + "--data-binary @req.tar -w '\\n%{http_code}'", folder, url)
    body, _, status = done.stdout.rpartition("\n")
    assert (status, json.loads(body)["status"]) == ("401", "failed")
