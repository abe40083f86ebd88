from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.redaction.detection import has_secret_shape, looks_secret, values, warnings

RANDOM = "q7Zt3LmX0vKc9RbW2nHs"

# Build arguments of the public OpenFaaS templates (python3-http, golang-http, node, php, dotnet), with
# values that their users give them, and some that only resemble a secret's.
ORDINARY = {
    "PYTHON_VERSION": "3.12",
    "DEBIAN_OS": "slim-bookworm",
    "UPGRADE_PACKAGES": "false",
    "ADDITIONAL_PACKAGE": "",
    "ADDITIONAL_PACKAGES": "libpq-dev gcc",
    "TEST_COMMAND": "tox",
    "TEST_ENABLED": "true",
    "GO111MODULE": "on",
    "GOPROXY": "https://proxy.golang.example,direct",
    "GOPRIVATE": "git.internal.example/*",
    "GOFLAGS": "-mod=vendor",
    "CGO_ENABLED": "0",
    "NPM_CONFIG_LOGLEVEL": "warn",
    "NPM_CONFIG_REGISTRY": "https://registry.example/npm/",
    "NODE_ENV": "production",
    "AUTHOR": "Ada Lovelace <ada@example.com>",
    "AUTHORITY": "https://login.example/tenant",
    "TOKENIZER_VERSION": "0.15.2",
    "TOKENIZER": "bert-base-uncased",
    "MAX_TOKENS": "4096",
    "TOKEN_URL": "https://login.example/oauth/token",
    "TOKEN": "",
    "NPM_TOKEN": "${NPM_TOKEN}",
    "USE_AUTH": "true",
    "AUTH": "required",
    "AUTH_TYPE": "basic",
    "COMPOSER_AUTH": "{}",
    "SECRET_NAME": "database-credentials",
    "PASSWORD_FILE": "/run/secrets/db-password",
    "DB_PASSWORD": "/run/secrets/db-password",
    "GPG_KEY": "E3FF2839C048B25C084DEBE9B26995E310250568",
    "CACHE_KEY": "7c1f4e1b9a",
    "SSH_PUBLIC_KEY": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI",
    "MONKEY": "george",
    "KEYBOARD": "de",
    "COMMIT_SHA": "dbbbcb8f1a2a4a61f1d6a6e3b2c7a4d0c5d6e7f8",
    "IMAGE": "ghcr.io/openfaas/of-watchdog@sha256:" + "0a1b2c3d" * 8,
    "SOURCE_DATE_EPOCH": "1700000000",
    "PATCH": "fix-the-path",
    "COMPASS": "north",
    "DATABASE_URL": "postgres://db.example:5432/app",
    "GIT_URL": "https://${GIT_USER}:${GIT_TOKEN}@git.example/repo.git",
    "EMAIL": "mailto:someone@example.com",
    "VERSION": "sk-1.2.3",
}

SECRET = {
    "COMPOSER_AUTH": '{"http-basic": {"repo.example": {"username": "a", "password": "b"}}}',
    "NPM_TOKEN": RANDOM,
    "npmToken": RANDOM,
    "npm-token": RANDOM,
    "NPM_TOKEN_READ_ONLY": RANDOM,
    "GITHUBTOKEN": RANDOM,
    "TOKEN": "s3cret",
    "DB_PASSWORD": "hunter",
    "PIP_PASSWD": "hunter",
    "MYPASSWORD": "correcthorse",
    "CLIENT_SECRET": "swordfish",
    "SECRET": "swordfish",
    "API_KEY": RANDOM,
    "ApiKey": RANDOM,
    "APIKEY": RANDOM,
    "SSH_PRIVATE_KEY": RANDOM,
    "AWS_SECRET_ACCESS_KEY": RANDOM,
    "DOCKER_CREDENTIALS": "bob:Pa55",
    "AUTHORIZATION": "Bearer abc",
    "GITHUB_PAT": RANDOM,
}

# Made up here; none was ever issued.
SHAPES = [
    "ghp_" + "A1b2" * 9,
    "github_pat_11" + "ABCDE_12345" * 4,
    "glpat-" + "x9Y-" * 5,
    "npm_" + "a1B2" * 9,
    "AKIA" + "ABCD2345" * 2,
    "xoxb-123456789012-abcdefABCDEF",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
    "Bearer-my_eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.",
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAw\n-----END PRIVATE KEY-----",
    "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNz",
    "-----BEGIN RSA PRIVATE KEY-----",
    "https://bob:hunter2@pypi.example/simple",
    "--extra-index-url=https://__token__:abc@pypi.example/simple",
    "postgres://app:pa%40ss@db.example/app",
]


@pytest.mark.parametrize(("name", "value"), ORDINARY.items(), ids=ORDINARY)
def test_an_ordinary_argument_does_not_look_secret(name: str, value: str) -> None:
    assert not looks_secret(name, value)


@pytest.mark.parametrize(("name", "value"), SECRET.items(), ids=SECRET)
def test_a_name_can_tell_a_secret(name: str, value: str) -> None:
    assert looks_secret(name, value)


@pytest.mark.parametrize("value", SHAPES, ids=[shape[:12] for shape in SHAPES])
def test_a_value_can_tell_a_secret_under_any_name(value: str) -> None:
    assert has_secret_shape(value)
    assert looks_secret("CONFIG", value)
    assert looks_secret("TOKEN_URL", f"see {value} there")


def test_a_warning_names_the_argument_and_the_remedy_and_never_the_value() -> None:
    found = warnings({"PYTHON_VERSION": "3.12", "NPM_TOKEN": RANDOM, "URL": SHAPES[0]})

    assert [message.message.split('"')[1] for message in found] == ["NPM_TOKEN", "URL"]
    for warning in found:
        assert "com.openfaas.secrets" in warning.message
        assert "RUN --mount=type=secret" in warning.message
        assert RANDOM not in repr(warning)
        assert SHAPES[0] not in repr(warning)


def test_the_values_of_ordinary_arguments_are_not_among_the_secret_ones() -> None:
    assert values({"PYTHON_VERSION": "3.12", "NPM_TOKEN": RANDOM}) == (RANDOM.encode(),)


def test_no_arguments_make_no_warnings() -> None:
    assert warnings({}) == ()


@given(st.text(), st.text())
def test_any_name_and_value_can_be_judged(name: str, value: str) -> None:
    assert looks_secret(name, value) in {True, False}


@pytest.mark.parametrize(
    "filler",
    [
        "a",
        "://",
        "://:",
        "a://a:",
        "-----BEGIN ",
        "eyJ",
        "-eyJ",
        "_eyJ",
        "-eyJaaaaaaaa",
        "eyJaaaaaaa.",
        "-SG.",
        "-sk-.",
        "-pypi-.",
        "a:",
        "${",
        "{{",
        "<",
        "x",
        "1.",
        "a.",
        "-",
    ],
)
def test_long_values_are_judged_in_linear_time(filler: str) -> None:
    value = filler * 200_000

    assert looks_secret("DB_PASSWORD", value + "!") in {True, False}
    assert not looks_secret("NAME", value + "!")
    assert looks_secret(value, RANDOM) in {True, False}
