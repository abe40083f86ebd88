"""scripts/generate-digests as its users meet it, with a registry that answers as registries do."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .live.serving import Handler, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPT = Path(__file__).parent.parent / "scripts" / "generate-digests"
INDEX = "application/vnd.oci.image.index.v1+json"


def digest_of(path: str) -> str:
    return "sha256:" + hashlib.sha256(path.encode()).hexdigest()


@dataclass
class Registry:
    """Has every image, under a digest made from the path that it was asked by."""

    address: str = ""
    says_digest: bool = True
    wants_token: bool = False
    token: bytes = b'{"access_token": "a-token"}'
    lacks: str = "?"
    asked: list[tuple[str, str]] = field(default_factory=list)

    def digest(self, repository: str, tag: str) -> str:
        return digest_of(f"/v2/{repository}/manifests/{tag}")


@pytest.fixture
def registry() -> Iterator[Registry]:
    kept = Registry()

    class Answering(Handler):
        def answer(self) -> None:
            kept.asked.append((self.command, self.path))
            if self.path.startswith("/token?"):
                self.reply(200, kept.token)
            elif kept.wants_token and self.headers["Authorization"] != "Bearer a-token":
                realm = f'realm="http://{kept.address}/token",service="the service",scope="repository:x:pull"'
                self.reply(401, b"", {"WWW-Authenticate": f"Bearer {realm}"})
            elif kept.lacks in self.path:
                self.reply(404)
            else:
                assert self.headers["Accept"].startswith(INDEX)
                said = {"Docker-Content-Digest": digest_of(self.path)} if kept.says_digest else {}
                self.reply(200, self.path.encode(), said)

        do_GET = do_HEAD = answer  # noqa: N815 - their names there

        def reply(self, status: int, body: bytes = b"", said: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **(said or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    with serving(Answering) as kept.address:
        yield kept


def generate(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-B", SCRIPT, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def pinned(registry: Registry, file: Path, text: str) -> str:
    file.write_text(text)
    ended = generate(*(f"--mirror={each}=http://{registry.address}" for each in MIRRORED), file)
    assert (ended.returncode, ended.stderr) == (0, "")
    return file.read_text()


MIRRORED = ("docker.io", "ghcr.io")


def test_images_of_a_dockerfile_get_the_digest_of_their_tag(
    registry: Registry, tmp_path: Path
) -> None:
    text = (
        "FROM --platform=$BUILDPLATFORM golang:1.26 AS Made\n"
        "FROM made AS more\n"
        "FROM ghcr.io/openfaas/of-watchdog:0.11.3\n"
        f"FROM {registry.address}/team/base\n"
        "FROM scratch\n"
        "COPY --from=made / /\n"
    )

    assert pinned(registry, tmp_path / "Dockerfile", text).splitlines() == [
        f"FROM --platform=$BUILDPLATFORM golang:1.26@{registry.digest('library/golang', '1.26')} AS Made",
        "FROM made AS more",
        f"FROM ghcr.io/openfaas/of-watchdog:0.11.3@{registry.digest('openfaas/of-watchdog', '0.11.3')}",
        f"FROM {registry.address}/team/base@{registry.digest('team/base', 'latest')}",
        "FROM scratch",
        "COPY --from=made / /",
    ]


def test_other_build_arguments_than_were_pinned_name_a_stage_that_is_not_there(
    registry: Registry, tmp_path: Path
) -> None:
    head = "ARG PYTHON_VERSION=3.13\nARG DEBIAN_OS=trixie\n\n"
    text = head + "FROM python:${PYTHON_VERSION}-slim-$DEBIAN_OS AS build\nRUN true\n"
    digest = registry.digest("library/python", "3.13-slim-trixie")

    assert pinned(registry, tmp_path / "Dockerfile", text) == (
        f"{head}FROM python:3.13-slim-trixie@{digest} AS python-3.13-slim-trixie\n"
        "FROM python-${PYTHON_VERSION}-slim-$DEBIAN_OS AS build\nRUN true\n"
    )


def test_what_is_pinned_is_renewed(registry: Registry, tmp_path: Path) -> None:
    text = f"ARG V=1\nFROM a/b:1@sha256:{'0' * 64} AS first\nFROM c/d:$V AS last\n"

    once = pinned(registry, tmp_path / "Dockerfile", text)

    assert "0" * 64 not in once
    assert pinned(registry, tmp_path / "Dockerfile", once) == once


@pytest.mark.parametrize("before", ["", f"    digest: sha256:{'0' * 64}\n"])
def test_images_of_a_kustomization_get_the_digest_of_their_tag(
    registry: Registry, tmp_path: Path, before: str
) -> None:
    text = "images:\n  - name: moby/buildkit\n    newTag: v1-rootless\n{}resources: []\n"

    written = pinned(registry, tmp_path / "kustomization.yaml", text.format(before))

    digest = registry.digest("moby/buildkit", "v1-rootless")
    assert written == text.format(f"    digest: {digest}\n")


def test_an_anonymous_token_is_asked_for_where_the_registry_says(
    registry: Registry, tmp_path: Path
) -> None:
    registry.wants_token = True

    written = pinned(registry, tmp_path / "Dockerfile", "FROM x:1\n")

    assert written == f"FROM x:1@{registry.digest('library/x', '1')}\n"
    assert registry.asked == [
        ("HEAD", "/v2/library/x/manifests/1"),
        ("GET", "/token?service=the+service&scope=repository%3Ax%3Apull"),
        ("HEAD", "/v2/library/x/manifests/1"),
    ]


@pytest.mark.parametrize(
    "token", [b"", b"{}", b"[" * 100_000, b'{"token": "a\\u001b"}', b'{"token": 1}']
)
def test_a_token_that_is_none_is_an_error_of_one_sentence(
    registry: Registry, tmp_path: Path, token: bytes
) -> None:
    registry.wants_token, registry.token = True, token
    (tmp_path / "Dockerfile").write_text("FROM x:1\n")

    ended = generate(f"--mirror=docker.io=http://{registry.address}", tmp_path / "Dockerfile")

    assert ended.returncode == 1
    assert "does not answer for x:1" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "\x1b" not in ended.stderr


def test_a_registry_that_says_no_digest_has_its_manifest_read(
    registry: Registry, tmp_path: Path
) -> None:
    registry.says_digest = False

    written = pinned(registry, tmp_path / "Dockerfile", "FROM x:1\n")

    assert written == f"FROM x:1@{registry.digest('library/x', '1')}\n"


def test_nothing_is_written_unless_all_images_have_a_digest(
    registry: Registry, tmp_path: Path
) -> None:
    registry.lacks = "missing"
    files = [tmp_path / "one", tmp_path / "two"]
    files[0].write_text("FROM there:1\n")
    files[1].write_text("FROM missing:1\n")

    ended = generate(f"--mirror=docker.io=http://{registry.address}", *files)

    assert ended.returncode == 1
    assert ended.stderr == (
        f"error: http://{registry.address} has no digest for missing:1: status 404.\nNothing was changed.\n"
    )
    assert files[0].read_text() == "FROM there:1\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("FROM x:$VERSION\n", "without its build arguments"),
        ("FROM 127.0.0.1:9/x:1\n", "--mirror 127.0.0.1:9=https://..."),
    ],
)
def test_says_what_to_do_where_no_digest_can_be_had(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "Dockerfile").write_text(text)

    ended = generate(tmp_path / "Dockerfile")

    assert ended.returncode == 1
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_images_that_are_deployed_from_here_are_pinned_unless_told_others() -> None:
    folder = SCRIPT.parent.parent
    files = (
        *folder.glob("scripts/kubernetes/**/kustomization.yaml"),
        *folder.glob("template/*/Dockerfile"),
    )
    named = [file for file in files if "newTag:" in (text := file.read_text()) or "\nFROM " in text]

    assert len(named) == 3
    for file in named:
        assert f'    Path("{file.relative_to(folder)}"),\n' in SCRIPT.read_text()
