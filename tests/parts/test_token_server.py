"""Tokens: to whom they are given, and for what. tests/live/test_registries.py shows that registries agree."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from .token_server import Account, Asked, TokenServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ADA = Account(
    username="ada", password="right", identity_token="identity", pull=("team/", "base"), push=("team/",)
)  # fmt: skip


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TokenServer]:
    with TokenServer(tmp_path, [ADA]) as server:
        yield server


def ask(
    server: TokenServer, scope: str, user: str = "", form: dict[str, str] | None = None
) -> dict[str, list[str]]:
    """Return what the token is good for: actions by repository."""
    headers = {"Authorization": "Basic " + base64.b64encode(user.encode()).decode()} if user else {}
    url, data = server.realm + "?" + urlencode({"scope": scope}), None
    if form is not None:
        data = urlencode({**form, "scope": scope}).encode()
    request = urllib.request.Request(url, data, headers)  # noqa: S310 - our own server
    with urllib.request.urlopen(request) as response:  # noqa: S310
        token = json.load(response)["token"]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return {access["name"]: access["actions"] for access in claims["access"]}


def test_a_token_is_good_for_what_its_owner_may_do(server: TokenServer) -> None:
    assert ask(server, "repository:team/app:pull,push", "ada:right") == {
        "team/app": ["pull", "push"]
    }
    assert ask(server, "repository:base:pull,push", "ada:right") == {"base": ["pull"]}
    assert ask(server, "repository:other:pull", "ada:right") == {"other": []}


def test_a_token_for_nobody_in_particular_is_good_for_nothing(server: TokenServer) -> None:
    assert ask(server, "repository:team/app:pull") == {"team/app": []}


def test_an_identity_token_is_taken_by_post_alone(server: TokenServer) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": "identity"}
    assert ask(server, "repository:base:pull", form=form) == {"base": ["pull"]}
    with pytest.raises(urllib.error.HTTPError, match="401"):
        ask(server, "repository:base:pull", ":identity")


def test_a_wrong_password_is_given_no_token(server: TokenServer) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401"):
        ask(server, "repository:base:pull", "ada:wrong")


def test_less_than_was_asked_may_be_forbidden(server: TokenServer) -> None:
    server.denies = True
    with pytest.raises(urllib.error.HTTPError, match="403"):
        ask(server, "repository:base:pull,push", "ada:right")


def test_every_request_is_remembered(server: TokenServer) -> None:
    ask(server, "repository:base:pull", "ada:right")
    assert server.asked == [
        Asked(
            username="ada",
            secret="right",
            scopes=("repository:base:pull",),
            method="GET",
            status=200,
        )
    ]
