"""scripts/generate-key as its users meet it, and what the builder and faas-cli make of its files."""

from __future__ import annotations

import base64
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from function import secret_files
from function.config import Settings

SCRIPT = Path(__file__).parent.parent / "scripts" / "generate-key"


def generate(folder: Path, name: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-B", SCRIPT, name],
        cwd=folder,
        env=None if path is None else {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


@pytest.mark.parametrize("name", ["build-secrets-key", "build-secrets-key-2026-11"])
def test_makes_a_pair_that_the_builder_reads(tmp_path: Path, name: str) -> None:
    ended = generate(tmp_path, name)

    [key] = secret_files.sealing_keys(Settings(secret_mount_path=tmp_path))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert key.name == name
    assert key.public_key == (tmp_path / f"{name}.pub").read_text()
    assert f"Key id: {key.key_id}\n" in ended.stdout
    assert f"faas-cli secret create {name} --from-file {name}\n" in ended.stdout


def test_makes_a_payload_secret_that_the_builder_reads(tmp_path: Path) -> None:
    ended = generate(tmp_path, "payload-secret")

    [key] = secret_files.payload_keys(Settings(secret_mount_path=tmp_path))
    assert len(base64.b64decode(key.secret, validate=True)) == 32
    assert "faas-cli secret create payload-secret --from-file payload-secret\n" in ended.stdout


@pytest.mark.parametrize("name", ["payload-secret", "build-secrets-key"])
def test_every_key_is_another_for_its_owner_alone_and_not_shown(tmp_path: Path, name: str) -> None:
    texts = []
    for suffix in ("", "-2"):
        ended = generate(tmp_path, name + suffix)
        file = tmp_path / (name + suffix)
        texts.append(file.read_text())
        assert mode(file) == 0o600
        assert texts[-1] not in ended.stdout

    assert texts[0] != texts[1]


@pytest.mark.parametrize("there", ["build-secrets-key", "build-secrets-key.pub"])
def test_overwrites_nothing(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("precious")

    ended = generate(tmp_path, "build-secrets-key")

    assert ended.returncode == 1
    assert ended.stderr == f"error: {there} is there already and is kept: choose another name.\n"
    assert [file.name for file in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "precious"


@pytest.mark.parametrize(
    "name",
    ["key", "payload-secret2", "build-secrets-key-", "payload-secret-A", "build-secrets-key.pub"],
)
def test_refuses_names_that_the_builder_would_not_find(tmp_path: Path, name: str) -> None:
    ended = generate(tmp_path, name)

    assert ended.returncode == 1
    assert ended.stderr.startswith(f'error: "{name}" would not be found by the builder')
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    ended = generate(tmp_path, "nowhere/payload-secret")

    assert ended.returncode == 1
    assert ended.stderr.startswith("error: nowhere/payload-secret cannot be written: No such file")


def test_without_openssl_it_says_what_else_makes_a_pair(tmp_path: Path) -> None:
    ended = generate(tmp_path, "build-secrets-key", path=str(tmp_path))

    assert ended.returncode == 1
    assert "There is no openssl" in ended.stderr
    assert "`faas-cli secret keygen`" in ended.stderr


def test_an_openssl_that_cannot_is_asked_for_its_reason(tmp_path: Path) -> None:
    (tmp_path / "openssl").write_text("#!/bin/sh\necho unknown algorithm >&2\nexit 1\n")
    (tmp_path / "openssl").chmod(0o755)

    ended = generate(tmp_path, "build-secrets-key", path=f"{tmp_path}:/bin")

    assert ended.returncode == 1
    assert "makes no X25519 keys (unknown algorithm)" in ended.stderr
    assert not (tmp_path / "build-secrets-key").exists()


@pytest.mark.skipif(shutil.which("faas-cli") is None, reason="faas-cli is not on PATH")
def test_faas_cli_seals_and_unseals_with_the_pair(tmp_path: Path) -> None:
    generate(tmp_path, "build-secrets-key")

    faas_cli = ["faas-cli", "secret"]
    seal = [*faas_cli, "seal", "build-secrets-key.pub", "--from-literal=token=s3cr3t"]
    unseal = [*faas_cli, "unseal", "build-secrets-key", "--key=token"]
    subprocess.run(seal, cwd=tmp_path, check=True, capture_output=True)
    unsealed = subprocess.run(unseal, cwd=tmp_path, check=True, capture_output=True)

    assert unsealed.stdout == b"s3cr3t"


@pytest.mark.skipif(shutil.which("faas-cli") is None, reason="faas-cli is not on PATH")
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("build-secrets-key", "keygen"), ("payload-secret", "generate")],
)
def test_the_files_are_of_the_form_that_faas_cli_writes(
    tmp_path: Path, ours: str, theirs: str
) -> None:
    (tmp_path / "faas-cli").mkdir()
    generate(tmp_path, ours)
    subprocess.run(
        ["faas-cli", "secret", theirs, "-o", f"faas-cli/{ours}"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )

    for file in (tmp_path / "faas-cli").iterdir():
        twin = tmp_path / file.name
        assert len(twin.read_bytes()) == len(file.read_bytes())
        assert mode(twin) == mode(file)
