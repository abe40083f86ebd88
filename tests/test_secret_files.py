from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from function import secret_files
from function.buildkit import ANONYMOUS
from function.config import Settings
from function.errors import NotReady
from function.request.signature import Key


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


def test_all_payload_secrets_count_the_plain_one_first(settings: Settings, tmp_path: Path) -> None:
    for name in ("payload-secret-b", "payload-secret", "payload-secret-a"):
        (tmp_path / name).write_text(f"the {name}")

    assert secret_files.payload_keys(settings) == [
        Key("payload-secret", b"the payload-secret"),
        Key("payload-secret-a", b"the payload-secret-a"),
        Key("payload-secret-b", b"the payload-secret-b"),
    ]


def test_one_payload_secret_of_another_name_is_enough(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "payload-secret-2").write_bytes(b"s3cret")

    assert secret_files.payload_keys(settings) == [Key("payload-secret-2", b"s3cret")]


@pytest.mark.parametrize(
    "name",
    ["payload-secret2", "payload-secrets", "my-payload-secret", ".payload-secret", "payload"],
)
def test_a_file_of_another_name_is_no_payload_secret(
    settings: Settings, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes(b"s3cret")

    with pytest.raises(NotReady, match="has no payload secret"):
        secret_files.payload_keys(settings)


def test_reads_secrets_as_kubernetes_mounts_them(settings: Settings, tmp_path: Path) -> None:
    mounted = tmp_path / "..2026_11_21_10_00_00.1"
    mounted.mkdir()
    (mounted / "payload-secret").write_bytes(b"s3cret")
    (tmp_path / "..data").symlink_to(mounted.name)
    (tmp_path / "payload-secret").symlink_to("..data/payload-secret")

    assert secret_files.payload_keys(settings) == [Key("payload-secret", b"s3cret")]


def test_what_is_no_file_is_passed_over(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "payload-secret").write_bytes(b"s3cret")
    (tmp_path / "payload-secret-folder").mkdir()
    (tmp_path / "payload-secret-gone").symlink_to("nowhere")
    os.mkfifo(tmp_path / "payload-secret-pipe")

    assert secret_files.payload_keys(settings) == [Key("payload-secret", b"s3cret")]


def test_a_secret_that_goes_away_while_it_is_read_is_passed_over(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "payload-secret").write_bytes(b"new")
    (tmp_path / "payload-secret-old").write_bytes(b"old")
    real = Path.is_file

    def last_seen(path: Path) -> bool:
        seen = real(path)
        if path.name == "payload-secret-old":
            path.unlink()
        return seen

    monkeypatch.setattr(Path, "is_file", last_seen)

    assert secret_files.payload_keys(settings) == [Key("payload-secret", b"new")]


def test_secrets_that_are_not_mounted_at_all_are_as_good_as_none(tmp_path: Path) -> None:
    settings = Settings(secret_mount_path=tmp_path / "nowhere")

    assert secret_files.sealing_keys(settings) == []
    with pytest.raises(NotReady, match="has no payload secret"):
        secret_files.payload_keys(settings)


def test_a_mount_that_is_a_file_is_said_to_be_unreadable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(NotReady, match="check how they are mounted") as raised:
        secret_files.payload_keys(Settings(secret_mount_path=tmp_path / "file"))

    assert str(tmp_path) not in str(raised.value)


def test_a_blank_payload_secret_opens_nothing(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "payload-secret").write_bytes(b" \n")

    with pytest.raises(NotReady, match="is empty"):
        secret_files.payload_keys(settings)


def test_one_blank_payload_secret_among_others_is_told_by_its_name(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "payload-secret").write_bytes(b"s3cret")
    (tmp_path / "payload-secret-2").touch()

    with pytest.raises(NotReady, match='"payload-secret-2" is empty'):
        secret_files.payload_keys(settings)


def test_the_current_sealing_key_comes_first_and_public_halves_not_at_all(
    settings: Settings, tmp_path: Path
) -> None:
    for name in ("build-secrets-key-2025", "build-secrets-key"):
        (tmp_path / name).write_bytes(base64.b64encode(name.encode().ljust(32)))
        (tmp_path / f"{name}.pub").write_bytes(base64.b64encode(bytes(32)))

    assert [key.name for key in secret_files.sealing_keys(settings)] == [
        "build-secrets-key",
        "build-secrets-key-2025",
    ]


def test_a_malformed_sealing_key_is_told_by_its_name(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "build-secrets-key-2").write_bytes(b"not a key")

    with pytest.raises(NotReady, match='"build-secrets-key-2" for build secrets cannot be used'):
        secret_files.sealing_keys(settings)


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
