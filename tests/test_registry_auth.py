from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.errors import NotReady
from function.registry_auth import ANONYMOUS, Credentials, RegistryAuth

HUB = "https://index.docker.io/v1/"


def basic(username: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}


def auths(**entries: Any) -> RegistryAuth:
    return RegistryAuth.from_json(json.dumps({"auths": entries}))


@pytest.mark.parametrize(
    ("key", "host"),
    [
        pytest.param("ghcr.io", "ghcr.io", id="the plain host"),
        pytest.param("https://ghcr.io", "ghcr.io", id="https in front"),
        pytest.param("http://registry:5000", "registry:5000", id="http in front, and a port"),
        pytest.param("registry:5000", "registry:5000", id="a port"),
        pytest.param("https://quay.io/v2/", "quay.io", id="an API's path"),
        pytest.param("quay.io/organisation", "quay.io", id="a namespace behind it"),
        pytest.param("GHCR.io", "ghcr.io", id="upper case in the file"),
        pytest.param("[::1]:5000", "[::1]:5000", id="an IPv6 address"),
        pytest.param(HUB, "registry-1.docker.io", id="Docker Hub as docker login writes it"),
        pytest.param(HUB, "docker.io", id="Docker Hub asked for by its image name"),
        pytest.param("docker.io", "registry-1.docker.io", id="Docker Hub as images name it"),
        pytest.param("index.docker.io", "registry-1.docker.io", id="Docker Hub's index by host"),
        pytest.param("registry-1.docker.io", "registry-1.docker.io", id="Docker Hub's registry"),
    ],
)
def test_finds_a_registry_under_every_form_of_key(key: str, host: str) -> None:
    known = auths(**{key: basic("ada", "secret")})

    assert known.credentials(host) == Credentials("ada", "secret")


@pytest.mark.parametrize("host", ["ghcr.io:443", "registry", "io", "registry:50", "evil-registry"])
def test_gives_no_registry_the_credentials_of_another(host: str) -> None:
    known = auths(**{"ghcr.io": basic("a", "b"), "registry:5000": basic("c", "d")})

    assert known.credentials(host) == ANONYMOUS


@pytest.mark.parametrize("order", [1, -1])
def test_prefers_the_plain_name_over_one_with_a_path(order: int) -> None:
    entries = {"ghcr.io": basic("plain", "1"), "https://ghcr.io/v2/": basic("path", "2")}
    known = auths(**dict(list(entries.items())[::order]))

    assert known.credentials("ghcr.io").username == "plain"


@pytest.mark.parametrize("order", [1, -1])
def test_prefers_what_docker_login_wrote_for_docker_hub(order: int) -> None:
    entries = {HUB: basic("login", "1"), "docker.io": basic("other", "2")}
    known = auths(**dict(list(entries.items())[::order]))

    assert known.credentials("registry-1.docker.io").username == "login"


def test_takes_username_and_password_without_auth() -> None:
    known = auths(**{"ghcr.io": {"username": "ada", "password": "secret"}})

    assert known.credentials("ghcr.io") == Credentials("ada", "secret")


def test_takes_auth_over_username_and_password_as_docker_does() -> None:
    known = auths(**{"ghcr.io": basic("ada", "1") | {"username": "bob", "password": "2"}})

    assert known.credentials("ghcr.io") == Credentials("ada", "1")


def test_sends_an_identity_token_as_a_secret_without_a_username() -> None:
    known = auths(**{"example.azurecr.io": basic("0000", "") | {"identitytoken": "refresh"}})

    assert known.credentials("example.azurecr.io") == Credentials("", "refresh")


def test_keeps_colons_in_a_password() -> None:
    known = auths(**{"ghcr.io": basic("ada", "a:b:c")})

    assert known.credentials("ghcr.io").secret == "a:b:c"


def test_takes_base64_that_was_wrapped_into_lines() -> None:
    auth = base64.encodebytes(b"ada:" + b"x" * 80).decode()

    assert "\n" in auth.strip()
    assert auths(**{"ghcr.io": {"auth": auth}}).credentials("ghcr.io").secret == "x" * 80


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"auths": {}}, id="no registries"),
        pytest.param({"auths": None}, id="null"),
        pytest.param({"credsStore": "ecr-login"}, id="only a credential helper"),
        pytest.param({"auths": {"ghcr.io": {}}}, id="docker login with a credential store"),
        pytest.param({"auths": {"ghcr.io": {"auth": ""}}}, id="an empty entry"),
    ],
)
def test_is_anonymous_where_the_file_holds_nothing(document: dict[str, Any]) -> None:
    known = RegistryAuth.from_json(json.dumps(document))

    assert known.credentials("ghcr.io") == ANONYMOUS


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param("hunter2 {", "not valid JSON", id="not JSON"),
        pytest.param(b"\xffhunter2", "not valid JSON", id="not text"),
        pytest.param('["hunter2"]', "The file must be a JSON object", id="a list"),
        pytest.param('{"auths": ["hunter2"]}', '"auths" must be a JSON object', id="auths a list"),
        pytest.param(
            '{"auths": {"ghcr.io": "hunter2"}}',
            "The entry for ghcr.io must be a JSON object",
            id="an entry that is a string",
        ),
        pytest.param(
            '{"auths": {"https://me:hunter2@ghcr.io/v2/": {"auth": 1}}}',
            '"auth" for ghcr.io must be a string',
            id="auth a number, and a password in the key",
        ),
        pytest.param(
            '{"auths": {"ghcr.io": {"auth": "me:hunter2"}}}',
            '"auth" for ghcr.io must be base64',
            id="auth not encoded",
        ),
        pytest.param(
            '{"auths": {"ghcr.io": {"auth": "aHVudGVyMg=="}}}',
            '"auth" for ghcr.io must be the base64 of "user:password"',
            id="auth without a colon",
        ),
    ],
)
def test_says_what_is_wrong_with_the_file_but_not_what_is_in_it(
    text: str | bytes, sentence: str
) -> None:
    with pytest.raises(NotReady) as raised:
        RegistryAuth.from_json(text)

    assert sentence in str(raised.value)
    assert "hunter2" not in str(raised.value)
    assert "aHVudGVyMg" not in str(raised.value)


def test_shows_no_secret_when_printed() -> None:
    known = auths(**{"ghcr.io": basic("ada", "hunter2")})

    assert "hunter2" not in repr(known)
    assert "hunter2" not in repr(known.credentials("ghcr.io"))


# Docker's own format cannot carry a NUL at the end of a password, nor a colon in a username.
@given(
    username=st.text(min_size=1).filter(lambda text: ":" not in text),
    password=st.text().filter(lambda text: text == text.strip("\0")),
)
def test_gives_back_whatever_docker_login_wrote(username: str, password: str) -> None:
    known = auths(**{"ghcr.io": basic(username, password)})

    assert known.credentials("ghcr.io") == Credentials(username, password)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["auths", "auth", "ghcr.io"]), inner)
        ),
    )
)
def test_answers_or_refuses_any_json(document: object) -> None:
    try:
        known = RegistryAuth.from_json(json.dumps(document))
    except NotReady:
        return
    assert isinstance(known.credentials("ghcr.io"), Credentials)
