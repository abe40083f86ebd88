from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from function import secret_files
from function.config import Settings
from function.errors import NotReady
from function.registry_auth import ANONYMOUS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(secret_mount_path=tmp_path)


def test_reads_the_payload_secret(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "payload-secret").write_bytes(b"s3cret\n")

    [key] = secret_files.payload_keys(settings)

    assert key.secret == b"s3cret\n"


def test_a_rotated_secret_needs_no_restart(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "payload-secret").write_bytes(b"old")
    secret_files.payload_keys(settings)
    (tmp_path / "payload-secret").write_bytes(b"new")

    assert [key.secret for key in secret_files.payload_keys(settings)] == [b"new"]


def test_without_a_payload_secret_the_builder_is_not_ready(settings: Settings) -> None:
    with pytest.raises(NotReady, match="has no payload secret") as raised:
        secret_files.payload_keys(settings)

    assert str(settings.secret_mount_path) not in str(raised.value)


def test_a_blank_payload_secret_opens_nothing(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "payload-secret").write_bytes(b" \n")

    with pytest.raises(NotReady, match="is empty"):
        secret_files.payload_keys(settings)


def test_reads_the_registry_credentials(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"auths": {"a": {"username": "u", "password": "p"}}}')

    assert secret_files.registry_auth(settings).credentials("a").username == "u"


def test_without_registry_credentials_registries_are_spoken_to_anonymously(
    settings: Settings,
) -> None:
    assert secret_files.registry_auth(settings).credentials("a") == ANONYMOUS


def test_malformed_registry_credentials_are_said_to_be(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")

    with pytest.raises(NotReady, match="not valid JSON"):
        secret_files.registry_auth(settings)


def test_registry_credentials_that_are_no_file_are_said_to_be(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "config.json").mkdir()

    with pytest.raises(NotReady, match="cannot be read"):
        secret_files.registry_auth(settings)
