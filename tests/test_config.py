from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from function.buildkit import DaemonTLS
from function.config import Settings
from function.errors import NotReady

TLS = {"buildkit_tls_ca": "/ca", "buildkit_tls_cert": "/cert", "buildkit_tls_key": "/key"}


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_env({}) == Settings()


def test_a_variable_without_a_value_is_as_good_as_none() -> None:
    assert Settings.from_env({"max_builds": "", "buildkit_url": "  "}) == Settings()


def test_every_setting_is_read_from_the_variable_of_its_name() -> None:
    environ = {
        "buildkit_url": "unix:///run/buildkitd.sock, tcp://buildkitd:1234",
        "buildkit_lookup_url": "tcp://lookup:1234",
        "daemon_builds": "9",
        "daemon_retries": "0",
        "platform_pools": "false",
        "registry_cache": "inline",
        "disable_hmac": "true",
        "secret_mount_path": "/secrets",
        "tenants_file": "customers",
        "build_timeout": "5m",
        "failed_status": "200",
        "max_body_bytes": "1",
        "max_context_bytes": "2",
        "max_context_entries": "3",
        "max_builds": "4",
        "max_waiting": "0",
        "heartbeat": "6s",
        "daemon_patience": "7",
        "callback_hosts": "example.com, .example.org,",
        "callback_private": "true",
        "command_max_age": "1m",
        "request_max_age": "2m",
        "max_detached": "5",
        "max_waiting_bytes": "8",
        "max_followers": "6",
        **TLS,
        "buildkit_server_name": "buildkitd",
    }

    settings = Settings.from_env(environ)

    assert settings == Settings(
        buildkit_url=("unix:///run/buildkitd.sock", "tcp://buildkitd:1234"),
        buildkit_lookup_url=("tcp://lookup:1234",),
        daemon_builds=9,
        daemon_retries=0,
        platform_pools=False,
        registry_cache="inline",
        buildkit_tls=DaemonTLS(
            ca=Path("/ca"), cert=Path("/cert"), key=Path("/key"), server_name="buildkitd"
        ),
        disable_hmac=True,
        secret_mount_path=Path("/secrets"),
        tenants_file="customers",
        build_timeout=300.0,
        failed_status=200,
        max_body_bytes=1,
        max_context_bytes=2,
        max_context_entries=3,
        max_builds=4,
        max_waiting=0,
        heartbeat=6.0,
        daemon_patience=7.0,
        callback_hosts=("example.com", ".example.org"),
        callback_private=True,
        command_max_age=60.0,
        request_max_age=120.0,
        max_detached=5,
        max_waiting_bytes=8,
        max_followers=6,
    )
    unchanged = {f.name for f in fields(Settings) if getattr(settings, f.name) == f.default}
    assert unchanged == set()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30m", 1800), ("1m30s", 90), ("1.5h", 5400), ("250ms", 0.25), ("90", 90), ("2h45m", 9900)],
)
def test_durations_are_gos_or_plain_seconds(text: str, seconds: float) -> None:
    assert Settings.from_env({"build_timeout": text}).build_timeout == seconds


@pytest.mark.parametrize("text", ["m", "5 m", "-5s", "1d", "1.s", "five", "0", "0s", "5m!", "+5s"])
def test_other_durations_are_refused_by_name(text: str) -> None:
    with pytest.raises(NotReady, match=r"^build_timeout must be"):
        Settings.from_env({"build_timeout": text})


@pytest.mark.parametrize("text", ["true", "1", "yes", "True", "TRUE"])
def test_hmac_is_disabled_by_a_clear_word(text: str) -> None:
    assert Settings.from_env({"disable_hmac": text}).disable_hmac is True


def test_no_cache_is_kept_in_a_registry_unless_that_is_set() -> None:
    assert Settings.from_env({"registry_cache": "off"}) == Settings()


@pytest.mark.parametrize("text", ["false", "0", "no", "False"])
def test_hmac_stays_on(text: str) -> None:
    assert Settings.from_env({"disable_hmac": text}).disable_hmac is False


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("buildkit_url", ","),
        ("daemon_builds", "0"),
        ("daemon_retries", "-1"),
        ("platform_pools", "some"),
        ("registry_cache", "registry"),
        ("registry_cache", "true"),
        ("disable_hmac", "maybe"),
        ("disable_hmac", "on"),
        ("max_body_bytes", "512MB"),
        ("max_body_bytes", "-1"),
        ("max_builds", "0"),
        ("max_waiting", "1.5"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(NotReady, match=f"^{name} must be"):
        Settings.from_env({name: text})


@pytest.mark.parametrize("missing", TLS)
def test_tls_takes_all_three_files(missing: str) -> None:
    environ = {name: path for name, path in TLS.items() if name != missing}

    with pytest.raises(NotReady, match=f"^{missing} must be set"):
        Settings.from_env(environ)


@pytest.mark.parametrize("value", ["500", "202", "ok"])
def test_a_failed_build_is_422_or_200_and_nothing_else(value: str) -> None:
    with pytest.raises(NotReady, match=r"^failed_status must be 422 or 200"):
        Settings.from_env({"failed_status": value})


@pytest.mark.parametrize("name", ["../tenants.json", "/tenants.json", ".."])
def test_the_tenants_file_is_one_of_the_mounted_secrets(name: str) -> None:
    with pytest.raises(NotReady, match="tenants_file must be the name of a file"):
        Settings.from_env({"tenants_file": name})
